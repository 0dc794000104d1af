"""The stage: gather, draw, write one page and what papers need."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from glcm_mae.config import ReportConfig
from glcm_mae.errors import InputError
from glcm_mae.figures import save_figure
from glcm_mae.files import write_atomically
from glcm_mae.progress import Meter
from glcm_mae.report import (
    contrasts,
    decisions,
    discrimination,
    disturbances,
    documents,
    images,
    insight,
    learning,
    literature,
    mistakes,
    null_results,
    overview,
    reliability,
    reproduction,
    restoration,
    scoring,
    settings_of_runs,
)
from glcm_mae.report.blocks import Section
from glcm_mae.report.drawing import draw_chart, draw_matrix
from glcm_mae.report.facts import Facts
from glcm_mae.report.gathering import gather
from glcm_mae.report.latex import format_scores
from glcm_mae.report.page import charts_of, render_page
from glcm_mae.report.photographs import read_photographs


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        page: The HTML file.
        figures: Folder of the figures and of the table for papers.
        megabytes: Size of the page.
    """

    page: Path
    figures: Path
    megabytes: float


def write_report(config: ReportConfig) -> Written:
    """Show finished runs as one page, with every figure and the scores as files beside it.

    Args:
        config: Settings of the stage.

    Returns:
        What was written, and how large the page is.

    Raises:
        InputError: If a report is there already, or a folder holds no finished run.
    """
    folder = config.out.with_name(f"{config.out.stem}_figures")
    for path in (config.out, folder):
        if path.exists():
            raise InputError(f"{path}: exists; choose another --out, or remove it")
    facts = gather(config)
    sections = sections_of(facts, config)
    charts = charts_of(sections)
    pictures: dict[str, bytes] = {}
    with Meter("drawing", total=len(charts), unit="figures") as meter:
        for chart in charts:
            figure = draw_chart(chart)
            files = [folder / f"{chart.key}.{kind}" for kind in ("svg", "pdf")]
            save_figure(figure, *files)
            pictures[chart.key] = files[0].read_bytes()
            meter.advance(1)
    for place, run in enumerate(facts.runs):
        matrix = draw_matrix(decisions.confusion(run), run.classes, run.name)
        save_figure(matrix, *(folder / f"confusion_{place}.{kind}" for kind in ("svg", "pdf")))
    write_atomically(folder / "scores.tex", format_scores(facts).encode())
    documents.write_documents(folder, facts)
    page = render_page(facts, sections, pictures, with_images=config.with_images).encode()
    write_atomically(config.out, page)
    return Written(config.out, folder, len(page) / 1e6)


def _photographs(facts: Facts, config: ReportConfig) -> Mapping[str, bytes] | None:
    """Read the mistaken images of the first run, if patients may be shown."""
    if not config.with_images:
        return None
    run = facts.runs[0]
    names = [each.image for each in mistakes.mistakes(run)[: mistakes.SHOWN]]
    return read_photographs(run, names, config.table)


def sections_of(facts: Facts, config: ReportConfig) -> Sequence[Section]:
    """Return all sections in the order of the page."""
    first = overview.section(facts)
    return [
        Section(
            first.key, first.title, first.question, [*first.blocks, *literature.blocks(facts)]
        ),
        images.section(facts),
        settings_of_runs.section(facts),
        learning.section(facts),
        restoration.section(facts),
        scoring.section(facts),
        decisions.section(facts),
        discrimination.section(facts),
        reliability.section(facts),
        contrasts.section(facts),
        mistakes.section(facts, _photographs(facts, config)),
        insight.section(facts, with_images=config.with_images),
        null_results.section(facts),
        disturbances.section(facts),
        documents.card_section(facts),
        documents.checklist_section(facts),
        reproduction.section(facts),
    ]
