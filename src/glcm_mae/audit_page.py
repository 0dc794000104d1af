"""The page of an audit: one file that needs no network, no script and no other file."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
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

_BANNER = "This page shows images of patients: do not pass it on."

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src \
'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Audit of $title</title>
<style>
:root { --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --paper: #fff; --card: #f6f8fa;
  --bad: #b42318; --good: #1a7f37; --bar: #3b6ea8; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9aa6b2;
  --line: #373e47; --paper: #0f1318; --card: #181d24; --bad: #ff8f85; --good: #5bd07a;
  --bar: #7fb0e6; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 68rem; color: var(--ink);
  background: var(--paper); font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem; padding-top: .9rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { margin: .4rem 0; max-width: 46rem; } .soft { color: var(--soft); }
.banner { border: 2px solid var(--bad); color: var(--bad); font-weight: 600;
  padding: .5rem .8rem; border-radius: .4rem; margin: 0 0 1rem; max-width: none; }
.verdict { padding-left: 1.2rem; max-width: 52rem; } .verdict li { margin: .45rem 0; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr));
  gap: .6rem; margin: 0; }
.tiles div { background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  padding: .5rem .7rem; }
.tiles dt { color: var(--soft); font-size: .82rem; line-height: 1.3; }
.tiles dd { margin: 0; font-size: 1.35rem; font-weight: 600;
  font-variant-numeric: tabular-nums; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .9rem .3rem 0; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--soft); } td.n, th.n { text-align: right; }
td.name { overflow-wrap: anywhere; min-width: 10rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr));
  gap: .8rem; }
.pair, .one { background: var(--card); border: 1px solid var(--line); border-radius: .4rem;
  padding: .6rem; margin: 0; break-inside: avoid; min-width: 0; }
.pair.bad { border-color: var(--bad); }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: .6rem; }
.two figure { margin: 0; min-width: 0; }
.frame { position: relative; display: block; line-height: 0; }
.frame img { width: 100%; height: auto; max-height: 15rem; object-fit: contain;
  background: #000; border-radius: .2rem; }
.one .frame img { max-height: none; }
.frame i { position: absolute; border: 2px solid #ff4fd8; border-radius: 2px; }
.pair p, figcaption { font-size: .82rem; line-height: 1.4; overflow-wrap: anywhere;
  margin: .35rem 0 0; }
.tag { display: inline-block; border: 1px solid var(--line); border-radius: 1rem;
  padding: 0 .5rem; background: var(--paper); }
.bad > .two .tag, .warn { color: var(--bad); font-weight: 600; }
.gallery { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr));
  gap: .8rem; align-items: start; }
.hist { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr));
  gap: .8rem; }
.hist figure { margin: 0; } .hist svg { width: 100%; height: 6rem; display: block;
  background: var(--card); border-bottom: 1px solid var(--soft); } .hist rect { fill: var(--bar); }
@media (max-width: 30rem) { .pairs, .gallery { grid-template-columns: 1fr; }
  .tiles { grid-template-columns: 1fr 1fr; } }
@media print { body { max-width: none; font-size: 11pt; } .pairs { grid-template-columns: 1fr 1fr; }
  h2 { break-after: avoid; } }
</style>
</head>
<body>
<header>
$banner<h1>Audit of $title</h1>
<p class="soft">$summary</p>
</header>
<main>
$body
</main>
</body>
</html>
""")


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
    return _PAGE.substitute(
        title=escape(facts["table"]),
        banner="" if pictures is None else f'<p class="banner">{_BANNER}</p>\n',
        summary=f"{facts['readable']:,} of {facts['images']:,} images could be read. "
        "An audit finds what is suspicious; it does not prove that the rest is sound.",
        body="\n".join(sections),
    )


def _section(title: str, *parts: str) -> str:
    return f"<section>\n<h2>{title}</h2>\n" + "\n".join(parts) + "\n</section>"


def _verdict(facts: Mapping[str, Any]) -> str:
    lines = "".join(f"<li>{escape(line)}</li>\n" for line in facts["verdict"])
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
    spread = [(name, *(sizes[name][each] for each in three)) for name in ("height", "width")]
    parts.append(_table(("Pixels", "least", "median", "most"), spread))
    parts.append(f"<p>{sizes['distinct']:,} different sizes.</p>")
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
    figures = "".join(
        f"<figure>{_histogram(bars)}<figcaption>{escape(name)}</figcaption></figure>\n"
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
        "<p>Share of pixels from black (left) to white (right), all on one scale.</p>",
        f'<div class="hist">\n{figures}</div>',
        _table(("Of an image, 0 to 1", "least", "median", "most"), rows),
    )


def _histogram(bars: Sequence[float]) -> str:
    """Draw bars as the roots of the shares, so that a black border hides nothing."""
    drawn = "".join(
        f'<rect x="{place}" y="{1 - share**0.5:.3f}" width="0.9" height="{share**0.5:.3f}"/>'
        for place, share in enumerate(bars)
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
    def cell(kind: str, value: Any) -> str:
        number = isinstance(value, int | float)
        told = f"{value:,}" if number else str(value)
        return f'<{kind} class="{"n" if number else "name"}">{escape(told)}</{kind}>'

    body = "".join("<tr>" + "".join(cell("td", v) for v in row) + "</tr>\n" for row in rows)
    top = "".join(f"<th>{escape(name)}</th>" for name in names)
    top = f"<thead><tr>{top}</tr></thead>\n" if head else ""
    return f'<div class="wide"><table>{top}<tbody>\n{body}</tbody></table></div>'
