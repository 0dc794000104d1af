"""Starting weights that others trained: read safely, brought into our names, sizes and units.

The rooms, from the ground up: ``sources`` reads files and runs nothing in them, ``resizing``
fits tensors to other grids and channels, ``report`` tells what became of each name,
``foreign`` holds weights of others, ``layouts`` and ``huggingface`` translate names and
configurations, ``reading`` makes :class:`ForeignWeights` of a path or a name, ``plans`` and
``loading`` put them into a model.
"""

from glcm_mae.model.weights.foreign import ForeignWeights
from glcm_mae.model.weights.loading import load_into_autoencoder, load_into_encoder
from glcm_mae.model.weights.reading import read_weights
from glcm_mae.model.weights.report import LoadReport

__all__ = [
    "ForeignWeights",
    "LoadReport",
    "load_into_autoencoder",
    "load_into_encoder",
    "read_weights",
]
