"""What tells that a checkpoint is whole: the size and SHA-256 of every file, written last."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

MANIFEST = "manifest.json"
FORMAT = 1
"""Of a folder's layout; a folder of a later one is not read."""

_MOST = 64 * 2**20
"""Bytes of the largest JSON file that is read."""
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


class DamageError(Exception):
    """A checkpoint is not as it was written; the message says what is wrong with which file."""


def write_flushed(path: Path, content: bytes) -> None:
    """Write a new file and flush it to disk.

    Raises:
        OSError: If it cannot be written.
    """
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def write_manifest(folder: Path) -> None:
    """Write the sizes and hashes of all files of a folder, and flush it.

    Raises:
        OSError: If a file cannot be read or the manifest not be written.
    """
    files = {
        path.name: {"size": path.stat().st_size, "sha256": _hash(path)}
        for path in sorted(folder.iterdir())
    }
    content = json.dumps({"format": FORMAT, "files": files}, indent=1) + "\n"
    write_flushed(folder / MANIFEST, content.encode())


def verify(folder: Path, *, hashes: bool = True) -> frozenset[str]:
    """Compare a folder with its manifest and return the names of its files.

    Files that the manifest does not name are not looked at, nor ever read.

    Args:
        folder: The checkpoint.
        hashes: Read the files; else only what the manifest lists is checked.

    Raises:
        DamageError: If a file is missing, is not a plain file, or has changed by one bit.
    """
    files = _listed(folder)
    for name, facts in files.items() if hashes else ():
        try:
            _compare(folder / name, facts)
        except OSError as error:
            raise DamageError(f"{name}: {error.strerror or error}") from error
    return frozenset(files)


def _listed(folder: Path) -> dict[str, Any]:
    content = read_json(folder / MANIFEST)
    if content.get("format") != FORMAT:
        raise DamageError(f"{MANIFEST}: is of another format than {FORMAT}")
    files = content.get("files")
    if not isinstance(files, dict) or not all(isinstance(x, dict) for x in files.values()):
        raise DamageError(f"{MANIFEST}: does not list files")
    for name in files:
        if not _PLAIN_NAME.fullmatch(name) or name == MANIFEST:
            raise DamageError(f"{MANIFEST}: lists {name!r}, which is no plain file name")
    return files


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint.

    Raises:
        DamageError: If it is missing, is not a plain file, or is no JSON object.
    """
    try:
        if path.is_symlink() or not path.is_file():
            raise DamageError(f"{path.name}: is missing")
        if path.stat().st_size > _MOST:
            raise DamageError(f"{path.name}: is larger than {_MOST} bytes")
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DamageError(f"{path.name}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DamageError(f"{path.name}: is not JSON") from error
    if not isinstance(content, dict):
        raise DamageError(f"{path.name}: is not a JSON object")
    return content


def _compare(path: Path, facts: dict[str, Any]) -> None:
    if path.is_symlink() or not path.is_file():
        raise DamageError(f"{path.name}: is missing")
    size = path.stat().st_size
    if size != facts.get("size"):
        raise DamageError(f"{path.name}: has {size} bytes, not {facts.get('size')!r}")
    if _hash(path) != facts.get("sha256"):
        raise DamageError(f"{path.name}: its SHA-256 is not the one it was written with")


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
