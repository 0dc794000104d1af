"""The arms of the panel: each system, with each protocol, on each share of the labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glcm_mae.benefit.contrasts import Contrast, find_contrasts, verdict
from glcm_mae.benefit.figure import draw_benefit
from glcm_mae.captions import pretraining_note, selection_note
from glcm_mae.config import BenefitConfig, CrossValConfig
from glcm_mae.config.benefit import Protocol
from glcm_mae.crossvalidation import (
    CrossValidation,
    Division,
    cross_validate,
    divide_images,
)
from glcm_mae.division import draw_folds
from glcm_mae.files import write_atomically
from glcm_mae.intake import splits_of
from glcm_mae.plain_table import markdown_rows
from glcm_mae.progress import say
from glcm_mae.runs import Run, check_run_folder, write_json

TABLE_FILE = "benefit.csv"


@dataclass(frozen=True)
class Arm:
    """One system, with one protocol, on one share of the labels.

    Attributes:
        system: Name of the system.
        protocol: What was put on its encoder.
        share: Share of the training labels that was used.
        folder: Its cross-validation, relative to the panel's folder.
    """

    system: str
    protocol: Protocol
    share: float
    folder: str


@dataclass(frozen=True)
class Benefit:
    """What the panel found.

    Attributes:
        title: Headline.
        score: Name of the score.
        shares: Shares of the labels, rising.
        cells: Of each arm ``mean`` and ``sd`` over models, and ``estimate``, ``low`` and
            ``high`` over all test images.
        contrasts: Paired comparisons by the first protocol.
        verdict: One sentence.
        notes: How the numbers came about.
    """

    title: str
    score: str
    shares: Sequence[float]
    cells: Mapping[Arm, Mapping[str, Any]]
    contrasts: Sequence[Contrast]
    verdict: str
    notes: Sequence[str]

    @property
    def headings(self) -> list[str]:
        """Headings of the table."""
        return ["System (%)", *(f"{100 * share:g} % of labels" for share in self.shares)]

    def rows(self) -> list[list[str]]:
        """Return the cells of the table: a line for each system and protocol."""
        lines: dict[tuple[str, str], list[str]] = {}
        for arm, cell in self.cells.items():
            text = _percent(cell["estimate"])
            if cell["low"] is not None:
                text += f" [{_percent(cell['low'])}, {_percent(cell['high'])}]"
            lines.setdefault((arm.system, arm.protocol), []).append(text)
        return [
            [f"{system}, {protocol}", *cells] for (system, protocol), cells in lines.items()
        ]

    def facts(self) -> dict[str, Any]:
        """Return all of it as it stands in ``benefit.json``."""
        return {
            "title": self.title,
            "score": self.score,
            "verdict": self.verdict,
            "notes": list(self.notes),
            "arms": [{**vars(arm), **cell} for arm, cell in self.cells.items()],
            "contrasts": [contrast.facts() for contrast in self.contrasts],
        }


def measure_benefit(config: BenefitConfig, *, resume: bool = False) -> Benefit:
    """Cross-validate every system with every protocol on growing shares of the labels.

    All arms have the same folds and test images. Encoders are pre-trained once in every
    fold, on all images but the test fold's: labels are what is scarce, not images. The
    classifier then sees a share of the training labels; smaller shares lie within larger
    ones. The folder gets a cross-validation a system, protocol and share, ``benefit.json``,
    ``benefit.csv``, ``benefit.md`` and the plot ``benefit.png`` and ``benefit.svg``.

    Args:
        config: Settings of the stage.
        resume: Continue the panel in ``config.out``; what is finished is only read.

    Returns:
        The table, the paired comparisons and the verdict.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    check_run_folder(config, config.out, resume=resume)
    first = config_of(config, list_arms(config)[0])
    division = divide_images(first)
    Run.open(config, folder=config.out, resume=resume)
    cells, found = {}, None
    arms = list_arms(config)
    for arm in arms:  # so that a share too small for the folds is told before any training
        _draw(config_of(config, arm), division)
    for number, arm in enumerate(arms):
        say(
            f"arm {number + 1} of {len(arms)}: {arm.system}, {arm.protocol}, "
            f"{100 * arm.share:g} % of the labels"
        )
        found = cross_validate(config_of(config, arm), resume=resume, division=division)
        cells[arm] = _cell(found, config.score)
    assert found is not None
    result = _conclude(config, cells, found, division)
    _write(config.out, result)
    return result


