"""Fetching a known data set: continued after a cut, kept only if it is what was published."""

import errno
import os
import shutil
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import BinaryIO, cast
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from glcm_mae.data.known.catalog import KnownSet
from glcm_mae.errors import InputError

TRIES = 5
"""Attempts before a download is given up."""
_PIECE = 2**20  # bytes read at once
_PATIENCE = 60.0  # seconds without a byte


def download(
    entry: KnownSet,
    out: Path,
    *,
    size: int = 224,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Fetch the file of a data set into a folder.

    What has come is kept in a ``.part`` file beside, and a later call goes on from there
    if the server can. A file with the published checksum is not fetched again.

    Args:
        entry: The set.
        out: Folder for the file; it is made if need be.
        size: Side of the images in pixels.
        progress: Called with the bytes there are and the bytes of the whole file.

    Returns:
        The file.

    Raises:
        InputError: If the set must not be fetched by a program, has no such size, there is
            another file of this name, the network or the disk fails, or what came does not
            have the published checksum.
    """
    if not entry.unattended:
        raise InputError(
            f"name: {entry.name} is not fetched by a program (licence: {entry.licence}); get "
            f"it from {entry.source}, then run glcm-mae data check {entry.name} FOLDER"
        )
    files = entry.files or {}
    if size not in files:
        known = ", ".join(map(str, sorted(files)))
        raise InputError(f"size: {entry.name} has images of {known} pixels, not {size}")
    try:
        import pooch
    except ImportError as error:
        raise InputError(
            "downloads need pooch: pip install 'glcm-mae[download]', or fetch "
            f"{_address(entry, size)} by other means"
        ) from error
    target, checksum = out / entry.file_name(size), f"md5:{files[size]}"
    if _is_there(target, checksum):
        return target
    fetch = _Fetch(target, progress)
    try:
        pooch.retrieve(
            _address(entry, size), checksum, fname=target.name, path=out, downloader=fetch
        )
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{target}: what came does not have the published checksum {checksum} and was "
            "removed; try again, and tell the authors if it stays so"
        ) from error
    except OSError as error:
        raise _unwritable(target, error, 0) from error
    return target


def _address(entry: KnownSet, size: int) -> str:
    return entry.address.format(file=entry.file_name(size))


def _is_there(target: Path, checksum: str) -> bool:
    import pooch

    if not target.exists():
        return False
    if target.is_file() and pooch.file_hash(str(target), alg="md5") == checksum[4:]:
        return True
    raise InputError(
        f"{target}: is there already but does not have the published checksum; remove or "
        "rename it"
    )


class _Fetch:
    """Fetches a file as pooch wants it; it remembers where the file is to be."""

    def __init__(self, target: Path, progress: Callable[[int, int], None] | None) -> None:
        self.target = target
        self.part = target.with_name(target.name + ".part")
        self.progress = progress or _silent

    def __call__(self, url: str, output_file: str, _: object) -> None:
        """Bring the whole file to ``output_file``, in a few attempts if it must be."""
        for attempt in range(TRIES):
            try:
                self._go_on(url)
            except (HTTPException, URLError, TimeoutError, ConnectionError) as error:
                if attempt + 1 == TRIES or _is_final(error):
                    raise self._given_up(url, error, attempt + 1) from error
                time.sleep(2.0**attempt)
            else:
                self.part.replace(output_file)
                return

    def _go_on(self, url: str) -> None:
        """Fetch what the part file lacks; end without error only when it is whole."""
        have = self.part.stat().st_size if self.part.exists() else 0
        headers = {"Range": f"bytes={have}-"} if have else {}
        request = Request(url, headers=headers)  # noqa: S310  # an address of the catalog
        try:
            answer = cast("HTTPResponse", urlopen(request, timeout=_PATIENCE))  # noqa: S310
        except HTTPError as error:
            error.close()
            if error.code == 416 and have:  # nothing lies behind the part that is there
                if error.headers.get("Content-Range") != f"bytes */{have}":
                    self.part.unlink()
                    raise ConnectionError("what had come is not of this file") from error
                return
            raise
        with answer:
            start = have if answer.status == 206 else 0
            if start and not answer.headers.get("Content-Range", "").startswith(
                f"bytes {start}-"
            ):
                raise ConnectionError("the server goes on from another place")
            length = answer.headers.get("Content-Length")
            total = start + int(length) if length else 0
            self._check_room(total - start)
            with self.part.open("ab") as file:
                file.truncate(start)
                self._copy(answer, file, start, total)

    def _copy(self, answer: HTTPResponse, file: BinaryIO, done: int, total: int) -> None:
        while piece := answer.read(_PIECE):
            try:
                _append(file, piece)
            except OSError as error:
                raise _unwritable(self.target, error, total - done) from error
            done += len(piece)
            self.progress(done, total)
        if done < total:
            raise ConnectionError(f"cut after {done:,} of {total:,} bytes")

    def _check_room(self, needed: int) -> None:
        free = shutil.disk_usage(self.target.parent).free
        if free < needed:
            full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            raise _unwritable(self.target, full, needed)

    def _given_up(self, url: str, error: Exception, attempts: int) -> InputError:
        reason = getattr(error, "reason", None) or error
        if isinstance(error, HTTPError):
            reason = f"the server answers {error.code} {error.reason}"
        kept = self.part.stat().st_size if self.part.exists() else 0
        times = "once" if attempts == 1 else f"{attempts} times"
        rest = f"; {kept:,} bytes are kept in {self.part.name}, the same command goes on"
        return InputError(
            f"{url}: cannot be fetched, tried {times} ({reason})"
            f"{rest if kept else '; check the network and try again'}"
        )


def _silent(done: int, total: int) -> None:
    """Show nothing."""


def _append(file: BinaryIO, piece: bytes) -> None:
    """Write at once, so that what lies in the file is what is counted."""
    file.write(piece)
    file.flush()


def _is_final(error: Exception) -> bool:
    """Say whether trying again cannot help: the server says that there is no such file."""
    return isinstance(error, HTTPError) and error.code < 500 and error.code != 429


def _unwritable(target: Path, error: OSError, needed: int) -> InputError:
    if error.errno != errno.ENOSPC:
        return InputError(
            f"{target}: cannot be written ({error.strerror}); choose another --out"
        )
    free = shutil.disk_usage(target.parent).free
    return InputError(
        f"{target}: the disk is full, {needed:,} bytes are needed and {free:,} are free; free "
        "space and run the same command again, which keeps what has come, or choose another "
        "--out"
    )
