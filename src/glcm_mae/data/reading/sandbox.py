"""Decoding in child processes with limits, so that no file can end or stall a run.

A child costs its start once and serves many files. It is replaced when a file kills it,
exceeds a limit of memory or time, or leaves too much behind.
"""

import atexit
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from glcm_mae.data.reading.child_process import (
    CHILD,
    Child,
    ChildStartError,
    DeadChildError,
    Result,
)
from glcm_mae.data.reading.limits import (
    SCALE_DOWN,
    SECONDS,
    SECONDS_PER_MEGABYTE,
    WALL_FACTOR,
)
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.errors import InputError


def in_child(operation: str, path: str | Path, **arguments: Any) -> Any:
    """Run one operation on a file in a child process.

    The child may take 800 MiB of memory beyond what it is itself, 4 seconds of processor
    time and one more per megabyte of the file, ten times that on the clock, and it may
    write nothing. Linux enforces all of it, macOS the times, Windows the clock alone.

    Args:
        operation: ``"decode"``, ``"count"`` or ``"header"``.
        path: The file.
        **arguments: What the operation takes besides the path; a
            :class:`~glcm_mae.data.reading.policy.ReadingPolicy`, or what JSON can say.

    Returns:
        An array, a number or a dictionary, as the operation defines it.

    Raises:
        RefusedPixelsError: If the operation refuses the file, exceeds a limit or crashes.
        InputError: If the operation raises it, such as for a library not installed.
        ChildStartError: If no child can be started.
    """
    return _pool.run(operation, path, **arguments)


class ChildPool:
    """Idle children, one for each thread that decodes at the same time.

    Safe to use from many threads. A fork of the process starts children of its own.

    Args:
        command: Starts a child that answers as :mod:`glcm_mae.data.reading.child` does.
        seconds: Processor time that a file may take, before its size counts.
    """

    def __init__(self, command: Sequence[str] = CHILD, *, seconds: float = SECONDS) -> None:
        self._command, self._seconds = tuple(command), seconds
        self._renew()
        _POOLS.add(self)

    def _renew(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._all: set[Child] = set()
        self._watch: threading.Thread | None = None

    def run(self, operation: str, path: str | Path, **arguments: Any) -> Result:
        """Run an operation on a file, as :func:`in_child` does."""
        seconds = self._seconds + SECONDS_PER_MEGABYTE * _megabytes(path)
        request = {
            "operation": operation,
            "path": os.path.abspath(path),  # noqa: PTH100  links stay as they are
            "arguments": {name: _as_json(value) for name, value in arguments.items()},
            "seconds": seconds,
        }
        try:
            return self._ask(self._take(), request)
        except DeadChildError as error:
            raise RefusedPixelsError(error.reason, SCALE_DOWN) from error

    def _ask(self, child: Child, request: Mapping[str, Any]) -> Result:
        """Ask a child, and a new one if the files before this one may be to blame."""
        used, child.used = child.used, True
        try:
            message, result = child.ask(request, request["seconds"] * WALL_FACTOR)
        except BaseException as error:
            self._drop(child)
            if isinstance(error, DeadChildError) and used and not error.by_file:
                return self._ask(self._start(), request)
            raise
        self._give_back(child, last=message.get("last", False))
        if "refused" in message:
            raise RefusedPixelsError(*message["refused"])
        if "error" in message:
            raise InputError(message["error"])
        return result

    def _take(self) -> Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive:
                    return child
                child.end()
                self._all.discard(child)
        return self._start()

    def _start(self) -> Child:
        try:
            child = Child(self._command)
        except OSError as error:
            text = f"no process to decode images can be started ({error.strerror})"
            raise ChildStartError(text) from error
        with self._lock:
            self._all.add(child)
            if self._watch is None:
                self._watch = threading.Thread(target=_end_late_ones, args=[self], daemon=True)
                self._watch.start()
        return child

    def end_late_children(self) -> None:
        """Kill the children that have not answered in time."""
        with self._lock:
            children = list(self._all)
        for child in children:
            child.end_if_late()

    def _give_back(self, child: Child, *, last: bool) -> None:
        if last:
            self._drop(child)
            return
        with self._lock:
            self._idle.append(child)

    def _drop(self, child: Child) -> None:
        child.end()
        with self._lock:
            self._all.discard(child)

    def close(self) -> None:
        """End all children; the next request starts a new one."""
        with self._lock:
            children, self._idle, self._all = self._all, [], set()
        for child in children:
            child.end()

    def forget(self) -> None:
        """Leave the children to the process that this one is a fork of."""
        children = self._all
        self._renew()  # the lock may be held by a thread that is not here
        for child in children:
            child.disown()


def _end_late_ones(pool: ChildPool) -> None:
    """Look after a pool once a second: a thread for each request would cost more."""
    watched = weakref.ref(pool)
    del pool
    while (living := watched()) is not None:
        living.end_late_children()
        del living
        time.sleep(1.0)


def _megabytes(path: str | Path) -> float:
    try:
        return Path(path).stat().st_size / 1e6
    except (OSError, ValueError):  # the operation says so
        return 0.0


def _as_json(value: Any) -> Any:
    if isinstance(value, ReadingPolicy):
        return value.facts()
    return list(map(int, value)) if isinstance(value, range | tuple | np.ndarray) else value


def _close_all() -> None:
    for pool in list(_POOLS):
        pool.close()


def _forget_all() -> None:
    for pool in list(_POOLS):
        pool.forget()


_POOLS: "weakref.WeakSet[ChildPool]" = weakref.WeakSet()
_pool = ChildPool()
atexit.register(_close_all)
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork either
    os.register_at_fork(after_in_child=_forget_all)
