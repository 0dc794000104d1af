"""Sections: what they show of studies by other commands, and what they say without them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_runs import make_run
from PIL import Image
from sklearn.metrics import roc_auc_score

from glcm_mae.config import ReportConfig
from glcm_mae.errors import InputError
from glcm_mae.report import (
    discrimination,
    disturbances,
    insight,
    learning,
    literature,
    mistakes,
    null_results,
    overview,
    restoration,
    settings_of_runs,
)
from glcm_mae.report.blocks import Bullets, Callout, Cell, Details, Figure, Gallery, Table, Text
from glcm_mae.report.cautions import cautions
from glcm_mae.report.discrimination import pool_of, roc_curve
from glcm_mae.report.documents import blocks_of
from glcm_mae.report.facts import Attachment, Facts, read_run_facts, without_places
from glcm_mae.report.gathering import gather


@pytest.fixture(scope="module")
def facts(two_runs: tuple[Path, Path]) -> Facts:
    return Facts([read_run_facts(run.name, run) for run in two_runs])


def with_study(facts: Facts, kind: str, content: dict[str, Any], folder: Path) -> Facts:
    return Facts(facts.runs, {kind: [Attachment(folder, content)]})


def of_kind(blocks: Any, kind: type) -> list[Any]:
    found = [block for block in blocks if isinstance(block, kind)]
    for block in blocks:
        if isinstance(block, Details):
            found += of_kind(block.blocks, kind)
    return found


def test_sections_without_input_name_the_command(facts: Facts) -> None:
    for section, command in (
        (restoration.section(facts), "glcm-mae reconstruct"),
        (insight.section(facts, with_images=False), "glcm-mae explain"),
        (null_results.section(facts), "glcm-mae controls"),
        (disturbances.section(facts), "glcm-mae robustness"),
    ):
        (box,) = section.blocks
        assert box.kind == "missing"
        assert command in box.items[0][1].text


def test_mean_curves_and_phases_are_those_of_the_metrics(facts: Facts) -> None:
    charts = [
        block.chart for block in learning.section(facts).blocks if isinstance(block, Figure)
    ]
    assert [chart.key for chart in charts] == ["learning_pretraining", "learning_finetuning"]
    loss = charts[0].panels[0]
    run = facts.runs[0]
    bold = next(line for line in loss.drawn if line.name == "keen" and not line.thin)
    lines = [
        [json.loads(line) for line in path.read_text().splitlines()]
        for path in sorted(run.folder.glob("fold-*/pretraining/metrics.jsonl"))
    ]
    means = [np.mean([own[epoch]["loss"] for own in lines]) for epoch in range(4)]
    assert bold.y == pytest.approx(means)
    assert bold.x == [1, 2, 3, 4]
    begins = [line.x[0] for line in loss.drawn if line.role == "quiet"]
    assert begins == [2.5]


def test_what_picked_the_epoch_is_that_of_the_runs(facts: Facts) -> None:
    def said(*selections: str) -> str:
        runs = [
            replace(run, scores={**run.scores, "selection": selection})
            for run, selection in zip(facts.runs, selections, strict=False)
        ]
        return str(learning.section(Facts(runs)).blocks[0].words)

    assert said("inner", "inner").endswith(
        "by heart. The inner part picked the epoch of fine-tuning."
    )
    assert said("test-fold").endswith("The epoch was picked ON THE TEST PART.")
    mixed = said("last", "inner")
    assert f"{facts.runs[0].name}: No epoch was picked" in mixed
    assert f"{facts.runs[1].name}: The inner part" in mixed


def test_weights_that_differ_are_told(facts: Facts) -> None:
    runs = [
        replace(run, settings={**facts.runs[0].settings, "weights": weights, "out": weights})
        for run, weights in zip(facts.runs, ("timm:one", "timm:two"), strict=True)
    ]
    table = of_kind(settings_of_runs.section(Facts(runs)).blocks, Table)[0]
    assert [row[0] for row in table.rows] == ["weights"]


def test_the_roc_is_within_its_band_and_has_the_auroc_of_the_scores(facts: Facts) -> None:
    run = facts.runs[0]
    pool = pool_of(run, "ill")
    curve = roc_curve(pool, seed=0, resamples=200)
    assert (curve.low <= curve.y).all()
    assert (curve.y <= curve.high).all()
    area = roc_auc_score(run.predictions.labels == 1, run.predictions.probabilities[:, 1])
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(area, abs=0.01)


def test_mistakes_stand_once_and_fall_in_sureness(facts: Facts) -> None:
    found = mistakes.mistakes(facts.runs[1])
    sure = [each.probability for each in found]
    assert sure == sorted(sure, reverse=True)
    assert len({each.image for each in found}) == len(found) > 0
    assert all(each.truth != each.called for each in found)


def test_cautions_that_hold_for_all_runs_are_said_once(facts: Facts) -> None:
    texts = ["".join(getattr(p, "text", p) for p in c.words) for c in cautions(facts)]
    seeds = [text for text in texts if "another seed" in text]
    assert len(seeds) == 1
    assert seeds[0].startswith("One model")
    assert not any(caution.grave for caution in cautions(facts))


RECONSTRUCTION = {
    "runs": ["keen"],
    "images": 12,
    "features": ["contrast", "correlation", "energy"],
    "figure_features": ["contrast", "correlation", "energy"],
    "original": {"contrast": 4.0, "correlation": 0.5, "energy": 0.25},
    "systems": {
        "keen": {
            "features": {"contrast": 2.0, "correlation": 0.5, "energy": 0.5},
            "errors": {
                name: {"estimate": 0.5, "low": 0.4, "high": None}
                for name in ("contrast", "correlation", "energy")
            },
            "mean_error": {"estimate": 0.5, "low": 0.4, "high": 0.6},
            "measures": {"ssim": {"estimate": 0.9, "low": 0.8, "high": 0.95}},
        }
    },
    "histogram": {
        "edges": [0.0, 0.5, 1.0],
        "original": [0.5, 0.5],
        "systems": {"keen": [1, 0]},
    },
    "spectrum": {"frequency": [0.0, 0.25], "original": [2, 1], "systems": {"keen": [2, 0.5]}},
    "notes": ["masks by seed"],
}


def test_reconstructions_are_held_against_the_originals(facts: Facts, tmp_path: Path) -> None:
    section = restoration.section(with_study(facts, "reconstruction", RECONSTRUCTION, tmp_path))
    charts = [figure.chart for figure in of_kind(section.blocks, Figure)]
    radar = charts[0].panels[0]
    ring, own = radar.drawn
    assert list(ring.y) == [1.0, 1.0, 1.0]
    assert own.y == [0.5, 1.0, 2.0]
    assert own.role == 0
    spectrum = charts[1].panels[1]
    assert spectrum.drawn[0].x == [0.25]
    cells = of_kind(section.blocks, Table)[0].rows[0]
    assert cells[1] == Cell(
        "0.500 [0.400, 0.600]", "reconstruction.json#/systems/keen/mean_error", "limits 3 1"
    )


EXPLANATIONS = {
    "run": "keen",
    "cases": [
        {
            "image": "ill/scan_001.png",
            "fold": 0,
            "truth": "ill",
            "predicted": "well",
            "probability": 0.875,
            "right": False,
            "picture": "cases/one.png",
            "nearest": [{"image": "well/scan_002.png", "class": "well", "similarity": 0.91}],
        },
        {
            "image": "x",
            "truth": "ill",
            "predicted": "ill",
            "probability": None,
            "right": True,
            "picture": "../outside.png",
            "nearest": [],
        },
    ],
    "map": {
        "shared": True,
        "method": "umap",
        "points": [
            {"x": 0.0, "y": 1.0, "class": "ill", "fold": 0, "image": "a"},
            {"x": 2.0, "y": 3.0, "class": "well", "fold": 1, "image": "b"},
        ],
    },
    "notes": [],
}


def test_overlays_are_shown_only_with_images(facts: Facts, tmp_path: Path) -> None:
    folder = tmp_path / "explained"
    (folder / "cases").mkdir(parents=True)
    for path in (folder / "cases" / "one.png", tmp_path / "outside.png"):
        Image.new("L", (4, 4)).save(path)
    study = with_study(facts, "explanations", EXPLANATIONS, folder)
    hidden = insight.section(study, with_images=False).blocks
    assert of_kind(hidden, Gallery) == []
    shown = insight.section(study, with_images=True).blocks
    (gallery,) = of_kind(shown, Gallery)
    assert len(gallery.pictures) == 1  # one lies outside the folder and is left alone
    dots = of_kind(shown, Figure)[0].chart.panels[0].drawn
    assert [(d.name, list(d.x), list(d.y)) for d in dots] == [
        ("ill", [0.0], [1.0]),
        ("well", [2.0], [3.0]),
    ]
    table = of_kind(shown, Table)[0]
    assert table.rows[0][3].text == "87.5"
    assert table.rows[1][3].text == "–"


CONTROLS = {
    "run": "elsewhere",
    "score": "auroc",
    "controls": {
        "trained_encoder": {"estimate": 0.8, "low": 0.7, "high": 0.9},
        "random_encoder": {"estimate": 0.6, "low": 0.5, "high": 0.7},
        "label_shuffle": {
            "estimate": 0.66,
            "low": 0.6,
            "high": 0.7,
            "chance": 0.5,
            "inside": False,
            "permutations": 20,
        },
        "patient_probe": {"skipped": "no patient has two images"},
    },
    "notes": ["linear probes"],
}


def test_a_control_that_fails_is_not_hidden(facts: Facts, tmp_path: Path) -> None:
    section = null_results.section(with_study(facts, "controls", CONTROLS, tmp_path))
    (table,) = of_kind(section.blocks, Table)
    outcomes = {row[0]: row[3] for row in table.rows}
    assert outcomes["run's encoders, labels shuffled"] == "NOT at chance: look for a leak"
    assert outcomes["nearest image is the patient's"] == "no patient has two images"
    boxes = of_kind(section.blocks, Callout)
    assert "elsewhere" in boxes[0].title


def limits(middle: float | None, around: float = 0.01) -> dict[str, float | None]:
    if middle is None:
        return dict.fromkeys(("estimate", "low", "high"))
    return {"estimate": middle, "low": middle - around, "high": middle + around}


ROBUSTNESS = {
    "run": "keen",
    "settings": {"score": "accuracy"},
    "clean": {"accuracy": limits(0.9)},
    "corruptions": {
        "gamma_down": {
            "levels": [{"scores": {"accuracy": limits(0.9 - 0.1 * n)}} for n in range(5)],
            "mean_drop": {"accuracy": limits(0.2)},
        },
        "jpeg": {
            "levels": [{"scores": {"accuracy": limits(0.91)}}] * 5,
            "mean_drop": {"accuracy": limits(-0.01)},
        },
        "blur": {
            "levels": [{"scores": {"accuracy": limits(None)}}] * 5,
            "mean_drop": {"accuracy": limits(None)},
        },
    },
    "mean_drop": {"accuracy": limits(0.095)},
    "external": {
        "pooled": {"accuracy": limits(0.75), "sensitivity": limits(0.5)},
        "operating_point": {"pooled": {"sensitivity": limits(0.625)}},
        "notes": ["40 images of another hospital"],
    },
    "notes": ["seen in pairs"],
}


def test_what_changed_images_cost_is_drawn_and_told(facts: Facts, tmp_path: Path) -> None:
    section = disturbances.section(with_study(facts, "robustness", ROBUSTNESS, tmp_path))
    (figure,) = of_kind(section.blocks, Figure)
    dots = figure.chart.panels[0].drawn[1]
    assert list(dots.x) == pytest.approx([20.0, -1.0])
    assert list(dots.low) == pytest.approx([19.0, -2.0])
    changed, external = of_kind(section.blocks, Table)
    assert [row[0] for row in changed.rows] == ["gamma down", "jpeg"]
    assert [cell.text for cell in changed.rows[0][1:7]] == [
        *("90.0", "90.0", "80.0", "70.0", "60.0", "50.0"),
    ]
    assert changed.rows[0][3].of.endswith(
        "/corruptions/gamma_down/levels/1/scores/accuracy/estimate"
    )
    assert changed.rows[0][7].text == "20.0 [19.0, 21.0]"
    assert [(row[0], row[1].text) for row in external.rows] == [
        ("Accuracy (%)", "75.0 [74.0, 76.0]"),
        ("Sensitivity (%)", "50.0 [49.0, 51.0]"),
        ("Sensitivity (%), at the operating point", "62.5 [61.5, 63.5]"),
    ]
    notes = [details.blocks[0].items for details in of_kind(section.blocks, Details)]
    assert notes == [["seen in pairs"], ["40 images of another hospital"]]
    assert of_kind(section.blocks, Callout) == [], "it is of a run that is shown"


def test_studies_beside_the_runs_are_found_by_what_they_are_about(tmp_path: Path) -> None:
    run = make_run(tmp_path / "keen")
    for name, about in (("ours", "keen"), ("theirs", "another")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "controls.json").write_text(json.dumps({"run": about}))
    found = gather(ReportConfig(runs=(str(run),), out="report.html")).attached
    assert [each.folder.name for each in found["controls"]] == ["ours"]
    assert "comparison" not in found


def test_a_study_of_a_run_of_the_same_name_elsewhere_is_not_taken(tmp_path: Path) -> None:
    """paper/busi and laptop/busi: the controls beside the second are not of the first."""
    first, second = (make_run(tmp_path / where / "busi") for where in ("paper", "laptop"))
    (tmp_path / "laptop" / "checked").mkdir()
    told = {"run": "busi", "controls": {}}
    (tmp_path / "laptop" / "checked" / "controls.json").write_text(json.dumps(told))
    runs = (f"paper={first}", f"ours={second}")
    (study,) = gather(ReportConfig(runs=runs, out="report.html")).attached["controls"]
    assert study.of == "ours"
    paper, ours = (read_run_facts(n, p) for n, p in (("paper", first), ("ours", second)))
    assert (study.is_of(paper), study.is_of(ours)) == (False, True)


@pytest.mark.parametrize("classes", [("a", "b", "c"), ("a", "b")])
def test_a_class_without_test_images_has_no_curve(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    run = read_run_facts("keen", make_run(tmp_path / "keen", classes=classes))
    said = run.predictions
    without = said.rows(said.labels != len(classes) - 1)
    section = discrimination.section(Facts([replace(run, predictions=without)]))
    texts = [block.words for block in of_kind(section.blocks, Text)]
    assert any(str(text).startswith(f"{classes[-1]}: no curve") for text in texts)


def test_the_verdict_says_why_no_test_was_made(facts: Facts) -> None:
    def verdict(runs: Any, **attached: Any) -> str:
        found = {kind: [Attachment(Path("x"), told)] for kind, told in attached.items()}
        words = overview.section(Facts(runs, found)).blocks[0].entries[3][1]
        return "".join(getattr(word, "text", word) for word in words)

    assert "One run is shown" in verdict(facts.runs[:1])
    refused = verdict(facts.runs, comparison={"refused": "other folds"})
    assert "These runs cannot be compared" in refused
    assert "One run" not in refused
    assert "were not compared" in verdict(facts.runs)


def test_images_from_elsewhere_are_not_said_to_be_missing(facts: Facts) -> None:
    def told(external: object) -> bool:
        study = Attachment(Path("x"), {"external": external})
        found = cautions(Facts(facts.runs, {"robustness": [study]}))
        return any("another hospital" in str(caution.words) for caution in found)

    assert told(None)
    assert not told({"pooled": {}})


def test_a_probe_has_no_epoch_that_could_be_picked_on_the_test_part(facts: Facts) -> None:
    run = facts.runs[0]
    for protocol, grave in (("finetune", True), ("linear", False)):
        scores = {**run.scores, "selection": "test-fold", "protocol": protocol}
        found = cautions(Facts([replace(run, scores=scores)]))
        assert any(caution.grave for caution in found) is grave


def test_maps_of_folds_with_encoders_of_their_own_are_apart(
    facts: Facts, tmp_path: Path
) -> None:
    points = [
        {"image": f"{n}", "class": "ill", "fold": n % 2, "x": n, "y": 0.0} for n in range(6)
    ]
    for shared, panels in ((True, 1), (False, 2)):
        told = {"run": "keen", "map": {"method": "umap", "shared": shared, "points": points}}
        study = with_study(facts, "explanations", told, tmp_path)
        (figure,) = of_kind(insight.section(study, with_images=False).blocks, Figure)
        assert len(figure.chart.panels) == panels
        drawn = [x for panel in figure.chart.panels for dots in panel.drawn for x in dots.x]
        assert sorted(drawn) == [0, 1, 2, 3, 4, 5]
        assert ("plane of its own" in figure.chart.caption) is not shared


def test_runs_that_cannot_be_compared_say_why(tmp_path: Path) -> None:
    first = make_run(tmp_path / "Ann Lee" / "two")
    second = make_run(tmp_path / "Ann Lee" / "three", classes=("a", "b", "c"))
    runs = (str(first), str(second))
    facts = gather(ReportConfig(runs=runs, out="report.html"))
    assert "cannot be compared" in facts.comparison["refused"]
    assert str(tmp_path) not in facts.comparison["refused"]
    assert "Lee" not in facts.comparison["refused"]
    words = overview.section(facts).blocks[0].entries[3][1]
    assert words  # the verdict falls back on the baselines


def test_published_figures_stand_where_the_set_is_known(facts: Facts) -> None:
    assert literature.blocks(facts) == []
    run = facts.runs[0]
    like = {**run.scores, "images": 780, "skipped": 0, "classes": ["a", "b", "c"]}
    known = literature.known_set(type(run)(**{**vars(run), "scores": like}))
    assert known.name == "busi"


def test_paths_are_cut_wherever_they_stand() -> None:
    found = without_places(
        {
            "a": ["/srv/x/y/z.png"],
            "b": "~/x/y",
            "c": "see /srv/x/y/z.png: no",
            "d": 3,
            "e": "1/2",
            "f": "ours=/home/ann lee/runs/a",
            "g": "/srv/x/y/a: has other folds than /srv/x/y/b",
        }
    )
    assert found == {
        "a": ["y/z.png"],
        "b": "x/y",
        "c": "see y/z.png: no",
        "d": 3,
        "e": "1/2",
        "f": "ours=runs/a",
        "g": "y/a: has other folds than y/b",
    }


def test_markdown_becomes_blocks() -> None:
    table_text = "| a | b |\n| --- | ---: |\n| c | 1 |"
    text = f"## Data\n\nOne **TODO:** `x`.\n\n{table_text}\n\n```sh\nls\n```"
    heading, words, table, code = blocks_of(text, "card.md")
    assert heading.text == "Data"
    assert words == Text(["One ", Cell("TODO:", strong=True), " ", Cell("x", form="code"), "."])
    assert table.rows == [["c", Cell("1", "card.md", "text")]]
    assert code.text == "ls"
    (bullets,) = blocks_of("- one\n- two", "card.md")
    assert isinstance(bullets, Bullets)
    assert len(bullets.items) == 2


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("scores.json", "{", "cannot be read"),
        ("scores.json", "{}", "is not that of a cross-validation"),
        ("config.yaml", "- a", "must hold settings"),
        ("folds.csv", "a,b\n1,2\n", "is no table of folds"),
        ("fold-0/pretraining/metrics.jsonl", "{", "holds a damaged line"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, file: str, content: str, message: str) -> None:
    run = make_run(tmp_path / "run")
    (run / file).write_text(content)
    with pytest.raises(InputError, match=message):
        read_run_facts("run", run)
