"""Folders that come into being whole or not at all, made by one process at a time.

A folder is made under another name beside its own, with a lock in it that the system
lets go when its owner dies, and renamed when it is done.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from glcm_mae.files import flush_folder

BUILDING = ".building"
"""Suffix of a folder that is being made; such a folder is never read."""
LOCK = "lock"
"""An empty file that such a folder holds, and keeps."""


@contextmanager
def building(target: Path, *, mode: int = 0o700) -> Iterator[Path]:
    """Hold the right to make a folder, once whoever holds it now has finished or died.

    Args:
        target: The folder to be; :func:`publish` gives it that name.
        mode: Who may use it; the default is its owner alone.

    Yields:
        An empty folder to make it in; what is not published is removed.

    Raises:
        OSError: If the place cannot be written or locked.
    """
    place = target.with_name(target.name + BUILDING)
    handle = _lock(place, mode)
    try:
        _empty(place)
        yield place
    finally:
        if _is_at(handle, place):
            _remove(place)
        os.close(handle)


def publish(place: Path, target: Path) -> None:
    """Give a folder its name, in place of any of that name; flushed to disk.

    The files in it must be on the disk already.

    Raises:
        OSError: If it cannot be renamed.
    """
    flush_folder(place)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    place.rename(target)
    flush_folder(target.parent)


def sweep(folder: Path) -> None:
    """Remove what processes left in a folder that died while they made another in it."""
    for place in folder.glob("*" + BUILDING):
        try:
            handle = os.open(place / LOCK, os.O_RDWR)
        except OSError:
            with suppress(OSError):
                place.rmdir()
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, place):
                _remove(place)
        except OSError:
            pass  # somebody works there
        finally:
            os.close(handle)


def remove_folder(folder: Path, names: Sequence[str]) -> None:
    """Remove a published folder that holds these files; what else is in it stays.

    Raises:
        OSError: If a file cannot be removed.
    """
    for name in (*names, LOCK):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


def _lock(place: Path, mode: int) -> int:
    while True:
        place.mkdir(mode=mode, exist_ok=True)
        try:
            handle = os.open(place / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # its last owner has just finished
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except BaseException:
            os.close(handle)
            raise
        if _is_at(handle, place):
            return handle
        os.close(handle)  # published or removed while we waited


def _is_at(handle: int, place: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), (place / LOCK).stat())
    except OSError:
        return False


def _empty(place: Path) -> None:
    for entry in place.iterdir():
        if entry.name != LOCK:
            entry.unlink()


def _remove(place: Path) -> None:
    """Remove an unfinished folder; its lock goes last, as another may take it then."""
    with suppress(OSError):
        _empty(place)
        (place / LOCK).unlink()
        place.rmdir()
