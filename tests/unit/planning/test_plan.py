"""A plan: what decides an identifier, and what a changed plan is told."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest

from glcm_mae.config import FinetuneConfig, PretrainConfig
from glcm_mae.errors import InputError
from glcm_mae.planning import Job, Plan
from glcm_mae.planning.jobs import read_order, write_orders


def settings(out: str = "run/fold-0/pretraining", **changed: object) -> PretrainConfig:
    data = {"table": "images", "split": "run/fold-0/split.csv", **changed.pop("data", {})}  # type: ignore[dict-item]
    return PretrainConfig(data=data, out=out, **changed)


def job(
    folder: str = "fold-0/pretraining", needs: tuple[str, ...] = (), **changed: object
) -> Job:
    parts = str(changed.pop("parts", "p"))
    return Job("pretrain", folder, settings(**changed), "a title", needs=needs, parts=parts)


@pytest.mark.parametrize(
    "changed",
    [
        {"out": "elsewhere/fold-0/pretraining"},
        {"data": {"table": "moved", "cache": None, "split": "other.csv", "key": "key"}},
        {"device": "cpu", "compile": "never", "devices": 2, "checkpoints": {"keep": 5}},
        {"pretraining": {"workers": 3, "accumulate": 4}},
    ],
)
def test_neither_place_nor_machine_is_in_an_identifier(changed: dict[str, object]) -> None:
    assert job(**changed).id == job().id


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 1},
        {"parts": "q"},
        {"needs": ("a",)},
        {"pretraining": {"epochs": 3}},
        {"losses": {"balance": "gradnorm"}},
        {"data": {"depth": 8}},
        {"model": {"mask_ratio": 0.5}},
        {"precision": "float32"},
    ],
)
def test_all_that_decides_a_result_is_in_an_identifier(changed: dict[str, object]) -> None:
    assert job(**changed).id != job().id  # type: ignore[arg-type]


def test_another_stage_of_the_same_settings_is_another_job() -> None:
    tuning = FinetuneConfig(data={"table": "images"}, out="o", start="scratch")
    one = Job("finetune", "a", tuning, "t")
    assert one.id != Job("probe", "a", tuning, "t").id
    assert re.fullmatch("[0-9a-f]{16}", one.id)


def test_a_plan_is_written_once_and_tells_how_another_differs(tmp_path: Path) -> None:
    first = job()
    second = job("fold-1/pretraining", seed=1)
    Plan([first, second]).keep(tmp_path)
    written = (tmp_path / "plan.json").read_bytes()
    assert [entry["id"] for entry in json.loads(written)["jobs"]] == [first.id, second.id]
    Plan([job(data={"table": "moved"}), second]).keep(tmp_path)
    assert (tmp_path / "plan.json").read_bytes() == written
    third = job("fold-2/pretraining", seed=2)
    changed = [job(parts="q"), job("fold-1/pretraining", seed=7), third]
    with pytest.raises(InputError) as caught:
        Plan(changed).keep(tmp_path)
    text = str(caught.value)
    assert "fold-0/pretraining has another parts" in text
    assert "fold-1/pretraining has another seed" in text
    assert "fold-2/pretraining is new" in text
    assert "start anew with another --out" in text
    with pytest.raises(InputError, match="fold-1/pretraining is gone"):
        Plan([first]).keep(tmp_path)
    assert (tmp_path / "plan.json").read_bytes() == written


def test_a_damaged_plan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text('{"jobs": [')
    with pytest.raises(InputError, match="is damaged"):
        Plan([job()]).keep(tmp_path)


def test_jobs_stand_after_those_they_need_and_are_all_different() -> None:
    first = job()
    later = job("fold-1/pretraining", needs=(first.id,))
    assert Plan([first, later]).dependents(first) == [later]
    with pytest.raises(ValueError, match="not planned before it"):
        Plan([later, first])
    with pytest.raises(ValueError, match="the same as a job before it"):
        Plan([first, job("fold-1/pretraining")])
    with pytest.raises(ValueError, match="a folder of its own"):
        Plan([first, job(seed=3)])


def test_an_order_gives_another_process_the_very_same_job(tmp_path: Path) -> None:
    stage = settings(
        losses={"phases": [{"share": 0.5, "mse": 1.0}, {"share": 0.5, "glcm": 0.3}]},
        model={"encoder_options": {"depth": 1}},
        pretraining={"learning_rate": 1.7e-3},
        seed=11,
    )
    given = Job("pretrain", "fold-0/pretraining", stage, "fold 1", (), "p", 3, 2)
    write_orders(tmp_path, Plan([job("other"), given]))
    number, found = read_order(tmp_path, given.id)
    assert number == 1
    assert found.config == given.config
    assert (found.id, found.folder, found.title) == (given.id, given.folder, given.title)
    assert (found.number, found.repeat) == (3, 2)
    with pytest.raises(InputError, match="there is no job 'none'"):
        read_order(tmp_path, "none")
    with pytest.raises(InputError, match="give the run folder of a crossval"):
        read_order(tmp_path / "nowhere", given.id)


def test_given_weights_are_part_of_an_identifier_and_of_the_orders(tmp_path: Path) -> None:
    plain = job()
    given = [replace(job(), given=name) for name in ("", "timm:a", "timm:b")]
    assert given[0].id == plain.id
    assert len({one.id for one in given}) == 3
    assert replace(plain, turn=3).id == plain.id
    plan = Plan([given[1]])
    write_orders(tmp_path, plan)
    assert read_order(tmp_path, given[1].id)[1].id == given[1].id
