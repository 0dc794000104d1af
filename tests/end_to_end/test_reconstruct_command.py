"""``glcm-mae reconstruct`` on runs of pretrain and crossval."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from skimage.metrics import peak_signal_noise_ratio
from tiny import FINETUNE, PRETRAIN, Command

from glcm_mae.assembly import build_autoencoder, load_autoencoder
from glcm_mae.cli import main
from glcm_mae.config import ModelConfig
from glcm_mae.data import read_image, read_table, write_phantoms
from glcm_mae.data.batching.randomness import Stream, counted_uniforms
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.fidelity import FIGURE_FEATURES
from glcm_mae.model import complementary_from_noise, restore
from glcm_mae.texture import HARALICK_FEATURES
from once import MadeOnce

QUICK = ("--resamples", "200")
MSE = ("--losses.phases", "[{share: 1.0, mse: 1.0}]", "--losses.ssim.window", "11")
FIGURES = ("haralick_bars", "haralick_radar", "histogram", "spectrum")
FILES = {
    *("config.yaml", "gallery.png", "haralick.csv", "haralick.md"),
    *("reconstruction.json", "reconstructions.csv"),
    *(f"{name}.{kind}" for name in FIGURES for kind in ("pdf", "png", "svg")),
}


@pytest.fixture(scope="module")
def two_runs(phantoms: Path, made_once: MadeOnce) -> tuple[Path, Path]:
    """A pre-training with the squared error alone, and one with texture."""

    def make(parent: Path) -> None:
        for name, losses in (("mse", MSE), ("texture", ())):
            arguments = ["pretrain", "--data.table", phantoms, *PRETRAIN, *losses]
            main([*map(str, arguments), "--out", str(parent / name)])

    parent = made_once("restored_runs", make)
    return parent / "mse", parent / "texture"


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_runs_are_held_against_each_other(
    glcm_mae: Command, two_runs: tuple[Path, Path], phantoms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "kept"
    runs = (f"MAE={two_runs[0]}", f"GLCM={two_runs[1]}")
    table = ("--data.table", phantoms / "manifest.csv")
    code, text, err = glcm_mae("reconstruct", *runs, *table, *QUICK, "--out", out)
    assert code == 0, err
    assert {path.name for path in out.iterdir()} == FILES
    told = " ".join(text.split())
    assert "the same masks for all runs" in told
    assert "MAE: trained on 24 of 24 images" in told
    assert "GLCM minus MAE: " in told
    facts = json.loads((out / "reconstruction.json").read_text())
    assert facts["runs"] == ["MAE", "GLCM"]
    assert facts["images"] == 24
    assert facts["features"] == list(HARALICK_FEATURES)
    assert facts["figure_features"] == list(FIGURE_FEATURES)
    rows = read_rows(out / "reconstructions.csv")
    assert len(rows) == 48
    check_means(facts, rows)
    check_differences(facts, rows)
    assert sum(facts["histogram"]["original"]) == pytest.approx(1)
    assert len(facts["histogram"]["edges"]) == len(facts["histogram"]["systems"]["MAE"]) + 1
    assert (
        len(facts["spectrum"]["frequency"]) == len(facts["spectrum"]["systems"]["GLCM"]) == 16
    )
    check_one_image(two_runs[1], phantoms, rows)
    again = tmp_path / "again"
    code, _, err = glcm_mae("reconstruct", "--config", out / "config.yaml", "--out", again)
    assert code == 0, err
    for name in FILES - {"config.yaml"}:
        assert (again / name).read_bytes() == (out / name).read_bytes(), name


def check_means(facts: dict, rows: list[dict[str, str]]) -> None:
    for name, system in facts["systems"].items():
        own = [row for row in rows if row["run"] == name]
        columns = {
            **system["measures"],
            **{f"error_{feature}": part for feature, part in system["errors"].items()},
            "mean_haralick_error": system["mean_error"],
        }
        for column, part in columns.items():
            values = [float(row[column]) for row in own]
            assert part["estimate"] == pytest.approx(np.mean(values))
            assert min(values) <= part["low"] <= part["estimate"] <= part["high"] <= max(values)
        for feature, mean in system["features"].items():
            assert mean == pytest.approx(
                np.mean([float(r[f"restored_{feature}"]) for r in own])
            )
            original = np.mean([float(row[f"original_{feature}"]) for row in own])
            assert facts["original"][feature] == pytest.approx(original)
        ranked = sorted(own, key=lambda row: float(row["mean_haralick_error"]))
        assert facts["cases"][name]["best"] == [row["path"] for row in ranked[:2]]
        assert facts["cases"][name]["worst"] == [row["path"] for row in ranked[:-3:-1]]


def check_differences(facts: dict, rows: list[dict[str, str]]) -> None:
    error = {(row["run"], row["path"]): float(row["mean_haralick_error"]) for row in rows}
    paths = {row["path"] for row in rows}
    paired = [error["GLCM", path] - error["MAE", path] for path in paths]
    (found,) = facts["differences"]
    assert (found["first"], found["second"]) == ("MAE", "GLCM")
    assert found["estimate"] == pytest.approx(np.mean(paired))
    assert found["low"] < found["estimate"] < found["high"]
    same = found["low"] <= 0 <= found["high"]
    assert ("not distinguishable" in found["verdict"]) == same


def check_one_image(run: Path, phantoms: Path, rows: list[dict[str, str]]) -> None:
    """Restore one image by hand."""
    table = read_table(phantoms / "manifest.csv", labelled=False)
    stored = load_autoencoder(run)
    settings = ModelConfig(**stored.facts["model"])
    model = build_autoencoder(settings, seed=0)
    model.load_state_dict(stored.tensors)
    image = torch.from_numpy(read_image(table.file(7), policy=ReadingPolicy(size=(32, 32))))
    noise = torch.from_numpy(counted_uniforms(0, 0, [7], 16, stream=Stream.MASK))
    masks = complementary_from_noise(noise, 0.75)
    restored = restore(model.eval(), image[None], masks, patch_size=8)[0]
    row = next(row for row in rows if (row["run"], row["path"]) == ("GLCM", table.name(7)))
    expected = peak_signal_noise_ratio(image.numpy(), restored.numpy(), data_range=1.0)
    assert float(row["psnr"]) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_every_fold_restores_the_images_that_it_tests(
    glcm_mae: Command, two_runs: tuple[Path, Path], phantoms: Path, tmp_path: Path
) -> None:
    table, out = phantoms / "manifest.csv", tmp_path / "out"
    folds = ("--folds.count", "2", "--seeds", "2", "--baselines", "off")
    code, _, err = glcm_mae(
        *("crossval", "--data.table", table, "--data.positive", "sparse", *PRETRAIN),
        *(*FINETUNE, *folds, "--evaluation.resamples", "200", "--out", tmp_path / "cv"),
    )
    assert code == 0, err
    code, text, err = glcm_mae(
        *("reconstruct", tmp_path / "cv", f"whole={two_runs[0]}", "--part", "test"),
        *(*QUICK, "--out", out),
    )
    assert code == 0, err
    assert yaml.safe_load((out / "config.yaml").read_text())["data"]["table"] == str(table)
    told = " ".join(text.split())
    assert "cv: every image restored by the fold that tests it" in told
    assert "those of the crossval" in told
    rows = {row["path"]: row for row in read_rows(out / "reconstructions.csv")[:24]}
    for number in (0, 1):
        folder = tmp_path / "cv" / f"fold-{number}"
        parts = {row["path"]: row["split"] for row in read_rows(folder / "split.csv")}
        tested = [path for path, part in parts.items() if part == "test"]
        alone = tmp_path / f"alone-{number}"
        code, _, err = glcm_mae(
            *("reconstruct", folder / "seed-0" / "pretraining", "--data.table", table),
            *("--data.split", folder / "split.csv", "--part", "test", *QUICK, "--out", alone),
        )
        assert code == 0, err
        own = read_rows(alone / "reconstructions.csv")
        assert sorted(row["path"] for row in own) == sorted(tested)
        for row in own:
            assert float(row["mse"]) == pytest.approx(float(rows[row["path"]]["mse"]), rel=1e-5)
        assert "trained on 0 of 12 images" in (alone / "haralick.md").read_text()


def test_what_cannot_be_compared_is_refused(
    glcm_mae: Command, two_runs: tuple[Path, Path], phantoms: Path, tmp_path: Path
) -> None:
    first, second = two_runs
    table, out = ("--data.table", phantoms / "manifest.csv"), ("--out", tmp_path / "no")
    other = tmp_path / "other"
    code, _, err = glcm_mae(
        *("pretrain", "--data.table", phantoms, *PRETRAIN, "--model.image_size", "48"),
        *("--data.fit", "crop", "--out", other),
    )
    assert code == 0, err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a.txt").touch()
    bare = tmp_path / "bare"
    shutil.copytree(first, bare)
    (bare / "config.yaml").unlink()
    for arguments, message in (
        ((first, other, *table, *out), "mse and other do not read images alike: "),
        ((first, other, *table, *out), "size [32, 32] and [48, 48]"),
        ((first, other, *table, *out), "fit pad and crop"),
        ((f"a={first}", f"a={second}", *table, *out), "two runs are called a: give them names"),
        ((first, first, *table, *out), "runs: names a run twice"),
        ((first, *table, *out, "--part", "test"), "tells no parts; give a column split"),
        ((first, *table, *out, "--data.fit", "crop"), "data.fit crop (the runs: pad): images"),
        ((bare, first, *out), "bare: does not tell where its images lie; name them with"),
        ((tmp_path, *table, *out), "no autoencoder and no checkpoint"),
        ((first, *table, "--out", tmp_path / "full"), "choose another --out"),
    ):
        code, told, err = glcm_mae("reconstruct", *arguments)
        assert (code, told) == (2, ""), (arguments, err)
        assert message in err
        assert len(err.strip().splitlines()) <= 2
    assert not (tmp_path / "no").exists()


@pytest.mark.slow
def test_one_run_and_a_single_image_do(
    glcm_mae: Command, two_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = write_phantoms(tmp_path / "one", count=1, size=32, seed=8, labelled=False)
    code, text, err = glcm_mae(
        *("reconstruct", two_runs[0], "--data.table", folder, *QUICK, "--out", tmp_path / "out")
    )
    assert code == 0, err
    assert "Restored while hidden: 1 image" in text
    assert "mse: trained on 0 of 1 image" in " ".join(text.split())
