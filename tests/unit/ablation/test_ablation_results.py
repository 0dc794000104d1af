"""Texture fidelity, contrasts, verdicts, tables and figures of an ablation, by hand."""

import csv
import io
import json
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from glcm_mae.ablation.ablating import _common_notes
from glcm_mae.ablation.contrasts import Contrast, _paired, find_contrasts
from glcm_mae.ablation.figure import draw_ablation
from glcm_mae.ablation.outcomes import Fidelity, Outcome, gather_fidelity, wall_seconds
from glcm_mae.ablation.report import Ablation, format_csv, format_latex, format_markdown
from glcm_mae.ablation.restorations import (
    ERROR,
    FILE,
    MEASURES,
    Restorations,
    measure_restorations,
)
from glcm_mae.ablation.studies import Point, Study
from glcm_mae.ablation.verdicts import note_of_tests, verdict
from glcm_mae.assembly import build_autoencoder, save_autoencoder
from glcm_mae.config import AblateConfig, DataConfig, EvaluationConfig, ModelConfig
from glcm_mae.data import write_phantoms
from glcm_mae.fidelity import mean_haralick_error, psnr
from glcm_mae.intake import load_table
from glcm_mae.statistics import Interval

SMALL = ModelConfig(
    encoder="vit_tiny_patch16_224",
    encoder_options={"depth": 1, "embed_dim": 32, "num_heads": 2},
    image_size=32,
    patch_size=8,
    decoder_depth=1,
    decoder_width=32,
    decoder_heads=2,
)


def settings(**more: Any) -> AblateConfig:
    given = {"data": {"table": "t"}, "out": "o", "vary": {"model.mask_ratio": [0.5]}}
    return AblateConfig(**{**given, "evaluation": {"resamples": 400}, **more})


def fidelity(values: Any, folds: Any, clusters: Any = None) -> Fidelity:
    numbers = np.asarray(values, dtype=float)
    count = len(numbers)
    return Fidelity(
        clusters=np.arange(count) if clusters is None else np.asarray(clusters),
        labels=np.zeros(count, dtype=np.int64),
        folds=[np.asarray(rows) for rows in folds],
        values=dict.fromkeys(MEASURES, numbers),
        weights={"encoder": 2_000_000, "decoder": 500_000},
        mask_ratio=0.75,
        test_share=0.25,
    )


def outcome(name: str, auroc: float = 0.8, error: float = 0.4, **more: Any) -> Outcome:
    scores = {"estimate": auroc, "low": auroc - 0.05, "high": auroc + 0.05}
    both = {"auroc": {**scores, "mean": auroc, "sd": 0.02}}
    both["accuracy"] = both["auroc"]
    measures = {key: Interval(error, error - 0.01, error + 0.01) for key in MEASURES}
    return Outcome(name, name, "done", scores=both, measures=measures, **more)


def test_restorations_are_measured_once_and_kept(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "images", count=6, size=32, seed=0)
    data = DataConfig(table=tmp_path / "images", cache=None)
    images = load_table(data, SMALL, labelled=True)
    model = build_autoencoder(SMALL, seed=0)
    run = tmp_path / "run"
    run.mkdir()
    save_autoencoder(run, model.state_dict(), model, {"model": SMALL.model_dump(mode="json")})
    rows = np.array([1, 4, 5])
    found = measure_restorations(run, images, rows, seed=0)
    assert sum(found.weights.values()) == sum(w.numel() for w in model.parameters())
    assert found.weights["encoder"] == sum(w.numel() for w in model.encoder.parameters())
    kept = json.loads((run / FILE).read_text())
    assert kept["images"] == [images.table.name(row) for row in (1, 4, 5)]
    # An image's masks follow from its row: alone it is restored as among others.
    alone = measure_restorations(run, images, rows[1:2], seed=0)
    for name in MEASURES:
        assert alone.values[name] == pytest.approx(found.values[name][1:2], rel=1e-4)
    kept["values"] = {name: [1.0] for name in MEASURES}
    kept["images"] = [images.table.name(4)]
    (run / FILE).write_text(json.dumps(kept))
    again = measure_restorations(run, images, rows[1:2], seed=0)
    assert again.values[ERROR].tolist() == [1.0]  # read, not measured
    (run / FILE).write_text("half a fi")
    fresh = measure_restorations(run, images, rows, seed=0)
    assert fresh.values[ERROR].tolist() == found.values[ERROR].tolist()


