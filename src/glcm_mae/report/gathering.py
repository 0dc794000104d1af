"""What a report is made of, brought together: runs, studies beside them, what is cheap."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from glcm_mae.comparison import compare_runs, verdicts
from glcm_mae.config import CompareConfig, ReportConfig
from glcm_mae.errors import InputError
from glcm_mae.report.facts import (
    ATTACHMENTS,
    Attachment,
    Facts,
    RunFacts,
    read_object,
    read_run_facts,
    without_places,
)
from glcm_mae.runs import named_folders, without_nan


def gather(config: ReportConfig) -> Facts:
    """Read the runs, and the studies of them that are named or lie beside them.

    Args:
        config: Settings of the report.

    Raises:
        InputError: If a folder holds no finished cross-validation, or a folder that is named
            holds no such study.
    """
    runs = [read_run_facts(name, path) for name, path in named_folders(config.runs).items()]
    attached: dict[str, Sequence[Attachment]] = {}
    for kind in ATTACHMENTS:
        named = getattr(config, kind)
        found = [_named(kind, folder, runs) for folder in named] or list(_beside(kind, runs))
        if found:
            attached[kind] = found
    if "comparison" not in attached and config.compute == "on" and len(runs) > 1:
        attached["comparison"] = [_compared(config)]
    return Facts(runs, attached)


def _named(kind: str, folder: Path, runs: Sequence[RunFacts]) -> Attachment:
    path = folder / f"{kind}.json"
    if not path.is_file():
        raise InputError(
            f"{kind}: {folder} holds no {path.name}; give the folder that glcm-mae "
            f"{ATTACHMENTS[kind]} wrote"
        )
    content = read_object(path)
    found = Attachment(folder.resolve(), content)
    called = [run.name for run in runs if "run" in content and found.is_of(run)]
    return replace(found, of=called[0]) if len(called) == 1 else found


def _beside(kind: str, runs: Sequence[RunFacts]) -> Iterator[Attachment]:
    """Yield the studies that lie in the run folders or beside them and speak of these runs."""
    places: dict[Path, None] = {}
    for run in runs:
        folder = run.folder.resolve()
        for place in (folder, folder.parent):
            places |= dict.fromkeys(
                path.parent for path in sorted(place.glob(f"*/{kind}.json"))
            )
    seen = set()
    for folder in places:
        content = read_object(folder / f"{kind}.json")
        about = _about(kind, content, runs, folder)
        if about and about not in seen:
            seen.add(about)
            yield Attachment(folder, content, about if isinstance(about, str) else "")


def _about(
    kind: str, content: Mapping[str, Any], runs: Sequence[RunFacts], folder: Path
) -> object:
    """Return what a study is about, or nothing where it is about something else.

    A study of one run lies in its folder or beside it: another run may have its name.
    """
    names = {run.name for run in runs} | {run.folder.name for run in runs}
    if kind == "audit":
        return int(content.get("readable", -1)) == int(runs[0].scores["images"])
    if kind in ("explanations", "controls", "robustness"):
        called = Path(str(content.get("run", ""))).name
        own = [run.folder.resolve() for run in runs]
        near = [folder.parent in (place, place.parent) for place in own]
        return next(
            (
                run.name
                for run, is_near in zip(runs, near, strict=True)
                if is_near and called in (run.name, run.folder.resolve().name)
            ),
            "",
        )
    told = {str(name) for name in content.get("runs", ())}
    if kind == "comparison":
        return told == {run.name for run in runs}
    return bool(told & names)


def _compared(config: ReportConfig) -> Attachment:
    """Compare the runs as ``compare`` would; where it refuses, keep why."""
    settings = CompareConfig(runs=config.runs, out=Path("comparison"))
    try:
        found = compare_runs(settings)
    except InputError as refusal:
        told = str(refusal)
        for name, folder in named_folders(config.runs).items():
            for place in (str(folder.resolve()), str(folder)):
                told = told.replace(f"{place}/", f"{name}/")
        return Attachment(settings.out, {"refused": without_places(told)})
    facts = without_nan({**found.facts(), "verdicts": verdicts(found)})
    return Attachment(settings.out, facts)
