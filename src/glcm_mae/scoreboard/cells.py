"""How scores look in a table."""

from collections.abc import Mapping
from math import isfinite
from typing import Any

Systems = Mapping[str, Mapping[str, Any]]
"""Name of each system, and what ``score_folds`` or ``judge`` said of it.

A system may have a ``mark``, such as "epoch picked on the test fold": it stands beside its
name in every table.
"""

GLANCE = ("accuracy", "balanced_accuracy", "sensitivity", "specificity", "auroc", "f1")
"""Scores of the table at a glance."""

HEADINGS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Bal. acc.",
    "sensitivity": "Sens.",
    "specificity": "Spec.",
    "auroc": "AUROC",
    "f1": "F1",
}
"""Short names, for columns."""

LABELS = {
    "accuracy": "Accuracy (%)",
    "balanced_accuracy": "Balanced accuracy (%)",
    "mcc": "Matthews correlation",
    "sensitivity": "Sensitivity (%)",
    "specificity": "Specificity (%)",
    "ppv": "PPV (%)",
    "npv": "NPV (%)",
    "f1": "F1 (%)",
    "auroc": "AUROC (%)",
    "auprc": "AUPRC (%)",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "ece": "Calibration error",
    "slope": "Calibration slope",
    "intercept": "Calibration intercept",
}
"""Long names with their unit, for rows."""

DASH = "–"


def shown(value: float | None, name: str = "accuracy") -> str:
    """Return a score as it stands in tables: in percent where its label says so.

    Example:
        >>> shown(0.8123), shown(0.0456, "brier"), shown(None)
        ('81.2', '0.046', '–')
    """
    if value is None or not isfinite(value):
        return DASH
    return f"{100 * value:z.1f}" if LABELS[name].endswith("(%)") else f"{value:z.3f}"


def cell(value: Mapping[str, Any], name: str = "accuracy") -> str:
    """Return ``mean ± SD``, or a dash where a score has no meaning.

    Example:
        >>> cell({"mean": 0.8123, "sd": 0.0456, "folds": 5})
        '81.2 ± 4.6'
    """
    mean = shown(value["mean"], name)
    return mean if value["sd"] is None else f"{mean} ± {shown(value['sd'], name)}"


def interval_cell(value: Mapping[str, Any], name: str = "accuracy") -> str:
    """Return ``estimate [low, high]``; a limit that has no meaning is a dash.

    Example:
        >>> interval_cell({"estimate": 0.8, "low": 0.75, "high": 0.845})
        '80.0 [75.0, 84.5]'
        >>> interval_cell({"estimate": None, "low": None, "high": None})
        '–'
    """
    estimate = shown(value["estimate"], name)
    limits = f"[{shown(value['low'], name)}, {shown(value['high'], name)}]"
    return estimate if estimate == DASH else f"{estimate} {limits}"
