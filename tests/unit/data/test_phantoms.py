"""Phantoms are told apart by texture and by nothing else; speckle has its known law."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage, stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glcm_mae.data.phantoms import (
    PHANTOM_CLASSES,
    Phantom,
    make_phantom,
    speckle,
    write_phantoms,
)
from glcm_mae.data.tables.table import read_table
from glcm_mae.errors import InputError

RAYLEIGH_SNR = np.sqrt(np.pi / (4 - np.pi))  # 1.913, mean over standard deviation


def series(count: int, size: int = 64) -> list[tuple[str, Phantom]]:
    kinds = [PHANTOM_CLASSES[i % 3] for i in range(count)]
    return [(kind, make_phantom(kind, size=size, seed=(0, i))) for i, kind in enumerate(kinds)]


def neighbours(phantom: Phantom, axis: int, lag: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of pixels inside the lesion, ``lag`` apart along an axis."""
    image, lesion = np.moveaxis(phantom.image, axis, 0), np.moveaxis(phantom.lesion, axis, 0)
    both = lesion[:-lag] & lesion[lag:]
    return image[:-lag][both], image[lag:][both]


def contrast(phantom: Phantom) -> list[float]:
    """Haralick's contrast, mean squared difference of neighbours, down and across."""
    return [float(np.square(np.subtract(*neighbours(phantom, axis))).mean()) for axis in (0, 1)]


def histogram(values: np.ndarray) -> np.ndarray:
    return np.histogram(values, bins=16, range=(0, 1))[0] / values.size


def accuracy(features: list[np.ndarray] | list[list[float]], labels: list[str]) -> float:
    model = make_pipeline(StandardScaler(), LogisticRegression(C=100, max_iter=2000))
    return float(cross_val_score(model, np.array(features), labels, cv=5).mean())


def test_the_kinds_of_lesion() -> None:
    assert PHANTOM_CLASSES == ("fine", "coarse", "sparse")


@pytest.mark.parametrize("kind", PHANTOM_CLASSES)
def test_a_phantom_is_an_image_and_a_lesion(kind: str) -> None:
    phantom = make_phantom(kind, size=48, seed=7)
    assert phantom.image.shape == phantom.lesion.shape == (48, 48)
    assert phantom.image.dtype == np.float32
    assert phantom.lesion.dtype == np.bool_
    assert phantom.image.min() >= 0
    assert phantom.image.max() <= 1


