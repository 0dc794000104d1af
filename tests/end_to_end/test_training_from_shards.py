"""Shards hold what the files hold: a training from either ends with the same weights."""

from pathlib import Path

from safetensors.numpy import load_file
from tiny import FINETUNE, PRETRAIN, TINY, Command


def test_training_from_shards_is_training_from_files(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    shards = tmp_path / "shards"
    code, out, err = glcm_mae(
        *("data", "shard", phantoms, *TINY, "--images_per_shard", "10", "--out", shards)
    )
    assert code == 0, err
    assert "24 images" in out
    assert len(list(shards.glob("*.tar"))) == 3
    for name, table in (("of-files", phantoms), ("of-shards", shards)):
        code, _, err = glcm_mae(
            *("pretrain", "--data.table", table, *PRETRAIN, "--out", tmp_path / name)
        )
        assert code == 0, err
    first, second = (
        load_file(tmp_path / name / "encoder.safetensors") for name in ("of-files", "of-shards")
    )
    assert first.keys() == second.keys()
    assert all((first[key] == second[key]).all() for key in first)


def test_shards_made_otherwise_are_refused_and_labels_come_along(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    shards = tmp_path / "shards"
    assert glcm_mae("data", "shard", phantoms, *TINY, "--out", shards)[0] == 0
    tune = ("finetune", "--data.table", shards, *TINY, *FINETUNE, "--start", "scratch")
    code, _, err = glcm_mae(*tune, "--data.window", "percentile", "--out", tmp_path / "a")
    assert code == 2
    assert "window" in err
    code, _, err = glcm_mae(*tune, "--leak-check", "off", "--out", tmp_path / "b")
    assert code == 0, err
    assert (tmp_path / "b" / "predictions.csv").is_file()
    code, _, err = glcm_mae(*tune, "--out", tmp_path / "c")
    assert code == 0, err
