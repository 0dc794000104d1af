"""The images of a table, decoded once: in memory, in a mapped file, or from shards."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.images import UnreadableImageError, read_frames, read_image
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.data.store.cache import Entry, entry_key, find_or_build
from glcm_mae.data.store.contents import Content, file_contents, file_hashes, stamp_of
from glcm_mae.data.store.pixel_file import PixelFile, Plan
from glcm_mae.data.store.pixels import Pixels, white_of
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.data.threads import in_threads
from glcm_mae.errors import InputError

__all__ = ["LoadedImages", "file_hashes", "load_images"]

_REPAIR = "repair or remove it"
_MEMORY_SHARE = 0.8  # of what is free; the rest is for everything else
_BLOCK = 2**27  # bytes of float32 pixels that one thread decodes from one file at once


@dataclass(frozen=True, eq=False)
class LoadedImages:
    """Images ready for use, beside the table that tells what they are.

    Attributes:
        pixels: Shape (images, channels, height, width); an array, a mapped file or
            shards. The greatest number of its type, uint8 or uint16, is white.
        table: One row per image in ``pixels``.
        skipped: Name and reason of each image that could not be read.
    """

    pixels: Pixels
    table: ImageTable
    skipped: tuple[tuple[str, str], ...]


def load_images(
    table: ImageTable,
    policy: ReadingPolicy,
    *,
    on_error: str = "stop",
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> LoadedImages:
    """Read every image of a table, fitted to one size.

    Every file is tried before anything is said of broken ones, so that one run
    tells them all. With a cache, the next call with files of the same content and
    with the same policy decodes nothing, and all processes share the memory.

    Args:
        table: The images.
        policy: How they become gray levels; its size must be set.
        on_error: ``"stop"`` refuses a table with broken files, ``"skip"`` leaves
            them out.
        cache: Folder for decoded images, created for its owner alone; None keeps
            them in memory.
        progress: Called with the number of images done and of all images.

    Returns:
        The images in the order of the table.

    Raises:
        InputError: If a file is broken and ``on_error`` is ``"stop"``, if skipping
            leaves nothing or takes a whole class, if the images need more than
            80 % of the free memory or more than the free disk, if a file changes
            meanwhile, if shards were made by another policy, or if a setting is out
            of its range.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> policy = ReadingPolicy(size=(4, 4), fit="crop")
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (8, 6), color=255).save(f"{folder}/a.png")
        ...     table = ImageTable(Path(folder), ("a.png",), (), (), ("a.png",), ())
        ...     loaded = load_images(table, policy)
        >>> loaded.pixels.shape, loaded.pixels.dtype, int(loaded.pixels[0].min())
        ((1, 1, 4, 4), dtype('uint16'), 65535)
    """
    if on_error not in ("stop", "skip"):
        raise InputError(f"data.on_error: must be 'stop' or 'skip', got {on_error!r}")
    if policy.size is None:
        raise InputError("size: images are kept in one size; set the policy's size")
    if not table.paths:
        raise InputError(f"{table.root}: no images are left to load; choose some")
    if table.source == "shards":
        from glcm_mae.data.store.shards import open_shards  # which reads tables too

        return LoadedImages(open_shards(table, policy), table, ())
    reader = _Reader(table, policy, on_error, progress)
    entry = reader.into_memory() if cache is None else reader.through(cache)
    if progress is not None:
        progress(len(table), len(table))
    skipped = tuple((table.name(row), reason) for row, reason in sorted(entry.reasons.items()))
    kept = [row for row in range(len(table)) if row not in entry.reasons]
    rows = table.subset(kept) if skipped else table
    _refuse_lost_class(table, rows)
    return LoadedImages(entry.pixels, rows, skipped)


class _Target(Protocol):
    """Where decoded images go."""

    def __setitem__(self, row: int, image: npt.NDArray[Any], /) -> None: ...


class _Reader:
    """A table, how it is read, and who wants to know how far it is."""

    def __init__(
        self,
        table: ImageTable,
        policy: ReadingPolicy,
        on_error: str,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self.table, self.policy, self.on_error = table, policy, on_error
        self.progress = progress
        self.remedies: set[str] = set()

    def into_memory(self) -> Entry:
        """Decode all images into an array."""
        plan = Plan("", self.policy, len(self.table))
        _refuse_small_memory(self.table, plan)
        pixels = np.empty((plan.images, *plan.sample), dtype=plan.dtype)
        reasons = self.decode(pixels)
        kept = [row for row, reason in enumerate(reasons) if not reason]
        for target, source in enumerate(kept):
            if target != source:
                pixels[target] = pixels[source]  # closes the gaps without a second copy
        return Entry(pixels[: len(kept)], _only_reasons(reasons))

    def through(self, cache: Path) -> Entry:
        """Map the images from the cache, decoding them first where they are not in it."""
        contents = file_contents(self.table, cache)
        frames = self.table.frames or (-1,) * len(self.table)
        rows = [
            (content.sha256, frame) for content, frame in zip(contents, frames, strict=True)
        ]
        plan = Plan(entry_key(self.policy, rows), self.policy, len(self.table))

        def fill(pixels: PixelFile) -> list[str]:
            reasons = self.decode(pixels)
            self._refuse_changed(contents, reasons)
            return reasons

        return find_or_build(cache, plan, fill, self._accepts)

    def _accepts(self, entry: Entry) -> bool:
        """Try unreadable files again: what was missing to read them may be there by now."""
        rows = sorted(entry.reasons)
        again = self.table.subset(rows)
        trial = _Reader(again, self.policy, "skip", None)
        reasons = trial.attempt(_Nowhere())
        if not all(reasons):
            return False
        self.remedies |= trial.remedies
        if self.on_error == "stop" or len(rows) == len(self.table):
            self._refuse(dict(zip(rows, reasons, strict=True)))
        return True

    def _refuse_changed(self, contents: Sequence[Content], reasons: Sequence[str]) -> None:
        """Refuse to keep pixels of other files than those that the key tells of."""
        for row, (content, reason) in enumerate(zip(contents, reasons, strict=True)):
            file = self.table.file(row)
            if reason if content.trouble else _stands(file, content):
                continue
            raise InputError(
                f"{file}: was changed while the images were read; start again when the files "
                "are at rest"
            )

    def decode(self, pixels: _Target) -> list[str]:
        """Decode all images; return why each could not be read, or nothing."""
        reasons = self.attempt(pixels)
        broken = _only_reasons(reasons)
        if broken and (self.on_error == "stop" or len(broken) == len(self.table)):
            self._refuse(broken)
        return reasons

    def attempt(self, pixels: _Target) -> list[str]:
        """Decode what can be decoded; return why each image could not be, or nothing."""
        jobs = self._jobs()
        reasons, done = [""] * len(self.table), 0

        def advance(number: int) -> None:
            nonlocal done
            done += len(jobs[number])
            if self.progress is not None and done < len(self.table):
                self.progress(done, len(self.table))

        found = in_threads(lambda number: self._read(jobs[number], pixels), len(jobs), advance)
        for rows, reason in zip(jobs, found, strict=True):
            for row in rows:
                reasons[row] = reason
        return reasons

    def _read(self, rows: Sequence[int], pixels: _Target) -> str:
        """Decode rows of one file; return why they cannot be read, or nothing."""
        file, white = self.table.file(rows[0]), white_of(f"uint{self.policy.depth}")
        frames = [frame for row in rows if (frame := self.table.frame(row)) is not None]
        try:
            if frames:
                images = read_frames(file, frames, self.policy)
            else:
                images = read_image(file, policy=self.policy)[None]
        except UnreadableImageError as error:
            if isinstance(error.__cause__, RefusedPixelsError):
                self.remedies.add(error.__cause__.remedy)
            return error.reason
        for row, image in zip(rows, images, strict=True):
            pixels[row] = np.rint(image * white)
        return ""

    def _jobs(self) -> list[list[int]]:
        """Group the rows so that a file is decoded once for all its frames."""
        if not self.table.frames:
            return [[row] for row in range(len(self.table))]
        files: dict[tuple[str, int], list[int]] = {}
        for row, path in enumerate(self.table.paths):
            alone = row if self.table.frame(row) is None else -1
            files.setdefault((path, alone), []).append(row)
        height, width = self.policy.size or (1, 1)
        most = max(1, _BLOCK // (4 * self.policy.channels * height * width))
        return [
            rows[start : start + most]
            for rows in files.values()
            for start in range(0, len(rows), most)
        ]

    def _refuse(self, broken: dict[int, str]) -> None:
        table = self.table
        some = list(broken.items())[:5]
        first = ", ".join(f"{table.name(row)} ({reason})" for row, reason in some)
        more = ", ..." if len(broken) > 5 else ""
        remedy = self.remedies.pop() if len(self.remedies) == 1 else _REPAIR
        remedy = "repair or remove them" if remedy == _REPAIR else remedy
        skip = ", or pass --data.on_error skip" if self.on_error == "stop" else ""
        raise InputError(
            f"{table.root}: {len(broken)} of {len(table)} images cannot be read: "
            f"{first}{more}; {remedy}{skip}"
        )


def _stands(file: Path, content: Content) -> bool:
    try:
        return stamp_of(file.stat()) == content.stamp
    except OSError:
        return False


class _Nowhere:
    def __setitem__(self, row: int, image: npt.NDArray[Any]) -> None:
        """Forget an image."""


def _only_reasons(reasons: Sequence[str]) -> dict[int, str]:
    return {row: reason for row, reason in enumerate(reasons) if reason}


def _refuse_small_memory(table: ImageTable, plan: Plan) -> None:
    needed, free = plan.images * plan.stride, _free_memory()
    if free is not None and needed > _MEMORY_SHARE * free:
        size = " x ".join(map(str, plan.sample))
        raise InputError(
            f"{table.root}: {len(table)} images of {size} need {needed / 1e9:.3g} GB, more "
            f"than 80 % of the {free / 1e9:.3g} GB of free memory; give a folder as "
            "--data.cache, or choose a smaller size or fewer images"
        )


def _free_memory() -> int | None:
    """Tell the bytes that can be had, or None where the system does not say."""
    try:  # sysconf counts the file cache as used, Linux itself knows better
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)
    except (OSError, StopIteration):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


def _refuse_lost_class(table: ImageTable, rows: ImageTable) -> None:
    lost = sorted(set(table.labels) - set(rows.labels))
    if lost:
        names = ", ".join(table.classes[label] for label in lost)
        raise InputError(
            f"{table.root}: each class needs an image, but every image of {names} was skipped "
            "as broken; repair them or remove the class"
        )
