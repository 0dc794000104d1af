"""A look at every image at its own size: format, size, suspected text, DICOM header."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from glcm_mae.data.audit.text import Line, find_text
from glcm_mae.data.reading.formats import Format, sniff
from glcm_mae.data.reading.images import UnreadableImageError, read_frames, read_image
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.sandbox import in_child
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.data.threads import in_threads

_AT_ONCE = 16  # frames of one file in memory together


@dataclass(frozen=True)
class Header:
    """What a DICOM header says that may be told.

    Attributes:
        modality: Such as ``US``; ``""`` if not stated.
        burned_in: ``YES``, ``NO`` or ``""``.
        identifying: Names of filled elements that could identify, never values.
    """

    modality: str
    burned_in: str
    identifying: tuple[str, ...]


@dataclass(frozen=True)
class Inspection:
    """What was seen of one image.

    Attributes:
        format: Of its file, for people.
        size: Height and width in pixels; None if it could not be read this time.
        lines: Rows of what looks like letters.
        header: Of its file, if that is DICOM.
    """

    format: str = ""
    size: tuple[int, int] | None = None
    lines: tuple[Line, ...] = ()
    header: Header | None = field(default=None)


def inspect_images(
    table: ImageTable,
    policy: ReadingPolicy,
    progress: Callable[[int], None] | None = None,
) -> list[Inspection]:
    """Look at every image of a table at its own size, some at a time.

    Args:
        table: Images that can be read.
        policy: How they become gray levels; it sets no size.
        progress: Called with the number of images seen since the last call.

    Returns:
        One entry per image; an empty one where it cannot be read any more.

    Raises:
        InputError: If a library is missing.
    """
    jobs = _jobs(table)
    found = in_threads(
        lambda number: _inspect(table, jobs[number], policy),
        len(jobs),
        (lambda number: progress(len(jobs[number]))) if progress else None,
    )
    seen = [Inspection()] * len(table)
    for rows, inspections in zip(jobs, found, strict=True):
        for row, inspection in zip(rows, inspections, strict=True):
            seen[row] = inspection
    return seen


def _jobs(table: ImageTable) -> list[list[int]]:
    """Group rows of one file, so that it is not decoded once for each frame."""
    files: dict[tuple[str, int], list[int]] = {}
    for row, path in enumerate(table.paths):
        alone = row if table.frame(row) is None else -1
        files.setdefault((path, alone), []).append(row)
    return [
        rows[start : start + _AT_ONCE]
        for rows in files.values()
        for start in range(0, len(rows), _AT_ONCE)
    ]


def _inspect(table: ImageTable, rows: Sequence[int], policy: ReadingPolicy) -> list[Inspection]:
    file = table.file(rows[0])
    frames = [frame for row in rows if (frame := table.frame(row)) is not None]
    try:
        kind = sniff(file)
        if frames:
            images = read_frames(file, frames, policy)
        else:
            images = read_image(file, policy=policy)[None]
        header = _header(file) if kind is Format.DICOM else None
    except (UnreadableImageError, RefusedPixelsError, OSError):
        return [Inspection()] * len(rows)  # it was readable before: the file has changed
    return [
        Inspection(kind.value, (image.shape[1], image.shape[2]), find_text(image[0]), header)
        for image in images
    ]


def _header(file: object) -> Header:
    told = in_child("header", str(file))
    technical = told["technical"]
    return Header(
        str(technical.get("Modality", "")), told["burned_in"], tuple(told["identifying"])
    )
