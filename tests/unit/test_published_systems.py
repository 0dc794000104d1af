"""Published figures: each has its source, and the page shows the data and nothing else."""

import dataclasses
import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from glcm_mae.data.known.catalog import known_sets
from glcm_mae.published import SCORES, TASKS, Figure, System, published_systems
from glcm_mae.published.page import BEGIN, END, number, update

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "systems.md"
SYSTEMS = published_systems()
FIGURES = [(system, figure) for system in SYSTEMS for figure in system.figures]
COMPARED = {
    *("glcm-mae", "mae", "omnimae", "resnet50", "vgg16", "inception_v3", "densenet121"),
    *("retinanet", "efficientdet", "vit_base_patch16_224", "deit_base_patch16_224"),
    *("pvt_v2_b2", "gbcnet", "radformer", "us-ucl", "uscl", "vae", "ganomaly", "f-anogan"),
    *("memae", "mnad", "igd", "squid", "chexzero", "xplainer", "coop", "maple", "ppad"),
}


def figure_of(name: str, data: str, score: str) -> Figure:
    [found] = [
        figure
        for system, figure in FIGURES
        if (system.name, figure.data, figure.score) == (name, data, score)
    ]
    return found


def test_all_systems_of_the_comparison_are_there_once() -> None:
    names = [system.name for system in SYSTEMS]
    assert len(names) == len(set(names))
    assert {system.name for system in SYSTEMS if system.compared} == COMPARED


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_a_system_is_described(system: System) -> None:
    assert system.title
    assert system.what
    assert system.licence
    assert system.how
    assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,9}/\S+", system.reference), (
        system.reference
    )
    assert system.code in {"", "timm"} or system.code.startswith("https://")
    assert (system.code == "timm") == bool(system.timm)
    assert not system.recipe or system.timm
    assert system.figures


@pytest.mark.parametrize(
    "figure", [f for _, f in FIGURES], ids=[f"{s.name}-{n}" for n, (s, _) in enumerate(FIGURES)]
)
def test_a_figure_has_a_source_or_a_place_to_look(figure: Figure) -> None:
    assert figure.score in SCORES
    assert figure.data_title
    if figure.value is None:
        assert figure.look
        assert figure.source is None
        assert figure.sd is None
        assert figure.upto is None
        assert not figure.protocol
    else:
        assert 0 < figure.value <= 100
        assert figure.sd is None or 0 < figure.sd < 10
        assert figure.upto is None or figure.value < figure.upto <= 100
        assert figure.protocol
        assert not figure.look
        assert figure.source is not None
        for field in dataclasses.astuple(figure.source):
            assert field
        assert re.match(r"https?://\S+$", figure.source.address)


def test_no_figure_is_written_twice_or_both_found_and_missing() -> None:
    keys = [
        (system.name, figure.data, figure.score, figure.protocol) for system, figure in FIGURES
    ]
    assert len(keys) == len(set(keys))
    found = {(s.name, f.data, f.score) for s, f in FIGURES if f.value is not None}
    missing = {(s.name, f.data, f.score) for s, f in FIGURES if f.value is None}
    assert not found & missing


def test_the_paper_says_something_of_all_four_tasks() -> None:
    gains = {task: figure_of("glcm-mae", task, "gain").value for task in TASKS}
    assert gains == {"gbcu": 2.1, "busi": 3.1, "kermany-cxr": 0.5, "sarscov2-ct": 0.6}
    assert set(TASKS) <= {known.name for known in known_sets()}


def test_accuracies_on_chest_x_rays_as_their_readme_prints_them() -> None:
    printed = {"memae": 56.5, "squid": 80.3, "chexzero": 83.0, "xplainer": 78.2}
    printed |= {"coop": 84.6, "maple": 86.1, "ppad": 89.4}
    shown = {name: figure_of(name, "kermany-cxr", "accuracy").value for name in printed}
    assert shown == printed


def test_no_entry_of_the_file_is_left_unused() -> None:
    facts = json.loads(files("glcm_mae.published").joinpath("systems.json").read_text("utf-8"))
    assert facts["schema"] == 1
    assert set(facts["sources"]) == {f.source.key for _, f in FIGURES if f.source}
    assert set(facts["data_sets"]) == {f.data for _, f in FIGURES}


def test_the_page_shows_the_data() -> None:
    page = PAGE.read_text(encoding="utf-8")
    write = "p.write_text(update(p.read_text()))"
    assert page == update(page), (
        "docs/systems.md is not what systems.json says; write its tables again: "
        'python -c "from pathlib import Path; from glcm_mae.published.page import update; '
        f"p = Path('docs/systems.md'); {write}\""
    )
    for system, figure in FIGURES:
        assert system.title in page
        if figure.value is not None:
            assert f"| {number(figure)} |" in page
        else:
            assert figure.look in page


def test_no_score_stands_on_the_page_outside_the_tables() -> None:
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    prose = before + rest.split(END)[1]
    assert not re.search(r"\d+\.\d+ ?%|± ?\d", prose)
    assert "p-value" in prose


def test_a_page_without_marks_is_refused() -> None:
    with pytest.raises(ValueError, match="needs the marks"):
        update("no marks")


def test_a_range_and_a_gain_are_written_as_printed() -> None:
    assert number(figure_of("us-ucl", "gb-malignancy", "gain")) == "+2 to 6"
    assert number(figure_of("glcm-mae", "busi", "gain")) == "+3.1"
    assert number(figure_of("glcm-mae", "busi", "accuracy")) == "–"


def test_recipes_that_are_named_exist() -> None:
    if not (ROOT / "recipes" / "baselines").is_dir():
        pytest.skip("recipes/baselines is not there")
    missing = [s.recipe for s in SYSTEMS if s.recipe and not (ROOT / s.recipe).is_file()]
    assert missing == []


def test_reading_them_needs_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from glcm_mae.published import published_systems; published_systems();"
        "sys.exit(any(name in sys.modules for name in ('torch', 'numpy', 'timm')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    assert done.returncode == 0
