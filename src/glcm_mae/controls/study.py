"""Negative controls of a finished cross-validation: the stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glcm_mae.config import ControlsConfig, CrossValConfig
from glcm_mae.controls.figure import draw_controls
from glcm_mae.controls.findings import SCORE, Findings, Sureness, find
from glcm_mae.controls.probes import probe_models
from glcm_mae.controls.report import HEADINGS, format_csv, format_markdown, rows_of
from glcm_mae.controls.subject import Subject, read_subject
from glcm_mae.controls.texture_off import compare_without_texture
from glcm_mae.controls.verdicts import verdicts
from glcm_mae.devices import choose_device
from glcm_mae.errors import InputError
from glcm_mae.files import write_atomically
from glcm_mae.runs import write_json

RESULT_FILE = "controls.json"


@dataclass(frozen=True)
class Controls:
    """The controls of a run.

    Attributes:
        title: Headline.
        controls: What each found, as in ``controls.json``.
        verdicts: A sentence for each.
        notes: How the numbers came about.
    """

    title: str
    controls: Mapping[str, Mapping[str, Any]]
    verdicts: Sequence[str]
    notes: Sequence[str]

    @property
    def headings(self) -> tuple[str, ...]:
        """Headings of the table."""
        return HEADINGS

    @property
    def rows(self) -> list[list[str]]:
        """Cells of the table, one row a control."""
        return rows_of(self.controls)


def control(config: ControlsConfig) -> Controls:
    """Put a finished cross-validation to its negative controls.

    On its own folds, groups and images: a linear probe of its encoders, of random ones,
    and of its own with shuffled labels; whether features tell the patient; and, given the
    same run without it, what the texture loss adds. The folder gets ``controls.json``,
    ``controls.csv``, ``controls.md``, ``controls.png`` and ``.svg``.

    Args:
        config: Settings of the stage.

    Returns:
        The table, and a sentence for each control.

    Raises:
        InputError: If the run is not finished or has no encoders, its images have changed,
            the run without texture was not tested alike, or the folder exists.
    """
    if config.out.exists() and (not config.out.is_dir() or any(config.out.iterdir())):
        raise InputError(f"{config.out}: exists and is not empty; choose another --out")
    subject = read_subject(config.run, table=config.table, group_pattern=config.group_pattern)
    sureness = Sureness(config.confidence, config.resamples, config.seed)
    texture, unlike = compare_without_texture(subject, config.without_texture, sureness)
    probed = probe_models(
        subject,
        permutations=config.permutations,
        seed=config.seed,
        device=choose_device(config.device),
    )
    found = find(subject, probed, texture, sureness)
    result = Controls(
        f"Negative controls of {config.run.resolve().name}",
        found.facts(),
        verdicts(found),
        [*_notes(config, subject, found), *unlike],
    )
    _write(config, result)
    return result


def _notes(config: ControlsConfig, subject: Subject, found: Findings) -> list[str]:
    models = len(subject.models)
    groups = len(set(subject.images.table.groups))
    rare = round(100 * (1 - config.confidence), 6)
    notes = [
        f"the run's own folds ({len(subject.folds)}), groups ({groups}) and images "
        f"({len(subject.images.table)}); a linear probe for each of {models} "
        f"model{'s' if models > 1 else ''}, its penalty picked on the inner part",
        f"{100 * config.confidence:g} % intervals; scores are of all test images together, "
        "differences are means over models, as in glcm-mae compare",
        _random_note(subject.config),
        "shuffles deal the labels of the training part anew among groups, the images of one "
        "keep one label; the penalty is that of the true labels; chance is missed in "
        f"{rare:g} % of honest runs",
    ]
    if isinstance(found.patients.get("tests"), int):
        notes.append(
            "patient probe: cosine of standardised features, among images of the same class "
            "of all parts; patients have whatever the table tells, not near-duplicates"
        )
    return [*notes, *_warnings(subject)]


def _random_note(config: CrossValConfig) -> str:
    """Say what the weights of the random encoders are to the pre-trained ones."""
    if config.start == "pretraining" and config.pretraining.weights is not None:
        return (
            "random encoders have random weights, while pre-training began with given ones, "
            "whose share in what it adds is not told apart"
        )
    if config.start == "pretraining" and not config.transductive:
        return (
            "random encoders have the weights that pre-training in their fold began with: the "
            "seed is the same"
        )
    return "random encoders have the random weights of their fold's seed"


def _warnings(subject: Subject) -> list[str]:
    config = subject.config
    notes = []
    if config.leak_check == "off":
        notes.append(
            "LEAK CHECK OFF: copies may stand in training and test alike, which no shuffle of "
            "training labels can tell; run crossval with --leak-check on"
        )
    if config.transductive:
        notes.append("TRANSDUCTIVE: the encoders were pre-trained on the test images too")
    return notes


def _write(config: ControlsConfig, result: Controls) -> None:
    out: Path = config.out
    content = {
        "run": config.run.resolve().name,
        "score": SCORE,
        "settings": config.model_dump(mode="json"),
        "controls": result.controls,
        "verdicts": list(result.verdicts),
        "notes": list(result.notes),
    }
    table = format_csv(result.controls)
    text = format_markdown(result.title, result.controls, result.verdicts, result.notes)
    write_atomically(out / "controls.csv", table.encode())
    write_atomically(out / "controls.md", text.encode())
    figures = [out / f"controls.{suffix}" for suffix in ("png", "svg")]
    draw_controls(figures, result.controls, title=result.title)
    write_json(out / RESULT_FILE, content)
