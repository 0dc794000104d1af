"""Normal images alone are learnt from, planted anomalies are found, a stopped run goes on."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score
from tiny import PRETRAIN, Command

from glcm_mae.anomaly import detect
from glcm_mae.config import AnomalyConfig
from glcm_mae.data import LoadedImages, make_phantom, read_table
from glcm_mae.settings import build

NORMAL, PLANTED = 44, 14
SHARED = [*PRETRAIN, "--pretraining.epochs", "4", "--folds.validation_share", "0.25"]
QUICK = ["--leak-check", "off", "--evaluation.resamples", "200", "--rounds", "1"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine speckle is normal; the same gray levels in a coarse order are not.

    Training has both, the given split tests on the last ones.
    """
    root = tmp_path_factory.mktemp("planted")
    rows = [["path", "label", "split"]]
    for label, count, kind in (("normal", NORMAL, "fine"), ("ill", PLANTED, "coarse")):
        (root / label).mkdir()
        for number in range(count):
            tested = number >= count - 12
            image = speckle_of(kind, (number, len(label)))
            name = f"{label}/{number:02d}.png"
            Image.fromarray(image).save(root / name)
            part = "test" if tested else "val" if number < 2 else "train"
            rows.append([name, label, part])
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return root / "manifest.csv"


def speckle_of(kind: str, seed: tuple[int, int]) -> np.ndarray:
    """Return the lesion's texture over the whole image, with gray levels of its own."""
    phantom = make_phantom(kind, size=96, seed=seed)
    rows, cols = np.nonzero(phantom.lesion)
    top, left = int(rows.mean()) - 16, int(cols.mean()) - 16
    cut = phantom.image[top : top + 32, left : left + 32]
    levels = np.linspace(20, 235, cut.size)
    image = np.empty(cut.size)
    image[cut.ravel().argsort(kind="stable")] = levels
    return np.uint8(np.rint(image.reshape(32, 32)))


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class Recording:
    """Pixels that remember which rows were read."""

    def __init__(self, pixels: Any) -> None:
        self.pixels, self.rows = pixels, set()
        self.shape, self.dtype = pixels.shape, pixels.dtype

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, rows: Any) -> np.ndarray:
        self.rows |= set(np.atleast_1d(rows).tolist())
        return self.pixels[rows]


@pytest.mark.slow
def test_planted_anomalies_are_found_by_their_texture(
    planted: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "run"
    run = ("anomaly", "--data.table", planted, *SHARED, *QUICK, "--out", out)
    code, told, err = glcm_mae(*run)
    assert code == 0, err
    assert "GLCM distance" in told
    assert {path.name for path in out.iterdir()} >= {
        *("config.yaml", "environment.json", "split.csv", "pretraining-split.csv"),
        *("pretraining", "scores.csv", "scores.json", "predictions.csv", "anomalies.png"),
    }
    table = read_rows(out / "scores.csv")
    tested = [row for row in table if row["part"] == "test"]
    truth = [row["label"] == "ill" for row in tested]
    assert sum(truth) == 12
    assert len(truth) == 24
    facts = json.loads((out / "scores.json").read_text())
    for name in ("mse", "ssim", "glcm", "combined"):
        area = roc_auc_score(truth, [float(row[name]) for row in tested])
        assert facts["systems"][name]["pooled"]["auroc"]["estimate"] == pytest.approx(area)
    glcm = facts["systems"]["glcm"]["pooled"]["auroc"]
    assert glcm["low"] > 0.5  # better than chance
    # 2 normal images of the table's validation part are too few for 95 %.
    inner = [row for row in table if row["part"] == "validation"]
    assert {row["label"] for row in inner} == {"normal"}
    assert len(inner) == facts["images"]["inner normal"] == 8
    assert "too few for a specificity of 0.95" in " ".join(facts["notes"])
    called = [float(row["combined"]) for row in inner]
    threshold = facts["systems"]["combined"]["operating_point"]["threshold"]
    assert np.mean(np.array(called) <= threshold) >= 0.95
    predictions = read_rows(out / "predictions.csv")
    assert list(predictions[0])[-2:] == ["p_ill", "p_normal"]
    for row, scores in zip(predictions, tested, strict=True):
        assert row["path"] == scores["path"]
        assert (row["predicted"] == "ill") == (float(scores["combined"]) > threshold)

    before = (out / "predictions.csv").read_bytes()
    code, again, err = glcm_mae(*run, "--resume")
    assert code == 0, err
    assert again == told
    assert (out / "predictions.csv").read_bytes() == before
    # Killed after the training: the scores come out the same.
    for name in ("scores.json", "scores.csv", "predictions.csv"):
        (out / name).unlink()
    code, again, err = glcm_mae(*run, "--resume")
    assert code == 0, err
    assert again == told
    assert (out / "predictions.csv").read_bytes() == before


def test_only_normal_training_images_are_learnt_from(
    planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = dict(zip((word[2:] for word in SHARED[::2]), SHARED[1::2], strict=True))
    flags |= {"data.table": str(planted), "out": str(tmp_path / "run"), "leak_check": "off"}
    config = build(AnomalyConfig, files=[], flags={**flags, "pretraining.epochs": "1"})
    table = read_table(planted, labelled=True)
    stored = np.stack([np.asarray(Image.open(table.file(row))) for row in range(len(table))])
    pixels = Recording(stored[:, None])
    seen: list[set[int]] = []

    def stop(*_: object) -> None:
        seen.append(set(pixels.rows))
        raise KeyboardInterrupt  # the training is done

    monkeypatch.setattr("glcm_mae.anomaly.detection._examiner", stop)
    with pytest.raises(KeyboardInterrupt):
        detect(config, images=LoadedImages(pixels, table, ()))
    split = {row["path"]: row["split"] for row in read_rows(tmp_path / "run" / "split.csv")}
    training = {row for row, name in enumerate(table.names) if split[name] == "train"}
    assert seen == [training]
    assert {table.classes[table.labels[row]] for row in training} == {"normal"}
    assert {split[name] for name in table.names if name.startswith("ill")} == {"unused", "test"}
    recorded = {row["path"] for row in read_rows(tmp_path / "run/pretraining/images.csv")}
    assert recorded == {table.names[row] for row in training}


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--normal", "healthy"], "normal 'healthy' must be one of at least two classes"),
        (["--specificity", "1"], "specificity"),
        (["--data.positive", "normal"], "data.positive is the normal class 'normal'"),
    ],
)
def test_bad_settings_are_told_in_one_line(
    planted: Path, tmp_path: Path, glcm_mae: Command, flags: list[str], message: str
) -> None:
    run = ("anomaly", "--data.table", planted, *SHARED, *QUICK, *flags)
    code, _, err = glcm_mae(*run, "--out", tmp_path / "run")
    assert code == 2
    assert message in err
    assert not (tmp_path / "run").exists()
