"""ablate: from a recipe and some values to whole cross-validations, a table and a sentence."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tiny import PRETRAIN, Command

from warm import Nursery

SETTINGS = [
    *PRETRAIN,
    *("--protocol", "linear", "--folds.count", "2"),
    *("--evaluation.resamples", "200", "--fanout.threads", "1"),
]
FILES = {f"ablation.{kind}" for kind in ("csv", "json", "md", "pdf", "png", "svg", "tex")}
PATIENCE = 300.0


def facts_of(out: Path) -> dict[str, Any]:
    return dict(json.loads((out / "ablation.json").read_text()))


def trained(out: Path) -> list[str]:
    """Return the pre-trainings that were done, not those that are shown by a link."""
    found = [path.parent for path in out.glob("*/fold-*/pretraining/done.json")]
    return sorted(str(p.relative_to(out)) for p in found if not p.is_symlink())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_variant_is_a_cross_validation_of_its_own(
    tmp_path: Path, phantoms: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "ablation"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"data: {{table: {phantoms}}}\nlosses: {{glcm: {{levels: 16}}}}\n")
    command = ["ablate", recipe, "--vary", "model.mask_ratio=[0.5,0.75]", *SETTINGS]
    code, told, error = glcm_mae(*command, "--out", out)
    assert code == 0, error
    facts = facts_of(out)
    assert [variant["name"] for variant in facts["variants"]] == ["base", "mask_ratio 0.5"]
    assert facts["verdicts"][0] in told
    assert "distinguishable" in facts["verdicts"][0] or "than" in facts["verdicts"][0]
    assert "mask_ratio 0.75 (base)" in told
    assert {path.name for path in out.glob("ablation.*")} == FILES
    with Image.open(out / "ablation.png") as picture:
        assert picture.size[0] > 600
    assert r"\toprule" in (out / "ablation.tex").read_text()

    # A variant is what crossval makes of its settings, byte by byte.
    alone = tmp_path / "alone"
    settings = out / "mask_ratio-0.5" / "config.yaml"
    assert glcm_mae("crossval", "--config", settings, "--out", alone)[0] == 0
    for name in ("predictions.csv", "plan.json", "folds.csv", "scores.json"):
        assert (alone / name).read_bytes() == (settings.parent / name).read_bytes()
    code, told, error = glcm_mae(
        *("compare", out / "base", settings.parent, "--scores", "[auroc]"),
        *("--resamples", "200", "--out", tmp_path / "compared"),
    )
    assert code == 0, error
    (pair,) = json.loads((tmp_path / "compared" / "comparison.json").read_text())["pairs"]
    (contrast,) = (c for c in facts["contrasts"] if c["score"] == "auroc")
    assert contrast["difference"] == pytest.approx(-pair["scores"][0]["difference"]["estimate"])
    assert contrast["p_value"] == pytest.approx(pair["scores"][0]["p_value"])

    # The restorations that the means stand for lie beside the weights that made them.
    own = [json.loads(path.read_text()) for path in out.glob("base/*/*/test_fidelity.json")]
    errors = [value for part in own for value in part["values"]["haralick_error"]]
    assert len(errors) == len({name for part in own for name in part["images"]}) == 24
    base = facts["variants"][0]
    mean = base["fidelity"]["haralick_error"]
    assert mean["estimate"] == pytest.approx(sum(errors) / 24)
    assert mean["low"] < mean["estimate"] < mean["high"]
    with (out / "ablation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["mask_ratio 0.5", "mask_ratio 0.75"]
    assert float(rows[1]["haralick_error_estimate"]) == mean["estimate"]

    before = {name: (out / name).read_bytes() for name in FILES}
    code, _, error = glcm_mae(*command, "--out", out, "--resume")
    assert code == 0, error
    assert {name: (out / name).read_bytes() for name in FILES} == before
    assert glcm_mae(*command, "--out", out)[0] == 2  # never overwritten


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_jobs_are_shared_a_failure_stands_in_the_table_and_time_may_end(
    tmp_path: Path, phantoms: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "ablation"
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        f"data: {{table: {phantoms}}}\n"
        "studies:\n"
        "  pooling: {vary: {probing.pooling: [mean, cls]}}\n"
        "  heads:\n"
        "    variants: [{name: 5 & heads, model.encoder_options: {num_heads: 5}}]\n"
    )
    command = ["ablate", recipe, *SETTINGS, "--out", out]
    code, told, error = glcm_mae(*command, "--budget.hours", "0")
    assert code == 0, error
    assert "not run" in told
    (note, *_) = facts_of(out)["notes"]
    assert note.startswith(
        "NOT RUN, for the time (budget.hours) was over: base, pooling cls, 5"
    )
    assert trained(out) == []
    assert {variant["state"] for variant in facts_of(out)["variants"]} == {"open"}

    code, told, error = glcm_mae(*command, "--resume")
    assert code == 0, error
    states = {variant["name"]: variant["state"] for variant in facts_of(out)["variants"]}
    assert states == {"base": "done", "pooling cls": "done", "5 & heads": "failed"}
    (note, *_) = facts_of(out)["notes"]
    assert note.startswith("FAILED: 5 & heads: 5-heads/fold-0/pretraining: ")
    assert "divisible" in note or "num_heads" in note
    # Only the probes differ: each fold was pre-trained once, and both variants show it.
    assert trained(out) == ["base/fold-0/pretraining", "base/fold-1/pretraining"]
    linked = out / "pooling-cls" / "fold-0" / "pretraining"
    assert linked.resolve() == out / "base" / "fold-0" / "pretraining"
    plan = json.loads((out / "plan.json").read_text())["jobs"]
    kinds = [job["kind"] for job in plan if "heads" not in job["folder"]]
    assert (kinds.count("pretrain"), kinds.count("probe")) == (2, 4)
    errors = {variant["name"]: variant["fidelity"] for variant in facts_of(out)["variants"]}
    assert errors["base"] == errors["pooling cls"]
    assert r"5 \& heads" in (out / "ablation.tex").read_text()


def test_what_cannot_be_is_told_before_any_image_is_read(
    tmp_path: Path, glcm_mae: Command
) -> None:
    command = ["ablate", "--data.table", "nowhere", "--out", tmp_path / "x"]
    for vary, told in (
        ("model.mask_ration=[0.5]", "did you mean model.mask_ratio?"),
        ("model.mask_ratio=[0.5,2]", "mask_ratio 2: model.mask_ratio: input should be less"),
        ("model.mask_ratio=[]", "has no values"),
        ("folds.count=[3,5]", "is the same for all variants"),
    ):
        code, _, error = glcm_mae(*command, "--vary", vary)
        assert code == 2
        assert told in error
    assert not (tmp_path / "x").exists()


def test_a_recipe_of_an_ablation_serves_crossval_too(
    tmp_path: Path, phantoms: Path, glcm_mae: Command
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("vary: {model.mask_ratio: [0.5]}\nprotocol: knn\n")
    code, _, error = glcm_mae(
        *("crossval", "--config", recipe, "--data.table", phantoms, "--out", tmp_path),
    )
    assert (code, "run folder exists" in error) == (2, True)  # the recipe itself was taken


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_stopped_ablation_goes_on_and_ends_as_if_it_had_not(
    nursery: Nursery, tmp_path: Path, phantoms: Path
) -> None:
    command = ["-m", "glcm_mae", "ablate", "--data.table", str(phantoms)]
    command += [*SETTINGS, "--vary", "losses.glcm.levels=[8, 32]", "--pretraining.epochs", "6"]
    whole, out = tmp_path / "whole", tmp_path / "stopped"
    two = ["--fanout.workers", "2"]  # the process that hands out jobs is always stopped gently
    started = subprocess.Popen(
        [sys.executable, *command, *two, "--out", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + PATIENCE
    while not (out / "base" / "fold-0" / "pretraining" / "done.json").is_file():
        assert started.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)
    started.send_signal(signal.SIGTERM)
    assert started.wait(timeout=PATIENCE) == 128 + signal.SIGTERM
    assert not (out / "ablation.json").exists()
    for folder, more in ((out, ["--resume"]), (whole, [])):
        log = folder.with_suffix(".txt")
        process = nursery.start([*command, "--out", folder, *more], log)
        assert process.wait(timeout=PATIENCE) == 0, log.read_text()
    found, wanted = facts_of(out), facts_of(whole)
    for facts in (found, wanted):
        for variant in facts["variants"]:
            variant.pop("pretraining_seconds")  # measured, so never twice alike
    assert found == wanted
