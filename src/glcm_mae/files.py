"""Files that are written whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path

from glcm_mae.errors import InputError

TEMPORARY = ".partial"
"""Suffix of a file that is being written; such a file is never read."""


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees the old content or the new, never a part.

    The content goes to a temporary name in the same folder, is flushed to disk,
    renamed, and the folder is flushed.

    Raises:
        InputError: If the disk is full or the folder cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     write_atomically(Path(folder, "new", "a.txt"), b"whole")
        ...     Path(folder, "new", "a.txt").read_bytes()
        b'whole'
    """
    temporary = path.with_name(path.name + TEMPORARY)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # half a checkpoint would keep a full disk full
            temporary.unlink()
        raise InputError(
            f"{path}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk: without it a rename may be lost with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
