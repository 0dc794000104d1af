"""The pixels of many images, wherever they lie: in memory, in a mapped file, in shards."""

from typing import Any, Protocol, overload

import numpy as np
import numpy.typing as npt


class Pixels(Protocol):
    """What arrays, mapped files and shards have in common.

    Convention:
        Shape (images, channels, height, width), unsigned integers; the greatest number
        of the type is white.
    """

    @property
    def shape(self) -> tuple[int, ...]:
        """Images, channels, height, width."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the stored values, ``uint8`` or ``uint16``."""

    def __len__(self) -> int: ...

    @overload
    def __getitem__(self, rows: npt.NDArray[np.int64], /) -> npt.NDArray[Any]: ...

    @overload
    def __getitem__(self, rows: int, /) -> npt.NDArray[Any]: ...


def white_of(dtype: npt.DTypeLike) -> int:
    """Return the stored value that means white.

    Example:
        >>> white_of(np.uint8), white_of("uint16")
        (255, 65535)
    """
    return int(np.iinfo(np.dtype(dtype)).max)
