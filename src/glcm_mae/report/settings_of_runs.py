"""How the runs were made: what differs between them first, all else folded away."""

from collections.abc import Mapping, Sequence
from typing import Any

from glcm_mae.report.blocks import Block, Cell, Details, Section, Table, Text, Words
from glcm_mae.report.citing import pointer
from glcm_mae.report.facts import Facts, RunFacts
from glcm_mae.runs import flatten

_PLACES = ("out", "data.cache", "data.key", "fanout", "launch", "checkpoints")
"""Settings of where and by what, which decide no result."""


def section(facts: Facts) -> Section:
    """Return the settings and the environment of all runs."""
    flat = {run.name: flatten(run.settings) for run in facts.runs}
    blocks: list[Block] = [
        *_differences(facts.runs, flat),
        Details("All settings", [_settings_table(facts.runs, flat)]),
        Details("Versions and machine", [_environment_table(facts.runs)]),
    ]
    question = "How were the runs made, and in what do they differ?"
    return Section("settings", "Settings", question, blocks)


def _differences(
    runs: Sequence[RunFacts], flat: Mapping[str, Mapping[str, Any]]
) -> list[Block]:
    if len(runs) < 2:
        return [Text("One run is shown, so there is nothing that differs.", "soft")]
    keys = [key for key in _all_keys(flat) if not key.startswith(_PLACES)]
    differing = [key for key in keys if len({repr(own.get(key)) for own in flat.values()}) > 1]
    if not differing:
        return [Text("The runs have the same settings throughout.", "lead")]
    rows = [_row(key, runs, flat) for key in differing]
    heads = ["Setting", *(run.name for run in runs)]
    return [Table("Settings that differ between the runs; all others are equal", heads, rows)]


def _all_keys(flat: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for own in flat.values() for key in own))


def _row(
    key: str, runs: Sequence[RunFacts], flat: Mapping[str, Mapping[str, Any]]
) -> list[Words]:
    cells = [
        Cell(
            _shown(flat[run.name].get(key)),
            pointer(f"{run.name}/config.yaml", *key.split(".")),
            "setting",
        )
        for run in runs
    ]
    return [key, *cells]


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    if isinstance(value, dict):
        return " ".join(f"{name} {_shown(own)}" for name, own in value.items())
    return "–" if value is None or value == "" else str(value)


def _settings_table(runs: Sequence[RunFacts], flat: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = [_row(key, runs, flat) for key in _all_keys(flat)]
    caption = "Every setting; of paths only the last two parts are shown"
    return Table(caption, ["Setting", *(run.name for run in runs)], rows)


def _environment_table(runs: Sequence[RunFacts]) -> Table:
    flat = {run.name: flatten(run.environment) for run in runs}
    rows: list[list[Words]] = [
        [
            key,
            *(
                Cell(
                    _shown(flat[run.name].get(key)),
                    pointer(f"{run.name}/environment.json", *key.split(".")),
                    "setting",
                )
                for run in runs
            ),
        ]
        for key in _all_keys(flat)
    ]
    return Table("What the runs were computed with", ["", *(run.name for run in runs)], rows)
