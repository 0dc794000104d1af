"""Starting from weights of others and of earlier runs, through the command line."""

import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import FINETUNE, PRETRAIN, TINY, Command

from glcm_mae.model import build_encoder


@pytest.fixture(scope="module")
def timm_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights in colour under timm's names."""
    torch.manual_seed(0)
    options = {"depth": 1, "embed_dim": 32, "num_heads": 2}
    encoder = build_encoder(
        *("vit_tiny_patch16_224",),
        image_size=(48, 48),
        patch_size=8,
        channels=3,
        options=options,
    )
    path = tmp_path_factory.mktemp("timm") / "model.safetensors"
    save_file(dict(encoder.vit.state_dict()), path)
    return path


def test_pretraining_goes_on_from_them(
    glcm_mae: Command, phantoms: Path, timm_file: Path, tmp_path: Path
) -> None:
    start = ["--pretraining.weights", timm_file, "--pretraining.learning_rate", "1e-12"]
    table = ["pretrain", "--data.table", phantoms, *PRETRAIN]
    code, _, err = glcm_mae(*table, *start, "--out", tmp_path / "run")
    assert code == 0, err
    assert "pos_embed 6 x 6 -> 4 x 4" in err
    assert "patch_embed.proj.weight 32 x 3 x 8 x 8 -> 32 x 1 x 8 x 8" in err
    ended, begun = load_file(tmp_path / "run/encoder.safetensors"), load_file(timm_file)
    name = "blocks.0.mlp.fc1.weight"
    torch.testing.assert_close(ended[name], begun[name], rtol=0, atol=1e-6)
    # A run is a start as well, also of another size: encoder and decoder.
    again = ["--pretraining.weights", tmp_path / "run", "--pretraining.learning_rate", "1e-12"]
    size = ["--model.image_size", "48"]
    code, _, err = glcm_mae(*table, *again, *size, "--out", tmp_path / "again")
    assert code == 0, err
    assert "0 missing" in err
    seen = (tmp_path / "run/images.csv").read_text().split()[1:]
    known = (tmp_path / "again/earlier_images.csv").read_text()
    assert "not known" in known, "what the weights from elsewhere saw"
    assert all(line.partition(",")[2] in known for line in seen)
    first, second = (
        load_file(tmp_path / run / "autoencoder.safetensors") for run in ("run", "again")
    )
    for name in ("head.weight", "blocks.0.attn.qkv.weight", "encoder.input_mean"):
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=1e-6)


def test_finetuning_goes_on_from_them(
    glcm_mae: Command, phantoms: Path, timm_file: Path, tmp_path: Path
) -> None:
    table = ["finetune", "--data.table", phantoms, *TINY, *FINETUNE, "--leak-check", "off"]
    code, _, err = glcm_mae(*table, "--weights", timm_file, "--out", tmp_path / "run")
    assert code == 0, err
    assert "tensors loaded" in err


def test_finetuning_at_another_size_than_the_run(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    run = tmp_path / "pre"
    code, _, err = glcm_mae("pretrain", "--data.table", phantoms, *PRETRAIN, "--out", run)
    assert code == 0, err
    tuning = ["finetune", "--data.table", phantoms, *FINETUNE, "--leak-check", "off"]
    size = ["--weights", run, "--model.image_size", "64"]
    code, _, err = glcm_mae(*tuning, *size, "--out", tmp_path / "fine")
    assert code == 0, err
    positions = load_file(tmp_path / "fine/classifier.safetensors")["encoder.vit.pos_embed"]
    assert positions.shape == (1, 65, 32)


class _Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch " + os.environ["CANARY"],)


@pytest.mark.parametrize("name", ["bomb.pth", "bomb.safetensors", "bomb.bin"])
@pytest.mark.parametrize("verb", ["pretrain", "finetune"])
def test_a_pickle_bomb_is_refused(
    verb: str,
    name: str,
    glcm_mae: Command,
    phantoms: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    canary = tmp_path / "canary"
    monkeypatch.setenv("CANARY", str(canary))
    bomb = tmp_path / name
    bomb.write_bytes(pickle.dumps({"model": _Bomb()}))
    flag = {"pretrain": "--pretraining.weights", "finetune": "--weights"}[verb]
    settings = PRETRAIN if verb == "pretrain" else [*TINY, *FINETUNE]
    out = tmp_path / "run"
    code, _, err = glcm_mae(verb, "--data.table", phantoms, *settings, flag, bomb, "--out", out)
    assert code == 2, err
    assert len([line for line in err.splitlines() if "error" in line]) == 1
    assert name in err
    assert not canary.exists()


def test_weights_that_are_not_there(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    for flag, verb in (("--pretraining.weights", "pretrain"), ("--weights", "finetune")):
        arguments = [verb, "--data.table", phantoms, flag, tmp_path / "none.pth"]
        code, _, err = glcm_mae(*arguments, "--out", tmp_path / "run")
        assert code == 2
        assert "none.pth" in err.splitlines()[-1]
