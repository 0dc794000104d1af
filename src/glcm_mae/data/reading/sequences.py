"""Frames decoded one by one, with the black and white that all frames of a file share."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.frames import choose_frames
from glcm_mae.data.reading.policy import (
    VALUE_LIMIT,
    Decoded,
    ReadingPolicy,
    RefusedPixelsError,
    choose_limits,
)
from glcm_mae.data.reading.spread import Spread, limits_between, spread_for

Limits = tuple[float, float]

_AT_ONCE = 4 * VALUE_LIMIT  # values of all frames that are read together
_KEPT_BYTES = 2**28  # what percentiles keep where they cannot count


def decode_frames(
    decode: Callable[[int], npt.NDArray[Any]],
    count: int,
    frames: Sequence[int] | None,
    policy: ReadingPolicy,
    *,
    full: Limits | None,
    falling: bool = False,
) -> Decoded:
    """Decode frames of a file, with black and white for the whole of it.

    Frames that are not asked for are decoded only where black and white depend on them.

    Args:
        decode: Returns the frame of a number, shape (height, width, samples); it is
            called with rising numbers.
        count: Frames that the file holds.
        frames: Numbers of those that are read; None if the file must hold one image.
        policy: Names the window.
        full: Least and greatest value that the file's bits can hold. With None, floats
            that all lie in [0, 1] have that range, and other values none.
        falling: Whether great values are dark.

    Raises:
        RefusedPixelsError: If the file has no such frames or window, if its frames are
            not alike, or if they are too many to be read together.
    """
    chosen = choose_frames(frames, count)
    if not chosen:
        raise RefusedPixelsError("none of its frames is asked for", "choose a frame")
    relative = policy.window in ("range", "percentile")
    whole = relative or (full is None and policy.given_limits is None)
    spread = spread_for(policy, falling=falling) if relative else Spread(0, 100)
    stack: npt.NDArray[Any] = np.empty(0)
    for number in range(count) if whole else sorted(set(chosen)):
        frame = decode(number)
        if whole:
            _refuse_mass(frame, count, policy)
            spread.add(frame)
        if number in chosen:
            stack = _stacked(stack, frame, chosen, number)
    if relative:
        return Decoded(stack, *_between(spread, falling=falling))
    known = _unit(spread) if whole and stack.dtype.kind == "f" else full
    low, high = choose_limits(policy, stack[:0], stated=None, full=known)
    return Decoded(stack, high, low) if falling else Decoded(stack, low, high)


def _stacked(
    stack: npt.NDArray[Any], frame: npt.NDArray[Any], chosen: list[int], number: int
) -> npt.NDArray[Any]:
    """Put a frame wherever it is wanted in the stack of the chosen."""
    if len(chosen) == 1:
        return frame[None]
    if stack.size == 0:
        if len(chosen) * frame.size > _AT_ONCE:
            raise RefusedPixelsError(
                f"{len(chosen)} of its frames hold more than {_AT_ONCE} values together",
                "choose fewer with --data.frames, or split it into one file per frame",
            )
        stack = np.empty((len(chosen), *frame.shape), frame.dtype)
    if frame.shape != stack.shape[1:] or frame.dtype != stack.dtype:
        raise RefusedPixelsError(
            "its frames differ in size or depth", "split it into one file per frame"
        )
    stack[[place for place, wanted in enumerate(chosen) if wanted == number]] = frame
    return stack


def _refuse_mass(frame: npt.NDArray[Any], count: int, policy: ReadingPolicy) -> None:
    kept = policy.window == "percentile" and frame.dtype.itemsize > 2
    if kept and count * frame.nbytes > _KEPT_BYTES:
        raise RefusedPixelsError(
            f"percentiles of more than {_KEPT_BYTES // 2**20} MiB are not taken",
            "pass --data.window range or CENTRE/WIDTH, or split it into smaller files",
        )


def _between(spread: Spread, *, falling: bool) -> Limits:
    black, white = spread.ends()
    if falling:  # a flat image is black either way
        black, white = limits_between(-black, -white)
        return -black, -white
    return limits_between(black, white)


def _unit(spread: Spread) -> Limits | None:
    low, high = spread.ends()
    return (0.0, 1.0) if low >= 0 and high <= 1 else None
