"""One plan over all variants: equal jobs are done once, each variant finds its own."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from glcm_mae.ablation.design import plan_design
from glcm_mae.ablation.sharing import SharedPlan, link_shared, share_jobs
from glcm_mae.config import AblateConfig
from glcm_mae.data import Fold, read_table, write_phantoms
from glcm_mae.data.tables.table import ImageTable
from glcm_mae.planning.fold_jobs import plan_folds


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ImageTable:
    folder = tmp_path_factory.mktemp("data") / "p"
    write_phantoms(folder, count=12, size=32, seed=0)
    return read_table(folder, labelled=True)


def shared(out: Path, table: ImageTable, **settings: Any) -> SharedPlan:
    config = AblateConfig(**{"data": {"table": table.root}, "out": out, **settings})
    rows = np.arange(len(table))
    folds = [Fold(rows[6:10], rows[10:], rows[:6]), Fold(rows[:4], rows[4:6], rows[6:])]
    variants = plan_design(config).variants
    return share_jobs([(v, plan_folds(v.config, table, folds)) for v in variants])


def count(plan: SharedPlan, kind: str) -> int:
    return sum(job.kind == kind for job in plan.plan)


def test_what_only_the_probe_differs_in_is_pre_trained_once(
    tmp_path: Path, table: ImageTable
) -> None:
    found = shared(
        tmp_path, table, protocol="linear", vary={"probing.pooling": ["mean", "cls"]}
    )
    assert (count(found, "pretrain"), count(found, "probe")) == (2, 4)
    assert found.asked == 8
    assert found.saved().startswith("4 pre-trainings asked for, 2 planned")
    reader = found.jobs["pooling cls"]["fold-1/probing"]
    encoder = found.jobs["pooling cls"]["fold-1/pretraining"]
    assert encoder.folder == "base/fold-1/pretraining"
    assert reader.needs == (encoder.id,)
    assert reader.config.weights == encoder.config.out  # type: ignore[attr-defined]
    # The probe is that of the variant's own plan: scored there, it is found done.
    assert reader.folder == "pooling-cls/fold-1/probing"


def test_a_setting_that_nothing_reads_shares_all(tmp_path: Path, table: ImageTable) -> None:
    found = shared(
        tmp_path, table, protocol="linear", vary={"finetuning.drop_path": [0.0, 0.1]}
    )
    assert len(found.plan) == 4
    assert found.asked == 8


@pytest.mark.parametrize(
    "vary",
    [
        {"model.mask_ratio": [0.5]},
        {"pretraining.weights": ["elsewhere/run"]},
        {"pretraining.epochs": [3]},
    ],
    ids=["mask ratio", "starting weights", "epochs"],
)
def test_what_differs_in_pre_training_is_done_apart(
    tmp_path: Path, table: ImageTable, vary: Any
) -> None:
    found = shared(tmp_path, table, vary=vary)
    assert (count(found, "pretrain"), count(found, "finetune")) == (4, 4)
    assert found.saved() == ""


def test_given_weights_tell_readers_apart(tmp_path: Path, table: ImageTable) -> None:
    variants = [
        {"name": name, "start": "weights", "weights": f"timm:{name}"} for name in ("a", "b")
    ]
    found = shared(tmp_path, table, start="scratch", protocol="linear", variants=variants)
    assert len({job.id for job in found.plan}) == len(found.plan) == 6


def test_variants_are_worked_off_one_after_the_other(tmp_path: Path, table: ImageTable) -> None:
    found = shared(tmp_path, table, vary={"model.mask_ratio": [0.5, 0.6]})
    assert [job.turn for job in found.plan] == [0] * 4 + [1] * 4 + [2] * 4


def test_links_show_what_was_done_elsewhere(tmp_path: Path, table: ImageTable) -> None:
    found = shared(
        tmp_path / "a", table, protocol="linear", vary={"probing.pooling": ["mean", "cls"]}
    )
    for job in found.plan:
        job.config.out.mkdir(parents=True)
        (job.config.out / "done.json").write_text(job.folder)
    config = AblateConfig(
        data={"table": table.root},
        out=tmp_path / "a",
        protocol="linear",
        vary={"probing.pooling": ["mean", "cls"]},
    )
    for variant in plan_design(config).variants:
        link_shared(tmp_path / "a", variant, found.jobs[variant.name])
        link_shared(tmp_path / "a", variant, found.jobs[variant.name])  # again: nothing new
    (tmp_path / "a").rename(tmp_path / "moved")
    link = tmp_path / "moved" / "pooling-cls" / "fold-0" / "pretraining"
    assert link.is_symlink()
    assert (link / "done.json").read_text() == "base/fold-0/pretraining"
    assert not (tmp_path / "moved" / "base" / "fold-0" / "pretraining").is_symlink()
    assert not (tmp_path / "moved" / "pooling-cls" / "fold-0" / "probing").is_symlink()
