"""``glcm-mae texture``: its files, its numbers, its refusals."""

import csv
import importlib.util
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pyarrow import parquet
from tiny import Command

from glcm_mae import HARALICK_FEATURES, IBSI_FEATURES, read_image, texture_features
from glcm_mae.extraction import GRAY_VALUES
from glcm_mae.version import __version__


def refused(glcm_mae: Command, *arguments: str | Path) -> str:
    code, out, err = glcm_mae("texture", *arguments)
    assert code == 2, err
    assert out == ""
    lines = err.splitlines()
    assert [line for line in lines if line.startswith("glcm-mae: error: ")] == lines[-1:]
    return lines[-1].removeprefix("glcm-mae: error: ")


def done(glcm_mae: Command, *arguments: str | Path) -> tuple[str, str]:
    code, out, err = glcm_mae("texture", *arguments)
    assert code == 0, err
    return out, err


def rows_of(file: Path) -> list[dict[str, str]]:
    lines = file.read_text().splitlines()
    assert lines[0].startswith("# {")
    return list(csv.DictReader(lines[1:]))


@pytest.fixture
def lesions(tmp_path: Path) -> Path:
    """Four images in two classes; one mask, a mask in two files, an empty one, none."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "data"

    def save(name: str, pixels: np.ndarray) -> None:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / name)

    mask = np.zeros((20, 30), np.uint8)
    for name in ("ill/a", "ill/b", "well/c", "well/d"):
        save(f"images/{name}.png", rng.integers(0, 255, (20, 30), dtype=np.uint8))
    upper, lower = mask.copy(), mask.copy()
    upper[3:8, 4:9], lower[10:15, 20:26] = 255, 1
    save("masks/ill/a_mask.png", upper)
    save("masks/ill/b_mask.png", upper)
    save("masks/ill/b_mask_1.png", lower)
    save("masks/well/c_mask.png", mask)
    return folder


def test_the_exact_files_and_numbers(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    table, comma = tmp_path / "new" / "features.parquet", tmp_path / "features.csv"
    out, _ = done(glcm_mae, phantoms / "manifest.csv", "--out", table)
    assert out == f"24 images, 14 features each\ntable: {table}\n"
    done(glcm_mae, "--table", phantoms / "manifest.csv", "--out", comma, "--workers", "1")
    assert [path.name for path in table.parent.iterdir()] == ["features.parquet"]
    stored = parquet.read_table(table)
    facts = json.loads(stored.schema.metadata[b"glcm_mae"])
    assert facts["glcm_mae"] == __version__
    assert facts["gray_values"] == GRAY_VALUES
    assert facts["settings"]["levels"] == 32
    assert facts["settings"]["angles"] == [0, 45, 90, 135]
    assert json.loads(comma.read_text().splitlines()[0].removeprefix("# ")) == facts
    found, read = stored.to_pylist(), rows_of(comma)
    assert list(found[0]) == ["path", "label", "group", "mask", "pixels", *HARALICK_FEATURES]
    for row, text in zip(found, read, strict=True):
        image = read_image(phantoms / row["path"])[0]
        expected = texture_features(image)
        assert {name: row[name] for name in expected} == expected  # to the last bit
        assert {name: float(text[name]) for name in expected} == expected
        assert row["path"] == text["path"]
        assert (row["pixels"], row["mask"], row["label"]) == (32 * 32, "", text["label"])


def test_settings_reach_the_python_call(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.csv"
    done(
        glcm_mae,
        *(phantoms, "--out", out, "--features", "all", "--binning", "width"),
        *("--bin_width", "0.02", "--distances", "[1, 3]", "--angles", "90"),
        *("--symmetric", "false", "--aggregation", "merged"),
    )
    row = rows_of(out)[5]
    expected = texture_features(
        read_image(phantoms / row["path"])[0],
        features="all",
        binning="width",
        bin_width=0.02,
        distances=[1, 3],
        angles=[90],
        symmetric=False,
        aggregation="merged",
    )
    assert list(expected) == list(HARALICK_FEATURES | IBSI_FEATURES)
    assert {name: float(row[name]) for name in expected} == expected
    assert row["label"] == row["path"].partition("/")[0]


def test_masks_in_a_folder(glcm_mae: Command, lesions: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    _, err = done(
        glcm_mae,
        *(lesions / "images", "--masks", lesions / "masks", "--unmasked", "skip"),
        *("--out", out, "--binning", "number", "--levels", "8"),
    )
    assert "skipped 2 images without a mask, or with an empty one" in err
    rows = rows_of(out)
    assert [(row["path"], row["mask"], row["pixels"]) for row in rows] == [
        ("ill/a.png", "../masks/ill/a_mask.png", "25"),
        ("ill/b.png", "../masks/ill/b_mask.png;../masks/ill/b_mask_1.png", "55"),
    ]
    mask = np.zeros((20, 30))
    mask[3:8, 4:9] = mask[10:15, 20:26] = 1
    image = read_image(lesions / "images/ill/b.png")[0]
    expected = texture_features(image, mask, binning="number", levels=8)
    assert {name: float(rows[1][name]) for name in expected} == expected


def test_masks_below_the_table_are_no_images(
    glcm_mae: Command, lesions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.csv"
    done(
        glcm_mae,
        *(lesions, "--masks", lesions / "masks", "--unmasked", "whole", "--out", out),
    )
    pixels = {row["path"]: (row["pixels"], row["mask"]) for row in rows_of(out)}
    assert pixels["images/ill/a.png"] == ("25", "masks/ill/a_mask.png")
    assert pixels["images/well/c.png"] == pixels["images/well/d.png"] == ("600", "")
    assert len(pixels) == 4


def test_masks_beside_images_and_in_a_column(
    glcm_mae: Command, lesions: Path, tmp_path: Path
) -> None:
    beside = lesions / "beside"
    beside.mkdir()
    for source in ("images/ill/a.png", "masks/ill/a_mask.png"):
        (beside / Path(source).name).write_bytes((lesions / source).read_bytes())
    done(glcm_mae, beside, "--masks", "_mask", "--out", tmp_path / "beside.csv")
    (row,) = rows_of(tmp_path / "beside.csv")
    assert (row["path"], row["mask"], row["pixels"]) == ("a.png", "a_mask.png", "25")
    manifest = beside / "list.csv"
    manifest.write_text("path,mask,group\na.png,a_mask.png,p1\n")
    done(glcm_mae, manifest, "--out", tmp_path / "column.csv")
    assert rows_of(tmp_path / "column.csv") == [
        {**row, "group": "p1"}  # the other columns are equal
    ]


def test_images_without_a_mask_stop_the_command(
    glcm_mae: Command, lesions: Path, tmp_path: Path
) -> None:
    out = tmp_path / "f.csv"
    masked = (lesions / "images", "--masks", lesions / "masks", "--out", out)
    assert refused(glcm_mae, *masked) == (
        f"{lesions / 'images'}: 1 of 4 images have no mask, or an empty one: well/d.png; "
        "pass --unmasked skip to leave them out, or --unmasked whole to measure all of each"
    )
    (lesions / "images/well/d.png").unlink()
    assert "1 of 3 images have no mask, or an empty one: well/c.png" in refused(
        glcm_mae, *masked
    )
    assert not out.exists()


def test_unreadable_images_stop_or_are_skipped(
    glcm_mae: Command, lesions: Path, tmp_path: Path
) -> None:
    (lesions / "images/ill/b.png").write_bytes(b"no image")
    Image.new("L", (3, 1)).save(lesions / "images/well/tiny.png")
    out = tmp_path / "f.csv"
    text = refused(glcm_mae, lesions / "images", "--out", out)
    assert text.startswith(f"{lesions / 'images'}: 2 of 5 images cannot be measured: ill/b.png")
    assert text.endswith("; repair or remove them, or pass --on_error skip")
    assert not out.exists()
    printed, err = done(glcm_mae, lesions / "images", "--out", out, "--on_error", "skip")
    assert "3 images, 14 features each, 2 left out" in printed
    assert "skipped ill/b.png: no PNG, JPEG, BMP, WebP, TIFF, DICOM" in err
    assert (
        "skipped well/tiny.png: offsets must be smaller than the image of 1 x 3 pixels" in err
    )
    assert [row["path"] for row in rows_of(out)] == ["ill/a.png", "well/c.png", "well/d.png"]


def test_a_mask_of_another_size(glcm_mae: Command, lesions: Path, tmp_path: Path) -> None:
    Image.new("L", (7, 9), color=255).save(lesions / "masks/ill/a_mask.png")
    text = refused(
        glcm_mae,
        *(lesions / "images", "--masks", lesions / "masks", "--unmasked", "skip"),
        *("--out", tmp_path / "f.csv"),
    )
    assert "ill/a.png (its mask: the mask has 9 x 7 pixels, its image 20 x 30)" in text


def test_an_existing_file_is_kept(glcm_mae: Command, phantoms: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    out.write_text("mine")
    assert refused(glcm_mae, phantoms, "--out", out) == (
        f"{out}: exists; choose another --out, or remove it first"
    )
    assert out.read_text() == "mine"


def test_a_write_that_fails_leaves_nothing(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    text = refused(glcm_mae, phantoms, "--out", tmp_path / "f.csv")
    assert "cannot be written (No space left on device)" in text
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_extraction_leaves_nothing(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("glcm_mae.extraction.measure", interrupt)
    code, _, err = glcm_mae("texture", phantoms, "--out", tmp_path / "f.csv")
    assert code == 130
    assert err.splitlines()[-1] == (
        "glcm-mae: error: interrupted; nothing whole was written; remove what lies at --out "
        "before you start again"
    )
    assert list(tmp_path.iterdir()) == []


def test_parquet_needs_pyarrow(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "pyarrow" else real(name)
    )
    out = tmp_path / "f.parquet"
    assert refused(glcm_mae, phantoms, "--out", out) == (
        f"{out}: a Parquet file needs pyarrow: pip install 'glcm-mae[parquet]', "
        "or choose an --out that ends in .csv"
    )


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--levels", "1"], "levels: input should be greater than or equal to 2, got '1'"),
        (["--distances", "0"], "distances.0: input should be greater than or equal to 1"),
        (["--angles", "30"], "angles.0: input should be 0, 45, 90 or 135, got 30"),
        (["--angles", "[0, 0]"], "angles: each number may be given once, got [0, 0]"),
        (["--distances", "32"], "24 of 24 images cannot be measured"),
        (["--binning", "width"], "bin_width is needed for binning 'width', and only there"),
        (["--bin_width", "0.1"], "bin_width is needed for binning 'width', and only there"),
        (["--masks", "_seg"], "_seg is no folder, and no image in"),
        (["--level", "8"], "did you mean --levels?"),
    ],
)
def test_bad_values(
    glcm_mae: Command, phantoms: Path, tmp_path: Path, flags: list[str], words: str
) -> None:
    assert words in refused(glcm_mae, phantoms, "--out", tmp_path / "f.csv", *flags)
    assert list(tmp_path.iterdir()) == []


def test_other_endings_and_missing_arguments(
    glcm_mae: Command, phantoms: Path, tmp_path: Path
) -> None:
    text = refused(glcm_mae, phantoms, "--out", tmp_path / "f.xlsx")
    assert text == f"out must end in .parquet or .csv, got {tmp_path / 'f.xlsx'}"
    assert refused(glcm_mae, phantoms) == "out: is required; pass --out"
    nowhere = tmp_path / "nowhere"
    text = refused(glcm_mae, nowhere, "--out", tmp_path / "f.csv")
    assert text == (
        f"{nowhere}: no such folder or manifest; check the path (that of a recipe is a "
        "stand-in for yours)"
    )


def test_real_lesions(glcm_mae: Command, busi: Path, busi_sample: Path, tmp_path: Path) -> None:
    out = tmp_path / "f.csv"
    done(
        glcm_mae,
        *(busi_sample, "--masks", busi / "masks", "--unmasked", "skip", "--out", out),
    )
    rows = rows_of(out)
    assert {row["label"] for row in rows} == {"benign", "malignant"}
    assert len(rows) == 16  # eight of each; normal images have empty masks
    assert all(0 < float(row["correlation"]) <= 1 for row in rows)
