"""Finished runs against each other: refusals, every test, and what is written."""

import csv
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from glcm_mae.comparison import Comparison, compare, compare_runs, verdicts
from glcm_mae.comparison.finished import read_run
from glcm_mae.comparison.pairing import Pairing
from glcm_mae.config import CompareConfig
from glcm_mae.errors import InputError
from glcm_mae.evaluation import ALONE, Predictions, concatenate, write_predictions
from glcm_mae.statistics import delong_test

TWO, THREE = ("ill", "well"), ("benign", "malignant", "normal")
FEW: dict[str, Any] = {"resamples": 200, "permutations": 199}
Seeds = int


def predictions(
    *,
    skill: float,
    seed: int,
    classes: tuple[str, ...] = TWO,
    images: int = 60,
    folds: int = 5,
    models: int = 1,
    grouped: bool = False,
) -> Predictions:
    """Predictions whose images, labels, groups and folds do not depend on seed and skill."""
    labels = np.arange(images) % len(classes)
    # Neighbours of one class make a group.
    groups = np.arange(images) // (2 * len(classes)) * len(classes) + labels
    fold = groups % folds
    parts = []
    for model in range(models):
        rng = np.random.default_rng([seed, model])
        logits = rng.normal(size=(images, len(classes))) + skill * np.eye(len(classes))[labels]
        shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        parts.append(
            Predictions(
                tuple(f"img/{number:03}.png" for number in range(images)),
                fold + folds * model,
                labels,
                shares,
                classes,
                groups if grouped else np.full(images, ALONE),
                np.full(images, model),
            )
        )
    return concatenate(parts)


