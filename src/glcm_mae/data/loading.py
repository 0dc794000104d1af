"""The images of a table in memory, decoded once."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from glcm_mae.data.images import UnreadableImageError, fit_image, read_image
from glcm_mae.data.tables import ImageTable
from glcm_mae.errors import InputError

WHITE = 65535  # 16 bits keep the depth of 16-bit images, at half the size of float32
_MEMORY_SHARE = 0.8  # of what is free; the rest is for everything else


@dataclass(frozen=True, eq=False)
class LoadedImages:
    """Images in memory, beside the table that tells what they are.

    Attributes:
        pixels: 65535 is white, shape (images, channels, height, width).
        table: One row per image in ``pixels``.
        skipped: Path and reason of each file that could not be read.
    """

    pixels: npt.NDArray[np.uint16]
    table: ImageTable
    skipped: tuple[tuple[str, str], ...]


def load_images(
    table: ImageTable,
    *,
    size: int | tuple[int, int],
    channels: int,
    fit: str,
    on_error: str = "stop",
    progress: Callable[[int, int], None] | None = None,
) -> LoadedImages:
    """Read every image of a table, fitted to one size.

    Every file is tried before anything is said of broken ones, so that one run
    tells them all.

    Args:
        table: The images.
        size: Height and width wanted, in pixels; one number means a square.
        channels: 1 for gray, 3 for colour.
        fit: ``"crop"`` or ``"pad"``, see :func:`glcm_mae.data.images.fit_image`.
        on_error: ``"stop"`` refuses a table with broken files, ``"skip"`` leaves
            them out.
        progress: Called with the number of files done and of all files.

    Returns:
        The images in the order of the table.

    Raises:
        InputError: If a file is broken and ``on_error`` is ``"stop"``, if skipping
            leaves nothing or takes a whole class, if the images need more than
            80 % of the free memory, or if a setting is out of its range.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Image.new("L", (8, 6), color=255).save(f"{folder}/a.png")
        ...     table = ImageTable(Path(folder), ("a.png",), (), (), ("a.png",), ())
        ...     loaded = load_images(table, size=4, channels=1, fit="crop")
        >>> loaded.pixels.shape, loaded.pixels.dtype, int(loaded.pixels.min())
        ((1, 1, 4, 4), dtype('uint16'), 65535)
    """
    if on_error not in ("stop", "skip"):
        raise InputError(f"data.on_error: must be 'stop' or 'skip', got {on_error!r}")
    if not table.paths:
        raise InputError(f"{table.root}: no images are left to load; choose some")
    sample = fit_image(np.zeros((channels, 1, 1), np.float32), size, fit)
    pixels = _allocate(table, sample.shape)

    def read(index: int) -> str:
        try:
            image = read_image(table.file(index), channels=channels)
        except UnreadableImageError as error:
            return error.reason
        pixels[index] = np.rint(fit_image(image, size, fit) * WHITE)
        return ""

    reasons = _in_threads(read, len(table), progress)
    skipped = tuple(pair for pair in zip(table.paths, reasons, strict=True) if pair[1])
    if skipped and (on_error == "stop" or len(skipped) == len(table)):
        raise InputError(_tell_broken(table, skipped, on_error))
    kept = [index for index, reason in enumerate(reasons) if not reason]
    rows = table.subset(kept)
    _refuse_lost_class(table, rows)
    for target, source in enumerate(kept if skipped else ()):
        pixels[target] = pixels[source]  # closes the gaps without a second copy of all
    return LoadedImages(pixels[: len(kept)], rows, skipped)


def _allocate(table: ImageTable, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    needed, free = len(table) * int(np.prod(shape)) * 2, _free_memory()
    if free is not None and needed > _MEMORY_SHARE * free:
        size = " x ".join(map(str, shape))
        raise InputError(
            f"{table.root}: {len(table)} images of {size} need {needed / 1e9:.3g} GB, more "
            f"than 80 % of the {free / 1e9:.3g} GB of free memory; choose a smaller size or "
            "fewer images"
        )
    return np.empty((len(table), *shape), dtype=np.uint16)


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


def _in_threads(
    work: Callable[[int], str], count: int, progress: Callable[[int, int], None] | None
) -> list[str]:
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        futures = [pool.submit(work, index) for index in range(count)]
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                future.result()
                if progress is not None:
                    progress(done, count)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _tell_broken(table: ImageTable, broken: tuple[tuple[str, str], ...], on_error: str) -> str:
    first = ", ".join(f"{path} ({reason})" for path, reason in broken[:5])
    more = ", ..." if len(broken) > 5 else ""
    skip = " or pass --data.on_error skip" if on_error == "stop" else ""
    return (
        f"{table.root}: {len(broken)} of {len(table)} images cannot be read: {first}{more}; "
        f"repair or remove them{',' if skip else ''}{skip}"
    )


def _refuse_lost_class(table: ImageTable, rows: ImageTable) -> None:
    lost = sorted(set(table.labels) - set(rows.labels))
    if lost:
        names = ", ".join(table.classes[label] for label in lost)
        raise InputError(
            f"{table.root}: each class needs an image, but every image of {names} was skipped "
            "as broken; repair them or remove the class"
        )


def file_hashes(table: ImageTable) -> tuple[str, ...]:
    """Tell equal files apart from different ones by the SHA-256 of their content.

    Args:
        table: The images.

    Returns:
        One hexadecimal digest per image.

    Raises:
        InputError: If a file cannot be opened.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.png").write_bytes(b"")
        ...     file_hashes(ImageTable(Path(folder), ("a.png",), (), (), ("a.png",), ()))
        ('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',)
    """

    def digest(index: int) -> str:
        path = table.file(index)
        try:
            with path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InputError(
                f"{path}: cannot be opened ({error.strerror}); check that it is there"
            ) from error

    return tuple(_in_threads(digest, len(table), None))