def test_a_seed_draws_the_same_phantom_again_and_another_does_not() -> None:
    one, two, other = (make_phantom("fine", size=48, seed=(3, i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(one.image, two.image)
    assert (one.image != other.image).mean() > 0.9
    assert (one.lesion != other.lesion).any()


def test_lesions_are_large_whole_and_of_one_piece() -> None:
    for index in range(60):
        lesion = make_phantom("fine", size=64, seed=(1, index)).lesion
        assert 0.25 <= lesion.mean() <= 0.45
        assert ndimage.label(lesion)[1] == 1
        assert not ndimage.binary_fill_holes(lesion)[~lesion].any()
        assert lesion[1:-1, 1:-1].sum() == lesion.sum()


def test_lesions_are_darker_than_their_surroundings() -> None:
    for _, phantom in series(9):
        inside, outside = phantom.image[phantom.lesion], phantom.image[~phantom.lesion]
        assert outside.mean() - inside.mean() == pytest.approx(12 / 50, abs=0.03)


def test_kinds_of_one_seed_differ_inside_the_lesion_only() -> None:
    fine, coarse, sparse = (make_phantom(kind, size=64, seed=5) for kind in PHANTOM_CLASSES)
    for other in (coarse, sparse):
        np.testing.assert_array_equal(fine.lesion, other.lesion)
        np.testing.assert_array_equal(fine.image[~fine.lesion], other.image[~fine.lesion])
        assert (fine.image != other.image)[fine.lesion].mean() > 0.9


def test_gray_levels_of_lesions_are_the_same_whatever_the_kind() -> None:
    for seed in range(5):
        phantoms = [make_phantom(kind, size=64, seed=seed) for kind in PHANTOM_CLASSES]
        first, *others = (np.sort(phantom.image[phantom.lesion]) for phantom in phantoms)
        for other in others:
            assert stats.ks_2samp(first, other).statistic == 0
            assert other.mean() == first.mean()


def test_gray_levels_of_lesions_hardly_depend_on_their_size() -> None:
    lesions = [phantom.image[phantom.lesion] for _, phantom in series(30)]
    for one in lesions[1:]:
        assert stats.ks_2samp(lesions[0], one).statistic < 2 / min(len(lesions[0]), len(one))
        assert one.mean() == pytest.approx(lesions[0].mean(), abs=1e-5)


def test_lesions_follow_the_log_compressed_rayleigh_law() -> None:
    """Back from decibels, the amplitude in the lesion is Rayleigh 12 dB below one."""
    phantom = make_phantom("sparse", size=128, seed=0)
    decibels = (phantom.image[phantom.lesion] - 1) * 50 + 20 + 12
    shown = decibels[phantom.image[phantom.lesion] > 0]
    amplitude = 10 ** (shown / 20)
    floor = 10 ** (-18 / 20)  # what the display cuts off
    law = stats.rayleigh(scale=np.sqrt(0.5))
    quantiles = (law.cdf(amplitude) - law.cdf(floor)) / law.sf(floor)
    assert stats.kstest(quantiles, "uniform").statistic < 1e-3


def amplitudes(axial: float, lateral: float, density: float) -> np.ndarray:
    generator = np.random.default_rng(0)
    return speckle(
        (512, 512), axial=axial, lateral=lateral, density=density, generator=generator
    )


def rayleigh_fit(field: np.ndarray) -> float:
    """p-value of pixels so far apart that they are independent."""
    law = stats.rayleigh(scale=np.sqrt(0.5))
    return float(stats.kstest(field[::12, ::12].ravel(), law.cdf).pvalue)


@pytest.mark.parametrize(("axial", "lateral"), [(0.65, 1.0), (1.0, 1.6), (1.7, 2.7)])
def test_developed_speckle_is_rayleigh_distributed(axial: float, lateral: float) -> None:
    field = amplitudes(axial, lateral, 1.0)
    assert np.square(field).mean() == pytest.approx(1)
    assert field.mean() / field.std() == pytest.approx(RAYLEIGH_SNR, rel=0.02)
    assert rayleigh_fit(field) > 1e-4  # over 80 other seeds the values lie evenly in 0 to 1


def test_few_scatterers_make_speckle_spikier() -> None:
    """Below Rayleigh, and the more so the fewer there are."""
    ratios = [
        field.mean() / field.std() for field in (amplitudes(1, 1.6, d) for d in (1, 0.1, 0.03))
    ]
    assert ratios[0] > 1.3 * ratios[1] > 1.3**2 * ratios[2]
    assert rayleigh_fit(amplitudes(1, 1.6, 0.1)) < 1e-12


@pytest.mark.parametrize(("axial", "lateral"), [(1.0, 1.6), (1.7, 2.7)])
def test_the_size_of_speckles_follows_from_the_point_spread(
    axial: float, lateral: float
) -> None:
    """The intensity of a Gaussian point spread decorrelates as exp(-lag² / 2σ²)."""
    intensity = np.square(amplitudes(axial, lateral, 1.0))
    centred = intensity - intensity.mean()
    for axis, sigma in ((0, axial), (1, lateral)):
        for lag in (1, 2, 3):
            measured = (centred * np.roll(centred, lag, axis)).mean() / centred.var()
            assert measured == pytest.approx(np.exp(-(lag**2) / (2 * sigma**2)), abs=0.03)


@pytest.mark.parametrize("density", [0, -0.1, 1.5])
def test_densities_out_of_range(density: float) -> None:
    with pytest.raises(InputError, match=f"density: must be above 0 .* 1, got {density}"):
        amplitudes(1, 1.6, density)


def correlation_length(phantom: Phantom, axis: int) -> float:
    """Lag at which the correlation of lesion pixels falls to 1/e."""
    ratios = [1.0, *(np.corrcoef(neighbours(phantom, axis, lag))[0, 1] for lag in range(1, 9))]
    return float(np.interp(-np.exp(-1), -np.array(ratios), np.arange(9)))


def test_coarse_speckles_are_larger_than_fine_ones() -> None:
    for seed in range(6):
        fine, coarse = (make_phantom(kind, size=96, seed=seed) for kind in ("fine", "coarse"))
        for axis in (0, 1):
            assert correlation_length(coarse, axis) > 1.5 * correlation_length(fine, axis)


def test_texture_tells_the_classes_apart_and_gray_levels_do_not() -> None:
    pairs = series(150)
    kinds = [kind for kind, _ in pairs]
    assert accuracy([contrast(phantom) for _, phantom in pairs], kinds) > 0.97
    lesions = [histogram(phantom.image[phantom.lesion]) for _, phantom in pairs]
    assert accuracy(lesions, kinds) < 0.48  # chance is 0.33, its deviation 0.04
    images = [histogram(phantom.image) for _, phantom in pairs]
    assert accuracy(images, kinds) < 0.48


@pytest.mark.parametrize("kind", ["Fine", "", "benign"])
def test_unknown_kinds(kind: str) -> None:
    with pytest.raises(InputError) as caught:
        make_phantom(kind, size=64, seed=0)
    assert str(caught.value) == f"kind: must be one of fine, coarse, sparse, got {kind!r}"


def test_images_too_small(tmp_path: Path) -> None:
    message = "size: must be at least 32 pixels, got 31"
    with pytest.raises(InputError, match=message):
        make_phantom("fine", size=31, seed=0)
    with pytest.raises(InputError, match=message):
        write_phantoms(tmp_path / "new", count=3, size=31, seed=0)
    assert not (tmp_path / "new").exists()


def listing(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_a_labelled_set_on_disk(tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path / "a" / "b", count=7, size=40, seed=9)
    assert folder == tmp_path / "a" / "b"
    names = [f"{PHANTOM_CLASSES[i % 3]}/phantom_{i + 1:04}.png" for i in range(7)]
    assert listing(folder) == sorted([*names, "manifest.csv"])
    for index, name in enumerate(names):
        with Image.open(folder / name) as image:
            assert image.mode == "L"
            phantom = make_phantom(PHANTOM_CLASSES[index % 3], size=40, seed=(9, index))
            np.testing.assert_allclose(
                np.asarray(image) / 255, phantom.image, atol=0.5 / 255 + 1e-6
            )
    table = read_table(folder / "manifest.csv", labelled=True)
    assert table.paths == tuple(names)
    assert table.classes == ("coarse", "fine", "sparse")
    assert table.groups == tuple(f"phantom_{i + 1:04}" for i in range(7))
    assert table.splits == ()
    assert read_table(folder, labelled=True).paths == tuple(sorted(names))


def test_an_unlabelled_set_on_disk(tmp_path: Path) -> None:
    folder = write_phantoms(tmp_path, count=2, size=32, seed=0, labelled=False)
    assert listing(folder) == ["manifest.csv", "phantom_0001.png", "phantom_0002.png"]
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["path", "label", "group", "split"]
    assert [row["label"] for row in rows] == ["", ""]


def test_a_seed_writes_the_same_bytes_again(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_phantoms(tmp_path / name, count=3, size=32, seed=1)
    for name in listing(tmp_path / "a"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_a_folder_that_holds_something_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    (tmp_path / "file").touch()
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(InputError) as caught:
            write_phantoms(path, count=3, size=32, seed=0)
        assert str(caught.value) == (
            f"{path}: exists and is not an empty folder; choose a new one or remove it"
        )
    assert listing(tmp_path) == ["file", "mine.txt"]


@pytest.mark.parametrize(("count", "labelled", "fewest"), [(2, True, 3), (0, False, 1)])
def test_too_few_images(tmp_path: Path, count: int, labelled: bool, fewest: int) -> None:
    with pytest.raises(InputError, match=f"count: must be at least {fewest}, got {count}"):
        write_phantoms(tmp_path, count=count, size=32, seed=0, labelled=labelled)


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "new"
    with pytest.raises(InputError) as caught:
        write_phantoms(path, count=3, size=32, seed=0)
    assert str(caught.value) == (
        f"{path}: cannot be written (Not a directory); choose another folder"
    )


def test_an_interrupted_set_has_no_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is there is whole: files are renamed into place, the manifest last."""
    replace, done = os.replace, []

    def replace_twice(source: Path, target: Path) -> None:
        if len(done) == 2:
            raise OSError(28, "No space left on device")
        done.append(replace(source, target))

    monkeypatch.setattr(os, "replace", replace_twice)
    with pytest.raises(InputError, match=r"cannot be written \(No space left on device\)"):
        write_phantoms(tmp_path, count=3, size=32, seed=0, labelled=False)
    visible = [name for name in listing(tmp_path) if not name.startswith(".")]
    assert visible == ["phantom_0001.png", "phantom_0002.png"]
