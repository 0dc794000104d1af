"""What a stage brings to the loop, and what the two tell each other."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from glcm_mae.data.batching.batches import Batch
from glcm_mae.data.batching.mixing import Mixing
from glcm_mae.data.store.pixels import Pixels


class Moment(NamedTuple):
    """A step of a training.

    Attributes:
        epoch: Epoch, counted from 0.
        step: Step within it, counted from 0.
        steps: Steps of an epoch.
    """

    epoch: int
    step: int
    steps: int

    @property
    def number(self) -> int:
        """The step's number since the beginning."""
        return self.epoch * self.steps + self.step


class LossValue(NamedTuple):
    """What a stage says of one part of a step.

    Attributes:
        total: To be minimised; the mean over the part's images.
        numbers: What is logged of it, each a mean over the part's images.
    """

    total: Tensor
    numbers: Mapping[str, Tensor | float]


class Verdict(NamedTuple):
    """What a stage says of an epoch.

    Attributes:
        numbers: To be logged.
        rank: How good the weights are, for keeping the best; higher is better.
        stop: Whether the training ends with this epoch.
    """

    numbers: Mapping[str, float]
    rank: Sequence[float]
    stop: bool = False


class Task(Protocol):
    """What a stage brings to the loop."""

    section: str
    """Section of the settings, for messages."""
    title: str
    """What the progress bar calls it."""

    @property
    def model(self) -> nn.Module:
        """What is trained."""
        ...

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The parts by which the weights are divided over processes."""
        ...

    @property
    def pixels(self) -> Pixels:
        """All images of the table."""
        ...

    @property
    def layer_decay(self) -> float:
        """Factor by which the learning rate falls from a layer to the one below."""
        ...

    @property
    def draws(self) -> int:
        """Counted numbers that an image needs beyond augmentation."""
        ...

    @property
    def mixing(self) -> Mixing:
        """How the images of a step are mixed with each other."""
        ...

    def rows(self, epoch: int) -> NDArray[np.int64]:
        """Return the rows that an epoch visits."""
        ...

    def loss(self, network: nn.Module, batch: Batch, moment: Moment) -> LossValue:
        """Judge one part of a step."""
        ...

    def end_epoch(self, epoch: int, means: Mapping[str, float]) -> Verdict:
        """Judge the weights after an epoch; they are the averaged ones, if there are any."""
        ...

    def sample_input(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return what the model is called with for one image, to count its operations."""
        ...

    def name(self, row: int) -> str:
        """Return what an image is called."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what a user of the weights must know: the model, how images are read."""
        ...

    def tensors(self) -> dict[str, Tensor]:
        """Return what else a checkpoint must hold, by name with the group first."""
        ...

    def facts(self) -> dict[str, Any]:
        """Return plain facts that a checkpoint must hold."""
        ...

    def restore(self, facts: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Take back what :meth:`facts` and :meth:`tensors` returned."""
        ...
