"""Texture features of every image of a table, or of regions in them, in one file."""

import csv
import importlib.util
import io
import json
import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from glcm_mae.config import TextureConfig
from glcm_mae.data import ImageTable, ReadingPolicy, UnreadableImageError, read_image
from glcm_mae.data.tables.manifests import columns_of
from glcm_mae.data.tables.masks import pair_masks, read_mask
from glcm_mae.errors import InputError
from glcm_mae.intake import list_images
from glcm_mae.progress import Meter, say
from glcm_mae.runs import write_atomically
from glcm_mae.texture.counting import Tally
from glcm_mae.texture.discretisation import EmptyRegionError, Pixels
from glcm_mae.texture.features import Recipe, feature_names, measure
from glcm_mae.version import __version__

GRAY_VALUES = (
    "0 is black and 1 the white of the file's depth (255 at 8 bits, 65535 at 16); colour is "
    "turned gray by the luma of ITU-R BT.601; images are not resized"
)
"""How files become gray values; it is stored with the features."""

IBSI_AGGREGATION = {"averaged": "BTW3", "merged": "SUJT"}

CHUNK = 256  # images whose features are measured in one go


@dataclass(frozen=True)
class Extraction:
    """What an extraction found.

    Attributes:
        images: Images in the file.
        features: Features of each.
        skipped: Images that were left out.
    """

    images: int
    features: int
    skipped: int


@dataclass(frozen=True)
class _Outcome:
    """What became of one image: a tally, or the reason why there is none."""

    tally: Tally | None = None
    pixels: int = 0
    whole: bool = False
    broken: str = ""
    unmasked: bool = False


def extract(config: TextureConfig) -> Extraction:
    """Measure every image of a table and write one row for each.

    Args:
        config: Settings of the stage.

    Returns:
        How many images and features there are, and how many images were left out.

    Raises:
        InputError: If the file exists or cannot be written, the table is bad, an image
            cannot be read (unless ``on_error`` is ``skip``) or has no mask (unless
            ``unmasked`` tells what to do), or none is left.
    """
    _check_out(config.out)
    subject = _Subject.of(config)
    outcomes, features = subject.measure()
    skipped = subject.judge(outcomes)
    rows = subject.rows(outcomes, features)
    facts = {
        "glcm_mae": __version__,
        "gray_values": GRAY_VALUES,
        "ibsi_aggregation": IBSI_AGGREGATION[config.aggregation],
        "images": len(rows),
        "left_out": dict(Counter(skipped.values())),
        "settings": config.model_dump(mode="json", exclude={"out", "workers"}),
    }
    write_atomically(config.out, _as_file(config.out, rows, facts))
    return Extraction(len(rows), len(feature_names(config.features)), len(skipped))


def _check_out(out: Path) -> None:
    if out.exists():
        raise InputError(f"{out}: exists; choose another --out, or remove it first")
    if out.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise InputError(
            f"{out}: a Parquet file needs pyarrow: pip install 'glcm-mae[parquet]', "
            "or choose an --out that ends in .csv"
        )


