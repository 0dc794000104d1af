"""What is written of the controls: a table, CSV and Markdown."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from glcm_mae.comparison.report import p_text
from glcm_mae.controls.verdicts import LABELS
from glcm_mae.plain_table import markdown_rows
from glcm_mae.scoreboard import interval_cell, shown

HEADINGS = ("Control (%)", "Found", "Chance", "p")
_CSV_COLUMNS = ("control", "measure", "estimate", "low", "high", "chance", "p", "detail")
_MEASURES = {
    "patient_probe": "share of test images",
    "training_adds": "difference of AUROC",
    "texture_loss_off": "difference of AUROC",
}


def lines_of(controls: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Return every number with an interval by its name; chance stands with each.

    Args:
        controls: Content of ``controls.json`` under ``controls``.
    """
    chance = controls["label_shuffle"]["chance"]
    added = controls["random_encoder"]["training_adds"]
    return {
        "trained_encoder": {"chance": chance, **controls["trained_encoder"]},
        "random_encoder": {"chance": chance, **controls["random_encoder"]},
        "label_shuffle": controls["label_shuffle"],
        "training_adds": {"chance": 0.0, **added},
        "texture_loss_off": {"chance": 0.0, **controls["texture_loss_off"]},
        "patient_probe": controls["patient_probe"],
    }


def rows_of(controls: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Return the cells of the table, one row a control, in percent."""
    rows = []
    for name, line in lines_of(controls).items():
        if "skipped" in line:
            rows.append([LABELS[name], "skipped", "", ""])
            continue
        p_value = line.get("p")
        rows.append(
            [
                LABELS[name],
                interval_cell(line),
                shown(line["chance"]),
                "" if p_value is None else p_text(p_value),
            ]
        )
    return rows


def format_csv(controls: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the controls as CSV, numbers in full precision; what was skipped tells why."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for name, line in lines_of(controls).items():
        measure = _MEASURES.get(name, "AUROC")
        if "skipped" in line:
            writer.writerow([name, measure, *[""] * 5, line["skipped"]])
            continue
        numbers = [line.get(key) for key in ("estimate", "low", "high", "chance", "p")]
        writer.writerow([name, measure, *map(_cell, numbers), _detail(name, line)])
    return text.getvalue()


def _cell(value: float | None) -> str:
    return "" if value is None or value != value else repr(float(value))  # NaN is not itself


def _detail(name: str, line: Mapping[str, Any]) -> str:
    if name == "label_shuffle":
        return f"mean of {line['permutations']} shuffles"
    if name == "patient_probe":
        return (
            f"{line['tests']} tests of images of {line['patients']} patients, "
            f"{line['torn_patients']} torn apart"
        )
    return str(line.get("test") or line.get("method") or "")


def format_markdown(
    title: str,
    controls: Mapping[str, Mapping[str, Any]],
    sentences: Sequence[str],
    notes: Sequence[str],
) -> str:
    """Return the controls in Markdown: the table, the sentences, the notes."""
    parts = [
        f"# {title}\n",
        markdown_rows(HEADINGS, rows_of(controls)),
        "".join(f"- {line}\n" for line in sentences),
        "".join(f"- {line}\n" for line in notes),
    ]
    return "\n".join(parts)
