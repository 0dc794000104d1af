"""Decoded images on disk: a mapped file per table and policy, whole or not there.

A cache folder holds::

    <key>/index.json       what the pixels are; written last
    <key>/pixels.bin       the pixels, one image after the other
    <key>.building/        an entry that is being made, or was when its maker died
    contents/              SHA-256 of files that have not changed, see contents.py
    features/              what frozen models make of images, see embedding.py

The key is the SHA-256 of all that decides about the pixels: what the files hold, in
their order, and the policy. So nothing in it can be out of date.
"""

import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store.building import building, publish, remove_folder, sweep
from glcm_mae.data.store.pixel_file import PixelFile, Plan
from glcm_mae.errors import InputError
from glcm_mae.version import __version__

_FORMAT = 1
_PIXELS, _INDEX = "pixels.bin", "index.json"
_HOUR = 3600.0
_REMEDY = "choose another folder as --data.cache, or none to keep the images in memory"


class Entry(NamedTuple):
    """Images of the cache.

    Attributes:
        pixels: The readable ones in order, mapped from disk for reading.
        reasons: Why a row could not be read, by its number.
    """

    pixels: npt.NDArray[Any]
    reasons: dict[int, str]


class CacheEntry(NamedTuple):
    """What a cache folder holds for a table and a policy.

    Attributes:
        folder: Where it lies.
        shape: Images, channels, height, width.
        depth: Bits per value.
        size: Bytes.
        age: Seconds since it was last used.
    """

    folder: Path
    shape: tuple[int, ...]
    depth: int
    size: int
    age: float

    def __str__(self) -> str:
        """Describe it on one line."""
        count, *sample = self.shape
        size = " x ".join(map(str, sample))
        return (
            f"{self.folder.name[:12]}  {count} images of {size}, {self.depth} bits, "
            f"{self.size / 1e6:.1f} MB, last used {self.age / 3600:.1f} hours ago"
        )


def entry_key(policy: ReadingPolicy, rows: Sequence[tuple[str, int]]) -> str:
    """Return the name of an entry.

    Args:
        policy: How the images are read.
        rows: SHA-256 of the file, and frame in it or -1, of each image in order.

    Returns:
        64 hexadecimal digits.
    """
    facts = {"format": _FORMAT, "glcm_mae": __version__, "policy": policy.facts()}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for content, frame in rows:
        digest.update(f"\n{content} {frame}".encode())
    return digest.hexdigest()


def find_or_build(
    folder: Path,
    plan: Plan,
    fill: Callable[[PixelFile], list[str]],
    accept: Callable[[Entry], bool],
) -> Entry:
    """Map an entry from disk; where there is none, make it first.

    Of several processes that want the same entry at once, one makes it and the others
    wait for it; if it dies, the next takes over.

    Args:
        folder: The cache; created if need be, for its owner alone.
        plan: The entry wanted.
        fill: Writes all images, and returns per row why it could not, or nothing.
        accept: Says whether an entry with unreadable rows is still to be used.

    Returns:
        The entry.

    Raises:
        InputError: If the disk is too full, or the folder cannot be written or locked.
    """
    entry = _find(folder, plan, accept)
    if entry is not None:
        return entry
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _sweep(folder)
        with building(folder / plan.key) as place:
            entry = _find(folder, plan, accept)  # another may have made it meanwhile
            if entry is None:
                _refuse_small_disk(folder, plan)
                _build(place, plan, fill)
                publish(place, folder / plan.key)
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be used for decoded images ({error.strerror}); {_REMEDY}"
        ) from error
    entry = entry or _find(folder, plan, lambda _: True)
    if entry is None:
        raise InputError(f"{folder}: what was written cannot be read again; {_REMEDY}")
    return entry


