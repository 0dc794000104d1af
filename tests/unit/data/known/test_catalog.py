"""The facts of the catalog, consistent in themselves, and readable in a terminal."""

import re

import pytest

from glcm_mae.data.known.catalog import find_set, format_catalog, format_set, known_sets
from glcm_mae.errors import InputError


@pytest.mark.parametrize("entry", known_sets(), ids=lambda entry: entry.name)
def test_each_entry_is_consistent(entry) -> None:
    assert entry.layout in ("folders", "listed", "npz")
    assert entry.task in ("two classes", "several classes", "ordered classes", "several labels")
    assert entry.channels in (1, 3)
    assert len(set(entry.classes)) == len(entry.classes) >= 2
    assert (entry.task == "two classes") == (len(entry.classes) == 2)
    assert not entry.positive or entry.positive in entry.classes
    assert entry.positive or len(entry.classes) > 2
    for counts in entry.counts.values():
        assert set(counts) in (set(entry.classes), {""})
    assert re.fullmatch(r"10\.\d{4,5}/\S+", entry.doi)
    re.compile(entry.masks), re.compile(entry.group_pattern)
    assert bool(entry.files) == (entry.layout == "npz") == bool(entry.address)
    assert not entry.unattended or entry.licence == "CC BY 4.0"
    assert not entry.address or entry.address.startswith("https://")
    for checksum in (entry.files or {}).values():
        assert re.fullmatch(r"[0-9a-f]{32}", checksum)


def test_checksums_differ() -> None:
    checksums = [sum_ for entry in known_sets() for sum_ in (entry.files or {}).values()]
    assert len(set(checksums)) == len(checksums) == 48


@pytest.mark.parametrize(
    ("name", "images", "parts"),
    [
        ("busi", 780, ()),
        ("kermany-cxr", 5856, ("train", "val", "test")),
        ("sarscov2-ct", 2482, ()),
        ("gbcu", 1255, ("train", "test")),
        ("breastmnist", 780, ("train", "val", "test")),
        ("pneumoniamnist", 5856, ("train", "val", "test")),
        ("dermamnist", 10015, ("train", "val", "test")),
    ],
)
def test_published_numbers(name: str, images: int, parts: tuple[str, ...]) -> None:
    entry = find_set(name)
    assert (entry.images, entry.parts) == (images, parts)


def test_the_2d_sets_of_medmnist_are_all_there() -> None:
    medmnist = [entry for entry in known_sets() if entry.layout == "npz"]
    assert len(medmnist) == 12
    # The paper counts 708,069: some blank slices of the organ sets went out later.
    assert sum(entry.images for entry in medmnist) == 708_069 - 107


def test_names_are_found_however_written() -> None:
    for name in ("kermany-cxr", "Kermany_CXR", "KERMANYCXR"):
        assert find_set(name).name == "kermany-cxr"


def test_unknown_names_are_told() -> None:
    with pytest.raises(InputError, match=r"no data set 'bussi' is known; did you mean busi\? "):
        find_set("bussi")
    with pytest.raises(InputError, match="no data set 'xyzzy' is known; known are: busi, ker"):
        find_set("xyzzy")


def test_the_list_fits_a_terminal() -> None:
    lines = format_catalog().splitlines()
    assert max(map(len, lines)) <= 100
    for entry in known_sets():
        assert sum(line.split(" ")[0] == entry.name for line in lines) == 1


@pytest.mark.parametrize("entry", known_sets(), ids=lambda entry: entry.name)
def test_a_description_fits_a_terminal_and_tells_the_licence(entry) -> None:
    text = format_set(entry)
    assert max(map(len, text.splitlines())) <= 100
    for fact in (entry.title, entry.licence, entry.doi):
        assert fact in " ".join(text.split())
