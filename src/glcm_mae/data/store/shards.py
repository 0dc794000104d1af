"""Shards: decoded images in a few large tar files, which ``webdataset`` and ``tar`` read.

A folder of shards holds::

    shard-000000.tar    per image: 000000000.npy (pixels), .cls (class number), .json
    ...                 (name, label, group, split)
    index.npy           shard and byte of each image, SHA-256 of the file it came from
    shards.json         policy, classes, labels, groups, splits, names, size and SHA-256
                        of each shard; written last

The tars are not compressed, so any image is read by its place, in any order.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store.building import LOCK, building, publish
from glcm_mae.data.store.contents import file_hashes
from glcm_mae.data.store.pixels import Pixels
from glcm_mae.data.store.shard_pixels import ANEW, ShardPixels, shard_name
from glcm_mae.data.store.tars import OVERHEAD, ShardFile
from glcm_mae.data.tables.table import SHARDS_FILE, ImageTable
from glcm_mae.errors import InputError

INDEX_FILE = "index.npy"

_FORMAT = 1
_RECORD = np.dtype([("shard", "<i4"), ("start", "<i8"), ("sha256", "u1", (32,))])


def write_shards(
    table: ImageTable,
    pixels: Pixels,
    policy: ReadingPolicy,
    out: Path,
    *,
    images_per_shard: int,
    cache: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write decoded images into shards, one at a time.

    The folder appears when all is written. The same images make the same bytes. What
    the shards hold of names, patients and labels is what the table holds.

    Args:
        table: What the images are.
        pixels: One image per row of the table.
        policy: How they were read.
        out: Folder to create.
        images_per_shard: Images in one tar file.
        cache: Where the hashes of the files are remembered, see
            :func:`glcm_mae.data.store.contents.file_hashes`.
        progress: Called with the number of images done and of all images.

    Returns:
        The folder.

    Raises:
        InputError: If the folder exists, cannot be written, or the disk is too full.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.png").write_bytes(b"")
        ...     table = ImageTable(Path(folder), ("a.png",), (), (), ("a.png",), ())
        ...     pixels = np.zeros((1, 1, 4, 4), dtype=np.uint8)
        ...     policy = ReadingPolicy(size=(4, 4), depth=8)
        ...     made = write_shards(
        ...         table, pixels, policy, Path(folder, "new"), images_per_shard=100
        ...     )
        ...     sorted(file.name for file in made.iterdir())
        ['index.npy', 'shard-000000.tar', 'shards.json']
    """
    if images_per_shard < 1:
        raise InputError(f"images_per_shard: must be at least 1, got {images_per_shard}")
    hashes = file_hashes(table, cache)
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with building(out, mode=0o777) as place:
            if out.exists():
                raise InputError(f"{out}: exists; choose another --out")
            _refuse_small_disk(out, pixels)
            index = np.empty(len(table), dtype=_RECORD)
            index["sha256"] = [tuple(bytes.fromhex(digest)) for digest in hashes]
            shards: list[dict[str, Any]] = []
            for first in range(0, len(table), images_per_shard):
                rows = range(first, min(first + images_per_shard, len(table)))
                with ShardFile(place / shard_name(len(shards))) as shard:
                    for row in rows:
                        index["start"][row] = shard.add(table, row, pixels[row])
                        if progress is not None:
                            progress(row + 1, len(table))
                index["shard"][rows.start : rows.stop] = len(shards)
                shards.append(shard.facts())
            _write_index(place, index)
            _write_facts(place, table, policy, shards)
            publish(place, out)
            (out / LOCK).unlink()
    except OSError as error:
        raise InputError(
            f"{out}: cannot be written ({error.strerror}); free space or choose another --out"
        ) from error
    return out


def _refuse_small_disk(out: Path, pixels: Pixels) -> None:
    count, *sample = pixels.shape
    needed = count * (int(np.prod(sample)) * pixels.dtype.itemsize + OVERHEAD)
    free = shutil.disk_usage(out.parent).free
    if needed > free:
        raise InputError(
            f"{out}: the shards need {needed / 1e9:.3g} GB, {free / 1e9:.3g} GB are free; "
            "free space or choose another --out"
        )


def _write_index(place: Path, index: npt.NDArray[Any]) -> None:
    with (place / INDEX_FILE).open("wb") as file:
        np.save(file, index, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())


