"""Soft against hard, from the command line."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import Command

from glcm_mae.data import make_phantom
from glcm_mae.texture import Offset, cooccurrence, haralick_features, hard_membership

FILES = ["softness.csv", "softness.json", "softness.pdf", "softness.png", "softness.svg"]
IMAGE_NAME = "zebra_1967.png"


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("softness") / IMAGE_NAME
    values = make_phantom("coarse", size=96, seed=4).image
    Image.fromarray(np.uint8(255 * values)).save(path)
    return path


def facts(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "softness.json").read_text())
    return found


def test_an_image_is_counted_hard_and_soft(
    image: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "soft"
    region = ["--region", "[10, 20, 40, 30]", "--offset", "[1, 1]", "--symmetric", "true"]
    wanted = ["--bandwidths", "[1.0, 0.0333, 0.0001, 0.5]"]
    code, said, err = glcm_mae("softness", image, *region, *wanted, "--out", out)
    assert code == 0, err
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert all(f"b = {width}" in said for width in ("0.0001", "0.0333", "0.5", "1"))
    assert b"the paper's W = 30" in (out / "softness.svg").read_bytes()
    found = facts(out)
    assert found["image"] == IMAGE_NAME
    assert found["region"] == {"row": 10, "col": 20, "height": 40, "width": 30}
    assert [one["bandwidth"] for one in found["soft"]] == [0.0001, 0.0333, 0.5, 1.0]
    distances = [one["distance"] for one in found["soft"]]
    assert distances == sorted(distances)
    assert distances[0] < 1e-4
    patch = torch.from_numpy(np.asarray(Image.open(image)) / 255)[10:50, 20:50]
    matrix = cooccurrence(hard_membership(patch, 8), [Offset(1, 1)], symmetric=True)[0]
    for name, value in haralick_features(matrix).items():
        assert found["hard"]["features"][name] == pytest.approx(float(value), abs=1e-6)
    with (out / "softness.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["quantity"] == "distance"
    assert float(rows[0]["bandwidth 0.5"]) == pytest.approx(distances[2])
    assert len(rows) == 4 + 14
    with Image.open(out / "softness.png") as picture:
        assert min(picture.size) > 500


@pytest.mark.slow
def test_the_papers_setting_and_ours(image: Path, tmp_path: Path, glcm_mae: Command) -> None:
    shares = {}
    for levels, bandwidth in ((256, "0.0333"), (32, "0.5")):
        out = tmp_path / str(levels)
        settings = ["--levels", str(levels), "--bandwidths", bandwidth, "--side", "32"]
        assert glcm_mae("softness", image, *settings, "--out", out)[0] == 0
        shares[levels] = facts(out)["soft"][0]["gradient"]["share"]
    assert shares[256] < 0.55
    assert shares[32] > 0.98


def test_other_formats_and_hidden_names(tmp_path: Path, glcm_mae: Command) -> None:
    path, out = tmp_path / "quagga_1883.npy", tmp_path / "soft"
    stack = np.random.default_rng(0).integers(0, 256, (3, 40, 36), dtype=np.uint8)
    np.save(path, stack)
    common = ["--axis", "0", "--region", "whole", "--out", out]
    code, _, err = glcm_mae("softness", path, *common)
    assert code == 2
    assert "pass the number of one as --frame" in err
    hidden = ["--names", "hashed", "--key", tmp_path / "key"]
    code, _, err = glcm_mae("softness", path, "--frame", "1", *common, *hidden)
    assert code == 0, err
    assert facts(out)["region"] == {"row": 0, "col": 0, "height": 40, "width": 36}
    for written in out.iterdir():
        assert b"quagga" not in written.read_bytes()


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["--region", "[90, 0, 20, 20]"], "leaves the image of 96 x 96 pixels"),
        (["--side", "97"], "pass a smaller --side, or --region whole"),
        (["--side", "16", "--offset", "[0, 16]"], "offset [0, 16] must be shorter than the"),
        (["--offset", "[0, 0]"], "offset must not be (0, 0)"),
        (["--region", "[0, 0, 0, 5]"], "neither height nor width 0"),
        (["--blur", "4"], "blur: the mean filter must be odd, got 4"),
        (["--bandwidths", "[0.5, 0.5]"], "bandwidths: each bandwidth may be given once"),
        (["--bandwidths", "[0]"], "bandwidths.0: input should be greater than 0"),
        (["--levels", "1"], "levels: input should be greater than or equal to 2"),
    ],
)
def test_bad_settings(
    settings: list[str], told: str, image: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "soft"
    code, _, err = glcm_mae("softness", image, *settings, "--out", out)
    assert code == 2
    assert told in err
    assert len(err.strip().splitlines()) == 1
    assert not out.exists()


def test_bad_files(image: Path, tmp_path: Path, glcm_mae: Command) -> None:
    text = tmp_path / "text.png"
    text.write_text("no image")
    code, _, err = glcm_mae("softness", text, "--out", tmp_path / "soft")
    assert code == 2
    assert f"{text}: cannot be read as an image" in err
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    code, _, err = glcm_mae("softness", image, "--out", tmp_path / "there")
    assert code == 2
    assert "exists and is not empty; choose another --out" in err
