"""The page: what it shows is what the files hold, and it holds nothing that it must not."""

import base64
import csv
import getpass
import hashlib
import json
import re
import socket
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import yaml
from made_runs import make_run
from sklearn.metrics import confusion_matrix

from glcm_mae.config import ReportConfig
from glcm_mae.errors import InputError
from glcm_mae.report.gathering import gather
from glcm_mae.report.page import charts_of, render_page
from glcm_mae.report.writing import sections_of, write_report

NUMBER = re.compile(r"^[-+<≥]?\s?[\d.,]+( %|:\d+)?( ±| \[| \(|$)")


class Page(HTMLParser):
    """Gathers cells, citations, scripts, pictures and links of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cited: list[tuple[str, str, str]] = []
        self.cells: list[tuple[bool, str]] = []
        self.scripts: list[tuple[dict, str]] = []
        self.tags: list[tuple[str, dict]] = []
        self._open: list[list] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        self.tags.append((tag, own))
        if tag not in ("meta", "img", "link", "br", "path", "rect", "line", "circle"):
            self._open.append([tag, own, ""])

    def handle_data(self, data):
        for entry in self._open:
            entry[2] += data

    def handle_endtag(self, tag):
        while self._open:
            name, own, text = self._open.pop()
            if "data-of" in own:
                self.cited.append((own["data-of"], own["data-form"], text))
            if name == "td":
                self.cells.append(("data-of" in own, text))
            if name == "script":
                self.scripts.append((own, text))
            if name == tag:
                return


@pytest.fixture(scope="module")
def text(report: Path) -> str:
    return report.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return Page(text)


def shown_of(*runs: str, **settings) -> str:
    """Return the page of some runs, with blank pictures: drawing is what takes time."""
    config = ReportConfig(runs=runs, out="report.html", **settings)
    facts = gather(config)
    sections = sections_of(facts, config)
    pictures = {chart.key: b"<svg/>" for chart in charts_of(sections)}
    return own_text(render_page(facts, sections, pictures, with_images=config.with_images))


def own_text(text: str) -> str:
    """Return the page without plotly, whose text is not ours."""
    return re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)


def look_up(content, path: str):
    for step in path.strip("/").split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        content = content[int(key)] if isinstance(content, list) else content[key]
    return content


def percent(value: float | None, score: str) -> str:
    if value is None:
        return "–"
    plain = ("mcc", "brier", "log_loss", "ece", "slope", "intercept")
    return f"{value:.3f}" if score in plain else f"{100 * value:.1f}"


def interval(value, score: str) -> str:
    shown = [percent(value[k], score) for k in ("estimate", "low", "high")]
    return "–" if shown[0] == "–" else f"{shown[0]} [{shown[1]}, {shown[2]}]"


def mean(value, score: str) -> str:
    shown = percent(value["mean"], score)
    return shown if value["sd"] is None else f"{shown} ± {percent(value['sd'], score)}"


FORMS = {
    "interval": interval,
    "mean": mean,
    "score": percent,
    "number": lambda value, digits: f"{value:.{int(digits)}f}",
    "count": lambda value, _: f"{value:,}",
    "note": lambda value, _: f"{value}.",
    "length": lambda value, _: str(len(value)),
    "in": lambda value, _: f"{100 * value:.0f} in 100",
    "of": lambda value, _: str(round(100 * value)),
    "rest": lambda value, _: str(100 - round(100 * value)),
}
"""How a value is written, by the first word of the form that its citation names."""


def test_every_number_is_that_of_scores_json(page: Page, two_runs: tuple[Path, Path]) -> None:
    scores = {run.name: json.loads((run / "scores.json").read_text()) for run in two_runs}
    seen = set()
    for of, form, text in page.cited:
        file, mark, path = of.partition("#")
        if not mark or not file.endswith("scores.json"):
            continue
        value = look_up(scores[file.split("/")[0]], path)
        kind, _, score = form.partition(" ")
        assert text == FORMS[kind](value, score), of
        seen.add(kind)
    assert {"interval", "mean", "score", "number", "count"} <= seen
    assert sum(of.partition("#")[0].endswith("scores.json") for of, _, _ in page.cited) > 200


def test_settings_are_those_of_config_yaml(page: Page, two_runs: tuple[Path, Path]) -> None:
    settings = {run.name: yaml.safe_load((run / "config.yaml").read_text()) for run in two_runs}
    shown = {of: text for of, form, text in page.cited if form == "setting"}
    assert shown["keen/config.yaml#/seed"] == str(settings["keen"]["seed"])
    assert shown["dull/config.yaml#/finetuning/epochs"] == "3"
    assert shown["keen/config.yaml#/data/table"] == "clinic/scans"


def test_no_number_in_a_table_is_without_a_source(page: Page) -> None:
    uncited = [text for cited, text in page.cells if not cited and NUMBER.match(text.strip())]
    assert uncited == []
    assert sum(cited for cited, _ in page.cells) > 300


def test_confusion_matrices_are_those_of_the_predictions(
    page: Page, two_runs: tuple[Path, Path]
) -> None:
    for run in two_runs:
        with (run / "predictions.csv").open() as file:
            rows = list(csv.DictReader(file))
        counts = confusion_matrix(
            [row["label"] for row in rows],
            [row["predicted"] for row in rows],
            labels=["well", "ill"],
        )
        shown = {
            form: text
            for of, form, text in page.cited
            if of == f"{run.name}/predictions.csv" and form.startswith("confusion")
        }
        for (row, column), count in np.ndenumerate(counts):
            share = 100 * count / counts[row].sum()
            assert shown[f"confusion {row} {column}"] == f"{count:,} ({share:.1f} %)"


def test_mistakes_are_the_surest_wrong_calls(page: Page, two_runs: tuple[Path, Path]) -> None:
    run = two_runs[0]
    with (run / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    wrong = [row for row in rows if row["label"] != row["predicted"]]
    sure = sorted(
        (max(float(row["p_well"]), float(row["p_ill"])) for row in wrong), reverse=True
    )
    shown = [
        text
        for of, form, text in page.cited
        if of == f"{run.name}/predictions.csv" and form.startswith("probability")
    ]
    assert shown[:10] == [f"{100 * value:.1f}" for value in sure[:10]]


def test_nothing_is_fetched_and_only_known_scripts_run(text: str, page: Page) -> None:
    policy = next(own["content"] for tag, own in page.tags if own.get("http-equiv"))
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "script-src 'unsafe-inline'" not in policy
    running = [code for own, code in page.scripts if own.get("type") != "application/json"]
    assert len(running) == 2
    for code in running:
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy
    for tag, own in page.tags:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert own.get("src", "data:").startswith("data:")
        assert not any(name.startswith("on") for name in own)
    assert text.count("plotly.js v") == 1
    assert len(text.encode()) < 15e6


def test_no_pixel_of_a_patient_and_no_place_of_this_machine(
    text: str, page: Page, report: Path, two_runs: tuple[Path, Path]
) -> None:
    for kind, data in re.findall(r"data:([\w/+.-]+);base64,([\w+/=]+)", own_text(text)):
        assert kind == "image/svg+xml"
        picture = base64.b64decode(data).decode()
        assert "<image" not in picture
        assert "data:" not in picture
    shown = own_text(text)
    for secret in (str(Path.home()), str(two_runs[0].parent), str(report.parent)):
        assert secret not in shown
    body = re.sub(r"<(style|script).*?</\1>", "", shown, flags=re.DOTALL)
    words = set(re.findall(r"[\w.-]+", body))
    assert socket.gethostname() not in words
    assert getpass.getuser() not in words


def test_it_is_read_without_script_and_without_eyes(text: str, page: Page) -> None:
    assert '<html lang="en">' in text
    images = [own for tag, own in page.tags if tag == "img"]
    assert images
    assert all(own["alt"].strip() for own in images)
    headings = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert max(later - earlier for earlier, later in pairwise(headings)) == 1
    anchors = {own["id"] for _, own in page.tags if "id" in own}
    links = [own["href"] for tag, own in page.tags if tag == "a"]
    assert all(href[1:] in anchors for href in links if href.startswith("#"))
    assert [href for href in links if href.startswith("#")][1:4] == [
        "#summary",
        "#images",
        "#settings",
    ]
    assert len(anchors) == sum("id" in own for _, own in page.tags)


def test_the_comparison_is_made_and_told(text: str) -> None:
    assert "keen is better than dull by AUROC" in text
    assert 'id="comparison"' in text


def test_figures_and_tables_for_papers_stand_beside(report: Path) -> None:
    folder = report.with_name("report_figures")
    names = {path.name for path in folder.iterdir()}
    assert {"scores.svg", "scores.pdf", "curves.svg", "confusion_0.pdf", "scores.tex"} <= names
    svg = {name.removesuffix(".svg") for name in names if name.endswith(".svg")}
    assert svg == {name.removesuffix(".pdf") for name in names if name.endswith(".pdf")}
    table = (folder / "scores.tex").read_text()
    assert r"\toprule" in table
    assert "GLCM-MAE, 1.5" in table


def test_a_report_is_never_overwritten(report: Path, two_runs: tuple[Path, Path]) -> None:
    before = report.read_bytes()
    with pytest.raises(InputError, match=r"report\.html: exists; choose another --out"):
        write_report(ReportConfig(runs=(str(two_runs[0]),), out=report))
    assert report.read_bytes() == before


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"is not a finished cross-validation, config\.yaml"):
        write_report(ReportConfig(runs=(str(tmp_path),), out=tmp_path / "report.html"))
    assert not (tmp_path / "report.html").exists()


def test_names_that_look_like_markup_stay_text(tmp_path: Path) -> None:
    run = make_run(tmp_path / "odd", classes=("<b>well</b>", "ill & <script>"))
    shown = shown_of(str(run))
    assert "<b>well" not in shown
    assert "ill & <script>" not in shown
    assert "ill &amp; &lt;script&gt;" in shown


def test_several_classes_without_folds_apart_make_a_page(tmp_path: Path) -> None:
    run = make_run(tmp_path / "three", classes=("a", "b", "c"))
    shown = shown_of(f"ours={run}", compute="off")
    assert "c against the rest" in shown
    assert "One run is shown: there is nothing to compare" in shown


def test_grave_faults_stand_in_the_summary(tmp_path: Path) -> None:
    run = make_run(tmp_path / "cheat")
    scores = json.loads((run / "scores.json").read_text())
    scores |= {"selection": "test-fold", "transductive": True}
    scores["leak_check"] = {"check": "off"}
    scores["notes"].append(
        "WARNING: 7 groups stand in two parts of the given split, which leaks"
    )
    (run / "scores.json").write_text(json.dumps(scores))
    shown = shown_of(str(run))
    summary = shown[shown.index('id="summary"') : shown.index('id="images"')]
    for words in (
        "4 grave reasons to doubt these scores",
        "picked on the very images that are scored",
        "pre-training saw the test images too",
        "leak check was off",
        "7 groups stand in two parts",
    ):
        assert words in summary
