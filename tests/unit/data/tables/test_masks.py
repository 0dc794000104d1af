"""Which mask belongs to which image."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data import UnreadableImageError, read_table
from glcm_mae.data.tables.masks import pair_masks, read_mask
from glcm_mae.errors import InputError


def save(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (4, 3)).save(folder / name)


def pairs(folder: Path, masks: str) -> dict[str, list[str]]:
    images, found = pair_masks(read_table(folder, labelled=False), masks)
    return {
        path: [file.name for file in files]
        for path, files in zip(images.paths, found, strict=True)
    }


def test_the_nearest_path_in_a_folder_wins(tmp_path: Path) -> None:
    save(tmp_path / "data", "x/ill/a.png", "x/well/a.png", "x/well/b.png", "x/c.png")
    save(tmp_path / "masks", "ill/a.png", "a_mask.bmp", "b_mask_1.png", "b_mask_2.png")
    assert pairs(tmp_path / "data", str(tmp_path / "masks")) == {
        "x/c.png": [],
        "x/ill/a.png": ["a.png"],
        "x/well/a.png": ["a_mask.bmp"],
        "x/well/b.png": ["b_mask_1.png", "b_mask_2.png"],
    }


def test_an_ending_beside_the_images(tmp_path: Path) -> None:
    save(tmp_path, "u/a.png", "u/a_seg.png", "u/a_seg_1.png", "v/a.png", "v/segment.png")
    assert pairs(tmp_path, "_seg") == {
        "u/a.png": ["a_seg.png", "a_seg_1.png"],
        "v/a.png": [],
        "v/segment.png": [],
    }


def test_both_endings_of_a_compressed_volume_are_left_out(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "a_seg.nii.gz", "b.NII.GZ", "b_seg.png"):
        (tmp_path / name).touch()
    assert pairs(tmp_path, "_seg") == {"a.nii.gz": ["a_seg.nii.gz"], "b.NII.GZ": ["b_seg.png"]}


def test_refusals(tmp_path: Path) -> None:
    save(tmp_path / "data", "a_mask.png")
    save(tmp_path / "masks", "other.png")
    with pytest.raises(InputError, match=r"every image in .* has a name that ends in _mask"):
        pairs(tmp_path / "data", "_mask")
    with pytest.raises(InputError, match=r"_seg is no folder, and no image in .* ends so"):
        pairs(tmp_path / "data", "_seg")
    with pytest.raises(InputError, match=r"no file in .* is named like an image in"):
        pairs(tmp_path / "data", str(tmp_path / "masks"))
    with pytest.raises(InputError, match=r"holds all the images"):
        pairs(tmp_path / "data", str(tmp_path / "data"))


def test_whatever_is_not_black_counts_in_any_of_the_files(tmp_path: Path) -> None:
    one, other = np.zeros((2, 3), np.uint8), np.zeros((2, 3), np.uint8)
    one[0, 0], other[1, 2] = 1, 255
    Image.fromarray(one).save(tmp_path / "1.png")
    Image.fromarray(other).save(tmp_path / "2.png")
    mask = read_mask([tmp_path / "1.png", tmp_path / "2.png"], (2, 3))
    assert mask.tolist() == [[True, False, False], [False, False, True]]
    with pytest.raises(
        UnreadableImageError, match=r"the mask has 2 x 3 pixels, its image 3 x 2"
    ):
        read_mask([tmp_path / "1.png"], (3, 2))
