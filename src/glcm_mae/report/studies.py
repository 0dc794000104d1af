"""What is said of every study that stands beside the runs: of which run, and how made."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from glcm_mae.report.blocks import Bullets, Callout, Details
from glcm_mae.report.facts import Facts


def strangers(facts: Facts, names: Sequence[str]) -> Iterator[Callout]:
    """Yield a caution where a study that was named is of a run that is not shown here.

    Args:
        facts: What the report is made of.
        names: Runs that the study speaks of.
    """
    own = {run.name for run in facts.runs} | {run.folder.name for run in facts.runs}
    others = [name for name in names if name not in own]
    if others:
        what = f"This is of {', '.join(others)}, by the name not among the runs of this report"
        yield Callout("caution", what, ["Make sure that it belongs to them."])


def folded_notes(told: Mapping[str, Any]) -> Iterator[Details]:
    """Yield what a study says of how it was made, folded away."""
    if told.get("notes"):
        yield Details("How it was measured", [Bullets(list(map(str, told["notes"])))])