def test_equal_images_have_no_error_and_a_flat_one_does() -> None:
    image = torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    assert float(mean_haralick_error(image, image)) == 0.0
    assert float(mean_haralick_error(torch.full_like(image, 0.5), image)) > 0.3
    assert float(psnr(image, image)) == float("inf")


def test_restorations_of_all_folds_and_seeds_are_put_together() -> None:
    def restored(rows: list[int], values: list[float]) -> Restorations:
        numbers = {name: np.array(values) for name in MEASURES}
        return Restorations(np.array(rows), numbers, {"encoder": 1, "decoder": 1}, 0.75)

    measured = [
        (np.array([0, 1]), restored([0, 1, 2, 3], [1.0, 2.0, 9.0, 9.0])),
        (np.array([2]), restored([2], [3.0])),
        (np.array([0, 1]), restored([0, 1], [3.0, 2.0])),  # the same fold, another seed
    ]
    found = gather_fidelity(measured, labels=[0, 1, 0, 1], groups=["a", "a", "b", "c"])
    assert found is not None
    assert found.values[ERROR][:3].tolist() == [2.0, 2.0, 3.0]
    assert np.isnan(found.values[ERROR][3])  # tested by none
    assert [rows.tolist() for rows in found.folds] == [[0, 1], [2]]
    assert found.clusters.tolist() == [0, 0, 1, 2]
    interval = found.interval(ERROR, EvaluationConfig(resamples=200), 0)
    assert interval.estimate == pytest.approx(7 / 3)
    assert interval.low <= interval.estimate <= interval.high
    assert gather_fidelity([], labels=[0], groups=["a"]) is None


