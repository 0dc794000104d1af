"""Near-duplicates stay in one part, the check can be turned off, and the table says so."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import FINETUNE, TINY, Command

from glcm_mae.data import make_phantom

CLASSES = {"ill": "fine", "well": "coarse"}
COPIES = 6


@pytest.fixture(scope="module")
def doubled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """12 phantoms a class, and of the first 6 of each a JPEG copy under another name."""
    root = tmp_path_factory.mktemp("doubled")
    for label, kind in CLASSES.items():
        (root / label).mkdir()
        for number in range(12):
            pixels = make_phantom(kind, size=96, seed=(number, len(label))).image
            image = Image.fromarray(np.uint8(np.rint(pixels * 255)))
            image.save(root / label / f"{number:02d}.png")
            if number < COPIES:
                image.save(root / label / f"copy-of-{number:02d}.jpg", quality=80)
    return root


def folds_of(path: Path) -> dict[str, list[str]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {row["path"]: [row[f"fold-{n}"] for n in range(len(row) - 1)] for row in rows}


def torn(folds: dict[str, list[str]]) -> int:
    """Count the originals that are not always in the part of their copy."""
    pairs = [
        (f"{label}/{number:02d}.png", f"{label}/copy-of-{number:02d}.jpg")
        for label in CLASSES
        for number in range(COPIES)
    ]
    return sum(folds[original] != folds[copy] for original, copy in pairs)


def test_copies_stay_together_in_every_fold_unless_told_not_to(
    doubled: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    split = ("data", "split", doubled, "--folds.count", "3", "--folds.repeats", "2")
    code, out, err = glcm_mae(*split, "--out", tmp_path / "on.csv")
    assert code == 0, err
    assert "24 images in 12 clusters of near-duplicates" in out
    folds = folds_of(tmp_path / "on.csv")
    assert len(folds) == 36
    assert {len(parts) for parts in folds.values()} == {6}
    assert torn(folds) == 0
    code, out, err = glcm_mae(*split, "--leak-check", "off", "--out", tmp_path / "off.csv")
    assert code == 0, err
    assert "LEAK CHECK OFF" in out
    assert torn(folds_of(tmp_path / "off.csv")) > 0


@pytest.mark.slow
def test_crossval_takes_folds_from_a_file_and_records_the_check(
    doubled: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    common = ("--data.positive", "ill", *TINY, *FINETUNE, "--start", "scratch")
    glcm_mae("data", "split", doubled, "--folds.count", "2", "--out", tmp_path / "folds.csv")
    run = ("crossval", "--data.table", doubled, *common, "--folds.file", tmp_path / "folds.csv")
    code, out, err = glcm_mae(*run, "--out", tmp_path / "on")
    assert code == 0, err
    assert "leak check off" not in " ".join(out.split())
    scores = json.loads((tmp_path / "on" / "scores.json").read_text())
    assert scores["leak_check"] == {
        "check": "on",
        "near_duplicate_pairs": 12,
        "clusters": 12,
        "images_in_clusters": 24,
        "pairs_across_classes": 0,
    }
    assert (tmp_path / "on" / "folds.csv").read_bytes() == (tmp_path / "folds.csv").read_bytes()

    rows = (tmp_path / "folds.csv").read_text().splitlines()
    moved = next(row for row in rows if "copy-of" in row and ",train," in row)
    text = "\n".join(
        row.replace(",train,", ",validation,") if row == moved else row for row in rows
    )
    (tmp_path / "leaky.csv").write_text(text)
    leaky = ("crossval", "--data.table", doubled, *common)
    leaky = (*leaky, "--folds.file", tmp_path / "leaky.csv")
    code, out, err = glcm_mae(*leaky, "--out", tmp_path / "refused")
    assert code == 2
    assert "fold-0" in err


def test_leak_check_off_stands_in_the_table_of_scores(
    doubled: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    code, out, err = glcm_mae(
        *("crossval", "--data.table", doubled, "--data.positive", "ill", *TINY, *FINETUNE),
        *("--start", "scratch", "--folds.count", "2", "--leak-check", "off"),
        *("--out", tmp_path / "off"),
    )
    assert code == 0, err
    assert "leak check off" in " ".join(out.split())
    assert "leak check off" in (tmp_path / "off" / "scores.md").read_text()
    scores = json.loads((tmp_path / "off" / "scores.json").read_text())
    assert scores["leak_check"] == {"check": "off"}


@pytest.mark.slow
def test_smaller_shares_of_labels_lie_within_larger_ones(
    doubled: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    trained: list[set[str]] = []
    for share in ("0.25", "0.5", "1.0"):
        out = tmp_path / f"{share}.csv"
        split = ("data", "split", doubled, "--folds.count", "2", "--folds.label_share", share)
        code, _, err = glcm_mae(*split, "--out", out)
        assert code == 0, err
        trained.append({path for path, parts in folds_of(out).items() if parts[0] == "train"})
    assert trained[0] < trained[1] < trained[2]
