"""Files and folders that are written whole or not at all."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from glcm_mae.errors import InputError

TEMPORARY = ".partial"
"""Suffix of what is being written, or being removed; such a file or folder is never read."""


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
    with replacing(path) as file:
        file.write(content)


@contextmanager
def replacing(path: Path, *, needed: int | None = None) -> Iterator[BinaryIO]:
    """Open a file that takes its name when the block ends well, and vanishes when it does not.

    For content too large to be held twice; :func:`write_atomically` is the short form.

    Args:
        path: The file to make or to replace.
        needed: Bytes that will be written, told to the user should the disk be full.

    Raises:
        InputError: If the disk is full or the folder cannot be written.
    """
    temporary = partial_name(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):  # half a checkpoint would keep a full disk full
            temporary.unlink()
        if isinstance(error, OSError):
            raise unwritable(path, error, needed=needed) from error
        raise


def append_line(path: Path, line: str) -> None:
    r"""Append a line to a file in one piece; a death may leave its beginning as the last.

    Raises:
        InputError: If the disk is full or the file cannot be written.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     append_line(Path(folder, "a.txt"), "one")
        ...     Path(folder, "a.txt").read_text()
        'one\n'
    """
    try:
        with path.open("ab") as file:
            file.write(f"{line}\n".encode())
            file.flush()
            os.fsync(file.fileno())  # a checkpoint that knows of it may outlive the power
    except OSError as error:
        raise unwritable(path, error) from error


def partial_name(path: Path) -> Path:
    """Return the name that a file or folder has while it is not whole."""
    return path.with_name(path.name + TEMPORARY)


def unwritable(path: Path, error: OSError, *, needed: int | None = None) -> InputError:
    """Say in one line that something cannot be written, why, and what to do.

    Args:
        path: What could not be written.
        error: What the system answered.
        needed: Bytes it would have taken; told, with what is free, when the disk is full.
    """
    reason = error.strerror or str(error)
    if needed is not None and error.errno in (errno.ENOSPC, errno.EDQUOT):
        reason = f"{reason}: {needed} bytes needed, {free_bytes(path.parent)} free"
    return InputError(
        f"{path}: cannot be written ({reason}); free space or choose another --out"
    )


def free_bytes(folder: Path) -> int:
    """Return how many bytes may still be written to a folder, which need not exist yet."""
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(there).free


def flush_folder(folder: Path) -> None:
    """Flush the names in a folder to disk: without it a rename may be lost with the power."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def discard(path: Path) -> None:
    """Remove a file or a folder with all it holds; a death on the way leaves a partial name.

    It is renamed first, so that nobody takes the half that is left for a whole. A link is
    removed, never what it leads to.

    Raises:
        OSError: If it cannot be removed.
    """
    if not path.name.endswith(TEMPORARY):
        partial = partial_name(path)
        discard(partial)
        if not path.exists() and not path.is_symlink():
            return
        path.rename(partial)
        flush_folder(path.parent)
        path = partial
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
