"""Which images are learnt from, which set the scale, which are judged."""

from pathlib import Path

import numpy as np
import pytest

from glcm_mae.anomaly import verdict
from glcm_mae.anomaly.normality import COMBINED, Normality
from glcm_mae.anomaly.parts import divide
from glcm_mae.anomaly.verdict import judge_scores
from glcm_mae.config import AnomalyConfig
from glcm_mae.data import ImageTable
from glcm_mae.errors import InputError

COUNT = 240
CLASSES = ("cyst", "normal", "tumour")


def table(splits: tuple[str, ...] = (), groups: tuple[str, ...] = ()) -> ImageTable:
    """Every second image is normal; two images in a row are of one patient."""
    names = tuple(f"{row:03d}.png" for row in range(COUNT))
    labels = tuple(1 if row // 2 % 2 else (0, 2)[row // 4 % 2] for row in range(COUNT))
    patients = groups or tuple(f"p{row // 2}" for row in range(COUNT))
    return ImageTable(Path(), names, labels, CLASSES, patients, splits)


def config(**settings: object) -> AnomalyConfig:
    shared = {"data": {"table": "x"}, "out": "y", "evaluation": {"resamples": 200}}
    return AnomalyConfig(**{**shared, **settings})


def splits(validation: int) -> tuple[str, ...]:
    """First rows train, the last 80 test, as many as asked before these validate."""
    names = ["train"] * (160 - validation) + ["val"] * validation + ["test"] * 80
    return tuple(names)


def test_parts_are_disjoint_and_only_the_test_part_has_abnormal_images() -> None:
    for given in ((), splits(16), splits(100)):
        images = table(given)
        parts = divide(images, config())
        rows = np.concatenate([parts.train, parts.inner, parts.test])
        assert len(rows) == len(set(rows.tolist()))
        labels = np.array(images.labels)
        assert set(labels[parts.train]) == set(labels[parts.inner]) == {1}
        assert set(labels[parts.test]) == {0, 1, 2}
        of = [{images.groups[row] for row in part} for part in (parts.train, parts.inner)]
        assert not of[0] & of[1]
        hidden = parts.only_training(COUNT)
        np.testing.assert_array_equal(hidden.train, parts.train)
        assert len(hidden.train) + len(hidden.test) == COUNT


def test_a_given_split_keeps_its_test_part_and_a_large_enough_validation_part() -> None:
    normal = np.flatnonzero(np.array(table().labels) == 1)
    few, many = divide(table(splits(16)), config()), divide(table(splits(100)), config())
    for parts in (few, many):
        np.testing.assert_array_equal(parts.test, np.arange(160, 240))
    assert set(many.inner) == set(normal) & set(range(60, 160))
    assert many.note == "the parts are those of the given split"
    # 8 normal images cannot tell a specificity of 95 %, but one of 80 %.
    assert "has 8 normal images, too few" in few.note
    assert len(few.inner) == 16
    loose = divide(table(splits(16)), config(specificity=0.8))
    assert set(loose.inner) == set(normal) & set(range(144, 160))


@pytest.mark.parametrize(
    ("images", "settings", "message"),
    [
        (table(), {"normal": "healthy"}, "normal 'healthy' must be one of"),
        (table(("test",) * 240), {}, "0 normal images for the train part"),
        (table(("train",) * 240), {}, "the test part needs normal and abnormal images"),
    ],
    ids=["no such class", "none to learn from", "none to judge"],
)
def test_what_cannot_be_divided_is_refused(
    images: ImageTable, settings: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        divide(images, config(**settings))


def test_all_other_classes_are_judged_together_and_torn_groups_are_told() -> None:
    patients = tuple(f"p{row % 120}" for row in range(COUNT))  # each in train and in test
    images = table(splits(100), patients)
    parts = divide(images, config())
    rng = np.random.default_rng(0)
    inner = {"mse": rng.normal(size=len(parts.inner))}
    normality = Normality.measure(inner, 0.95)
    abnormal = np.array(images.labels)[parts.test] != 1
    scores = normality.scores({"mse": rng.normal(size=80) + 10 * abnormal})
    verdicts, found = judge_scores(images, parts, scores, normality, config())
    assert found.classes == ("normal", "not normal")
    np.testing.assert_array_equal(found.labels, abnormal)
    point = verdicts.facts["systems"][COMBINED]["operating_point"]
    assert point["sensitivity"]["estimate"] == 1.0
    called = found.probabilities.argmax(axis=1)
    assert point["specificity"]["estimate"] == pytest.approx(np.mean(called[~abnormal] == 0))
    train, inner_part, test = (
        {patients[row] for row in rows} for rows in (parts.train, parts.inner, parts.test)
    )
    torn = (train & inner_part) | (train & test) | (inner_part & test)
    assert train & test
    assert f"WARNING: {len(torn)} groups stand in two parts" in verdicts.facts["notes"][0]
    assert len(verdicts.rows) == 2


@pytest.mark.parametrize(
    ("known", "note"),
    [
        (
            {"a", "z"},
            "NOT CLEAN: what training began with was trained on 1 of the 2 test images",
        ),
        ({"z"}, "what training began with was trained on 0 of the 2 test images"),
        (set(), "NOT CLEAN: whether what training began with saw the test images is not known"),
    ],
)
def test_what_given_weights_have_seen_is_told(
    known: set[str], note: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdict, "known_images", lambda _: known)
    monkeypatch.setattr(verdict, "file_hashes", lambda *_: ["a", "b"])
    images = table(splits(100))
    parts = divide(images, config())
    begun = config(pretraining={"weights": "elsewhere"})
    assert note in verdict._notes(images, parts, begun)
    assert not any("began" in line for line in verdict._notes(images, parts, config()))
