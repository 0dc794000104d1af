"""The tables of docs/systems.md, made of the data so that the two cannot disagree."""

from collections.abc import Iterable, Sequence

from glcm_mae.published import SCORES, TASKS, Figure, Source, System, published_systems

BEGIN = "<!-- tables: made of systems.json by glcm_mae.published.page -->"
END = "<!-- end of the tables -->"


def tables() -> str:
    """Write all tables in Markdown: systems, figures by data set, what is missing, sources.

    Example:
        >>> tables().splitlines()[0]
        '## The systems'
    """
    systems = published_systems()
    parts = [
        "## The systems",
        _systems_table(systems),
        "## Published figures",
        *_figure_sections(systems),
        "## Not found in the sources at hand",
        _missing_table(systems),
        "## Sources",
        _source_list(systems),
    ]
    return "\n\n".join(parts)


def update(page: str) -> str:
    """Put the present tables between the two marks of a page.

    Raises:
        ValueError: If the page lacks a mark.

    Example:
        >>> "outdated" in update(f"{BEGIN} outdated {END}")
        False
    """
    if BEGIN not in page or END not in page:
        raise ValueError(f"The page needs the marks {BEGIN!r} and {END!r}.")
    before, rest = page.split(BEGIN, 1)
    return f"{before}{BEGIN}\n\n{tables()}\n\n{END}{rest.split(END, 1)[1]}"


def number(figure: Figure) -> str:
    """Write a figure as a table shows it, with the digits that were printed.

    Example:
        >>> memae = next(s for s in published_systems() if s.name == "memae")
        >>> number(memae.figures[0])
        '56.5 ± 1.1'
    """
    if figure.value is None:
        return "–"
    deviation = "" if figure.sd is None else f" ± {figure.sd}"
    end = "" if figure.upto is None else f" to {figure.upto}"
    sign = "+" if figure.score == "gain" else ""
    return f"{sign}{figure.value}{end}{deviation}"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _systems_table(systems: Sequence[System]) -> str:
    head = ("system", "what it is", "paper", "public code and its licence", "to run it here")
    return _table(
        head, ((_name(s), s.what, _linked(s.reference), _code(s), _run(s)) for s in systems)
    )


def _name(system: System) -> str:
    return system.title if system.compared else f"{system.title} (not compared in the paper)"


def _linked(reference: str) -> str:
    kind, _, identifier = reference.partition(":")
    host = "https://arxiv.org/abs/" if kind == "arXiv" else "https://doi.org/"
    return f"[{reference}]({host}{identifier})"


def _code(system: System) -> str:
    if not system.code.startswith("https://"):
        return system.licence
    return f"[{system.code.split('/', 3)[3]}]({system.code}): {system.licence}"


def _run(system: System) -> str:
    recipe = f"`{system.recipe}`: " if system.recipe else ""
    model = f"timm's `{system.timm}`, " if system.timm else ""
    return f"{recipe}{model}{system.how}"


def _figure_sections(systems: Sequence[System]) -> list[str]:
    found = [(s, f) for s in systems for f in s.figures if f.value is not None]
    sections = []
    titles = {f.data: f.data_title for _, f in found}
    for data in dict.fromkeys((*TASKS, *titles)):
        rows = [_figure_row(s, f) for s, f in found if f.data == data]
        head = ("system", "score", "%", "how it came about", "source")
        sections.append(f"### {titles[data]}\n\n{_table(head, rows)}")
    return sections


def _figure_row(system: System, figure: Figure) -> tuple[str, ...]:
    source = figure.source.key if figure.source else ""
    return system.title, SCORES[figure.score], number(figure), figure.protocol, f"`{source}`"


def _missing_table(systems: Sequence[System]) -> str:
    places: dict[tuple[str, str], list[str]] = {}
    for system in systems:
        for figure in system.figures:
            if figure.value is None:
                wanted = f"{figure.data} {SCORES[figure.score]}"
                places.setdefault((system.title, figure.look), []).append(wanted)
    head = ("system", "figure", "where to look")
    return _table(
        head, ((title, ", ".join(wanted), look) for (title, look), wanted in places.items())
    )


def _source_list(systems: Sequence[System]) -> str:
    sources: dict[str, Source] = {}
    for system in systems:
        for figure in system.figures:
            if figure.source:
                sources[figure.source.key] = figure.source
    rows = (
        (
            f"`{s.key}`",
            f"[{s.title}]({s.address})",
            s.kind if s.kind == s.place else f"{s.kind}: {s.place}",
            s.caveat,
        )
        for s in sources.values()
    )
    return _table(("source", "title", "read in", "what to know"), rows)
