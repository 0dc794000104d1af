"""The first page: what was asked, what came out, what to be careful about."""

from collections.abc import Iterator

from glcm_mae.report.blocks import (
    Block,
    Callout,
    Cell,
    Inline,
    Section,
    Terms,
    Tile,
    Tiles,
    Words,
)
from glcm_mae.report.cautions import callouts
from glcm_mae.report.citing import count_of, found, interval_of, pointer
from glcm_mae.report.contrasts import verdict_words
from glcm_mae.report.facts import Facts, RunFacts

_MAIN = ("auroc", "balanced_accuracy", "sensitivity", "specificity")
_TILES = {
    "auroc": "AUROC (%)",
    "balanced_accuracy": "Balanced accuracy (%)",
    "sensitivity": "Sensitivity (%)",
    "specificity": "Specificity (%)",
}


def section(facts: Facts) -> Section:
    """Return the summary in five lines, with the main scores beside it."""
    run = facts.runs[0]
    blocks: list[Block] = [
        Terms(
            [
                ("Asked", _asked(facts)),
                ("Images", _images(run)),
                ("Main score", _main_score(run)),
                ("Verdict", _verdict(facts)),
                ("Beware", _beware(facts)),
            ]
        ),
        Tiles(list(_tiles(run))),
        *callouts(facts),
        Callout(
            "caution",
            "For research only",
            ["This is not a medical device. Nothing here may decide on a patient's care."],
        ),
    ]
    return Section("summary", "Summary", "What was asked, and what came out?", blocks)


def confidence_of(run: RunFacts) -> str:
    """Return the share of intervals that hold the truth, as it is read."""
    return f"{100 * float(run.judged.get('confidence', 0.95)):g} %"


def _asked(facts: Facts) -> Words:
    run = facts.runs[0]
    classes = run.classes
    if len(classes) == 2 and run.positive:
        other = next(name for name in classes if name != run.positive)
        task = f"tell {run.positive} from {other}"
    else:
        task = f"tell {', '.join(classes[:-1])} and {classes[-1]} apart"
        task += f" (of most interest: {run.positive})" if run.positive else ""
    if len(facts.runs) == 1:
        return f"Can {run.system} {task} on images that it never saw?"
    names = ", ".join(f"{each.name} ({each.system})" for each in facts.runs)
    return f"Which of {len(facts.runs)} classifiers best can {task}: {names}?"


def _images(run: RunFacts) -> Words:
    judged = ("systems", run.system)
    return [
        count_of(run, "images"),
        " images in ",
        count_of(run, "groups"),
        f" groups ({grouping_words(run)}); ",
        count_of(run, *judged, "images"),
        " of them were tested. ",
        f"{run.scores['title']}.",
    ]


def grouping_words(run: RunFacts) -> str:
    """Say what a group is: what no division may tear apart."""
    return {
        "image": "no patient is known; near-duplicates together",
        "manifest": "patients as the manifest tells, near-duplicates together",
        "dicom": "patients of the DICOM headers, near-duplicates together",
        "pattern": "patients found in the paths, near-duplicates together",
    }.get(str(run.scores.get("grouping")), str(run.scores.get("grouping")))


def _main_score(run: RunFacts) -> Words:
    keys = (*main_place(run), "auroc")
    estimate = found(run.scores, *keys, "estimate")
    against = f", {main_kind(run)}" if len(run.classes) > 2 else ""
    words: list[Inline] = [
        f"{run.name}: AUROC{against} ",
        interval_of(run, "auroc", *keys, strong=True),
        f" % ({confidence_of(run)} interval in brackets).",
    ]
    if estimate is not None:
        pair = f"{100 * estimate:.0f} in 100"
        of = pointer(f"{run.name}/scores.json", *keys, "estimate")
        words += [
            " Shown one image of each kind, it gives the right one the higher probability in ",
            Cell(pair, of, "in 100"),
            " pairs; a coin would in 50.",
        ]
    return words


def _verdict(facts: Facts) -> Words:
    if facts.comparison is not None and facts.comparison.get("pairs"):
        return verdict_words(facts.comparison)
    if len(facts.runs) == 1:
        untested = "One run is shown, so no test was made; name several runs to compare them."
    elif facts.comparison is not None and facts.comparison.get("refused"):
        untested = "These runs cannot be compared with each other; Comparison says why."
    else:
        untested = "The runs were not compared; glcm-mae compare does it."
    return _against_baselines(facts.runs[0], untested)


def _against_baselines(run: RunFacts, untested: str) -> Words:
    """Say how the best system without a network does beside; no test, and it says so."""
    best = best_baseline(run)
    if best is None:
        return f"No baselines were made. {untested}"
    return [
        f"The best system without a network ({best}) reaches an AUROC of ",
        interval_of(run, "auroc", "systems", best, "pooled", "auroc"),
        f" %. {untested}",
    ]


def best_baseline(run: RunFacts) -> str | None:
    """Return the name of the baseline with the highest AUROC, if there are any."""
    areas = {
        name: found(scores, "pooled", "auroc", "estimate")
        for name, scores in run.scores["systems"].items()
        if name != run.system
    }
    known = {name: value for name, value in areas.items() if value is not None}
    return max(known, key=lambda name: known[name]) if known else None


def _beware(facts: Facts) -> Words:
    grave = [box for box in callouts(facts) if box.kind == "grave"]
    if grave:
        count = len(grave[0].items)
        return f"{count} grave reason{'s' if count > 1 else ''} to doubt these scores, below."
    return "No grave fault is known; limits that hold all the same stand below."


def _tiles(run: RunFacts) -> Iterator[Tile]:
    for name in _MAIN:
        note = f"{run.name}, {main_kind(run)}" if len(run.classes) > 2 else run.name
        yield Tile(_TILES[name], interval_of(run, name, *main_place(run), name), note)


def main_place(run: RunFacts) -> tuple[str, ...]:
    """Return the way to the scores that matter most: of the positive class where one is."""
    if len(run.classes) > 2 and run.positive:
        return ("systems", run.system, "merged", "pooled")
    return ("systems", run.system, "pooled")


def main_kind(run: RunFacts) -> str:
    """Say of what these scores are, where there are more than two classes."""
    return f"{run.positive} against the rest" if run.positive else "mean over classes"
