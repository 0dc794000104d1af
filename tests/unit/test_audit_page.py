"""The page loads nothing, runs nothing, and escapes whatever a file is called."""

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from glcm_mae.audit_page import SHOWN_PAIRS, SHOWN_TEXT, Picture, draw_picture, render_page

EVIL = "<img src=x onerror=alert(1)>&\"'.png"


def pair(a: str, b: str, *, same: bool | None = True) -> dict[str, Any]:
    return {
        "path_a": a,
        "path_b": b,
        "exact": False,
        "hash_distance": 4,
        "correlation": 0.99,
        "detail": 0.9,
        "orientation": "as it is",
        "same_label": same,
        "same_split": None,
        "labels": [EVIL, "well"],
        "splits": [],
    }


def facts(pairs: list[dict[str, Any]], suspects: int = 1) -> dict[str, Any]:
    spread = {"min": 0.1, "median": 0.2, "max": 0.3}
    counts = dict.fromkeys(
        (
            *("pairs", "exact_pairs", "near_pairs", "clusters", "images_in_clusters"),
            *("pairs_across_classes", "pairs_across_splits", "pairs_across_groups"),
        )
    )
    text = [{"image": EVIL, "label": EVIL, "letters": 5, "boxes": []}] * suspects
    return {
        "glcm_mae": "1.2.3",
        "table": EVIL,
        "policy": {"window": "file"},
        "images": 3,
        "files": 3,
        "readable": 2,
        "unreadable": [{"image": EVIL, "reason": EVIL}],
        "groups": {"grouping": "image", "groups": 3, "joined": 2, "across_splits": None},
        "classes": {EVIL: {"all": 1}, "well": {"all": 1}},
        "formats": {"PNG": 2},
        "sizes": {"height": spread, "width": spread, "distinct": 1, "areas": {}},
        "gray": {
            **dict.fromkeys(("mean", "sd", "black", "white"), spread),
            "areas": {"mean": {EVIL: 0.5, "well": None}},
            "histograms": {EVIL: [0.5, 0.5]},
        },
        "dicom": {
            "files": 1,
            "modality": {"US": 1},
            "burned_in": {"YES": 1},
            "identifying": {"PatientName": 1},
        },
        "text": {"suspected": suspects, "by_class": {}, "images": text},
        "duplicates": {"threshold": 0.5, "counts": counts, "pairs": pairs, "clusters": []},
        "verdict": [EVIL],
    }


class Tags(HTMLParser):
    """All elements with their attributes; refuses what is closed in the wrong order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def shown() -> dict[str, Picture]:
    pixels = np.linspace(0, 1, 300 * 400, dtype=np.float32).reshape(300, 400)
    return {name: draw_picture(pixels, [(0.1, 0.1, 0.2, 0.5)]) for name in (EVIL, "b.png")}


def test_nothing_is_loaded_or_run(shown: dict[str, Picture]) -> None:
    page = render_page(facts([pair(EVIL, "b.png", same=False)]), shown)
    tags = Tags(page).found
    policy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
    assert ("meta", {"http-equiv": "Content-Security-Policy", "content": policy}) in tags
    assert not {"script", "link", "iframe", "object", "a", "form"} & {tag for tag, _ in tags}
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]
    sources = [attrs["src"] or "" for _, attrs in tags if "src" in attrs]
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert "url(" not in page
    assert "http" not in re.sub("http-equiv", "", page)


def test_whatever_a_file_is_called_stays_text(shown: dict[str, Picture]) -> None:
    for pictures in (shown, None):
        page = render_page(facts([pair(EVIL, "b.png")]), pictures)
        assert "<img src=x" not in page
        assert "onerror=alert(1)&gt;" in page
        Tags(page)


def test_without_images_there_are_none(shown: dict[str, Picture]) -> None:
    some = facts([pair(EVIL, "b.png")])
    page = render_page(some, None)
    assert "<img" not in page
    assert "data:image" not in page
    assert "do not pass it on" not in page
    assert "do not pass it on" in render_page(some, shown)


def test_much_is_counted_rather_than_shown() -> None:
    many = facts([pair(f"{n}.png", "b.png") for n in range(SHOWN_PAIRS + 7)], SHOWN_TEXT + 3)
    page = render_page(many, None)
    assert page.count("<article") == SHOWN_PAIRS
    assert f"{SHOWN_PAIRS} of {SHOWN_PAIRS + 7} pairs are shown" in page
    assert page.count('<figure class="one">') == SHOWN_TEXT


def test_an_empty_audit_has_a_page() -> None:
    nothing = facts([], 0) | {"classes": {}, "unreadable": [], "formats": {}}
    page = render_page(nothing, {})
    assert "None were found." in page
    assert "No image is suspected." in page
    Tags(page)


@pytest.mark.parametrize("shape", [(1, 1), (144, 2000), (3000, 200), (500, 400)])
def test_pictures_are_small_and_keep_their_shape(shape: tuple[int, int]) -> None:
    drawn = draw_picture(np.ones(shape, np.float32))
    width, height = drawn.size
    assert min(width, height) <= 144
    assert max(width, height) <= 288
    assert height == pytest.approx(shape[0] * width / shape[1], abs=1 + shape[0] / shape[1])
    assert drawn.png.startswith(b"\x89PNG")
