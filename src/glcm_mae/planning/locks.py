"""Who works on what: locks that vanish with the process that holds them."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

LOCK_FILE = "plan.lock"
DRIVER = 0
"""Place of the process that hands out the jobs; job N has place N + 1."""


class Locks:
    """The locks of a run: bytes of one file, which is never removed.

    They are POSIX record locks [1]_: one process holds a place at a time, over network
    file systems too, and when it dies, however, the place is free.

    Args:
        run: The run folder.

    References:
        .. [1] https://pubs.opengroup.org/onlinepubs/9799919799/functions/fcntl.html
    """

    def __init__(self, run: Path) -> None:
        self._handle = os.open(run / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)

    def hold(self, place: int) -> bool:
        """Take a place if nobody else holds it; say whether it is ours."""
        try:
            fcntl.lockf(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            return False
        return True

    def wait(self, place: int) -> None:
        """Take a place as soon as it is free."""
        fcntl.lockf(self._handle, fcntl.LOCK_EX, 1, place)

    def release(self, place: int) -> None:
        """Give a place back."""
        fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, place)

    def held_elsewhere(self, place: int) -> bool:
        """Say whether another process holds a place; never ask of one that is ours."""
        if not self.hold(place):
            return True
        self.release(place)
        return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            os.close(self._handle)  # which gives all places back
