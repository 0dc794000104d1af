"""A small share of the fuzzing, always the same files."""

import json
from pathlib import Path

import numpy as np
import pytest

from fuzz.crafted import crafted
from fuzz.fuzz_reading import OUT, Reader, Verdict, files, fuzz, judge, read
from fuzz.mutations import MUTATIONS, repaired_png
from fuzz.seeds import SEEDS, SUFFIXES
from glcm_mae.data.reading.images import read_image
from glcm_mae.data.reading.policy import ReadingPolicy


@pytest.mark.parametrize("name", SEEDS)
def test_the_seeds_are_sound(name: str, tmp_path: Path) -> None:
    path = tmp_path / f"a{SUFFIXES[name.split()[0]]}"
    path.write_bytes(SEEDS[name]())
    assert read(str(path), 1) == ("pixels", "")  # number 1: black and white from the range
    if name.startswith("PNG gray"):
        assert read_image(path).shape == (1, 40, 56)


def test_broken_files_give_pixels_or_one_line(tmp_path: Path) -> None:
    outcomes = {"pixels": 0, "refused": 0}
    for file in files(120, 0, tmp_path):
        outcome, detail = read(file.path, file.number)
        assert outcome in outcomes, (file, detail)
        outcomes[outcome] += 1
    assert min(outcomes.values()) > 10


@pytest.mark.slow
def test_no_file_that_is_made_to_harm_does_any(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    for number, (kind, way, suffix, make) in enumerate(crafted(str(canary))):
        path = tmp_path / f"{number}{suffix}"
        path.write_bytes(make())
        outcome, detail = read(str(path), 0)
        assert outcome in ("pixels", "refused"), (kind, way, detail)
        path.unlink()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_observed_reader_tells_what_it_costs() -> None:
    found = fuzz(40, 7)
    assert found["files"] == 40
    assert found["faults"] == []
    assert found["files_written_by_readers"] == []
    assert 10 < found["most_reader_mebibytes"][0]["reader_mebibytes"] < 1024
    assert 10 < found["most_child_mebibytes"][0]["child_mebibytes"] < 1024


def test_every_mutation_is_the_same_for_the_same_numbers() -> None:
    for name, mutation in MUTATIONS.items():
        for make in (SEEDS["PNG gray"], SEEDS["TIFF"]):
            data = make()
            first = mutation(data, np.random.default_rng([1, 2]))
            assert first == mutation(data, np.random.default_rng([1, 2])), name


def test_checksums_are_set_right() -> None:
    sound = SEEDS["PNG gray"]()
    assert repaired_png(sound) == sound
    assert repaired_png(sound[:-1] + b"\0") == sound


def test_bad_pixels_are_told() -> None:
    policy = ReadingPolicy()
    good = np.full((1, 2, 3), 0.5, np.float32)
    assert judge(good, policy) == ("pixels", "")
    for bad in (good * 3, good * np.nan, good[0], good[:, :0], good.astype(np.float64)):
        assert judge(bad, policy)[0] == "bad pixels"


@pytest.mark.parametrize(
    ("cost", "outcome"),
    [
        ({}, "pixels"),
        ({"processor_seconds": 6.9}, "pixels"),
        ({"processor_seconds": 7.1}, "slow"),
        ({"reader_mebibytes": 1025.0}, "memory"),
        ({"child_mebibytes": 1025.0}, "memory"),
    ],
)
def test_what_costs_too_much_is_a_fault(cost: dict[str, float], outcome: str) -> None:
    assert Reader().with_limits(Verdict("pixels", **cost), 2_000_000).outcome == outcome


def test_the_page_tells_the_last_result() -> None:
    found = json.loads(OUT.read_text("utf-8"))
    page = (OUT.parents[2] / "docs" / "formats.md").read_text("utf-8")
    told = {
        outcome: sum(counts.get(outcome, 0) for counts in found["outcomes"].values())
        for outcome in ("pixels", "refused")
    }
    assert found["faults"] == []
    assert sum(told.values()) == found["files"]
    assert found["command"] in page
    assert f"Of {found['files']:,} files, {told['pixels']:,} gave pixels" in page
    assert f"{told['refused']:,} were refused" in page
