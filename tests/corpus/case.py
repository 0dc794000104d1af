"""One file of the conformance corpus: how it is made, and what must come of it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.policy import ReadingPolicy


@dataclass(frozen=True)
class Case:
    """A file, and its asserted outcome.

    Attributes:
        name: Unique; letters, digits and hyphens.
        kind: Format as a reader names it, such as ``DICOM`` or ``PNG``: a part of the table.
        content: What is in the file, in a few words, such as ``16-bit gray``.
        outcome: What comes of it, in a few words, such as ``value / 65535`` or ``refused:
            no known white``.
        oracle: Who says so: ``by construction``, ``Pillow``, ``nibabel``, ``GDCM``, ...
        make: Writes the file into a folder and returns its path.
        expected: Pixels in [0, 1], shape (channels, height, width), from the file by another
            way than ours; None if the file is refused.
        refusal: Regular expression found in the error's text, if the file is refused.
        tolerance: Largest difference of a pixel.
        policy: How it is read.
        frame: Which frame is read; None where the file holds one image.
    """

    name: str
    kind: str
    content: str
    outcome: str
    oracle: str
    make: Callable[[Path], Path]
    expected: Callable[[Path], npt.NDArray[np.floating]] | None = None
    refusal: str = ""
    tolerance: float = 1e-6
    policy: ReadingPolicy = field(default_factory=ReadingPolicy)
    frame: int | None = None
