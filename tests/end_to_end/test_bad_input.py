"""Bad input: one line that names the thing and the remedy, exit code 2, nothing left behind."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import FINETUNE, PRETRAIN, TINY, Command

from glcm_mae.verbs import VERBS


def refused(glcm_mae: Command, *arguments: str | Path) -> str:
    """Run a command that must be refused; return its one line."""
    code, out, err = glcm_mae(*arguments)
    lines = [line for line in err.splitlines() if line.startswith("glcm-mae: error: ")]
    assert code == 2, err
    assert len(lines) == 1, err
    assert err.splitlines()[-1] == lines[0]
    assert out == ""
    assert "Traceback" not in err
    return lines[0].removeprefix("glcm-mae: error: ")


def images(folder: Path, *names: str) -> Path:
    rng = np.random.default_rng(0)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32), dtype=np.uint8)).save(folder / name)
    return folder


def pretrain(glcm_mae: Command, table: Path, out: Path, *more: str) -> str:
    return refused(glcm_mae, "pretrain", "--data.table", table, *PRETRAIN, *more, "--out", out)


def crossval(glcm_mae: Command, table: Path, out: Path, *more: str) -> str:
    settings = [*PRETRAIN, *FINETUNE, *more]
    return refused(glcm_mae, "crossval", "--data.table", table, *settings, "--out", out)


def test_missing_folder(glcm_mae: Command, tmp_path: Path) -> None:
    text = pretrain(glcm_mae, tmp_path / "nowhere", tmp_path / "run")
    assert text == (
        f"{tmp_path / 'nowhere'}: no such folder or manifest; check the path (that of a recipe "
        "is a stand-in for yours)"
    )
    assert not (tmp_path / "run").exists()


def test_empty_folder(glcm_mae: Command, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    text = pretrain(glcm_mae, tmp_path / "empty", tmp_path / "run")
    assert text.startswith(f"{tmp_path / 'empty'}: holds no images (.png .jpg")
    assert text.endswith("; give the folder that holds them")


def test_one_class_only(glcm_mae: Command, tmp_path: Path) -> None:
    folder = images(tmp_path / "data", "ill/a.png", "ill/b.png")
    text = crossval(glcm_mae, folder, tmp_path / "run")
    assert f"{folder}: " in text
    assert "two classes or more, found only 'ill'" in text


def test_truncated_png(glcm_mae: Command, tmp_path: Path) -> None:
    folder = images(tmp_path / "data", "a.png", "b.png", "c.png")
    whole = (folder / "b.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])
    text = pretrain(glcm_mae, folder, tmp_path / "run")
    assert "1 of 3" in text
    assert "b.png" in text
    assert "--data.on_error skip" in text
    assert not (tmp_path / "run").exists()


def test_truncated_png_skipped_and_counted(glcm_mae: Command, tmp_path: Path) -> None:
    folder = images(tmp_path / "data", *(f"{k}.png" for k in range(9)))
    (folder / "3.png").write_bytes(b"not an image")
    out = tmp_path / "run"
    code, _, err = glcm_mae(
        *("pretrain", "--data.table", folder, "--data.on_error", "skip"),
        *PRETRAIN,
        "--out",
        out,
    )
    assert code == 0, err
    assert "skipped 3.png" in err
    assert "8 images read, 1 skipped" in err
    assert "3.png" not in (out / "images.csv").read_text()


def test_manifest_without_label(glcm_mae: Command, tmp_path: Path) -> None:
    folder = images(tmp_path / "data", "a.png", "b.png")
    (folder / "manifest.csv").write_text("path,group\na.png,1\nb.png,2\n")
    text = crossval(glcm_mae, folder / "manifest.csv", tmp_path / "run")
    assert f"{folder / 'manifest.csv'}: " in text
    assert "needs the column 'label', found path, group" in text


def test_manifest_without_path(glcm_mae: Command, tmp_path: Path) -> None:
    table = tmp_path / "manifest.csv"
    table.write_text("file,label\na.png,1\n")
    text = pretrain(glcm_mae, table, tmp_path / "run")
    assert f"{table}: " in text
    assert "needs the column 'path', found file, label" in text


def test_manifest_names_a_missing_file(glcm_mae: Command, tmp_path: Path) -> None:
    folder = images(tmp_path / "data", "a.png")
    (folder / "manifest.csv").write_text("path,label\na.png,x\ngone.png,y\n")
    text = crossval(glcm_mae, folder / "manifest.csv", tmp_path / "run")
    assert "gone.png" in text
    assert f"{folder / 'manifest.csv'}: " in text


def test_fewer_patients_than_folds(glcm_mae: Command, tmp_path: Path) -> None:
    names = [f"{label}{k}.png" for label in "xy" for k in range(4)]
    folder = images(tmp_path / "data", *names)
    rows = [f"{name},{name[0]},p{int(name[1]) % 2}\n" for name in names]
    (folder / "manifest.csv").write_text("path,label,group\n" + "".join(rows))
    positive = ("--data.positive", "x", "--folds.count", "5")
    text = crossval(glcm_mae, folder / "manifest.csv", tmp_path / "run", *positive)
    assert text.startswith("groups: 2 patients (groups) for 5 folds; ")
    assert not (tmp_path / "run").exists()


def test_image_size_no_multiple_of_the_patch(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    text = pretrain(glcm_mae, phantoms, tmp_path / "run", "--model.image_size", "30")
    assert text == (
        "model.image_size 30 x 30 is no multiple of model.patch_size 8: "
        "choose for instance 32 x 32"
    )


def test_run_folder_exists(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    text = pretrain(glcm_mae, phantoms, out)
    assert text == f"{out}: run folder exists; choose another --out"
    assert [p.name for p in out.iterdir()] == ["notes.txt"]


def test_finished_run_is_not_overwritten(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    assert glcm_mae("pretrain", "--data.table", phantoms, *PRETRAIN, "--out", out)[0] == 0
    before = (out / "encoder.safetensors").read_bytes()
    text = pretrain(glcm_mae, phantoms, out)
    assert (
        text == f"{out}: run folder exists; choose another --out, or continue it with --resume"
    )
    text = pretrain(glcm_mae, phantoms, out, "--resume", "--pretraining.epochs", "5")
    assert text == (
        f"{out}: cannot be resumed with other settings; differing: pretraining.epochs"
    )
    assert (out / "encoder.safetensors").read_bytes() == before


def test_images_that_changed_since_the_run_began(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    table = shutil.copytree(phantoms, tmp_path / "data")
    out = tmp_path / "run"
    assert glcm_mae("pretrain", "--data.table", table, *PRETRAIN, "--out", out)[0] == 0
    next(iter(sorted(table.rglob("*.png")))).unlink()
    text = pretrain(glcm_mae, table, out, "--resume")
    assert text.startswith(f"{out / 'images.csv'}: the images have changed since the run began")


def test_unknown_setting_in_a_recipe(glcm_mae: Command, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {table: x}\nlosses: {glcm: {level: 64}}\nout: y\n")
    text = refused(glcm_mae, "pretrain", "--config", recipe)
    assert text == "losses.glcm.level: no such setting; did you mean losses.glcm.levels?"


def test_recipe_that_is_not_yaml(glcm_mae: Command, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("data: {table: x\n")
    assert refused(glcm_mae, "pretrain", "--config", recipe).startswith(
        f"{recipe}: is not YAML"
    )
    missing = tmp_path / "none.yaml"
    text = refused(glcm_mae, "pretrain", "--config", missing)
    assert text == f"{missing}: cannot be read (No such file or directory); check --config"


def test_mistyped_flag_and_command(glcm_mae: Command) -> None:
    text = refused(glcm_mae, "pretrain", "--data.tabel", "x")
    assert "did you mean --data.table?" in text
    text = refused(glcm_mae, "pretrian")
    assert (
        text == "no such command: pretrian; did you mean pretrain? (glcm-mae --help shows all)"
    )
    assert "behind data comes one of audit, catalog," in refused(glcm_mae, "data")
    assert "there are demo, pretrain," in refused(glcm_mae, "xyz")


@pytest.mark.parametrize("verb", [name for name in VERBS if name != "demo"])
def test_a_command_alone_says_what_it_needs_or_does_it(glcm_mae: Command, verb: str) -> None:
    code, out, err = glcm_mae(*verb.split())
    if code == 0:
        assert verb in ("data cache", "data catalog")
        assert out
        return
    assert code == 2
    assert len(err.splitlines()) == 1
    assert "required" in err


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--losses.glcm.levels", "1"], "losses.glcm.levels: input should be greater than or"),
        (
            ["--losses.glcm.bandwidth", "0"],
            "losses.glcm.bandwidth: input should be greater than 0",
        ),
        (
            ["--losses.glcm.offsets", "[[0, 8]]"],
            "losses.glcm.offsets (0, 8) must be shorter than",
        ),
        (["--losses.ssim.window", "9"], "pass --losses.ssim.window 7"),
        (["--losses.ssim.window", "6"], "the window must be odd, got 6"),
        (["--losses.phases", "[{share: 0.4, mse: 1}]"], "must sum to 1, got 0.4"),
        (["--losses.phases", "[{share: 1.0}]"], "at least one weight above 0"),
        (["--model.mask_ratio", "1"], "model.mask_ratio: input should be less than 1"),
        (["--model.decoder_width", "30"], "must be a multiple of 4 and of model.decoder_heads"),
        (["--model.encoder", "resnet18"], "cannot be built as a vision transformer"),
        (["--model.encoder", "vit_enormous"], "is not a timm model"),
        (
            ["--pretraining.epochs", "many"],
            "pretraining.epochs: input should be a valid integer",
        ),
    ],
)
def test_bad_values(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, flags: list[str], words: str
) -> None:
    assert words in pretrain(glcm_mae, phantoms, tmp_path / "run", *flags)


def test_two_classes_need_a_positive_one(glcm_mae: Command, tmp_path: Path) -> None:
    names = [f"{label}/{k}.png" for label in ("ill", "well") for k in range(6)]
    folder = images(tmp_path / "data", *names)
    text = crossval(glcm_mae, folder, tmp_path / "run")
    assert text == (
        "two classes (ill, well): name the positive one, for instance --data.positive well"
    )
    text = crossval(glcm_mae, folder, tmp_path / "run", "--data.positive", "sick")
    assert text == "data.positive 'sick' is no class; there are ill, well"


def test_weights_that_do_not_fit(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert glcm_mae("pretrain", "--data.table", phantoms, *PRETRAIN, "--out", out)[0] == 0
    tune = ["finetune", "--data.table", phantoms, *FINETUNE]
    text = refused(
        glcm_mae, *tune, "--weights", out, "--model.patch_size", "4", "--out", tmp_path / "a"
    )
    other = f"{out}: was trained with other settings: model.patch_size 8 (here 4)"
    assert text.startswith(other)
    encoder = out / "encoder.safetensors"
    encoder.write_bytes(encoder.read_bytes()[:-100])
    text = refused(glcm_mae, *tune, "--weights", out, "--out", tmp_path / "b")
    assert text.startswith(f"{encoder}: not a whole safetensors file")
    shutil.rmtree(out)
    text = refused(glcm_mae, *tune, "--weights", out, "--out", tmp_path / "c")
    assert text.startswith(f"{out}: no such encoder")
    text = refused(glcm_mae, *tune, *TINY, "--out", tmp_path / "d")
    assert "start: weights needs --weights RUN_FOLDER" in text


def test_reconstruct_without_a_run(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    text = refused(
        glcm_mae,
        *("reconstruct", tmp_path / "none", "--data.table", phantoms),
        *("--out", tmp_path / "out"),
    )
    assert "no autoencoder and no checkpoint" in text


def test_divergence_names_the_images_and_keeps_the_checkpoint(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from glcm_mae.losses import objective

    calls = 0
    honest = objective.masked_mse

    def poisoned(*arguments: object, **keywords: object) -> torch.Tensor:
        nonlocal calls
        calls += 1
        value = honest(*arguments, **keywords)  # type: ignore[arg-type]
        return value * float("nan") if calls >= 5 else value

    monkeypatch.setattr(objective, "masked_mse", poisoned)
    out = tmp_path / "run"
    strict = ["--pretraining.skip_non_finite", "0"]
    code, _, err = glcm_mae(
        *("pretrain", "--data.table", phantoms, *PRETRAIN, *strict, "--out", out)
    )
    assert code == 3
    line = err.splitlines()[-1]
    assert line.startswith("glcm-mae: error: loss, term/mse"), err
    assert "not finite at epoch 1, step 1" in line
    assert line.count(".png") == 8
    assert "try a lower pretraining.learning_rate" in line
    # The first epoch's checkpoint is whole, and the run goes on from it.
    monkeypatch.setattr(objective, "masked_mse", honest)
    code, _, err = glcm_mae(
        *("pretrain", "--data.table", phantoms), *PRETRAIN, *strict, "--resume", "--out", out
    )
    assert code == 0, err
    assert "after 1 epochs" in err
