"""What pre-trained autoencoders make of images: how well their restorations keep texture."""

from glcm_mae.analysis.reconstructing import reconstruct
from glcm_mae.analysis.result import Reconstructions

__all__ = ["Reconstructions", "reconstruct"]
