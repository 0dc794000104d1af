"""Slices of volumes and frames of films: which of them are images of the table."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from glcm_mae.data.reading.formats import Format, sniff
from glcm_mae.data.reading.images import UnreadableImageError, count_frames
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.data.tables.listing import WHOLE, Listing
from glcm_mae.data.threads import in_threads
from glcm_mae.errors import InputError

_OF_SEVERAL = {
    Format.DICOM,
    Format.NIFTI,
    Format.NPY,
    Format.NPZ,
    Format.TIFF,
    Format.WEBP,
}


def check_frames(frames: str | int) -> None:
    """Refuse what names no frames.

    Raises:
        InputError: If it is neither ``single``, ``all``, ``middle`` nor a number from 1.

    Example:
        >>> check_frames("middle")
    """
    number = isinstance(frames, int) and not isinstance(frames, bool) and frames >= 1
    if frames not in ("single", "all", "middle") and not number:
        raise InputError(
            f"frames: must be single, all, middle or a number from 1, got {frames!r}"
        )


def cut_frames(listing: Listing, frames: str | int, axis: int) -> Listing:
    """Give every wanted frame a row of its own.

    Files that can hold several images are opened to count them. A file that holds one,
    or cannot be counted, stays one row; reading it tells what is wrong.

    Args:
        listing: The files; rows that tell their frame stay as they are.
        frames: ``single`` for the listing as it is, ``all``, ``middle``, or how many
            evenly spaced ones.
        axis: Axis along which volumes are cut.

    Returns:
        The images, those of one file beside each other.
    """
    told = listing.frames or (WHOLE,) * len(listing)
    if frames == "single" or WHOLE not in told:
        return listing
    ReadingPolicy(axis=axis)  # refuses what is no axis
    files = [
        listing.root / path if frame == WHOLE else None
        for path, frame in zip(listing.paths, told, strict=True)
    ]
    counts = in_threads(lambda n: _count(files[n], axis), len(files))
    rows: list[int] = []
    numbers: list[int] = []
    for row, count in enumerate(counts):
        chosen = spaced_frames(count, frames) if count > 1 else (told[row],)
        rows += [row] * len(chosen)
        numbers += chosen
    cut = replace(listing, frames=told).take(rows)
    whole = all(number == WHOLE for number in numbers)
    return replace(cut, frames=() if whole else tuple(numbers))


def spaced_frames(count: int, frames: str | int) -> Sequence[int]:
    """Return the wanted frames of a file, in order.

    Args:
        count: Frames in the file.
        frames: ``all``, ``middle``, or how many: each from the middle of an equal part.

    Example:
        >>> spaced_frames(9, "middle"), spaced_frames(9, 3), spaced_frames(2, 5)
        ((4,), (1, 4, 7), range(0, 2))
    """
    wanted = 1 if frames == "middle" else frames
    if isinstance(wanted, str) or wanted >= count:
        return range(count)
    return tuple((2 * part + 1) * count // (2 * wanted) for part in range(wanted))


def _count(file: Path | None, axis: int) -> int:
    if file is None:
        return 1
    try:
        return count_frames(file, axis=axis) if sniff(file) in _OF_SEVERAL else 1
    except (RefusedPixelsError, UnreadableImageError, OSError):
        return 1
