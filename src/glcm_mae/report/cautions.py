"""What makes a score look better than it is, or an interval narrower: said before the score."""

from collections.abc import Iterator
from dataclasses import dataclass

from glcm_mae.downstream import TRAINED_PROTOCOLS
from glcm_mae.report.blocks import Callout, Cell, Words
from glcm_mae.report.citing import found, interval_of, pointer
from glcm_mae.report.facts import Facts, RunFacts


@dataclass(frozen=True)
class Caution:
    """One thing to be careful about.

    Attributes:
        words: What, and what follows from it.
        grave: Whether scores must not be believed because of it.
    """

    words: Words
    grave: bool = False


def cautions(facts: Facts) -> list[Caution]:
    """Return what a reader must know before believing a number, the gravest first.

    Args:
        facts: What the report is made of.
    """
    told = [*_of_runs(facts), *_of_audit(facts)]
    elsewhere = (one.content.get("external") for one in facts.attached.get("robustness", ()))
    if not any(elsewhere):
        told.append(
            Caution(
                "All images come from one collection. Nothing here tells how the classifier "
                "does on images of another hospital, scanner or population."
            )
        )
    return sorted(told, key=lambda caution: not caution.grave)


def callouts(facts: Facts) -> list[Callout]:
    """Return the cautions as two boxes: what is grave, and what is to be kept in mind."""
    told = cautions(facts)
    grave = [caution.words for caution in told if caution.grave]
    mild = [caution.words for caution in told if not caution.grave]
    boxes = [Callout("grave", "These scores are too good or leak", grave)] if grave else []
    return [*boxes, Callout("caution", "Keep in mind", mild)]


def _pieces(words: Words) -> list[str | Cell]:
    return [words] if isinstance(words, str | Cell) else list(words)  # type: ignore[arg-type]


def _of_runs(facts: Facts) -> Iterator[Caution]:
    """Yield what holds for runs, once if it holds for several, with their names."""
    found: dict[str, tuple[Caution, list[str]]] = {}
    for run in facts.runs:
        for caution in _of_run(run):
            key = "".join(
                getattr(piece, "text", str(piece)) for piece in _pieces(caution.words)
            )
            found.setdefault(key, (caution, []))[1].append(run.name)
    for caution, names in found.values():
        whose = "" if len(names) == len(facts.runs) else f"{', '.join(names)}: "
        first, *rest = _pieces(caution.words)
        if isinstance(first, str) and not whose:
            first = first[0].upper() + first[1:]
        yield Caution([whose, first, *rest], caution.grave)


def _of_run(run: RunFacts) -> Iterator[Caution]:
    yield from _of_selection(run)
    yield from _of_division(run)
    yield from _of_size(run)
    yield from _of_probabilities(run)


def _of_selection(run: RunFacts) -> Iterator[Caution]:
    scores = run.scores
    trained = scores.get("protocol", "finetune") in TRAINED_PROTOCOLS
    if scores.get("selection") == "test-fold" and trained:
        yield Caution(
            "the epoch was picked on the very images that are scored (selection: test-fold). "
            "Its scores are too good by an unknown amount.",
            grave=True,
        )
    if scores.get("transductive"):
        yield Caution(
            "transductive: pre-training saw the test images too (without their labels).",
            grave=True,
        )
    for note in scores.get("notes", ()):
        if note.startswith("NOT fold-aware"):
            yield Caution(f"{note}.", grave="was trained on" in note)


def _of_division(run: RunFacts) -> Iterator[Caution]:
    scores = run.scores
    if found(scores, "leak_check", "check") == "off":
        yield Caution(
            "the leak check was off: near-duplicates of test images may stand among the "
            "training images.",
            grave=True,
        )
    for note in scores.get("notes", ()):
        if note.startswith("WARNING"):
            yield Caution(f"{note.removeprefix('WARNING: ')}.", grave=True)
    if scores.get("grouping") == "image":
        yield Caution(
            "patients are not known: images of one patient may stand in training and test "
            "alike, which makes scores too good and intervals too narrow."
        )
    if scores.get("official"):
        yield Caution(
            "one given test part was used, not several folds: chance of the split stays."
        )


def _of_size(run: RunFacts) -> Iterator[Caution]:
    for place, note in enumerate(run.judged.get("notes", ())):
        if note.startswith("too few groups"):
            of = pointer(f"{run.name}/scores.json", "systems", run.system, "notes", place)
            yield Caution([Cell(f"{note}.", of, "note")])
    if found(run.scores, "seeds") == 1:
        yield Caution(
            "one model was trained a fold: another seed would have given somewhat other scores."
        )


def _of_probabilities(run: RunFacts) -> Iterator[Caution]:
    keys = ("systems", run.system, "calibration", "slope")
    slope = found(run.scores, *keys) or {}
    low, high = slope.get("low"), slope.get("high")
    if low is None or high is None or low <= 1 <= high:
        return
    how = "too extreme" if high < 1 else "not extreme enough"
    yield Caution(
        [
            f"probabilities are {how} (calibration slope ",
            interval_of(run, "slope", *keys),
            "; 1 would be right): do not read them as chances without recalibration.",
        ]
    )


def _of_audit(facts: Facts) -> list[Caution]:
    if facts.audit is None:
        return []
    verdict = facts.audit.get("verdict", ())
    return [Caution(f"the audit of the images says: {line}") for line in verdict]
