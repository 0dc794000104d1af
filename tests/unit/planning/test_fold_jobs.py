"""The jobs of a cross-validation: how many, of which settings, and what each needs."""

import csv
from pathlib import Path
from typing import Any

import pytest

from glcm_mae.config import CrossValConfig, FinetuneConfig, PretrainConfig, ProbeConfig
from glcm_mae.data import ImageTable, make_folds
from glcm_mae.errors import InputError
from glcm_mae.planning import Plan
from glcm_mae.planning.fold_jobs import model_folders, plan_folds
from glcm_mae.planning.shared_encoders import any_encoder

COUNT = 24
NAMES = tuple(f"{number:02d}.png" for number in range(COUNT))
LABELS = tuple(number % 2 for number in range(COUNT))
GROUPS = tuple(str(number // 2) for number in range(COUNT))
TABLE = ImageTable(Path("t"), NAMES, LABELS, ("a", "b"), GROUPS, (), grouping="manifest")


def config(out: Path, **settings: Any) -> CrossValConfig:
    data = {"table": "t", "positive": "b"}
    return CrossValConfig(data=data, out=out, seed=7, folds={"count": 3}, **settings)


def plan(out: Path, repeats: int = 1, **settings: Any) -> Plan:
    folds = make_folds(LABELS, GROUPS, count=3, validation_share=0.25, seed=0, repeats=repeats)
    return plan_folds(config(out, **settings), TABLE, folds)


def parts_of(path: Path) -> dict[str, str]:
    with path.open(newline="") as file:
        return {row["path"]: row["split"] for row in csv.DictReader(file)}


def test_every_stage_of_every_fold_is_a_job(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert [job.folder for job in made] == [
        *(f"fold-{n}/pretraining" for n in range(3)),
        *(f"fold-{n}/finetuning" for n in range(3)),
    ]
    for number in range(3):
        encoder, classifier = made[number], made[number + 3]
        assert isinstance(encoder.config, PretrainConfig)
        assert isinstance(classifier.config, FinetuneConfig)
        assert classifier.needs == (encoder.id,)
        assert classifier.config.weights == tmp_path / encoder.folder
        assert encoder.config.seed == classifier.config.seed == 7 + number
        assert classifier.number == number
        assert classifier.config.data.split == tmp_path / f"fold-{number}/split.csv"
        assert classifier.config.data.groups == tmp_path / "groups.csv"
        assert encoder.cost > classifier.cost, "400 epochs against 50"
    tested = [
        {
            name
            for name, part in parts_of(tmp_path / f"fold-{n}/split.csv").items()
            if part == "test"
        }
        for n in range(3)
    ]
    assert set().union(*tested) == set(NAMES)
    assert sum(map(len, tested)) == COUNT


def test_the_same_settings_make_the_same_plan_wherever_it_lies(tmp_path: Path) -> None:
    one, other = plan(tmp_path / "one"), plan(tmp_path / "other")
    assert [job.id for job in one] == [job.id for job in other]
    assert len({job.id for job in one}) == 6


def test_groups_are_told_by_number(tmp_path: Path) -> None:
    plan(tmp_path)
    with (tmp_path / "groups.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["path"], row["group"]) for row in rows] == list(
        zip(NAMES, GROUPS, strict=True)
    )


def test_several_seeds_and_repeats_number_models_and_passes(tmp_path: Path) -> None:
    made = [job for job in plan(tmp_path, repeats=2, seeds=2) if job.kind == "finetune"]
    assert [job.number for job in made] == list(range(12))
    assert [job.repeat for job in made] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert made[0].folder == "fold-0/seed-0/finetuning"
    assert made[11].folder == "fold-5/seed-1/finetuning"
    assert [job.config.seed for job in made] == [*range(7, 13), *range(1007, 1013)]
    assert made[0].parts == made[6].parts, "another seed, the same parts"


def test_one_shared_pretraining_sees_all_images_and_is_needed_by_all(tmp_path: Path) -> None:
    made = plan(tmp_path, transductive=True)
    assert [job.folder for job in made][:2] == ["all/pretraining", "fold-0/finetuning"]
    assert all(job.needs == (made[0].id,) for job in made.jobs[1:])
    assert set(parts_of(tmp_path / "all/split.csv").values()) == {"train"}
    drawn = plan(tmp_path / "drawn", transductive=True, seeds=2)
    shared = [job for job in drawn if job.kind == "pretrain"]
    assert [job.folder for job in shared] == [
        "all/seed-0/pretraining",
        "all/seed-1/pretraining",
    ]
    last = drawn[-1]
    assert last.needs == (shared[1].id,)


@pytest.mark.parametrize("protocol", ["linear", "knn"])
def test_a_probe_takes_the_place_of_fine_tuning(tmp_path: Path, protocol: str) -> None:
    made = plan(tmp_path, protocol=protocol)
    probes = [job for job in made if job.kind == "probe"]
    assert [job.folder for job in probes] == [f"fold-{n}/probing" for n in range(3)]
    for job in probes:
        assert isinstance(job.config, ProbeConfig)
        assert job.config.probing.method == protocol
        assert job.config.weights == tmp_path / f"fold-{job.number}/pretraining"
    assert [str(folder) for folder in model_folders(made)] == [job.folder for job in probes]


def test_an_attentive_probe_is_a_fine_tuning_of_the_head(tmp_path: Path) -> None:
    made = plan(tmp_path, protocol="attentive", start="scratch")
    for job in made:
        assert isinstance(job.config, FinetuneConfig)
        assert (job.config.finetuning.trained, job.config.finetuning.pooling) == (
            "head",
            "attention",
        )


def test_a_baseline_is_trained_on_the_same_parts(tmp_path: Path) -> None:
    made = plan(tmp_path, start="scratch", baseline="resnet18")
    assert [job.kind for job in made] == ["finetune"] * 3
    ours = plan(tmp_path / "ours", start="scratch")
    for job, other in zip(made, ours, strict=True):
        assert isinstance(job.config, FinetuneConfig)
        assert job.config.baseline == "resnet18"
        assert job.parts == other.parts
        assert job.config.seed == other.config.seed
        assert job.id != other.id


def test_other_parts_than_at_the_start_are_refused(tmp_path: Path) -> None:
    plan(tmp_path)
    table = ImageTable(Path("t"), NAMES, LABELS, ("a", "b"), NAMES, ())
    folds = make_folds(LABELS, NAMES, count=3, validation_share=0.25, seed=3)
    with pytest.raises(InputError, match=r"groups.csv: the images have changed"):
        plan_folds(config(tmp_path), table, folds)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"transductive": True, "start": "scratch"}, "transductive is about how"),
        ({"baseline": "resnet18"}, "cannot be pre-trained by masking patches"),
        (
            {"baseline": "resnet18", "start": "scratch", "protocol": "attentive"},
            "attentive is for the encoder",
        ),
        ({"data": {"table": "t", "split": "s.csv"}}, "--folds.official true"),
        ({"folds": {"official": True, "repeats": 2}}, "official is one fold"),
        ({"folds": {"official": True, "file": "f.csv"}}, "official is one fold"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(
    settings: dict[str, Any], text: str
) -> None:
    with pytest.raises(ValueError, match=text):
        CrossValConfig(**{"data": {"table": "t"}, "out": "o", **settings})


def test_a_given_split_is_taken_with_official_folds() -> None:
    data = {"table": "t", "split": "s.csv"}
    assert CrossValConfig(data=data, out="o", folds={"official": True}).folds.official


def finish(run: Path, made: Plan) -> None:
    """Leave what later runs look at: a plan, and files that stand for encoders."""
    made.keep(run)
    for job in made:
        if job.kind == "pretrain":
            (run / job.folder).mkdir(parents=True)
            (run / job.folder / "encoder.safetensors").touch()


@pytest.mark.parametrize("seeds", [1, 2])
def test_encoders_of_another_run_serve_their_own_folds(tmp_path: Path, seeds: int) -> None:
    other = tmp_path / "other"
    finish(other, plan(other, seeds=seeds))
    made = plan(tmp_path / "run", start="weights", weights=other, seeds=seeds, protocol="knn")
    assert {job.kind for job in made} == {"probe"}
    for job in made:
        assert isinstance(job.config, ProbeConfig)
        assert job.config.weights == other / Path(job.folder).parent / "pretraining"


def test_encoders_that_may_have_seen_the_test_images_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    finish(other, plan(other))
    given = {"start": "weights", "weights": other}
    folds = make_folds(LABELS, GROUPS, count=3, validation_share=0.25, seed=5)
    with pytest.raises(InputError, match=r"its encoder may have seen them; pass --folds.file"):
        plan_folds(config(tmp_path / "run", **given), TABLE, folds)
    with pytest.raises(InputError, match="holds no encoder; give a finished crossval"):
        plan(tmp_path / "more", seeds=2, **given)
    shared = tmp_path / "shared"
    finish(shared, plan(shared, transductive=True))
    with pytest.raises(InputError, match="holds no encoder"):
        plan(tmp_path / "last", start="weights", weights=shared)
    with pytest.raises(InputError, match="holds no encoders of folds"):
        any_encoder(shared)
    assert any_encoder(other) == other / "fold-0/pretraining"
