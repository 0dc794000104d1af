"""What takes long to make is made by one process, and read by all that run the tests."""

import fcntl
import os
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[[Path], object]
MadeOnce = Callable[[str, Make], Path]


def make_once(base: Path, name: str, make: Make) -> Path:
    """Return a folder that the first process to ask for it makes, while others wait.

    Many tests read it: one that writes into it copies it first.

    Args:
        base: A folder that all processes share.
        name: What is made; the same name is the same folder.
        make: Is given the new, empty folder.

    Raises:
        RuntimeError: If it could not be made before, by this process or another; the one
            that tried raises what went wrong.
    """
    folder = base / name
    folder.parent.mkdir(parents=True, exist_ok=True)
    done, failed = folder.with_suffix(".done"), folder.with_suffix(".failed")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a process that dies lets go
        if failed.exists():
            raise RuntimeError(f"{name} could not be made:\n{failed.read_text()}")
        if done.exists():
            return folder
        shutil.rmtree(folder, ignore_errors=True)  # of one that was stopped
        folder.mkdir()
        try:
            make(folder)
        except (KeyboardInterrupt, pytest.skip.Exception):
            raise
        except BaseException:  # a command line that fails raises SystemExit
            failed.write_text(traceback.format_exc())
            raise
        done.touch()
        return folder


def shared_base(own: Path) -> Path:
    """Return the folder of all processes, of the one that pytest gave this process."""
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "made-once"
