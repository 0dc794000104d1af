"""Every score against scikit-learn, by hand, and recomputed from the written table."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn import metrics

from glcm_mae.errors import InputError
from glcm_mae.evaluation import (
    ALONE,
    CLASS_SCORES,
    SCORES,
    Predictions,
    class_scores,
    concatenate,
    positive_index,
    read_predictions,
    score,
    score_folds,
    summarise,
    write_predictions,
)

TWO, THREE = ("ill", "well"), ("a", "b, c", "d")


def drawn(classes: tuple[str, ...], count: int = 60, seed: int = 0) -> Predictions:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(classes)
    logits = rng.normal(size=(count, len(classes))) + np.eye(len(classes))[labels]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    paths = tuple(f"folder, {i}/image.png" for i in range(count))
    return Predictions(paths, np.arange(count) // len(classes) % 5, labels, shares, classes)


def test_four_images_by_hand() -> None:
    labels = np.array([0, 0, 0, 1, 1])
    sure = np.array([[0.9, 0.1], [0.4, 0.6], [0.8, 0.2], [0.3, 0.7], [0.7, 0.3]])
    got = score(labels, sure, ["well", "ill"], positive="ill")
    assert got["accuracy"] == 3 / 5
    assert got["sensitivity"] == 1 / 2
    assert got["specificity"] == 2 / 3
    assert got["balanced_accuracy"] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert got["f1"] == 2 * 1 / (2 * 1 + 1 + 1)
    assert got["auroc"] == pytest.approx(5 / 6)  # of six pairs one is the wrong way round
    assert got["per_class"]["well"]["sensitivity"] == got["specificity"]


@pytest.mark.parametrize("positive", TWO)
def test_two_classes_equal_scikit_learn(positive: str) -> None:
    made = drawn(TWO)
    column = TWO.index(positive)
    truth = made.labels == column
    called = made.probabilities.argmax(1) == column
    got = score(made.labels, made.probabilities, TWO, positive)
    assert got["accuracy"] == pytest.approx(metrics.accuracy_score(truth, called))
    assert got["balanced_accuracy"] == pytest.approx(
        metrics.balanced_accuracy_score(truth, called)
    )
    assert got["sensitivity"] == pytest.approx(metrics.recall_score(truth, called))
    assert got["specificity"] == pytest.approx(metrics.recall_score(~truth, ~called))
    assert got["f1"] == pytest.approx(metrics.f1_score(truth, called))
    assert got["ppv"] == pytest.approx(metrics.precision_score(truth, called))
    assert got["npv"] == pytest.approx(metrics.precision_score(~truth, ~called))
    assert got["mcc"] == pytest.approx(metrics.matthews_corrcoef(truth, called))
    certainty = made.probabilities[:, column]
    assert got["auprc"] == pytest.approx(metrics.average_precision_score(truth, certainty))
    assert got["brier"] == pytest.approx(metrics.brier_score_loss(truth, certainty))
    assert got["log_loss"] == pytest.approx(metrics.log_loss(truth, certainty))
    assert got["auroc"] == pytest.approx(
        metrics.roc_auc_score(truth, made.probabilities[:, column])
    )


def test_three_classes_equal_scikit_learns_macro_means() -> None:
    made = drawn(THREE)
    called = made.probabilities.argmax(1)
    got = score(made.labels, made.probabilities, THREE)
    assert got["accuracy"] == pytest.approx(metrics.accuracy_score(made.labels, called))
    recall = metrics.recall_score(made.labels, called, average="macro")
    assert got["balanced_accuracy"] == pytest.approx(recall)
    assert got["sensitivity"] == pytest.approx(recall)
    assert got["f1"] == pytest.approx(metrics.f1_score(made.labels, called, average="macro"))
    assert got["auroc"] == pytest.approx(
        metrics.roc_auc_score(
            made.labels, made.probabilities, multi_class="ovr", average="macro"
        )
    )
    precision = metrics.precision_score(made.labels, called, average="macro")
    assert got["ppv"] == pytest.approx(precision)
    assert got["mcc"] == pytest.approx(metrics.matthews_corrcoef(made.labels, called))
    auprc = metrics.average_precision_score(np.eye(3)[made.labels], made.probabilities)
    assert got["auprc"] == pytest.approx(auprc)
    log_loss = metrics.log_loss(made.labels, made.probabilities)
    assert got["log_loss"] == pytest.approx(log_loss)
    specificities = [
        metrics.recall_score(made.labels != k, called != k) for k in range(len(THREE))
    ]
    assert got["specificity"] == pytest.approx(np.mean(specificities))
    assert list(got["per_class"]) == list(THREE)
    for number, name in enumerate(THREE):
        assert got["per_class"][name]["specificity"] == pytest.approx(specificities[number])


def test_a_positive_class_among_three_does_not_change_the_means() -> None:
    made = drawn(THREE)
    assert score(made.labels, made.probabilities, THREE, "a") == score(
        made.labels, made.probabilities, THREE
    )


def test_scores_without_meaning_are_nan() -> None:
    sure = np.array([[0.9, 0.1], [0.2, 0.8]])
    absent = class_scores(np.array([0, 0]), sure, 1)
    assert math.isnan(absent["sensitivity"])
    assert math.isnan(absent["auroc"])
    assert absent["specificity"] == 0.5
    alone = class_scores(np.array([0, 0]), sure, 0)
    assert alone["sensitivity"] == 0.5
    assert math.isnan(alone["specificity"])
    assert math.isnan(alone["auroc"])
    # Neither there nor called: no F1 either, and no predictive value.
    nothing = class_scores(np.array([0, 0]), sure[[0, 0]], 1)
    for name in ("f1", "ppv", "auprc"):
        assert math.isnan(nothing[name])
    assert nothing["npv"] == 1.0


def test_a_class_that_is_called_but_not_there_does_not_spoil_balanced_accuracy() -> None:
    labels = np.array([0, 0, 1, 1])
    sure = np.eye(3)[[0, 2, 1, 1]]
    assert score(labels, sure, THREE)["balanced_accuracy"] == (1 / 2 + 1) / 2


def test_equal_probabilities_are_half_an_auroc() -> None:
    labels = np.array([0, 1, 0, 1])
    assert score(labels, np.full((4, 2), 0.5), TWO, "ill")["auroc"] == 0.5


def test_the_positive_class_is_found() -> None:
    assert positive_index(TWO, "well") == 1
    assert positive_index(THREE, "") is None
    assert positive_index(THREE, "d") == 2


def test_two_classes_need_a_positive_one() -> None:
    with pytest.raises(InputError) as caught:
        positive_index(TWO, "")
    assert str(caught.value) == (
        "two classes (ill, well): name the positive one, for instance --data.positive well"
    )


@pytest.mark.parametrize("classes", [TWO, ("a", "b", "c")])
def test_an_unknown_positive_class_is_refused(classes: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as caught:
        positive_index(classes, "dead")
    assert str(caught.value) == (
        f"data.positive 'dead' is no class; there are {', '.join(classes)}"
    )


@pytest.mark.parametrize("classes", [TWO, THREE])
def test_predictions_come_back_exactly(classes: tuple[str, ...], tmp_path: Path) -> None:
    made = drawn(classes)
    write_predictions(tmp_path / "predictions.csv", made)
    back = read_predictions(tmp_path / "predictions.csv")
    assert (back.paths, back.classes) == (made.paths, made.classes)
    for name in ("folds", "labels", "probabilities", "groups", "repeat"):
        assert np.array_equal(getattr(back, name), getattr(made, name))


def auroc_by_pairs(truth: np.ndarray, certainty: np.ndarray) -> float:
    wins = certainty[truth][:, None] - certainty[~truth][None]
    return float(((wins > 0) + 0.5 * (wins == 0)).mean())


def scores_by_hand(
    truth: np.ndarray, called: np.ndarray, certainty: np.ndarray
) -> dict[str, float]:
    tp, fp = (truth & called).sum(), (~truth & called).sum()
    fn, tn = (truth & ~called).sum(), (~truth & ~called).sum()
    return {
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "auroc": auroc_by_pairs(truth, certainty),
        "auprc": precision_at_every_hit(truth, certainty),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }


def precision_at_every_hit(truth: np.ndarray, certainty: np.ndarray) -> float:
    """Average precision where no two images are equally certain."""
    hits = truth[np.argsort(-certainty)]
    return float((np.cumsum(hits) / np.arange(1, len(hits) + 1))[hits].mean())


@pytest.mark.parametrize(("classes", "positive"), [(TWO, "well"), (THREE, "")])
def test_every_score_follows_from_the_written_table(
    classes: tuple[str, ...], positive: str, tmp_path: Path
) -> None:
    made = drawn(classes)
    write_predictions(tmp_path / "predictions.csv", made)
    with (tmp_path / "predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[6:] == [f"p_{name}" for name in classes]
    got = score_folds(made, positive)
    by_fold = []
    for fold, scores in enumerate(got["folds"]):
        part = [row for row in rows if int(row["fold"]) == fold]
        labels = np.array([row["label"] for row in part])
        called = np.array([row["predicted"] for row in part])
        per_class = {}
        for name in classes:
            certainty = np.array([float(row[f"p_{name}"]) for row in part])
            per_class[name] = scores_by_hand(labels == name, called == name, certainty)
        recalls = [per_class[name]["sensitivity"] for name in classes]
        main = (
            per_class[positive]
            if positive
            else {
                key: np.mean([per_class[name][key] for name in classes]) for key in CLASS_SCORES
            }
        )
        chances = np.array([[float(row[f"p_{name}"]) for name in classes] for row in part])
        truth = labels[:, None] == np.array(classes)
        expected = {
            "accuracy": (labels == called).mean(),
            "balanced_accuracy": np.mean(recalls),
            "mcc": metrics.matthews_corrcoef(labels, called),
            **main,
            "brier": ((chances - truth) ** 2).sum(axis=1).mean() / 2,
            "log_loss": -np.log(chances[truth]).mean(),
        }
        by_fold.append(expected)
        assert {key: scores[key] for key in expected} == pytest.approx(expected)
        assert set(SCORES) - set(expected) == {"ece"}  # has its own tests
        assert scores["per_class"] == {k: pytest.approx(v) for k, v in per_class.items()}
    for key in by_fold[0]:
        values = np.array([expected[key] for expected in by_fold])
        mean = values.sum() / 5
        summary = got["summary"][key]
        assert summary["mean"] == pytest.approx(mean)
        assert summary["sd"] == pytest.approx((((values - mean) ** 2).sum() / 4) ** 0.5)
        assert summary["folds"] == 5


def folds_with(values: list[float]) -> list[dict[str, object]]:
    return [
        dict.fromkeys(SCORES, value)
        | {"per_class": {"a": dict.fromkeys(CLASS_SCORES, 2 * value)}}
        for value in values
    ]


def test_a_summary_by_hand() -> None:
    summary = summarise(folds_with([0.5, 0.7, 0.9]))
    assert summary["auroc"] == {
        "mean": pytest.approx(0.7),
        "sd": pytest.approx(0.2),  # n - 1
        "folds": 3,
    }
    assert summary["per_class"]["a"]["f1"]["mean"] == pytest.approx(1.4)


def test_nan_folds_are_left_out_and_counted() -> None:
    nan = float("nan")
    assert summarise(folds_with([0.5, nan, 0.7]))["auroc"]["folds"] == 2
    assert summarise(folds_with([0.5, nan]))["f1"] == {"mean": 0.5, "sd": None, "folds": 1}
    nothing = summarise(folds_with([nan, nan]))
    assert nothing["f1"] == {"mean": None, "sd": None, "folds": 0}
    json.dumps(nothing, allow_nan=False)


def test_folds_are_taken_apart_and_put_together() -> None:
    made = drawn(THREE)
    parts = [made.fold(number) for number in range(5)]
    assert [len(part.paths) for part in parts] == [12] * 5
    together = concatenate(parts)
    order = np.argsort(together.paths)
    expected = np.argsort(made.paths)
    assert np.array_equal(together.labels[order], made.labels[expected])
    assert np.array_equal(together.probabilities[order], made.probabilities[expected])
    assert together.classes == made.classes


def test_groups_and_passes_go_through_the_table(tmp_path: Path) -> None:
    made = drawn(TWO)
    groups, repeat = np.arange(60) // 3, np.arange(60) % 2
    groups[:3] = ALONE
    write_predictions(tmp_path / "p.csv", replace(made, groups=groups, repeat=repeat))
    back = read_predictions(tmp_path / "p.csv")
    assert np.array_equal(back.groups, groups)
    assert np.array_equal(back.repeat, repeat)
    assert back.fold(2).groups.tolist() == groups[made.folds == 2].tolist()
    with (tmp_path / "p.csv").open(newline="") as file:
        assert [row["group"] for row in csv.DictReader(file)][2:5] == ["", "1", "1"]


def test_a_table_without_groups_is_read_too(tmp_path: Path) -> None:
    text = "path,fold,label,predicted,p_a,p_b\nx.png,0,a,a,0.75,0.25\ny.png,1,b,a,0.5,0.5\n"
    (tmp_path / "old.csv").write_text(text)
    back = read_predictions(tmp_path / "old.csv")
    assert back.groups.tolist() == [ALONE, ALONE]
    assert back.repeat.tolist() == [0, 0]


def test_an_image_on_its_own_is_one_cluster_in_every_pass() -> None:
    made = drawn(TWO, count=4)
    lone = replace(made, groups=np.array([ALONE, 7, ALONE, 7]))
    twice = concatenate([lone, replace(lone, repeat=np.ones(4, dtype=int))])
    assert twice.clusters.tolist() == [0, 1, 2, 1, 0, 1, 2, 1]


def test_arrays_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="groups has 2 rows for 60 paths"):
        replace(drawn(TWO), groups=np.array([1, 2]))


def test_predictions_of_other_classes_are_not_put_together() -> None:
    with pytest.raises(ValueError, match="the classes differ"):
        concatenate([drawn(TWO), drawn(("x", "y"))])


@pytest.mark.parametrize("cells", ["0.9,0.3", "nan,0.5", "inf,0.0", "often,0.1"])
def test_what_is_no_probability_is_refused(cells: str, tmp_path: Path) -> None:
    table = tmp_path / "p.csv"
    table.write_text(f"path,fold,label,predicted,p_a,p_b\nx.png,0,a,a,{cells}\n")
    with pytest.raises(InputError, match=r"p\.csv: holds a row that is no prediction \("):
        read_predictions(table)


@pytest.mark.parametrize("positive", ["b, c", "d"])
def test_the_merge_of_the_rest_by_hand(positive: str) -> None:
    made = drawn(THREE)
    found = score_folds(made, positive)
    column = THREE.index(positive)
    for number, fold in enumerate(found["folds"]):
        rows = made.folds == number
        truth = made.labels[rows] == column
        called = made.probabilities[rows].argmax(axis=1) == column
        own = made.probabilities[rows, column]
        merged = fold["merged"]
        assert merged["accuracy"] == pytest.approx((truth == called).mean())
        assert merged["f1"] == pytest.approx(metrics.f1_score(truth, called))
        assert merged["brier"] == pytest.approx(metrics.brier_score_loss(truth, own))
        for name in CLASS_SCORES:
            assert merged[name] == pytest.approx(fold["per_class"][positive][name])
    assert found["summary"]["merged"]["mcc"]["folds"] == 5
    assert "merged" not in score_folds(made)["summary"]


def test_a_missing_table_of_predictions_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.csv: cannot be read \(No such file"):
        read_predictions(tmp_path / "none.csv")


@pytest.mark.parametrize("text", ["", "path,label\na.png,ill\n"])
def test_another_table_is_told(text: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text(text)
    with pytest.raises(InputError, match="not a table of predictions"):
        read_predictions(tmp_path / "table.csv")
