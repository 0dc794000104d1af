"""How to repeat all of it: commands, versions, hashes."""

from glcm_mae.report.blocks import (
    Block,
    Cell,
    Code,
    Details,
    Heading,
    Section,
    Table,
    Text,
    Words,
)
from glcm_mae.report.facts import ATTACHMENTS, HASHED_FILES, Facts, RunFacts
from glcm_mae.version import __version__

_PACKAGES = ("torch", "timm", "numpy", "scikit-learn")


def section(facts: Facts) -> Section:
    """Return the commands that made the runs and this page, and what they were made with."""
    blocks: list[Block] = [
        Text(
            "config.yaml of a run folder holds every setting, the seed too; with the same "
            "images and versions the same folds are drawn and the same numbers come out (on a "
            "GPU, up to rounding). Paths are not shown here: give --data.table where your "
            "images lie."
        ),
        Code("\n".join(_commands(facts)), "Commands that repeat the runs and this page"),
        Heading("Versions"),
        _versions(facts),
        Text("Two people who see the same hashes speak of the same runs.", "soft"),
        Details("Hashes of the files", [_hashes(facts)]),
    ]
    question = "How can someone else get the same numbers?"
    return Section("reproduction", "How to reproduce", question, blocks)


def _commands(facts: Facts) -> list[str]:
    versions = {str(run.environment.get("glcm_mae", "unknown")) for run in facts.runs}
    lines = [f"# glcm-mae {' and '.join(sorted(versions))}"]
    for run in facts.runs:
        folder = run.folder.name
        lines.append(
            f"glcm-mae crossval --config {folder}/config.yaml --data.table TABLE "
            f"--out again/{folder}"
        )
    runs = " ".join(_argument(run) for run in facts.runs)
    if len(facts.runs) > 1:
        lines.append(f"glcm-mae compare {runs} --out comparison")
    first = facts.runs[0].folder.name
    lines += [
        f"glcm-mae {ATTACHMENTS[kind]} {first} --out {kind}"
        for kind in facts.attached
        if kind not in ("comparison", "audit")
    ]
    if facts.audit is not None:
        lines.append("glcm-mae data audit TABLE --out audit")
    lines.append(f"glcm-mae report {runs} --out report.html")
    return lines


def _argument(run: RunFacts) -> str:
    folder = run.folder.name
    return folder if folder == run.name else f"{run.name}={folder}"


def _versions(facts: Facts) -> Table:
    rows: list[list[Words]] = []
    for run in facts.runs:
        packages = run.environment.get("packages", {})
        of = f"{run.name}/environment.json"
        cells: list[Words] = [
            _text(run, "glcm_mae"),
            _commit(run),
            _text(run, "python"),
            *(
                Cell(str(packages.get(name, "–")), f"{of}#/packages/{name}", "text")
                for name in _PACKAGES
            ),
            _text(run, "gpu"),
            _text(run, "seed"),
        ]
        rows.append([run.name, *cells])
    heads = ["Run", "glcm-mae", "Commit", "Python", *_PACKAGES, "GPU", "Seed"]
    return Table(
        f"What the runs were made with; this page by glcm-mae {__version__}", heads, rows
    )


def _text(run: RunFacts, key: str) -> Cell:
    value = run.environment.get(key)
    return Cell(
        "–" if value is None else str(value), f"{run.name}/environment.json#/{key}", "text"
    )


def _commit(run: RunFacts) -> Cell:
    commit = str(run.environment.get("commit") or "–")
    dirty = " (changed)" if commit.endswith("-dirty") else ""
    return Cell(f"{commit[:12]}{dirty}", f"{run.name}/environment.json#/commit", "commit")


def _hashes(facts: Facts) -> Table:
    rows: list[list[Words]] = []
    for run in facts.runs:
        for file in HASHED_FILES:
            if file in run.hashes:
                digest = Cell(run.hashes[file], f"{run.name}/{file}", "sha256")
                rows.append([f"{run.name}: {file}", digest])
    return Table("SHA-256 of the files of the runs", ["File", "SHA-256"], rows)
