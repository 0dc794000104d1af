"""What a reader sees of an ablation: a table a study, in the terminal and in files."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from glcm_mae.ablation.contrasts import NAMES, Contrast
from glcm_mae.ablation.outcomes import Outcome
from glcm_mae.ablation.restorations import ERROR
from glcm_mae.ablation.studies import Point, Study, as_told, with_base
from glcm_mae.comparison.report import p_text
from glcm_mae.plain_table import latex_rows, markdown_rows
from glcm_mae.statistics import Interval

STATES = {"failed": "failed", "open": "not run"}
_MINUTE = 60.0


@dataclass(frozen=True)
class Table:
    """The cells of a study, ready to print.

    Attributes:
        title: Name of the study.
        headings: One a column.
        rows: One a variant.
    """

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True)
class Ablation:
    """What an ablation found.

    Attributes:
        title: Headline.
        score: Score of the classifier that is tested.
        studies: The studies.
        outcomes: What became of every variant, by name.
        contrasts: Paired comparisons with the base.
        verdicts: A sentence or two for each study.
        notes: How the numbers came about, and what failed or was not run.
    """

    title: str
    score: str
    studies: Sequence[Study]
    outcomes: Mapping[str, Outcome]
    contrasts: Sequence[Contrast]
    verdicts: Sequence[str]
    notes: Sequence[str]

    def tables(self, *, whole: bool = False) -> list[Table]:
        """Return a table for each study.

        Args:
            whole: With every column, for files; else what fits into a terminal.
        """
        return [self._table(with_base(study), whole) for study in self.studies]

    def _table(self, study: Study, whole: bool) -> Table:
        columns = self._columns(study, whole)
        rows = [
            [as_told(point, study), *(column(point) for column in columns.values())]
            for point in study.points
        ]
        title = study.name if len(self.studies) > 1 or whole else f"{study.name}: {self.title}"
        return Table(title, ["Variant", *columns], rows)

    def _columns(self, study: Study, whole: bool) -> dict[str, Any]:
        """Return the heading of every column, and what a point has in it."""
        second = "balanced_accuracy" if self.score == "accuracy" else "accuracy"
        columns: dict[str, Any] = {
            f"{NAMES[self.score]} (%)": lambda point: self._score(point, self.score),
        }
        if whole:
            columns["mean ± SD"] = lambda point: self._spread(point, self.score)
        columns |= {
            "difference": lambda point: self._difference(point, study, self.score),
            "p": lambda point: self._p(point, study, self.score),
            NAMES[second].capitalize(): lambda point: self._spread(point, second),
        }
        if not self._restored(study):
            return columns
        columns["Texture error (%)"] = lambda point: _interval(self._measure(point, ERROR), 100)
        if not whole:
            return columns
        return columns | {
            "difference of errors": lambda point: self._difference(point, study, ERROR),
            "p of errors": lambda point: self._p(point, study, ERROR),
            "PSNR (dB)": lambda point: _interval(self._measure(point, "psnr"), 1, 2),
            "MSE (1e-3)": lambda point: _interval(self._measure(point, "mse"), 1000, 2),
            "weights (M)": self._weights,
            "pre-training (min)": self._minutes,
        }

    def _restored(self, study: Study) -> bool:
        return any(self.outcomes[point.variant].measures for point in study.points)

    def _score(self, point: Point, name: str) -> str:
        outcome = self.outcomes[point.variant]
        if outcome.state != "done":
            return STATES[outcome.state]
        scores = outcome.scores[name]
        limits = (scores[part] for part in ("estimate", "low", "high"))
        return _interval(Interval(*(_number(value) for value in limits)), 100)

    def _spread(self, point: Point, name: str) -> str:
        scores = self.outcomes[point.variant].scores.get(name)
        if not scores or scores["mean"] is None:
            return ""
        return f"{100 * scores['mean']:.1f} ± {100 * _number(scores['sd']):.1f}"

    def _measure(self, point: Point, name: str) -> Interval | None:
        return self.outcomes[point.variant].measures.get(name)

    def contrast(self, variant: str, base: str, score: str) -> Contrast | None:
        """Return the comparison of a variant with a base, if there is one."""
        wanted = (variant, base, score)
        found = (c for c in self.contrasts if (c.variant, c.base, c.score) == wanted)
        return next(found, None)

    def _difference(self, point: Point, study: Study, score: str) -> str:
        found = self.contrast(point.variant, study.base, score)
        if found is None:
            return ""
        return _interval(Interval(found.difference, found.low, found.high), 100, sign="+")

    def _p(self, point: Point, study: Study, score: str) -> str:
        found = self.contrast(point.variant, study.base, score)
        return "" if found is None else p_text(found.p_holm)

    def _weights(self, point: Point) -> str:
        count = self.outcomes[point.variant].weights
        return "" if count is None else f"{count / 1e6:.2f}"

    def _minutes(self, point: Point) -> str:
        seconds = self.outcomes[point.variant].seconds
        return "" if seconds is None else f"{seconds / _MINUTE:.1f}"

    def facts(self) -> dict[str, Any]:
        """Return all of it as it stands in ``ablation.json``."""
        return {
            "title": self.title,
            "score": self.score,
            "verdicts": list(self.verdicts),
            "notes": list(self.notes),
            "studies": [
                {
                    "name": study.name,
                    "factors": list(study.factors),
                    "base": study.base,
                    "points": [
                        {
                            "label": point.label,
                            "values": list(point.values),
                            "variant": point.variant,
                        }
                        for point in study.points
                    ],
                }
                for study in self.studies
            ],
            "variants": [outcome.facts() for outcome in self.outcomes.values()],
            "contrasts": [contrast.facts() for contrast in self.contrasts],
        }


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _interval(found: Interval | None, factor: float, digits: int = 1, *, sign: str = "") -> str:
    if found is None or not isfinite(found.estimate):
        return ""
    numbers = [f"{factor * value:{sign}.{digits}f}" for value in found]
    if not isfinite(found.low):
        return numbers[0]
    return f"{numbers[0]} [{numbers[1]}, {numbers[2]}]"


def format_markdown(found: Ablation) -> str:
    """Return the ablation in Markdown: of each study its verdict and table, then the notes."""
    parts = [f"# {found.title}\n"]
    for table, said in zip(found.tables(whole=True), found.verdicts, strict=True):
        rows = markdown_rows(table.headings, table.rows)
        parts.append(f"## {table.title}\n\n**{said}**\n\n{rows}")
    parts.append("".join(f"- {note}\n" for note in found.notes))
    return "\n".join(parts)


def format_latex(found: Ablation) -> str:
    r"""Return the tables in LaTeX, for ``\input`` with the package booktabs."""
    parts = ["".join(f"% {note}\n" for note in (found.title, *found.notes))]
    for table in found.tables(whole=True):
        rows = latex_rows(table.headings, table.rows)
        parts.append(f"% {table.title}\n{rows}")
    return "\n".join(parts)


_PARTS = ("estimate", "low", "high", "mean", "sd")
_LIMITS = ("low", "high")


def format_csv(found: Ablation) -> str:
    """Return all numbers in full precision, one row a study and variant."""
    rows = [
        _csv_row(found, study, point)
        for study in map(with_base, found.studies)
        for point in study.points
    ]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n", restval="")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _csv_row(found: Ablation, study: Study, point: Point) -> dict[str, Any]:
    outcome = found.outcomes[point.variant]
    row: dict[str, Any] = {
        "study": study.name,
        "variant": point.label,
        "base": study.base,
        "folder": outcome.folder,
        "state": outcome.state,
    }
    for name, scores in outcome.scores.items():
        row |= {f"{name}_{part}": _cell(scores[part]) for part in _PARTS}
    for name, measure in outcome.measures.items():
        row |= {f"{name}_{part}": _cell(getattr(measure, part)) for part in _PARTS[:3]}
    for score in (found.score, ERROR):
        if contrast := found.contrast(point.variant, study.base, score):
            row |= {
                f"{score}_difference": _cell(contrast.difference),
                **{f"{score}_difference_{p}": _cell(getattr(contrast, p)) for p in _LIMITS},
                f"{score}_p": _cell(contrast.p_value),
                f"{score}_p_holm": _cell(contrast.p_holm),
            }
    row["weights"] = "" if outcome.weights is None else outcome.weights
    row["pretraining_seconds"] = _cell(outcome.seconds)
    row["reason"] = outcome.reason
    return row


def _cell(value: float | None) -> str:
    return "" if value is None or not isfinite(value) else repr(float(value))
