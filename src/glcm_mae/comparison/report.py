"""What a reader sees of a comparison: a table, sentences, files."""

import csv
import io
from collections.abc import Sequence
from math import isfinite

from glcm_mae.comparison.comparing import Comparison, PairComparison
from glcm_mae.comparison.paired_scores import ScoreComparison
from glcm_mae.plain_table import latex_rows, markdown_rows

HEADINGS = (
    "Comparison",
    "Score (%)",
    "First",
    "Second",
    "Difference",
    "p",
    "p (Holm)",
    "Effect",
)

SCORE_NAMES = {
    "auroc": "AUROC",
    "balanced_accuracy": "balanced accuracy",
    "accuracy": "accuracy",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "f1": "F1",
}
TEST_NAMES = {
    "corrected_t": "corrected resampled t",
    "wilcoxon": "Wilcoxon over folds",
    "delong": "DeLong",
    "mcnemar": "McNemar mid-p",
    "permutation": "permutation",
}
_CSV_COLUMNS = (
    *("first", "second", "score", "score_first", "score_second"),
    *("difference", "low", "high", "primary", "p", "p_holm"),
    *("bootstrap_low", "bootstrap_high", "effect_name", "effect", "effect_low", "effect_high"),
    *(f"p_{name}" for name in TEST_NAMES),
)


def rows_of(comparison: Comparison) -> list[list[str]]:
    """Return the cells of the table, one row a pair and score."""
    rows = []
    for pair in comparison.pairs:
        for place, item in enumerate(pair.scores):
            name = f"{pair.first} – {pair.second}" if place == 0 else ""
            rows.append([name, *_cells(item)])
    return rows


def _cells(item: ScoreComparison) -> list[str]:
    difference = item.difference
    limits = f" [{_points(difference.low)}, {_points(difference.high)}]"
    effect = ""
    if item.effect_name and isfinite(item.effect.estimate):
        effect = f"{item.effect_name} {item.effect.estimate:+.2f}"
    return [
        SCORE_NAMES[item.score],
        _percent(item.first),
        _percent(item.second),
        _points(difference.estimate) + (limits if isfinite(difference.low) else ""),
        p_text(item.p_value),
        p_text(item.p_holm),
        effect,
    ]


def _percent(value: float) -> str:
    return f"{100 * value:.1f}" if isfinite(value) else "–"


def _points(value: float) -> str:
    return f"{100 * value:+z.1f}" if isfinite(value) else "–"


def p_text(p_value: float) -> str:
    """Return a p-value as it is printed.

    Example:
        >>> p_text(0.04321), p_text(0.00004), p_text(float("nan"))
        ('0.043', '< 0.001', '–')
    """
    if not isfinite(p_value):
        return "–"
    return "< 0.001" if p_value < 0.0005 else f"{p_value:.3f}"


def verdict(pair: PairComparison, item: ScoreComparison, *, level: float, count: int) -> str:
    """Return one sentence: which is better by a score, or that they are not distinguishable.

    Args:
        pair: The two runs.
        item: What was found for a score.
        level: Chance of calling a difference that is none, such as 0.05.
        count: Comparisons that Holm's method counted.
    """
    score, names = SCORE_NAMES[item.score], f"{pair.first} and {pair.second}"
    if not isfinite(item.p_holm):
        return f"{names} cannot be tested by {score}: too little varies, or too little is known"
    found = item.difference
    over = f" after Holm over {count} comparisons" if count > 1 else ""
    numbers = (
        f"difference {_points(found.estimate)} points, interval {_points(found.low)} to "
        f"{_points(found.high)}, p = {p_text(item.p_holm)}{over}, {TEST_NAMES[item.primary]}"
    ).replace("p = <", "p <")
    if item.p_holm > level:
        return f"{names} are not distinguishable by {score} ({numbers})"
    better, worse = pair.first, pair.second
    if found.estimate < 0:
        better, worse = worse, better
    return f"{better} is better than {worse} by {score} ({numbers})"


def verdicts(comparison: Comparison) -> list[str]:
    """Return a sentence for every pair and score."""
    return [
        verdict(pair, item, level=1 - comparison.confidence, count=comparison.count)
        for pair in comparison.pairs
        for item in pair.scores
    ]


def format_markdown(comparison: Comparison) -> str:
    """Return the comparison in Markdown: the table, the sentences, all tests, the notes."""
    names = list(TEST_NAMES)
    p_rows = [
        [
            f"{pair.first} – {pair.second}, {SCORE_NAMES[item.score]}",
            *(p_text(item.tests[n].p_value) if n in item.tests else "" for n in names),
        ]
        for pair in comparison.pairs
        for item in pair.scores
    ]
    headings = ["p-values, not adjusted", *TEST_NAMES.values()]
    parts = [
        f"# {comparison.title}\n",
        markdown_rows(HEADINGS, rows_of(comparison)),
        _bullets(verdicts(comparison)),
        markdown_rows(headings, p_rows),
        _bullets(comparison.notes),
    ]
    return "\n".join(parts)


def _bullets(lines: Sequence[str]) -> str:
    return "".join(f"- {line}\n" for line in lines)


def format_csv(comparison: Comparison) -> str:
    """Return the comparison as CSV, numbers in full precision, one row a pair and score."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_COLUMNS)
    for pair in comparison.pairs:
        for item in pair.scores:
            tests = [item.tests.get(name) for name in TEST_NAMES]
            numbers = [
                *(item.first, item.second, *item.difference),
                *(item.primary, item.p_value, item.p_holm),
                *(item.bootstrap.low, item.bootstrap.high, item.effect_name, *item.effect),
                *(test.p_value if test else "" for test in tests),
            ]
            writer.writerow([pair.first, pair.second, item.score, *map(_csv_cell, numbers)])
    return text.getvalue()


def _csv_cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return repr(float(value)) if isfinite(value) else ""


def format_latex(comparison: Comparison) -> str:
    r"""Return the table in LaTeX, for ``\input`` with the package booktabs."""
    notes = [f"% {note}" for note in (comparison.title, *comparison.notes)]
    return "\n".join([*notes, latex_rows(HEADINGS, rows_of(comparison), left=2)])