def _find(folder: Path, plan: Plan, accept: Callable[[Entry], bool]) -> Entry | None:
    """Map an entry, unless it is missing, torn or not of this plan."""
    place = folder / plan.key
    try:
        index = _read_index(place)
        reasons = {int(row): str(reason) for row, reason in index["reasons"].items()}
        shape = (plan.images - len(reasons), *plan.sample)
        given = (index["key"], tuple(index["shape"]), index["depth"])
        if given != (plan.key, shape, plan.policy.depth):
            return None
        if (place / _PIXELS).stat().st_size != shape[0] * plan.stride:
            return None
        pixels = np.memmap(place / _PIXELS, dtype=plan.dtype, mode="r", shape=shape)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    entry = Entry(pixels, reasons)
    if reasons and not accept(entry):
        return None
    with suppress(OSError):  # the cache of somebody else may be for reading only
        os.utime(place / _INDEX)
    return entry


def _read_index(place: Path) -> dict[str, Any]:
    index = json.loads((place / _INDEX).read_text(encoding="utf-8"))
    if index["format"] != _FORMAT:
        raise ValueError(index["format"])
    return dict(index)


def _refuse_small_disk(folder: Path, plan: Plan) -> None:
    needed, free = plan.images * plan.stride, shutil.disk_usage(folder).free
    if needed > free:
        size = " x ".join(map(str, plan.sample))
        raise InputError(
            f"{folder}: {plan.images} decoded images of {size} need {needed / 1e9:.3g} GB, "
            f"{free / 1e9:.3g} GB are free; {_REMEDY}"
        )


def _build(place: Path, plan: Plan, fill: Callable[[PixelFile], list[str]]) -> None:
    file = PixelFile(place / _PIXELS, plan)
    kept: list[int] = []
    try:
        reasons = fill(file)
        kept = [row for row, reason in enumerate(reasons) if not reason]
    finally:
        file.close(kept)
    index = {
        "format": _FORMAT,
        "glcm_mae": __version__,
        "key": plan.key,
        "policy": plan.policy.facts(),
        "shape": [len(kept), *plan.sample],
        "depth": plan.policy.depth,
        "reasons": {row: reason for row, reason in enumerate(reasons) if reason},
    }
    with (place / _INDEX).open("w", encoding="utf-8") as text:
        json.dump(index, text)
        text.flush()
        os.fsync(text.fileno())


def cache_entries(folder: Path) -> tuple[CacheEntry, ...]:
    """List what a cache folder holds, the last used first.

    Args:
        folder: The cache; it need not exist.

    Returns:
        The whole entries.
    """
    entries = []
    for place in folder.glob("*/"):
        try:
            index = _read_index(place)
            facts = (place / _INDEX).stat()
            size = facts.st_size + (place / _PIXELS).stat().st_size
            shape, depth = tuple(map(int, index["shape"])), int(index["depth"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        entries.append(CacheEntry(place, shape, depth, size, time.time() - facts.st_mtime))
    return tuple(sorted(entries, key=lambda entry: entry.age))


def clear_cache(folder: Path) -> int:
    """Remove all decoded images and features of a cache folder, and nothing else in it.

    Runs that use them keep what they have mapped.

    Args:
        folder: The cache; it need not exist.

    Returns:
        Bytes that were freed.

    Raises:
        InputError: If something cannot be removed.
    """
    freed = sum(entry.size for entry in cache_entries(folder))
    try:
        _sweep(folder)
        for place in folder.glob("*/"):
            if re.fullmatch("[0-9a-f]{64}", place.name):  # whole or torn
                remove_folder(place, (_INDEX, _PIXELS))
        for memo in folder.glob("contents/*.bin"):
            memo.unlink()
        for features in folder.glob("features/*/*.safetensors"):
            freed += features.stat().st_size
            features.unlink()
    except OSError as error:
        raise InputError(
            f"{folder}: cannot be cleared ({error.strerror}); check whose it is"
        ) from error
    return freed


def _sweep(folder: Path) -> None:
    """Remove what processes left behind that died at work."""
    sweep(folder)
    for half in folder.glob("contents/*.new*"):
        with suppress(OSError):
            if time.time() - half.stat().st_mtime > _HOUR:
                half.unlink()
