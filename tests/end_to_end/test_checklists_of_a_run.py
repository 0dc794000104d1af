"""A finished cross-validation fills its share of the checklists, from its own files alone."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny import FINETUNE, PRETRAIN, Command

from glcm_mae.published.checklists import read_checklists
from glcm_mae.report.compliance import fill, share_filled, write_checklist
from glcm_mae.report.facts import Facts, read_run_facts
from glcm_mae.report.model_card import model_card


def holds(content: Any, key: str) -> bool:
    for name in key.split("."):
        if not isinstance(content, dict) or name not in content:
            return False
        content = content[name]
    return True


@pytest.mark.slow
def test_a_finished_run_fills_three_fifths_and_cites_what_it_holds(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    run = tmp_path / "run"
    code, _, err = glcm_mae(
        *("crossval", "--data.table", phantoms / "manifest.csv", "--data.positive", "coarse"),
        *(*PRETRAIN, *FINETUNE, "--folds.count", "2", "--baselines", "off"),
        *("--evaluation.resamples", "200", "--out", run),
    )
    assert code == 0, err
    facts = Facts([read_run_facts("run", run)])
    scores = json.loads((run / "scores.json").read_text())
    contents = {
        "config.yaml": yaml.safe_load((run / "config.yaml").read_text()),
        "scores.json": {**scores, "systems →": scores["systems"][scores["system"]]},
        "environment.json": json.loads((run / "environment.json").read_text()),
    }
    for checklist in read_checklists():
        items = fill(checklist, facts)
        assert share_filled(items) >= 0.6
        for item in items:
            for part in filter(None, item.source.split("; ")):
                file, _, keys = part.partition(" (")
                assert (run / file).is_file()
                for key in filter(None, keys.removesuffix(")").split(", ")):
                    assert holds(contents[file], key.replace("→ ", "→.")), (item.number, key)
        paths = write_checklist(tmp_path / "lists", checklist, items, "run")
        text = "\n".join(path.read_text() for path in paths)
        assert not re.search(re.escape(str(tmp_path)), text), "no path of this machine"
    area = scores["systems"][scores["system"]]["pooled"]["auroc"]["estimate"]
    assert f"value: {area!r}\n" in model_card(facts)