@dataclass(frozen=True)
class _Subject:
    """The images, their masks, and how they are measured."""

    config: TextureConfig
    table: ImageTable
    masks: tuple[tuple[Path, ...], ...]
    columns: dict[str, dict[str, str]]
    recipe: Recipe

    @classmethod
    def of(cls, config: TextureConfig) -> "_Subject":
        table = list_images(config, labelled=False, axis=config.axis)
        columns = columns_of(config.table, table)
        masks: tuple[tuple[Path, ...], ...] = ((),) * len(table)
        if config.masks:
            table, masks = pair_masks(table, config.masks)
        elif "mask" in columns:
            masks = _listed_masks(config.table, table, columns["mask"])
        recipe = Recipe(
            levels=config.levels,
            binning=config.binning,
            bin_width=config.bin_width,
            distances=config.distances,
            angles=config.angles,
            symmetric=config.symmetric,
            aggregation=config.aggregation,
            features=config.features,
        )
        subject = cls(config, table, masks, columns, recipe)
        subject.refuse_unmasked([n for n, files in enumerate(masks) if not files])
        return subject

    @property
    def policy(self) -> ReadingPolicy:
        """How the values in a file become gray levels."""
        config = self.config
        return ReadingPolicy(
            window=config.window, percentiles=config.percentiles, axis=config.axis
        )

    @property
    def masked(self) -> bool:
        """Whether regions were asked for."""
        return any(self.masks)

    def refuse_unmasked(self, rows: Sequence[int]) -> None:
        """Stop at images without a region, unless the settings say what to do."""
        if rows and self.masked and self.config.unmasked == "stop":
            raise InputError(
                f"{self.table.root}: {len(rows)} of {len(self.table)} images have no mask, or "
                f"an empty one: {_first([self.table.plain_name(n) for n in rows])}; pass "
                "--unmasked skip to leave them out, or --unmasked whole to measure all of each"
            )

    def measure(self) -> tuple[list[_Outcome], dict[int, dict[str, float]]]:
        """Read and measure every image, some at a time."""
        outcomes: list[_Outcome] = []
        features: dict[int, dict[str, float]] = {}
        waiting: list[int] = []
        with Meter("measuring texture", total=len(self.table)) as meter:
            meter.advance(0, "(the first run compiles for some seconds)")
            for outcome in self._outcomes():
                outcomes.append(outcome)
                meter.advance(1)
                if outcome.tally is not None:
                    waiting.append(len(outcomes) - 1)
                if len(waiting) == CHUNK or len(outcomes) == len(self.table):
                    tallies = [t for n in waiting if (t := outcomes[n].tally) is not None]
                    features |= zip(waiting, measure(tallies, self.recipe), strict=True)
                    for n in waiting:  # a tally is large
                        outcomes[n] = _Outcome(None, outcomes[n].pixels, outcomes[n].whole)
                    waiting = []
        return outcomes, features

    def _outcomes(self) -> Iterator[_Outcome]:
        workers = self.config.workers or os.cpu_count() or 1
        with ThreadPoolExecutor(workers) as pool:
            ahead: deque[Future[_Outcome]] = deque()
            try:
                for index in range(len(self.table)):
                    ahead.append(pool.submit(self._tally, index))
                    if len(ahead) > 4 * workers:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)

    def _tally(self, index: int) -> _Outcome:
        files = self.masks[index]
        try:
            file, frame = self.table.file(index), self.table.frame(index)
            image = read_image(file, frame=frame, policy=self.policy)[0]
        except UnreadableImageError as error:
            return _Outcome(broken=error.reason)
        try:
            mask = read_mask(files, image.shape) if files else None
        except UnreadableImageError as error:
            return _Outcome(broken=f"its mask: {error.reason}")
        try:
            return self._tally_region(image, mask)
        except ValueError as error:  # such as an image smaller than an offset
            return _Outcome(broken=str(error))

    def _tally_region(self, image: Pixels, mask: Pixels | None) -> _Outcome:
        if mask is not None:
            try:
                return _Outcome(self.recipe.tally(image, mask), int(mask.sum()))
            except EmptyRegionError:
                pass
        if self.masked and self.config.unmasked != "whole":
            return _Outcome(unmasked=True)
        return _Outcome(self.recipe.tally(image), image.size, whole=True)

    def judge(self, outcomes: Sequence[_Outcome]) -> dict[str, str]:
        """Say what was left out and why; stop where the settings want it."""
        broken = {n: outcome.broken for n, outcome in enumerate(outcomes) if outcome.broken}
        if broken and self.config.on_error == "stop":
            told = [f"{self.table.plain_name(n)} ({reason})" for n, reason in broken.items()]
            raise InputError(
                f"{self.table.root}: {len(broken)} of {len(outcomes)} images cannot be "
                f"measured: {_first(told)}; repair or remove them, or pass --on_error skip"
            )
        unmasked = [n for n, outcome in enumerate(outcomes) if outcome.unmasked]
        self.refuse_unmasked(unmasked)
        reasons = broken | dict.fromkeys(unmasked, "no mask, or an empty one")
        if len(reasons) == len(outcomes):
            raise InputError(
                f"{self.table.root}: every image was left out, the first because: "
                f"{self.table.plain_name(0)} ({reasons[0]}); give other images or masks"
            )
        for n in sorted(broken):
            say(f"skipped {self.table.plain_name(n)}: {broken[n]}")
        if unmasked:
            say(f"skipped {len(unmasked)} images without a mask, or with an empty one")
        return {self.table.name(n): reasons[n] for n in sorted(reasons)}

    def rows(
        self, outcomes: Sequence[_Outcome], features: dict[int, dict[str, float]]
    ) -> list[dict[str, Any]]:
        """Return what the file tells of each image."""
        kept = [name for name in ("label", "group") if name in self.columns]
        return [
            {
                "path": image,
                **{name: self.columns[name].get(image, "") for name in kept},
                "mask": "" if outcomes[n].whole else self._mask_names(n),
                "pixels": outcomes[n].pixels,
                **features[n],
            }
            for n, image in enumerate(self.table.names)
            if n in features
        ]

    def _mask_names(self, index: int) -> str:
        root = self.table.root
        if self.table.shown:
            return "hidden"
        names = (Path(os.path.relpath(file, root)).as_posix() for file in self.masks[index])
        return ";".join(names)


def _listed_masks(
    manifest: Path, table: ImageTable, column: dict[str, str]
) -> tuple[tuple[Path, ...], ...]:
    masks = tuple((table.root / column[n],) if column[n] else () for n in table.names)
    if gone := [str(file) for files in masks for file in files if not file.is_file()]:
        raise InputError(
            f"{manifest}: each mask must be a file, starting from {table.root}, {len(gone)} "
            f"missing: {_first(gone)}; correct these rows or leave their masks empty"
        )
    return masks


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")


def _as_file(out: Path, rows: Sequence[dict[str, Any]], facts: dict[str, Any]) -> bytes:
    text = json.dumps(facts, ensure_ascii=False)
    if out.suffix.lower() == ".csv":
        return _as_csv(rows, text)
    return _as_parquet(rows, text)


def _as_csv(rows: Sequence[dict[str, Any]], facts: str) -> bytes:
    text = io.StringIO()
    text.write(f"# {facts}\n")
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def _as_parquet(rows: Sequence[dict[str, Any]], facts: str) -> bytes:
    import pyarrow
    from pyarrow import parquet

    columns = {name: [row[name] for row in rows] for name in rows[0]}
    table = pyarrow.table(columns).replace_schema_metadata({"glcm_mae": facts})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    return buffer.getvalue()
