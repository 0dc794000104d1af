"""Sign of life: what a rank tells the supervisor that started it."""

import functools
import os
import signal
import stat

HEARTBEAT = "GLCM_MAE_HEARTBEAT"
"""Variable that names the pipe to the supervisor."""


def launched() -> bool:
    """Say whether this process is a rank already, of torchrun or of :func:`supervise`."""
    return "RANK" in os.environ


def supervised() -> bool:
    """Say whether :func:`supervise` started this process.

    Then the supervisor kills at the second signal; a rank may get the first one twice, as
    some batch systems signal every process themselves.
    """
    return _heartbeat() is not None


def beat() -> None:
    """Tell the supervisor, if there is one, that this rank is alive; once a step.

    A rank whose supervisor is gone sends itself SIGTERM.
    """
    pipe = _heartbeat()
    if pipe is None:
        return
    try:
        os.write(pipe, b".")
    except BlockingIOError:
        pass  # A supervisor that has not listened for thousands of steps knows enough.
    except BrokenPipeError:
        _heartbeat.cache_clear()
        os.environ.pop(HEARTBEAT, None)
        signal.raise_signal(signal.SIGTERM)


@functools.cache
def _heartbeat() -> int | None:
    """Return the pipe to the supervisor; a child of a rank has the variable but no pipe."""
    number, _, inode = os.environ.get(HEARTBEAT, "").partition(":")
    if not number:
        return None
    try:
        status = os.fstat(int(number))
    except OSError:
        return None
    ours = stat.S_ISFIFO(status.st_mode) and str(status.st_ino) == inode
    return int(number) if ours else None