def _write_facts(
    place: Path, table: ImageTable, policy: ReadingPolicy, shards: Sequence[dict[str, Any]]
) -> None:
    facts = {
        "format": _FORMAT,
        "policy": policy.facts(),
        "index_sha256": hashlib.sha256((place / INDEX_FILE).read_bytes()).hexdigest(),
        "shards": shards,
        "grouping": table.grouping,
        "classes": table.classes,
        "labels": table.labels,
        "groups": table.groups,
        "splits": table.splits,
        "names": table.names,
        "hidden": bool(table.shown),
    }
    with (place / SHARDS_FILE).open("w", encoding="utf-8") as file:
        json.dump(facts, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())


def read_shard_table(folder: Path) -> ImageTable:
    """Return the table that shards were made from; its paths are the names they hold.

    Args:
        folder: A folder of :func:`write_shards`.

    Raises:
        InputError: If it is none, or is damaged.
    """
    return _read_facts(folder)[1]


def _read_facts(folder: Path) -> tuple[dict[str, Any], ImageTable]:
    path = folder / SHARDS_FILE
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        if facts["format"] != _FORMAT:
            raise ValueError(f"format {facts['format']}")
        names = tuple(map(str, facts["names"]))
        table = ImageTable(
            folder,
            names,
            tuple(map(int, facts["labels"])),
            tuple(map(str, facts["classes"])),
            tuple(map(str, facts["groups"])),
            tuple(map(str, facts["splits"])),
            shown=names if facts["hidden"] else (),
            grouping=str(facts["grouping"]),
            source="shards",
        )
        if sum(int(shard["images"]) for shard in facts["shards"]) != len(table):
            raise ValueError("the shards hold another number of images")
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); give a folder of shards"
        ) from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{path}: is damaged or of another version ({error}); {ANEW}"
        ) from error
    return facts, table


def source_hashes(table: ImageTable) -> tuple[str, ...]:
    """Return the SHA-256 of the files that the images in shards were made from.

    Args:
        table: Rows of :func:`read_shard_table`.

    Raises:
        InputError: If the shards are damaged.
    """
    facts, whole = _read_facts(table.root)
    index = _read_index(table.root, facts)
    return tuple(index["sha256"][row].tobytes().hex() for row in _rows(table, whole))


def shard_policy(folder: Path) -> ReadingPolicy:
    """Return how the images of shards were read when they were written.

    Args:
        folder: The shards.

    Raises:
        InputError: If they cannot be read.
    """
    return ReadingPolicy.from_facts(_read_facts(folder)[0]["policy"])


def open_shards(table: ImageTable, policy: ReadingPolicy) -> ShardPixels:
    """Open the images of a table of shards.

    Args:
        table: Rows of :func:`read_shard_table`.
        policy: How the images are wanted.

    Returns:
        One image per row.

    Raises:
        InputError: If the shards were made by another policy, or one is missing or torn.
    """
    facts, whole = _read_facts(table.root)
    then, now = facts["policy"], policy.facts()
    differing = [
        f"{name} {then.get(name)} (here {now[name]})"
        for name in now
        if then.get(name) != now[name]
    ]
    if differing:
        raise InputError(
            f"{table.root}: was written with other settings: {'; '.join(differing)}; use the "
            "same, or write the shards anew"
        )
    for number, shard in enumerate(facts["shards"]):
        _check_size(table.root / shard_name(number), int(shard["bytes"]))
    index = _read_index(table.root, facts)
    return ShardPixels(table.root, index, np.array(_rows(table, whole)), policy)


def check_shards(folder: Path) -> int:
    """Read all shards of a folder, and compare them with what was written.

    Args:
        folder: A folder of :func:`write_shards`.

    Returns:
        The number of images.

    Raises:
        InputError: If a shard is missing or has changed.
    """
    facts, table = _read_facts(folder)
    for number, shard in enumerate(facts["shards"]):
        path = folder / shard_name(number)
        _check_size(path, int(shard["bytes"]))
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != shard["sha256"]:
                raise InputError(f"{path}: is not what was written; {ANEW}")
    _read_index(folder, facts)
    return len(table)


def _rows(table: ImageTable, whole: ImageTable) -> list[int]:
    if table.paths == whole.paths:
        return list(range(len(whole)))
    places = {name: row for row, name in enumerate(whole.paths)}
    return [places[name] for name in table.paths]


def _check_size(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); {ANEW}") from error
    if found != size:
        raise InputError(f"{path}: has {found} bytes, {size} were written; {ANEW}")


def _read_index(folder: Path, facts: Mapping[str, Any]) -> npt.NDArray[Any]:
    path = folder / INDEX_FILE
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != facts["index_sha256"]:
            raise ValueError("it is not what was written")
        index = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}); {ANEW}") from error
    return np.asarray(index)
