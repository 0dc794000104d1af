"""Which frames of a file are read."""

from collections.abc import Sequence

from glcm_mae.data.reading.policy import VALUE_LIMIT, RefusedPixelsError


def choose_frames(frames: Sequence[int] | None, count: int) -> list[int]:
    """Return the numbers of the frames to read.

    Args:
        frames: Frame numbers from 0; None means that the file must hold exactly one.
        count: Frames in the file.

    Returns:
        Frame numbers, in the order asked for.

    Raises:
        RefusedPixelsError: If there are several frames and none is chosen, or a chosen one
            does not exist.

    Example:
        >>> choose_frames([2, 0], 3)
        [2, 0]
        >>> choose_frames(None, 1)
        [0]
    """
    if frames is None:
        if count != 1:
            raise RefusedPixelsError(
                f"it holds {count} frames, one is needed",
                "choose some with --data.frames all, middle or a number, "
                "or split it into one file per frame",
            )
        return [0]
    for frame in frames:
        if not 0 <= frame < count:
            raise RefusedPixelsError(
                f"frame {frame} does not exist: it holds {count}, counted from 0",
                "choose others with --data.frames",
            )
    return [int(frame) for frame in frames]


def refuse_large(values: int) -> None:
    """Refuse an image of more values than :data:`~glcm_mae.data.reading.policy.VALUE_LIMIT`.

    Raises:
        RefusedPixelsError: If it is too large, or holds no value at all.

    Example:
        >>> refuse_large(512 * 512)
    """
    if values > VALUE_LIMIT:
        raise RefusedPixelsError(
            f"more than {VALUE_LIMIT} values", "scale it down or remove it"
        )
    if values < 1:
        raise RefusedPixelsError("it holds no pixels")
