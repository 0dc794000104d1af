"""The page of an audit: one file that needs no network, no script and no other file."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.data.audit.findings import by_weight
from glcm_mae.data.reading.fitting import fit_image

SHOWN_PAIRS, SHOWN_TEXT = 100, 24
"""Most pairs and most images with suspected text that the page shows."""

SHOWN_FILES = 200
"""Most unreadable files that the page names; ``audit.json`` names all."""

_SHORTER, _LONGER = 144, 288  # pixels of a picture; two hundred must stay below 10 MB

_TEMPLATE = Path(__file__).with_suffix(".html")  # beside this file, with all its style
_BANNER = "This page shows images of patients: do not pass it on."


@dataclass(frozen=True)
class Picture:
    """An image as the page shows it.

    Attributes:
        png: The file.
        size: Width and height in pixels.
        boxes: Suspected text: top, left, bottom, right in shares of the image.
    """

    png: bytes
    size: tuple[int, int]
    boxes: tuple[Sequence[float], ...] = ()


def draw_picture(
    image: npt.NDArray[np.float32], boxes: Sequence[Sequence[float]] = ()
) -> Picture:
    """Make the small PNG of an image.

    Args:
        image: Gray levels in ``[0, 1]``, shape (height, width).
        boxes: Suspected text.

    Example:
        >>> draw_picture(np.zeros((300, 400), np.float32)).size
        (192, 144)
    """
    from PIL import Image

    height, width = image.shape
    factor = min(1.0, _SHORTER / min(height, width), _LONGER / max(height, width))
    size = max(1, round(height * factor)), max(1, round(width * factor))
    small = fit_image(image[None], size, "squeeze")[0]
    file = io.BytesIO()
    levels = np.rint(small.clip(0, 1) * 255).astype(np.uint8)
    Image.fromarray(levels).save(file, format="PNG", optimize=True)
    return Picture(file.getvalue(), (size[1], size[0]), tuple(boxes))


def render_page(facts: Mapping[str, Any], pictures: Mapping[str, Picture] | None) -> str:
    """Write the page of an audit.

    Args:
        facts: What ``audit.json`` holds.
        pictures: By the name of the image; None for a page without any.

    Returns:
        HTML that loads nothing and runs nothing.
    """
    sections = (
        _verdict(facts),
        _counts(facts),
        _duplicates(facts["duplicates"], pictures),
        _text(facts, pictures),
        _unreadable(facts["unreadable"]),
        _classes_and_sizes(facts),
        _grays(facts["gray"]),
        _card(facts),
    )
    page = Template(_TEMPLATE.read_text(encoding="utf-8"))
    return page.substitute(
        title=escape(facts["table"]),
        banner="" if pictures is None else f'<p class="banner">{_BANNER}</p>\n',
        summary=f"{facts['readable']:,} of {facts['images']:,} images could be read. "
        "An audit finds what is suspicious; it does not prove that the rest is sound.",
        body="\n".join(sections),
    )


def _section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n" + "\n".join(parts) + "\n</section>"


def _verdict(facts: Mapping[str, Any]) -> str:
    lines = "".join(
        f"<li>{escape(line[0].upper() + line[1:])}</li>\n" for line in facts["verdict"]
    )
    return _section("Verdict", f'<ul class="verdict">\n{lines}</ul>')


def _counts(facts: Mapping[str, Any]) -> str:
    pairs, groups = facts["duplicates"]["counts"], facts["groups"]
    tiles = {
        "images": facts["images"],
        "unreadable": len(facts["unreadable"]),
        "pairs equal pixel for pixel": pairs["exact_pairs"],
        "pairs nearly equal": pairs["near_pairs"],
        "clusters of duplicates": pairs["clusters"],
        "images in clusters": pairs["images_in_clusters"],
        "pairs with different labels": pairs["pairs_across_classes"],
        "pairs across parts": pairs["pairs_across_splits"],
        "pairs across groups": pairs["pairs_across_groups"],
        "groups": groups["groups"] if groups["grouping"] != "image" else None,
        "groups in two parts": groups["across_splits"],
        "images with suspected text": facts["text"]["suspected"],
    }
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{'–' if count is None else f'{count:,}'}</dd></div>\n"
        for name, count in tiles.items()
    )
    return _section("Counts", f'<dl class="tiles">\n{cells}</dl>')


def _duplicates(found: Mapping[str, Any], pictures: Mapping[str, Picture] | None) -> str:
    pairs = found["pairs"]
    if not pairs:
        return _section("Duplicates", "<p>None were found.</p>")
    shown = [pairs[number] for number in by_weight(pairs)[:SHOWN_PAIRS]]
    told = f"All {len(pairs):,} pairs are shown"
    if len(pairs) > len(shown):
        told = f"{len(shown)} of {len(pairs):,} pairs are shown, all are in duplicates.csv"
    note = (
        f'<p class="soft">{told}; those with different labels or in different parts come '
        "first. “Detail” is the correlation of the fine structure, which decides; “hash” is "
        "how many of 256 bits of the difference hashes differ.</p>"
    )
    cards = "\n".join(_pair(pair, pictures) for pair in shown)
    return _section("Duplicates", note, f'<div class="pairs">\n{cards}\n</div>')


def _pair(pair: Mapping[str, Any], pictures: Mapping[str, Picture] | None) -> str:
    bad = pair["same_label"] is False or pair["same_split"] is False
    sides = []
    for number, name in enumerate((pair["path_a"], pair["path_b"])):
        told = [*pair["labels"][number : number + 1], *pair["splits"][number : number + 1]]
        tags = " ".join(f'<span class="tag">{escape(tag)}</span>' for tag in told if tag)
        shown = _frame(name, pictures, boxes=False)
        sides.append(f"<figure>{shown}<figcaption>{tags} {escape(name)}</figcaption></figure>")
    alike = "equal pixel for pixel" if pair["exact"] else f"detail {pair['detail']:.2f}"
    return (
        f'<article class="pair{" bad" if bad else ""}"><div class="two">{"".join(sides)}</div>'
        f'<p class="soft">{alike}, correlation {pair["correlation"]:.2f}, hash '
        f"{pair['hash_distance']}, {escape(pair['orientation'])}</p></article>"
    )


def _frame(name: str, pictures: Mapping[str, Picture] | None, *, boxes: bool) -> str:
    if pictures is None or name not in pictures:
        return ""
    picture = pictures[name]
    width, height = picture.size
    data = base64.b64encode(picture.png).decode()
    drawn = picture.boxes if boxes else ()
    marks = "".join(
        f'<i style="top:{_share(top, -0.01)};left:{_share(left, -0.01)};'
        f'height:{_share(bottom - top, 0.02)};width:{_share(right - left, 0.02)}"></i>'
        for top, left, bottom, right in drawn
    )
    return (
        f'<span class="frame"><img src="data:image/png;base64,{data}" width="{width}" '
        f'height="{height}" alt="{escape(name)}">{marks}</span>'
    )


def _share(share: float, more: float) -> str:
    return f"{100 * (share + more):.1f}%"


def _text(facts: Mapping[str, Any], pictures: Mapping[str, Picture] | None) -> str:
    text, dicom = facts["text"], facts["dicom"]
    parts = [
        "<p>Rows of marks that look like letters; nothing was read. Some will be rulers, "
        "ribs or wires, and single letters, callipers and upright print are missed.</p>"
    ]
    shown = text["images"][:SHOWN_TEXT]
    if text["suspected"]:
        told = f"{text['suspected']:,} images are suspected"
        parts.append(
            f'<p class="soft">{told}; {len(shown)} are shown, audit.json names all.</p>'
        )
    else:
        parts.append("<p>No image is suspected.</p>")
    cards = (
        f'<figure class="one">{_frame(each["image"], pictures, boxes=True)}<figcaption>'
        f"{_tag(each['label'])} {escape(each['image'])}</figcaption></figure>"
        for each in shown
    )
    parts.append(f'<div class="gallery">\n{"".join(cards)}\n</div>' if shown else "")
    if dicom["files"]:
        parts += _headers(dicom)
    return _section("Suspected text and identities", *parts)


def _headers(dicom: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h3>{dicom['files']:,} DICOM headers</h3>"
    yield _table(("Modality", "Files"), dicom["modality"].items())
    yield _table(("Annotations burned in, as stated", "Files"), dicom["burned_in"].items())
    if dicom["identifying"]:
        yield "<p>Filled elements that could identify; their values are not kept.</p>"
        yield _table(("Element", "Files"), dicom["identifying"].items())


def _unreadable(files: Sequence[Mapping[str, str]]) -> str:
    if not files:
        return _section("Unreadable files", "<p>None.</p>")
    rows = [(each["image"], each["reason"]) for each in files[:SHOWN_FILES]]
    more = len(files) - len(rows)
    left = f'<p class="soft">{more:,} more are in audit.json.</p>' if more else ""
    return _section("Unreadable files", _table(("Image", "Reason"), rows), left)


def _classes_and_sizes(facts: Mapping[str, Any]) -> str:
    classes, sizes = facts["classes"], facts["sizes"]
    parts = []
    if classes:
        names = list(next(iter(classes.values())))
        rows = [(name, *counts.values()) for name, counts in classes.items()]
        parts.append(_table(("Class", *names), rows))
    else:
        parts.append("<p>The images have no classes.</p>")
    three = ("min", "median", "max")
    sides = ("height", "width")
    spread = [(name, *(f"{sizes[name][each]:g}" for each in three)) for name in sides]
    parts.append(_table(("Pixels", "least", "median", "most"), spread))
    parts.append(f"<p>Different sizes: {sizes['distinct']:,}.</p>")
    parts.append(_table(("Format", "Images"), facts["formats"].items()))
    if classes:
        parts.append(_areas({**sizes["areas"], **facts["gray"]["areas"]}, list(classes)))
    return _section("Classes and sizes", *parts)


def _areas(areas: Mapping[str, Mapping[str, float | None]], classes: Sequence[str]) -> str:
    names = {
        "shorter_side": "shorter side",
        "aspect_ratio": "aspect ratio",
        "mean": "mean gray level",
        "sd": "spread of gray levels",
    }
    rows = [
        (
            names[number],
            *("–" if by_class[name] is None else by_class[name] for name in classes),
        )
        for number, by_class in areas.items()
    ]
    return (
        "<h3>What one number tells of the class</h3>\n<p>Area under the ROC curve of the class "
        "against the rest: 0.5 tells nothing, 0 and 1 tell everything.</p>\n"
        + _table(("Number", *classes), rows)
    )


def _grays(gray: Mapping[str, Any]) -> str:
    top = max((max(bars) for bars in gray["histograms"].values()), default=1.0)
    figures = "".join(
        f"<figure>{_histogram(bars, top)}<figcaption>{escape(name)}</figcaption></figure>\n"
        for name, bars in gray["histograms"].items()
    )
    names = {
        "mean": "mean",
        "sd": "spread (SD)",
        "black": "black pixels",
        "white": "white pixels",
    }
    rows = [
        (told, *(f"{gray[name][each]:.3f}" for each in ("min", "median", "max")))
        for name, told in names.items()
    ]
    return _section(
        "Gray levels",
        "<p>Root of the share of pixels, from black (left) to white (right), on one scale.</p>",
        f'<div class="hist">\n{figures}</div>',
        _table(("Of an image, 0 to 1", "least", "median", "most"), rows),
    )


def _histogram(bars: Sequence[float], top: float) -> str:
    """Draw bars as the roots of the shares, so that a black border hides nothing."""
    heights = [(share / top) ** 0.5 for share in bars]
    drawn = "".join(
        f'<rect x="{place}" y="{1 - height:.3f}" width="0.9" height="{height:.3f}"/>'
        for place, height in enumerate(heights)
    )
    return (
        f'<svg viewBox="0 0 {len(bars)} 1" preserveAspectRatio="none" role="img" '
        f'aria-label="histogram of gray levels">{drawn}</svg>'
    )


def _card(facts: Mapping[str, Any]) -> str:
    known = {
        "manifest": "as the manifest tells",
        "dicom": "patients of the DICOM headers, as pseudonyms",
        "pattern": "found in the paths",
        "image": "none known: each image is its own",
    }
    policy = facts["policy"]
    rows = [
        ("Table", facts["table"]),
        ("Images, files", f"{facts['images']:,}, {facts['files']:,}"),
        ("Groups", known.get(facts["groups"]["grouping"], facts["groups"]["grouping"])),
        ("Groups, joined by duplicates", f"{facts['groups']['joined']:,}"),
        ("Black and white by", str(policy["window"])),
        ("Duplicates: least detail", facts["duplicates"]["threshold"]),
        ("glcm-mae", facts["glcm_mae"]),
    ]
    return _section("Data card", _table(("", ""), rows, head=False))


def _tag(text: str) -> str:
    return f'<span class="tag">{escape(text)}</span>' if text else ""


def _table(names: Sequence[str], rows: Iterable[Sequence[Any]], *, head: bool = True) -> str:
    def cell(value: Any) -> str:
        return (
            f"<td>{escape(f'{value:,}' if isinstance(value, int | float) else str(value))}</td>"
        )

    body = "".join("<tr>" + "".join(map(cell, row)) + "</tr>\n" for row in rows)
    top = "".join(f"<th>{escape(name)}</th>" for name in names)
    top = f"<thead><tr>{top}</tr></thead>\n" if head else ""
    return f'<div class="wide"><table>{top}<tbody>\n{body}</tbody></table></div>'