def write_run(
    folder: Path,
    found: Predictions,
    *,
    positive: str = "ill",
    settings: dict[str, Any] | None = None,
    change: Callable[[list[dict[str, str]]], None] = lambda rows: None,
) -> Path:
    """Write what compare reads of a finished run."""
    write_predictions(folder / "predictions.csv", found)
    config = {"data": {"positive": positive}, "finetuning": {"selection": "inner"}}
    (folder / "config.yaml").write_text(yaml.safe_dump({**config, **(settings or {})}))
    first = found.rows(found.repeat == 0)
    folds = sorted(set(first.folds.tolist()))
    rows = [
        {
            "path": path,
            **{f"fold-{n}": "test" if n == own else "train" for n in folds},
        }
        for path, own in zip(first.paths, first.folds.tolist(), strict=True)
    ]
    change(rows)
    with (folder / "folds.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def two_runs(folder: Path, **options: Any) -> list[str]:
    positive = options.pop("positive", "ill")
    skills = options.pop("skills", (2.0, 0.5))
    return [
        str(
            write_run(
                folder / name,
                predictions(skill=skill, seed=seed, **options),
                positive=positive,
            )
        )
        for name, skill, seed in zip(("good", "poor"), skills, (1, 2), strict=True)
    ]


def comparison(runs: list[str], **settings: Any) -> Comparison:
    return compare_runs(CompareConfig(runs=runs, out=Path("none"), **{**FEW, **settings}))


def score(found: Comparison, name: str) -> Any:
    return next(item for item in found.pairs[0].scores if item.score == name)


def test_scores_are_means_over_folds(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    found = comparison(runs)
    for run, side in zip(runs, ("first", "second"), strict=True):
        given = read_run("run", Path(run)).predictions
        parts = [given.fold(number) for number in range(5)]
        areas = [roc_auc_score(p.labels == 0, p.probabilities[:, 0]) for p in parts]
        rates = [balanced_accuracy_score(p.labels, p.probabilities.argmax(1)) for p in parts]
        assert getattr(score(found, "auroc"), side) == pytest.approx(np.mean(areas))
        assert getattr(score(found, "balanced_accuracy"), side) == pytest.approx(np.mean(rates))


def test_five_folds_are_judged_by_the_corrected_t(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    item = score(comparison(runs, scores=["accuracy"]), "accuracy")
    parts = [read_run("run", Path(run)).predictions for run in runs]
    right = [[(p.fold(n).probabilities.argmax(1) == p.fold(n).labels).mean() for n in range(5)]
             for p in parts]  # fmt: skip
    differences = np.subtract(*right)
    share = np.mean(
        [np.mean(parts[0].folds == n) / np.mean(parts[0].folds != n) for n in range(5)]
    )
    error = np.sqrt((1 / 5 + share) * differences.var(ddof=1))
    assert item.primary == "corrected_t"
    assert item.p_value == pytest.approx(2 * stats.t.sf(abs(differences.mean()) / error, 4))
    assert item.difference.low == pytest.approx(
        differences.mean() - stats.t.ppf(0.975, 4) * error
    )
    assert item.p_holm == item.p_value
    assert set(item.tests) == {"corrected_t", "wilcoxon", "mcnemar", "permutation"}


def test_one_fold_is_judged_by_delong_or_permutation(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, folds=1)
    found = comparison(runs, scores=["auroc", "accuracy"])
    one, two = (read_run("run", Path(run)).predictions for run in runs)
    expected = delong_test(one.labels == 0, one.probabilities[:, 0], two.probabilities[:, 0])
    item = score(found, "auroc")
    assert item.primary == "delong"
    assert item.p_value == pytest.approx(expected.p_value)
    assert item.difference == pytest.approx((expected.difference, expected.low, expected.high))
    assert score(found, "accuracy").primary == "permutation"
    assert score(found, "accuracy").effect_name == "h"
    assert any("too few for a test over folds" in note for note in found.notes)


def test_a_run_against_itself_differs_in_nothing(tmp_path: Path) -> None:
    first = two_runs(tmp_path)[0]
    found = comparison([f"one={first}", f"same={first}"])
    for item in found.pairs[0].scores:
        assert item.difference == (0, 0, 0)
        assert item.bootstrap == (0, 0, 0)
        assert [test.p_value for test in item.tests.values()] == [1] * len(item.tests)
        assert item.p_holm == 1
    assert all("not distinguishable" in sentence for sentence in verdicts(found))


def test_exchanging_the_runs_exchanges_the_signs(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, grouped=True)
    forth, back = comparison(runs), comparison(runs[::-1])
    for one, two in zip(forth.pairs[0].scores, back.pairs[0].scores, strict=True):
        assert one.difference.estimate == pytest.approx(-two.difference.estimate)
        assert one.difference.low == pytest.approx(-two.difference.high)
        for name, test in one.tests.items():
            assert test.p_value == pytest.approx(two.tests[name].p_value)


def test_a_clear_difference_is_called_and_a_small_one_is_not(tmp_path: Path) -> None:
    clear = two_runs(tmp_path / "clear", skills=(3.0, 0.0), images=200)
    sentence = verdicts(comparison(clear, scores=["auroc"]))[0]
    assert sentence.startswith("good is better than poor by AUROC (difference +")
    assert sentence.endswith("corrected resampled t)")
    turned = verdicts(comparison(clear[::-1], scores=["auroc"]))[0]
    assert turned.startswith("good is better than poor by AUROC (difference -")
    alike = two_runs(tmp_path / "alike", skills=(1.0, 1.0))
    assert "are not distinguishable by AUROC" in verdicts(comparison(alike))[0]


def test_holm_counts_all_pairs_and_scores(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    third = write_run(tmp_path / "third", predictions(skill=1.0, seed=3))
    found = comparison([*runs, str(third)], scores=["auroc", "accuracy"])
    assert found.count == 6
    assert [(pair.first, pair.second) for pair in found.pairs] == [
        ("good", "poor"), ("good", "third"), ("poor", "third"),
    ]  # fmt: skip
    plain = sorted(i.p_value for pair in found.pairs for i in pair.scores)
    adjusted = sorted(i.p_holm for pair in found.pairs for i in pair.scores)
    assert adjusted[0] == pytest.approx(min(1, 6 * plain[0]))
    assert "3 pairs x 2 scores" in " ".join(found.notes)
    reference = comparison([*runs, str(third)], reference=True)
    assert [pair.second for pair in reference.pairs] == ["poor", "third"]


def test_seeds_are_averaged_before_the_test_over_folds(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, models=3)
    pairing = Pairing.of(*(read_run("run", Path(run)) for run in runs), ["accuracy"])
    assert (len(pairing.trials), pairing.divisions) == (15, 5)
    scores = pairing.trial_scores()["accuracy"]
    differences = (scores[:, 0] - scores[:, 1]).reshape(3, 5).mean(axis=0)
    np.testing.assert_allclose(pairing.division_differences(scores), differences)
    item = score(comparison(runs, scores=["accuracy"]), "accuracy")
    # An image has three predictions then, so there is no table of McNemar's.
    assert set(item.tests) == {"corrected_t", "wilcoxon", "permutation"}
    assert item.first == pytest.approx(scores[:, 0].mean())


def test_repeats_with_other_folds_have_no_signed_ranks(tmp_path: Path) -> None:
    runs = []
    for name, seed in (("one", 1), ("two", 2)):
        first = predictions(skill=1.0, seed=seed)
        other = replace(first, folds=5 + (first.folds + np.arange(60) // 30) % 5,
                        repeat=np.ones(60, dtype=int))  # fmt: skip
        runs.append(str(write_run(tmp_path / name, concatenate([first, other]))))
    item = score(comparison(runs, scores=["auroc"]), "auroc")
    assert set(item.tests) == {"corrected_t", "delong", "permutation"}


@pytest.mark.parametrize("grouped", [False, True])
def test_repeats_of_few_patients_lend_no_degrees_of_freedom(
    tmp_path: Path, grouped: bool
) -> None:
    runs = []
    for name, seed in (("one", 1), ("two", 2)):
        first = predictions(skill=1.0, seed=seed, grouped=grouped)
        other = replace(first, folds=5 + (first.folds + first.labels) % 5,
                        repeat=np.ones(60, dtype=int))  # fmt: skip
        runs.append(str(write_run(tmp_path / name, concatenate([first, other]))))
    test = score(comparison(runs, scores=["accuracy"]), "accuracy").tests["corrected_t"]
    # 60 images alone are enough; in 30 groups they are not.
    freedom = 4 if grouped else 9
    assert test.p_value == pytest.approx(2 * stats.t.sf(abs(test.statistic), freedom))


def test_groups_change_hands_whole(tmp_path: Path) -> None:
    alone = two_runs(tmp_path / "alone")
    together = two_runs(tmp_path / "together", grouped=True)
    pairing = Pairing.of(*(read_run("run", Path(run)) for run in together), ["accuracy"])
    assert len(set(pairing.clusters.tolist())) == 30
    differ = [score(comparison(runs), "accuracy").bootstrap for runs in (alone, together)]
    assert differ[0].estimate == differ[1].estimate
    assert differ[0].low != differ[1].low


def test_more_classes_have_the_positive_ones_own_scores(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, classes=THREE, images=90, positive="malignant")
    found = comparison(runs)
    given = [read_run("run", Path(run)).predictions for run in runs]
    part = [given[0].fold(number) for number in range(5)]
    own = [np.mean(p.probabilities.argmax(1)[p.labels == 1] == 1) for p in part]
    assert score(found, "sensitivity").first == pytest.approx(np.mean(own))
    areas = [roc_auc_score(p.labels, p.probabilities, multi_class="ovr") for p in part]
    assert score(found, "auroc").first == pytest.approx(np.mean(areas))
    assert "delong" not in score(found, "auroc").tests


def test_permutation_agrees_with_every_swap_by_hand(tmp_path: Path) -> None:
    runs = two_runs(tmp_path, images=8, folds=2)
    item = score(comparison(runs, scores=["accuracy"], permutations=256), "accuracy")
    one, two = (read_run("run", Path(run)).predictions for run in runs)
    right = [(p.probabilities.argmax(1) == p.labels).astype(float) for p in (one, two)]
    observed, extreme = None, 0
    for number in range(256):
        swap = (number >> np.arange(8)) & 1 == 1
        a, b = np.where(swap, right[1], right[0]), np.where(swap, right[0], right[1])
        value = np.mean([a[one.folds == n].mean() - b[one.folds == n].mean() for n in (0, 1)])
        observed = value if observed is None else observed
        extreme += abs(value) >= abs(observed) - 1e-12
    assert item.tests["permutation"].p_value == extreme / 256


REFUSED: dict[str, tuple[Callable[[Predictions], Predictions], str]] = {
    "images": (
        lambda p: replace(p, paths=("img/new.png", *p.paths[1:])),
        "test images: 1 image (img/000.png) only in good, and 1 image (img/new.png) only in",
    ),
    "labels": (
        lambda p: replace(p, labels=np.concatenate([1 - p.labels[:4], p.labels[4:]])),
        "labels: another one of 4 images (img/000.png, img/001.png, img/002.png, ...)",
    ),
    "folds": (
        lambda p: replace(p, folds=np.concatenate([p.folds[:1] + 1, p.folds[1:]])),
        "folds: 2 of 5 test folds hold other images, 24 images",
    ),
    "classes": (
        lambda p: replace(p, classes=("ill", "healthy")),
        "the classes are ill, well in one and ill, healthy in the other",
    ),
    "models": (
        lambda p: replace(p, folds=p.folds % 4),
        "there are 5 trained models in one and 4 in the other",
    ),
}


@pytest.mark.parametrize("what", list(REFUSED))
def test_runs_that_were_tested_otherwise_are_refused(tmp_path: Path, what: str) -> None:
    alter, message = REFUSED[what]
    good = write_run(tmp_path / "good", predictions(skill=1.0, seed=1))
    poor = write_run(tmp_path / "poor", alter(predictions(skill=1.0, seed=2)))
    for force in (False, True):  # no comparison of these has any meaning
        with pytest.raises(InputError) as refusal:
            comparison([str(good), str(poor)], force=force)
        assert message in str(refusal.value)
        assert "good and poor cannot be compared" in str(refusal.value)


UNFAIR: dict[str, tuple[dict[str, Any], str]] = {
    "selection": (
        {"settings": {"finetuning": {"selection": "test-fold"}}},
        "selection: poor picked its epoch on the test images, the other did not",
    ),
    "transductive": (
        {"settings": {"transductive": True}},
        "pre-training: poor was pre-trained on the test images too, the other was not",
    ),
    "training": (
        {"change": lambda rows: rows[0].update({"fold-1": "unused"})},
        "training parts: 1 image (img/000.png) in another part",
    ),
}


@pytest.mark.parametrize("what", list(UNFAIR))
def test_unfair_comparisons_need_force_and_are_branded(tmp_path: Path, what: str) -> None:
    options, message = UNFAIR[what]
    good = write_run(tmp_path / "good", predictions(skill=1.0, seed=1))
    poor = write_run(tmp_path / "poor", predictions(skill=1.0, seed=2), **options)
    with pytest.raises(InputError, match="were not tested alike") as refusal:
        comparison([str(good), str(poor)])
    assert message in str(refusal.value)
    assert "--force true" in str(refusal.value)
    notes = comparison([str(good), str(poor)], force=True).notes
    assert f"NOT ALIKE (good and poor): {message}" in notes


def test_groups_that_differ_are_refused_and_forced_to_the_coarser(tmp_path: Path) -> None:
    good = write_run(tmp_path / "good", predictions(skill=1.0, seed=1))
    poor = write_run(tmp_path / "poor", predictions(skill=1.0, seed=2, grouped=True))
    with pytest.raises(InputError, match=r"groups: \d+ images .* in another group"):
        comparison([str(good), str(poor)])
    pairing = Pairing.of(read_run("a", good), read_run("b", poor), ["accuracy"])
    assert len(set(pairing.clusters.tolist())) == 30


def test_test_fold_selection_is_compared_with_its_like_and_branded(tmp_path: Path) -> None:
    marked = {"finetuning": {"selection": "test-fold"}}
    runs = [
        str(write_run(tmp_path / name, predictions(skill=1.0, seed=seed), settings=marked))
        for name, seed in (("one", 1), ("two", 2))
    ]
    notes = comparison(runs).notes
    assert notes[0].startswith("TEST-FOLD SELECTION (one, two)")


def test_a_probe_picks_no_epoch_whatever_its_recipe_says(tmp_path: Path) -> None:
    settings = {"protocol": "knn", "finetuning": {"selection": "test-fold"}}
    folder = write_run(tmp_path / "run", predictions(skill=1.0, seed=1), settings=settings)
    assert read_run("run", folder).selection == "inner"


def test_uses_of_the_test_set_are_counted(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    assert any("was used 2 times" in note for note in comparison(runs).notes)
    write_run(tmp_path / "beside", predictions(skill=1.0, seed=3))
    write_run(tmp_path / "elsewhere", predictions(skill=1.0, seed=3, images=30))
    (tmp_path / "unfinished").mkdir()
    found = comparison(runs, scores=["auroc"])
    assert found.uses == 3
    assert (
        "of which 2 are compared here; over all pairs of them there would be 3 comp"
        in (found.notes[-1])
    )


def test_names_are_given_or_those_of_the_folders(tmp_path: Path) -> None:
    first, second = two_runs(tmp_path)
    assert comparison([f"MAE={first}", second]).runs == ["MAE", "poor"]
    with pytest.raises(InputError, match="two runs are called good: give them names"):
        comparison([first, f"{first}/../good"])


@pytest.mark.parametrize("missing", ["config.yaml", "predictions.csv", "folds.csv"])
def test_a_folder_that_is_no_finished_run_is_refused(tmp_path: Path, missing: str) -> None:
    runs = two_runs(tmp_path)
    (Path(runs[1]) / missing).unlink()
    with pytest.raises(InputError, match=str(Path(runs[1]))):
        comparison(runs)


def test_files_tell_the_same_as_the_result(tmp_path: Path) -> None:
    out = tmp_path / "out"
    config = CompareConfig(runs=two_runs(tmp_path), out=out, **FEW)
    found = compare(config)
    names = ("comparison.csv", "comparison.json", "comparison.md", "comparison.tex")
    assert sorted(path.name for path in out.iterdir()) == [*names, "config.yaml"]
    facts = json.loads((out / "comparison.json").read_text())
    with (out / "comparison.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, item, told in zip(
        rows, found.pairs[0].scores, facts["pairs"][0]["scores"], strict=True
    ):
        assert row["score"] == item.score == told["score"]
        assert float(row["p_holm"]) == item.p_holm == told["p_holm"]
        assert float(row["low"]) == item.difference.low == told["difference"]["low"]
        assert float(row["p_permutation"]) == told["tests"]["permutation"]["p_value"]
    text = (out / "comparison.md").read_text()
    assert all(note in text for note in (*found.notes, *verdicts(found)))
    assert (out / "comparison.tex").read_text().count(r"\\") == 7
    with pytest.raises(InputError, match="choose another --out"):
        compare(config)


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    for name in ("one", "two"):
        compare(CompareConfig(runs=runs, out=tmp_path / "out" / name, **FEW))
    for file in ("comparison.json", "comparison.csv", "comparison.md", "comparison.tex"):
        one, two = (tmp_path / "out" / name / file for name in ("one", "two"))
        assert one.read_bytes() == two.read_bytes()


def test_a_folder_called_baselines_may_hold_runs_of_their_own(tmp_path: Path) -> None:
    runs = two_runs(tmp_path)
    other = tmp_path / "baselines" / "resnet"
    other.parent.mkdir()
    Path(runs[1]).rename(other)
    found = comparison([runs[0], str(other)])
    assert found.runs[1] == "resnet"
    assert read_run("resnet", other).home == other


def test_few_labels_do_not_make_folds_more_alike(tmp_path: Path) -> None:
    """The correction is for training parts that overlap, and a share of them overlaps less."""
    folder = Path(two_runs(tmp_path)[0].rpartition("=")[2])
    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["folds"] = {"label_share": 0.1}
    whole = read_run("a", folder).test_share
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    with (folder / "folds.csv").open(newline="") as file:
        parts = list(csv.reader(file))
    learnt = {"train", "validation"}
    for number, row in enumerate(parts[1:]):
        for column in range(1, len(row)):
            row[column] = "unused" if row[column] in learnt and number % 10 else row[column]
    with (folder / "folds.csv").open("w", newline="") as file:
        csv.writer(file).writerows(parts)
    assert read_run("a", folder).test_share == pytest.approx(whole)
