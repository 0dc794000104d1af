"""The demonstration in small, and every example as a user would run it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny import Command

from glcm_mae import demo

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "examples").glob("*.py"))


@pytest.mark.slow
def test_demo_compares_three_systems_and_says_what_is_next(
    glcm_mae: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "SIZE", 32)
    monkeypatch.setattr(demo, "UNLABELLED", 16)
    monkeypatch.setattr(demo, "LABELLED", 18)
    monkeypatch.setattr(demo, "FOLDS", 2)
    monkeypatch.setitem(demo.MODEL, "image_size", [32, 32])
    monkeypatch.setitem(
        demo.MODEL, "encoder_options", {"depth": 1, "embed_dim": 32, "num_heads": 2}
    )
    monkeypatch.setitem(demo.PRETRAINING, "epochs", 2)
    monkeypatch.setitem(demo.FINETUNING, "epochs", 1)
    out = tmp_path / "demo"
    code, text, err = glcm_mae("demo", "--out", out)
    assert code == 0, err
    for row in ("majority class", "gray-level statistics", *demo.SYSTEMS):
        assert row in text
    assert "glcm-mae crossval" in err
    for name in ("mae", "glcm-mae"):
        assert (out / name / "pretraining" / "reconstructions.png").is_file()
        notes = json.loads((out / name / "crossval" / "scores.json").read_text())["notes"]
        assert any("trained on none of these images" in note for note in notes)
    first = json.loads(
        (out / "mae" / "pretraining" / "metrics.jsonl").read_text().splitlines()[-1]
    )
    assert "term/glcm" not in first
    again = glcm_mae("demo", "--out", out, "--resume")
    assert again[0] == 0
    assert again[1] == text
    code, _, err = glcm_mae("demo", "--out", out)
    assert code == 2


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example(path: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    result = subprocess.run(
        [sys.executable, path, tmp_path / "out"],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=200,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "out").rglob("encoder.safetensors"))


def test_help_does_not_import_what_is_slow() -> None:
    code = (
        "import sys\nfrom glcm_mae.cli import main\n"
        "try:\n    main(['crossval', '--help'])\n"
        "except SystemExit as stop:\n    assert not stop.code\n"
        "slow = {'torch', 'timm', 'sklearn', 'scipy', 'matplotlib', 'numpy', 'PIL', 'rich'}\n"
        "found = slow & set(sys.modules)\nassert not found, found\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    assert "--losses.glcm.bandwidth" in result.stdout
