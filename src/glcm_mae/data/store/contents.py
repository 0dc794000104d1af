"""What files hold, told apart by SHA-256, and remembered while they stay as they are."""

import hashlib
import os
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.data.tables.table import ImageTable
from glcm_mae.data.threads import in_threads
from glcm_mae.errors import InputError
from glcm_mae.files import write_atomically

_RECORD = np.dtype(
    [("name", "<u8"), ("stamp", "<i8", (4,)), ("sha256", "u1", (32,))]
)  # 72 bytes a file, and no name to read
_MAGIC = b"glcm-mae contents 1\n"
_SALT = 16  # bytes; with it the names cannot be guessed from their hashes
_SETTLED = 2_000_000_000  # ns; a younger file may change again within its time stamp


class Content(NamedTuple):
    """What a file holds, and when that was seen.

    Attributes:
        sha256: Hexadecimal digest; empty if the file cannot be opened.
        stamp: Size, times of change of content and entry in ns, and inode.
        trouble: Why it cannot be opened.
    """

    sha256: str
    stamp: tuple[int, int, int, int]
    trouble: str = ""


def stamp_of(facts: os.stat_result) -> tuple[int, int, int, int]:
    """Return what changes when a file does: its size, times and inode."""
    inode = (facts.st_ino + 2**63) % 2**64 - 2**63  # as signed as the times are
    return facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, inode


def file_hashes(table: ImageTable, cache: Path | None = None) -> tuple[str, ...]:
    """Tell equal files apart from different ones by the SHA-256 of their content.

    Args:
        table: The images; of shards, the files that they were made from count.
        cache: Folder that remembers the content of files that have not changed since.

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
    if table.source == "shards":
        from glcm_mae.data.store.shards import source_hashes  # which needs this module to write

        return source_hashes(table)
    contents = file_contents(table, cache)
    for row, content in enumerate(contents):
        if content.trouble:
            raise InputError(
                f"{table.file(row)}: cannot be opened ({content.trouble}); "
                "check that it is there"
            )
    return tuple(content.sha256 for content in contents)


def file_contents(table: ImageTable, cache: Path | None = None) -> list[Content]:
    """Return the content of the file of each row; see :func:`file_hashes`."""
    started = time.time_ns()
    names = list(dict.fromkeys(table.paths))
    memo = _Memo.read(cache, table.root)
    found = [memo.find(name, table.root / name) for name in names]
    new = [position for position, content in enumerate(found) if content is None]
    fresh = in_threads(lambda n: _read(table.root / names[new[n]]), len(new))
    for position, content in zip(new, fresh, strict=True):
        found[position] = content
    known = dict(zip(names, (content for content in found if content), strict=True))
    if new:
        memo.write(known, started - _SETTLED)
    return [known[name] for name in table.paths]


def _read(path: Path) -> Content:
    try:
        with path.open("rb") as file:
            before = stamp_of(os.fstat(file.fileno()))
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if stamp_of(os.fstat(file.fileno())) != before:
                return Content("", before, "it changes while it is read")
    except OSError as error:
        return Content("", (0, 0, 0, 0), error.strerror or str(error))
    return Content(digest, before)


class _Memo:
    """Contents of the files below a folder as they were when last read."""

    def __init__(self, file: Path | None, salt: bytes, records: npt.NDArray[Any]) -> None:
        self.file, self.salt, self.records = file, salt, records

    @classmethod
    def read(cls, cache: Path | None, root: Path) -> "_Memo":
        """Open the memo of a folder; a missing or damaged one knows nothing."""
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()
        file = cache / "contents" / f"{name[:32]}.bin" if cache else None
        new = cls(file, secrets.token_bytes(_SALT), np.empty(0, dtype=_RECORD))
        if file is None:
            return new
        with suppress(OSError):
            data = file.read_bytes()
            start = len(_MAGIC) + 32
            head, digest, rest = data[: len(_MAGIC)], data[len(_MAGIC) : start], data[start:]
            if head == _MAGIC and hashlib.sha256(rest).digest() == digest:
                return cls(file, rest[:_SALT], np.frombuffer(rest[_SALT:], dtype=_RECORD))
        return new

    def find(self, name: str, path: Path) -> Content | None:
        """Return the content of a file that has not changed since it was read."""
        if not len(self.records):
            return None
        number = self._number(name)
        position = int(np.searchsorted(self.records["name"], np.uint64(number)))
        if position == len(self.records) or int(self.records["name"][position]) != number:
            return None
        try:
            stamp = stamp_of(path.stat())
        except OSError:
            return None
        record = self.records[position]
        if tuple(record["stamp"].tolist()) != stamp:
            return None
        return Content(record["sha256"].tobytes().hex(), stamp)

    def write(self, known: dict[str, Content], settled: int) -> None:
        """Remember what was last changed before ``settled``, beside what was known.

        A folder that cannot be written forgets.
        """
        if self.file is None:
            return
        new = [
            (self._number(name), content.stamp, tuple(bytes.fromhex(content.sha256)))
            for name, content in known.items()
            if not content.trouble and max(content.stamp[1:3]) < settled
        ]
        records = np.array(new, dtype=_RECORD)
        others = self.records[~np.isin(self.records["name"], records["name"])]
        records = np.concatenate([others, records])
        body = self.salt + np.sort(records, order="name").tobytes()
        with suppress(InputError, OSError):
            self.file.parent.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.file.parent.mkdir(mode=0o700, exist_ok=True)
            unique = self.file.with_name(f"{self.file.stem}.{os.getpid()}.new")
            write_atomically(unique, _MAGIC + hashlib.sha256(body).digest() + body)
            unique.replace(self.file)

    def _number(self, name: str) -> int:
        return int.from_bytes(
            hashlib.blake2b(os.fsencode(name), digest_size=8, key=self.salt).digest(), "little"
        )
