"""Drops and their paired intervals, and errors relative to another system's."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from glcm_mae.errors import InputError
from glcm_mae.evaluation import Judging, Predictions
from glcm_mae.robustness.damage import SCORES, measure_damage
from glcm_mae.robustness.examination import relative_errors

FEW = Judging(resamples=200)


def predictions(
    seed: int, strength: float, *, count: int = 120, folds: int = 2, images_a_patient: int = 1
) -> Predictions:
    """The same images for every seed and strength; the less strength, the worse."""
    labels = np.arange(count) % 3 % 2
    noise = np.random.default_rng(seed).normal(size=count)
    shares = 1 / (1 + np.exp(-(strength * (2 * labels - 1) + noise)))
    return Predictions(
        tuple(f"{row}.png" for row in range(count)),
        np.arange(count) * folds // count,
        labels,
        np.stack([1 - shares, shares], axis=1),
        ("well", "ill"),
        np.arange(count) // (2 * images_a_patient) * 2 + labels,
    )


def test_scores_are_means_over_folds_and_drops_are_differences() -> None:
    clean, worse = predictions(0, 1.5), predictions(1, 0.4)
    found = measure_damage(clean, {("jpeg", 1): worse}, positive="ill", settings=FEW)

    def expected(one: Predictions) -> dict[str, float]:
        parts = [one.fold(0), one.fold(1)]
        called = [part.probabilities[:, 1] > 0.5 for part in parts]
        return {
            "accuracy": np.mean(
                [np.mean(c == p.labels) for c, p in zip(called, parts, strict=True)]
            ),
            "balanced_accuracy": np.mean(
                [
                    balanced_accuracy_score(p.labels, c)
                    for c, p in zip(called, parts, strict=True)
                ]
            ),
            "auroc": np.mean([roc_auc_score(p.labels, p.probabilities[:, 1]) for p in parts]),
        }

    before, after = expected(clean), expected(worse)
    for name in SCORES:
        assert found.clean[name].estimate == pytest.approx(before[name])
        assert found.scores["jpeg", 1][name].estimate == pytest.approx(after[name])
        drop = found.drops["jpeg", 1][name]
        assert drop.estimate == pytest.approx(before[name] - after[name])
        assert drop.low < drop.estimate < drop.high


def test_equal_predictions_lose_nothing() -> None:
    clean = predictions(0, 1.0)
    found = measure_damage(clean, {("blur", 5): clean}, positive="ill", settings=FEW)
    for drop in found.drops["blur", 5].values():
        assert drop.estimate == 0.0
        assert np.isnan([drop.low, drop.high]).all()  # and nothing tells of other images
    assert found.clean["auroc"].low < found.clean["auroc"].high


def test_the_mean_drop_is_the_mean_over_severities_and_then_over_corruptions() -> None:
    clean = predictions(0, 1.5)
    conditions = {
        ("jpeg", 1): predictions(1, 1.2),
        ("jpeg", 2): predictions(2, 0.6),
        ("blur", 1): predictions(3, 0.1),
    }
    found = measure_damage(clean, conditions, positive="ill", settings=FEW)
    drops = {key: value["accuracy"].estimate for key, value in found.drops.items()}
    jpeg = (drops["jpeg", 1] + drops["jpeg", 2]) / 2
    assert found.mean_drops["jpeg"]["accuracy"].estimate == pytest.approx(jpeg)
    total = (jpeg + drops["blur", 1]) / 2
    assert found.mean_drop["accuracy"].estimate == pytest.approx(total)


def test_the_interval_of_a_drop_is_that_of_paired_images() -> None:
    clean = predictions(0, 1.0, count=900, folds=1)
    # The same noise in both: pairs tell more than two independent samples would.
    worse = predictions(0, 0.5, count=900, folds=1)
    settings = Judging(resamples=3000)
    found = measure_damage(clean, {("jpeg", 1): worse}, positive="ill", settings=settings)
    right = [one.probabilities.argmax(1) == one.labels for one in (clean, worse)]
    differences = right[0].astype(float) - right[1]
    parts = [differences[clean.labels == label] for label in (0, 1)]
    error = 0.5 * np.sqrt(sum(part.var() / len(part) for part in parts))
    drop = found.drops["jpeg", 1]["balanced_accuracy"]
    assert drop.estimate == pytest.approx(np.mean([part.mean() for part in parts]))
    assert (drop.high - drop.low) / 2 == pytest.approx(1.96 * error, rel=0.08)


def test_images_of_one_patient_widen_the_interval() -> None:
    alone = predictions(0, 1.0, count=400, folds=1)
    twins = Predictions(
        alone.paths + tuple(f"twin-{path}" for path in alone.paths),
        np.tile(alone.folds, 2),
        np.tile(alone.labels, 2),
        np.tile(alone.probabilities, (2, 1)),
        alone.classes,
        np.tile(alone.groups, 2),
    )
    settings = Judging(resamples=2000)
    one, two = (
        measure_damage(part, {("blur", 1): part}, positive="ill", settings=settings)
        for part in (alone, twins)
    )
    width = {
        name: found.clean["accuracy"].high - found.clean["accuracy"].low
        for name, found in (("one", one), ("two", two))
    }
    # A second copy of every image tells nothing new.
    assert width["two"] == pytest.approx(width["one"], rel=0.1)


def test_other_images_are_refused() -> None:
    clean, other = predictions(0, 1.0), predictions(0, 1.0, count=90)
    with pytest.raises(ValueError, match="other images than the clean ones"):
        measure_damage(clean, {("jpeg", 1): other}, positive="ill", settings=FEW)


def report(clean: float, kinds: dict[str, list[float]]) -> dict:
    def score(value: float) -> dict:
        return {"balanced_accuracy": {"estimate": value}}

    return {
        "images_sha256": "same",
        "clean": score(clean),
        "corruptions": {
            kind: {"levels": [{"scores": score(value)} for value in values]}
            for kind, values in kinds.items()
        },
    }


def test_relative_errors_follow_hendrycks_and_dietterich() -> None:
    mine = report(0.9, {"blur": [0.8, 0.6], "jpeg": [0.9, 0.8]})
    other = report(0.8, {"blur": [0.6, 0.6], "jpeg": [0.7, 0.5], "noise": [0.1, 0.1]})
    found = relative_errors(mine, "same", other)
    # Sums of errors over severities: 0.6 by 0.8, and 0.3 by 0.8.
    assert found["corruptions"]["blur"]["ce"] == pytest.approx(0.75)
    assert found["corruptions"]["jpeg"]["ce"] == pytest.approx(0.375)
    assert found["mce"] == pytest.approx((0.75 + 0.375) / 2)
    # Beyond the clean errors, 0.1 and 0.2: 0.4 by 0.4, and 0.1 by 0.4.
    assert found["corruptions"]["blur"]["relative_ce"] == pytest.approx(1.0)
    assert found["relative_mce"] == pytest.approx((1.0 + 0.25) / 2)


def test_a_reference_must_be_of_the_same_images_and_corruptions() -> None:
    mine = report(0.9, {"blur": [0.8, 0.6]})
    with pytest.raises(InputError, match="other test images"):
        relative_errors(mine, "others", mine)
    with pytest.raises(InputError, match="lacks blur"):
        relative_errors(mine, "same", report(0.9, {"jpeg": [0.8]}))
