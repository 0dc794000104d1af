r"""The scores for a paper, as a table in LaTeX with the package booktabs."""

from glcm_mae.plain_table import latex_rows
from glcm_mae.report.citing import found, interval_of
from glcm_mae.report.facts import Facts
from glcm_mae.report.overview import confidence_of
from glcm_mae.report.scoring import systems
from glcm_mae.scoreboard.cells import LABELS

_SHOWN = ("auroc", "balanced_accuracy", "sensitivity", "specificity", "f1", "brier")


def format_scores(facts: Facts) -> str:
    r"""Return the table of all systems, for ``\input``; comments tell how it came about.

    Args:
        facts: What the report is made of.
    """
    rows = list(systems(facts))
    shown = [
        name
        for name in _SHOWN
        if any(found(run.scores, "systems", own, "pooled", name) for run, own, _, _ in rows)
    ]
    cells = [
        [
            label,
            *(interval_of(run, name, "systems", own, "pooled", name).text for name in shown),
        ]
        for run, own, label, _ in rows
    ]
    run = facts.runs[0]
    title = f"{run.scores['title']}; all test images together, {confidence_of(run)} intervals"
    notes = "".join(f"% {note}\n" for note in (title, *run.scores.get("notes", ())))
    return notes + latex_rows(["System", *(LABELS[name] for name in shown)], cells)
