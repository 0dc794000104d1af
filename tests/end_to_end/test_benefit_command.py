"""benefit: from a folder of images to a table, a plot and a sentence."""

import csv
import json
from pathlib import Path

import pytest
from PIL import Image
from tiny import FINETUNE, PRETRAIN, Command

from glcm_mae.data.phantoms import write_phantoms

SETTINGS = [
    *PRETRAIN,
    *FINETUNE,
    *("--systems", "[mae]", "--protocols", "[linear, knn]", "--label_shares", "[0.5, 1.0]"),
    *("--folds.count", "2", "--evaluation.resamples", "200"),
]


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_the_panel_shares_encoders_and_is_read_again(tmp_path: Path, glcm_mae: Command) -> None:
    images, out = tmp_path / "images", tmp_path / "panel"
    write_phantoms(images, count=24, size=32, seed=0, labelled=True)
    given = tmp_path / "given"
    pretraining = ["--data.table", str(images), *PRETRAIN, "--pretraining.epochs", "1"]
    assert glcm_mae("pretrain", *pretraining, "--out", given)[0] == 0
    command = ["benefit", "--data.table", images, *SETTINGS]
    command += ["--given", f"{{other: {given}}}", "--out", out]
    code, told, error = glcm_mae(*command)
    assert code == 0, error
    facts = json.loads((out / "benefit.json").read_text())
    assert facts["verdict"].startswith("By AUROC, other is ")
    assert facts["verdict"] in told
    notes = facts["notes"]
    assert "mae: pre-training is fold-aware: it never saw the test fold's images" in notes
    assert "other: NOT fold-aware: the given encoder was trained on 24 of these" in str(notes)
    assert "an inner validation part picked the settings of the probe" in notes
    assert len(facts["arms"]) == 2 * 2 * 2
    assert {(c["first"], c["second"]) for c in facts["contrasts"]} == {("other", "mae")}
    trained = sorted(str(path.relative_to(out)) for path in out.glob("*/*/fold-*/pretraining"))
    assert trained == [f"mae/linear-100/fold-{fold}/pretraining" for fold in (0, 1)]

    # Every number of the table is one of the cross-validation of that arm.
    for arm in facts["arms"]:
        scores = json.loads((out / arm["folder"] / "scores.json").read_text())
        own = scores["systems"][scores["system"]]
        assert arm["estimate"] == own["pooled"]["auroc"]["estimate"]
        assert arm["mean"] == own["summary"]["auroc"]["mean"]
    rows = table(out / "benefit.csv")
    assert [row["system"] for row in rows] == [arm["system"] for arm in facts["arms"]]

    # All arms are tested on the same images, and fewer labels lie within more.
    folds = {path.parent.name: table(path) for path in out.glob("mae/linear-*/folds.csv")}
    for few, many in zip(folds["linear-50"], folds["linear-100"], strict=True):
        for column in ("fold-0", "fold-1"):
            assert few[column] in (many[column], "unused")
            assert (few[column] == "test") == (many[column] == "test")

    with Image.open(out / "benefit.png") as picture:
        assert picture.size[0] > 600
    assert "<svg" in (out / "benefit.svg").read_text()[:400]
    before = {path: path.read_bytes() for path in out.glob("benefit.*")}
    code, told, error = glcm_mae(*command, "--resume")
    assert code == 0, error
    assert {path: path.read_bytes() for path in out.glob("benefit.*")} == before
    assert glcm_mae(*command)[0] == 2  # never overwritten
