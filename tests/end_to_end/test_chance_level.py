"""With labels by chance no system is better than chance, unless copies leak across folds."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter
from tiny import TINY, Command

PAIRS = 60
KNN = [*TINY, "--start", "scratch", "--protocol", "knn", "--probing.neighbours", "[1]"]
SETTINGS = [*KNN, "--folds.count", "3", "--data.positive", "ill"]


@pytest.fixture(scope="module")
def by_chance(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every image twice, the second time as JPEG; labels are thrown for each pair."""
    root = tmp_path_factory.mktemp("by_chance")
    thrown = np.random.default_rng(0).permutation(np.arange(PAIRS) % 2)
    rows = []
    for number, label in enumerate(thrown):
        noise = np.random.default_rng((number, 7)).normal(size=(64, 64))
        blobs = gaussian_filter(noise, 6, mode="wrap")  # so that no two pairs look alike
        image = Image.fromarray(
            np.uint8(np.interp(blobs, (blobs.min(), blobs.max()), (0, 255)))
        )
        image.save(root / f"{number}.png")
        image.save(root / f"{number}.jpg", quality=95)
        rows += [(f"{number}.{kind}", ("well", "ill")[label]) for kind in ("png", "jpg")]
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return root / "manifest.csv"


def systems(glcm_mae: Command, table: Path, out: Path, *more: str) -> dict[str, Any]:
    command = ["crossval", "--data.table", table, *SETTINGS, *more, "--out", out]
    code, _, error = glcm_mae(*command)
    assert code == 0, error
    found: dict[str, Any] = json.loads((out / "scores.json").read_text())["systems"]
    return found


@pytest.mark.slow
def test_with_copies_kept_together_all_systems_are_at_chance(
    by_chance: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    found = systems(glcm_mae, by_chance, tmp_path / "run")
    assert len(found) == 5  # majority, gray levels, two of radiomics, the probe
    for name, scores in found.items():
        area = scores["pooled"]["auroc"]
        if name == "majority class":  # it ranks nothing
            assert area["estimate"] == 0.5
            continue
        assert area["low"] <= 0.5 <= area["high"], name
        assert scores["groups"] == PAIRS


def test_with_copies_across_folds_the_nearest_neighbour_knows_them(
    by_chance: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    found = systems(
        glcm_mae, by_chance, tmp_path / "run", "--leak_check", "off", "--baselines", "off"
    )
    (scores,) = found.values()
    assert scores["pooled"]["auroc"]["low"] > 0.5
