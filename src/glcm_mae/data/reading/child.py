"""The process that decodes: it answers one request after the other, within limits.

A file from a stranger may ask a decoder for any amount of memory or time, or crash it.
It does so here, where no training runs. :mod:`glcm_mae.data.reading.sandbox` starts this
module with ``python -m`` and talks to it.

Convention:
    A request is one line of JSON: ``operation``, ``path``, ``arguments`` and ``seconds``
    of processor time. An answer is one line of JSON, ``{"value": ...}``,
    ``{"refused": [reason, remedy]}``, ``{"error": message}`` for an InputError, or
    ``{"dtype": ..., "shape": ...}`` followed by the bytes of the array in C order.
    ``"last": true`` announces that the process ends after this answer. The first line,
    before any request, is ``{"ready": true}``.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.limits import LEFT_OVER, MEMORY, SCALE_DOWN, TOO_MUCH_MEMORY
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.errors import InputError

if sys.platform != "win32":
    import resource

OPEN_FILES = 64
"""Most files that the process may have open."""
REASON_LENGTH = 300
"""Most characters of a decoder's own words that are passed on."""

Operation = Callable[..., npt.NDArray[Any] | int | dict[str, Any]]

_DECODERS = {
    "DICOM": ("pydicom.pixels",),
    "NIFTI": ("nibabel",),
    "TIFF": ("tifffile", "imagecodecs"),
}


def main() -> None:
    """Answer requests about image files until the input ends."""
    from glcm_mae.data.reading import images  # noqa: F401  before the limits are measured

    serve({"decode": _decode, "count": _count, "header": _header}, prepare=_import_decoder)


def serve(
    operations: Mapping[str, Operation], *, prepare: Callable[[str], None] | None = None
) -> None:
    """Answer requests from the standard input on the standard output, within limits.

    Args:
        operations: Functions of a path and keyword arguments, by name.
        prepare: Called with the path before the limits of a request hold, to import
            what it needs: libraries are no part of the cost of a file.
    """
    requests, answers = _take_pipes()
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_NOFILE", OPEN_FILES)
    if hasattr(signal, "SIGPROF"):  # the parent may have ignored or blocked it
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGPROF])
    _send(answers, {"ready": True})
    for line in requests:
        request = json.loads(line)
        if prepare is not None:
            prepare(request["path"])
        with _limits(request["seconds"]):
            message, pixels = _answer(operations, request)
        if _resident_bytes() > LEFT_OVER + (0 if pixels is None else pixels.nbytes):
            message["last"] = True
        _send(answers, message, pixels)
        if message.get("last"):
            break
        pixels = None  # not kept until the next request


def _answer(
    operations: Mapping[str, Operation], request: Mapping[str, Any]
) -> tuple[dict[str, Any], npt.NDArray[Any] | None]:
    try:
        result = operations[request["operation"]](request["path"], **request["arguments"])
    except MemoryError:
        return {"refused": [TOO_MUCH_MEMORY, SCALE_DOWN], "last": True}, None
    except InputError as error:  # such as a library that is not installed
        return {"error": str(error)}, None
    except RefusedPixelsError as error:
        return {"refused": [one_line(error.reason), one_line(error.remedy)]}, None
    except Exception as error:  # decoders meet broken files with any kind of error
        refused = RefusedPixelsError(one_line(error))
        return {"refused": [refused.reason, refused.remedy]}, None
    if not isinstance(result, np.ndarray):
        return {"value": result}, None
    pixels = np.ascontiguousarray(result)
    return {"dtype": pixels.dtype.str, "shape": pixels.shape}, pixels


def one_line(error: Exception | str) -> str:
    r"""Return what an error says on one line that a terminal can show.

    Example:
        >>> one_line(ValueError("bad\nheader \x1b[31m"))
        'bad header ?[31m'
    """
    text = error if isinstance(error, str) else getattr(error, "strerror", None) or str(error)
    line = " ".join(text.split()).strip("'\".") or type(error).__name__
    return "".join(sign if sign.isprintable() else "?" for sign in line)[:REASON_LENGTH]


def _take_pipes() -> tuple[Iterator[str], BinaryIO]:
    """Keep the pipes to ourselves: what a decoder prints must not get among the answers."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return iter(os.fdopen(requests, encoding="ascii")), os.fdopen(answers, "wb")


def _send(
    answers: BinaryIO, message: Mapping[str, Any], pixels: npt.NDArray[Any] | None = None
) -> None:
    answers.write(json.dumps(message).encode("ascii") + b"\n")
    if pixels is not None:
        answers.write(pixels.reshape(-1).view(np.uint8).data)
    answers.flush()


@contextmanager
def _limits(seconds: float) -> Iterator[None]:
    """Limit memory, written bytes and processor time; past the last, the signal kills."""
    memory = _mapped_bytes()
    if memory is not None:
        _limit("RLIMIT_AS", memory + MEMORY)
    _limit("RLIMIT_FSIZE", 0)
    clock = getattr(signal, "ITIMER_PROF", None)  # not on Windows
    if clock is not None:
        signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        if clock is not None:
            signal.setitimer(clock, 0)
        _limit("RLIMIT_AS", None)
        _limit("RLIMIT_FSIZE", None)


def _limit(name: str, amount: int | None) -> None:
    """Set a soft limit; None lifts it. Where the system has no such limit, none holds."""
    if sys.platform == "win32":
        return
    kind = getattr(resource, name)
    hard = resource.getrlimit(kind)[1]
    wanted = hard if amount is None else amount
    with suppress(ValueError, OSError):  # above the hard limit, which then holds
        resource.setrlimit(kind, (wanted, hard))


def _mapped_bytes() -> int | None:
    pages = _pages()
    return None if pages is None else pages[0] * resource.getpagesize()


def _resident_bytes() -> int:
    pages = _pages()
    return 0 if pages is None else pages[1] * resource.getpagesize()


def _pages() -> tuple[int, int] | None:
    """Return mapped and resident pages, None where the system does not tell."""
    with suppress(OSError):
        mapped, resident = Path("/proc/self/statm").read_text().split()[:2]
        return int(mapped), int(resident)
    return None


def _import_decoder(path: str) -> None:
    from glcm_mae.data.reading.formats import sniff

    with suppress(Exception):  # the operation says what is wrong
        for library in _DECODERS.get(sniff(Path(path)).name, ()):
            import_module(library)


def _decode(
    path: str, *, frames: Sequence[int] | None, policy: Mapping[str, Any]
) -> npt.NDArray[np.float32]:
    from glcm_mae.data.reading.images import read_here

    return read_here(path, frames, ReadingPolicy.from_facts(policy))


def _count(path: str, axis: int = 2) -> int:
    from glcm_mae.data.reading.images import count_here

    return count_here(Path(path), axis)


def _header(path: str) -> dict[str, Any]:
    from glcm_mae.data.reading.dicom import read_header

    header: dict[str, Any] = read_header(Path(path))
    return header


if __name__ == "__main__":
    main()