def list_arms(config: BenefitConfig) -> list[Arm]:
    """Return all arms; of a system the first trains the encoders that the others read."""
    shares = sorted(config.label_shares, reverse=True)
    return [
        Arm(system, protocol, share, f"{system}/{protocol}-{100 * share:g}")
        for system in (*config.systems, *config.given)
        for protocol in config.protocols
        for share in shares
    ]


def config_of(config: BenefitConfig, arm: Arm) -> CrossValConfig:
    """Return the settings of an arm's cross-validation."""
    first = next(other for other in list_arms(config) if other.system == arm.system)
    shared = None if arm == first else config.out / first.folder
    return config.arm(arm.system, arm.protocol, arm.share, config.out / arm.folder, shared)


def _cell(found: CrossValidation, score: str) -> dict[str, Any]:
    scores = found.systems[found.name]
    summary, pooled = scores["summary"][score], scores["pooled"][score]
    return {
        "mean": summary["mean"],
        "sd": summary["sd"],
        **{name: _known(pooled[name]) for name in ("estimate", "low", "high")},
    }


def _known(value: float | None) -> float | None:
    return None if value is None or value != value else value  # NaN differs from itself


def _draw(config: CrossValConfig, division: Division) -> None:
    table = division.images.table
    draw_folds(table, config.folds, config.seed, splits_of(table, config.data))


def _conclude(
    config: BenefitConfig,
    cells: Mapping[Arm, Mapping[str, Any]],
    last: CrossValidation,
    division: Division,
) -> Benefit:
    folders = {(a.system, a.share): config.out / a.folder for a in cells if _is_main(config, a)}
    contrasts = find_contrasts(folders, config)
    notes = (
        *last.notes[:2],
        division.leaks.note,
        *_notes_of_systems(config, division),
        "a cell is the score over all test images with its interval; means and deviations "
        f"over models stand in {TABLE_FILE}",
        "pre-training sees no label, and as many images whatever the share of the labels",
        f"paired comparisons by {config.protocols[0]} alone, corrected by Holm's method over "
        f"all {len(contrasts)}",
    )
    ordered = sorted(cells.items(), key=lambda item: (_place(config, item[0]), item[0].share))
    return Benefit(
        title=f"Did pre-training help? {last.title}",
        score=config.score,
        shares=config.label_shares,
        cells=dict(ordered),
        contrasts=contrasts,
        verdict=verdict(contrasts, config.score, level=1 - config.evaluation.confidence),
        notes=notes,
    )


def _notes_of_systems(config: BenefitConfig, division: Division) -> list[str]:
    """Say what picked the epochs, and what the encoder of each system had seen."""
    first = {arm.system: arm for arm in reversed(list_arms(config))}
    told: dict[str, list[str]] = {}
    for system in (*config.systems, *config.given):
        note = pretraining_note(config_of(config, first[system]), division.images)
        told.setdefault(note, []).append(system)
    return [
        selection_note(config_of(config, list_arms(config)[0])),
        *(f"{', '.join(systems)}: {note}" for note, systems in told.items()),
    ]


def _is_main(config: BenefitConfig, arm: Arm) -> bool:
    return arm.protocol == config.protocols[0]


def _place(config: BenefitConfig, arm: Arm) -> tuple[int, int]:
    systems: list[str] = [*config.systems, *config.given]
    return config.protocols.index(arm.protocol), systems.index(arm.system)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def _write(folder: Path, result: Benefit) -> None:
    write_json(folder / "benefit.json", result.facts())
    lines = [result.title, *result.notes]
    text = (
        f"{markdown_rows(result.headings, result.rows())}\n**{result.verdict}**\n\n"
        + "".join(f"- {line}\n" for line in lines)
    )
    write_atomically(folder / "benefit.md", text.encode())
    header = "system,protocol,label_share,mean,sd,estimate,low,high"
    table = [
        ",".join(
            [arm.system, arm.protocol, f"{arm.share:g}"]
            + ["" if value is None else repr(value) for value in cell.values()]
        )
        for arm, cell in result.cells.items()
    ]
    write_atomically(folder / TABLE_FILE, "\n".join([header, *table, ""]).encode())
    figures = [folder / f"benefit.{suffix}" for suffix in ("png", "svg")]
    draw_benefit(figures, result.cells, result.score, result.title)