def test_the_interval_of_a_mean_is_near_that_of_students_t() -> None:
    values = np.random.default_rng(0).normal(0.4, 0.1, size=60)
    found = fidelity(values, [range(60)]).interval(ERROR, EvaluationConfig(resamples=4000), 0)
    wanted = stats.t.interval(0.95, 59, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(wanted, abs=0.004)


def test_few_folds_are_tested_by_swapping_groups() -> None:
    rng = np.random.default_rng(1)
    base = rng.normal(0.5, 0.1, size=40)
    better = fidelity(base - 0.05 + rng.normal(0, 0.02, 40), [range(20), range(20, 40)])
    test, interval, p_value = _paired(better, fidelity(base, better.folds), settings())
    assert test == "permutation"
    assert interval.low < interval.estimate < interval.high < 0
    assert p_value == pytest.approx(1 / 5001)
    # One group alone: nothing varies that could tell.
    lone = fidelity(base - 0.05, better.folds, clusters=np.zeros(40, dtype=np.int64))
    assert _paired(lone, fidelity(base, better.folds), settings())[2] == 1.0


def test_many_folds_are_tested_by_the_corrected_t_test() -> None:
    rng = np.random.default_rng(2)
    folds = np.split(np.arange(50), 5)
    one, other = rng.normal(0.5, 0.1, size=(2, 50))
    test, interval, p_value = _paired(fidelity(one, folds), fidelity(other, folds), settings())
    means = np.array([(one - other)[rows].mean() for rows in folds])
    error = means.std(ddof=1) * np.sqrt(1 / 5 + 0.25)
    assert test == "corrected_t"
    assert interval.estimate == pytest.approx(means.mean())
    assert p_value == pytest.approx(2 * stats.t.sf(abs(means.mean() / error), 4))


def test_seconds_are_images_over_images_a_second(tmp_path: Path) -> None:
    run = tmp_path / "run"
    run.mkdir()
    assert wall_seconds([run]) is None
    (run / "images.csv").write_text("path,sha256\na,1\nb,2\nc,3\nd,4\n")
    (run / "speed.jsonl").write_text(
        '{"epoch": 0, "images_per_second": 2.0}\n{"epoch": 1, "images_per_second": 4.0}\n'
    )
    assert wall_seconds([run, tmp_path / "none"]) == 3.0


def contrast(variant: str, difference: float, p: float, score: str = "auroc") -> Contrast:
    limits = difference - 0.01, difference + 0.01
    return Contrast(variant, "base", score, difference, *limits, "permutation", p, p)


STUDY = Study(
    "mask_ratio",
    ("model.mask_ratio",),
    (
        Point("mask_ratio 0.5", (0.5,), "half"),
        Point("mask_ratio 0.75", (0.75,), "base"),
        Point("mask_ratio 0.9", (0.9,), "most"),
    ),
    "base",
)
DONE = {name: outcome(name) for name in ("base", "half", "most")}


@pytest.mark.parametrize(
    ("contrasts", "said"),
    [
        (
            [contrast("half", 0.03, 0.2), contrast("most", 0.02, 0.9)],
            "by AUROC, no variant is distinguishable from mask_ratio 0.75 (base).",
        ),
        (
            [contrast("half", 0.03, 0.01), contrast("most", -0.02, 0.0001)],
            "by AUROC, mask_ratio 0.5 is better than mask_ratio 0.75 (base) (+3.0 points, p = "
            "0.010), and mask_ratio 0.9 is worse than it (-2.0 points, p < 0.001).",
        ),
        (
            [contrast("half", -0.03, 0.01, ERROR), contrast("most", float("nan"), 1.0, ERROR)],
            "by texture error, mask_ratio 0.5 is better than mask_ratio 0.75 (base) (-3.0 "
            "points, p = 0.010), and mask_ratio 0.9 is not distinguishable from it.",
        ),
        ([], "there is nothing to compare."),
    ],
    ids=["none", "both ways", "an error is better when lower", "nothing"],
)
def test_a_verdict_says_what_is_sure_and_what_is_not(
    contrasts: list[Contrast], said: str
) -> None:
    assert verdict(STUDY, contrasts, DONE, "auroc") == f"mask_ratio: {said}"


def test_without_its_base_a_study_has_no_verdict() -> None:
    lost = {**DONE, "base": Outcome("base", "base", "failed", "no memory")}
    said = verdict(STUDY, [], lost, "auroc")
    assert said == "mask_ratio: base is not finished, so that nothing can be compared."
    assert find_contrasts([STUDY], lost, settings()) == []
    assert note_of_tests([], 0.95) == ""


@pytest.fixture
def ablation() -> Ablation:
    names = Study(
        "loss_terms",
        (),
        (Point("all", (), "base"), Point("5 % & more_x", (), "lost"), Point("c", (), "open")),
        "base",
    )
    outcomes = {
        **DONE,
        "base": outcome("base", fidelity=fidelity([0.4, 0.4], [[0, 1]]), seconds=90.0),
        "lost": Outcome("lost", "lost", "failed", "no memory"),
        "open": Outcome("open", "open", "open"),
    }
    return Ablation(
        title="Ablation on x, 2 folds, linear",
        score="auroc",
        studies=[STUDY, names],
        outcomes=outcomes,
        contrasts=[contrast("half", 0.031, 0.01), contrast("half", -0.02, 0.5, ERROR)],
        verdicts=["mask_ratio: one.", "loss_terms: two."],
        notes=["FAILED: lost: no memory"],
    )


def test_what_only_some_variants_say_of_themselves_is_said_with_their_names() -> None:
    both, own = "image-level folds", "LEAK CHECK OFF"
    done = [outcome("base", notes=(both,)), outcome("half", notes=(own, both))]
    assert list(_common_notes(done)) == [both, f"half: {own}"]
    assert list(_common_notes([])) == []


def test_tables_hold_every_variant_in_its_words(ablation: Ablation) -> None:
    first, second = ablation.tables()
    assert first.headings[:4] == ["Variant", "AUROC (%)", "difference", "p"]
    cells = {row[0]: row for row in first.rows}
    assert cells["mask_ratio 0.5"][1:4] == ["80.0 [75.0, 85.0]", "+3.1 [+2.1, +4.1]", "0.010"]
    assert cells["mask_ratio 0.75 (base)"][2:4] == ["", ""]
    assert [row[:2] for row in second.rows] == [
        ["all (base)", "80.0 [75.0, 85.0]"],
        ["5 % & more_x", "failed"],
        ["c", "not run"],
    ]
    markdown = format_markdown(ablation)
    assert "**mask_ratio: one.**" in markdown
    assert "| 2.50 | 1.5 |" in markdown  # millions of weights, minutes
    assert "- FAILED: lost: no memory" in markdown
    latex = format_latex(ablation)
    assert r"5 \% \& more\_x & failed" in latex
    assert r"80.0 $\pm$ 2.0" in latex
    assert latex.count(r"\begin{tabular}") == latex.count(r"\bottomrule") == 2


def test_the_csv_holds_every_number_in_full(ablation: Ablation) -> None:
    rows = list(csv.DictReader(io.StringIO(format_csv(ablation))))
    assert [row["study"] for row in rows] == ["mask_ratio"] * 3 + ["loss_terms"] * 3
    half = rows[0]
    assert float(half["auroc_difference"]) == 0.031
    assert float(half["haralick_error_p_holm"]) == 0.5
    assert (rows[4]["state"], rows[4]["reason"]) == ("failed", "no memory")
    assert rows[4]["auroc_estimate"] == ""
    assert (rows[3]["weights"], rows[3]["pretraining_seconds"]) == ("2500000", "90.0")


def test_the_facts_are_plain(ablation: Ablation) -> None:
    facts = json.loads(json.dumps(ablation.facts()))
    assert facts["studies"][0]["points"][0] == {
        "label": "mask_ratio 0.5",
        "values": [0.5],
        "variant": "half",
    }
    assert [variant["state"] for variant in facts["variants"]][-2:] == ["failed", "open"]


@pytest.mark.parametrize(
    "factors",
    [
        {"model.mask_ratio": [0.5, 0.9]},
        {"losses.glcm.bandwidth": [0.01, 1.0]},
        {"model.encoder": ["a", "b"]},
        {"model.mask_ratio": [0.5, 0.9], "model.encoder": ["a", "b"]},
        {"model.encoder": ["a", "b"], "model.mask_ratio": [0.5, 0.9]},
        {"model.mask_ratio": [0.1 * k for k in range(1, 6)], "losses.glcm.levels": [*range(5)]},
        {"a.x": [1, 2], "a.y": [1, 2], "a.z": [1, 2]},
    ],
    ids=["line", "log line", "words", "lines", "lines the other way", "map", "three factors"],
)
def test_every_kind_of_study_is_drawn(tmp_path: Path, factors: dict[str, list[Any]]) -> None:
    combinations = list(product(*factors.values()))
    points = tuple(Point(str(values), values, str(values)) for values in combinations)
    outcomes = {
        point.variant: outcome(point.variant, 0.7 + 0.01 * k) for k, point in enumerate(points)
    }
    outcomes[points[1].variant] = Outcome("x", "x", "failed", "no memory")
    outcomes["base"] = outcome("base")
    study = Study("of these", tuple(factors), points, "base")
    found = Ablation("title", "auroc", [study], outcomes, [], ["said"], [])
    path = tmp_path / "ablation.svg"
    draw_ablation(found, path)
    drawn = path.read_text()
    for word in ("of these", "AUROC (%)", "texture error (%)", "PSNR (dB)"):
        assert word in drawn


def test_without_autoencoders_only_the_score_is_drawn(tmp_path: Path) -> None:
    bare = {
        name: Outcome(name, name, "done", scores=outcome(name).scores) for name in ("a", "base")
    }
    study = Study("names", (), (Point("a", (), "a"),), "base")
    found = Ablation("title", "auroc", [study], bare, [], ["said"], [])
    draw_ablation(found, tmp_path / "ablation.svg")
    assert "PSNR" not in (tmp_path / "ablation.svg").read_text()
    assert [table.headings[-1] for table in found.tables(whole=True)] == ["Accuracy"]
