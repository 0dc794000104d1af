"""Frozen features: the same whatever the batch, computed once, kept by content."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from glcm_mae.data import LoadedImages, read_table, write_phantoms
from glcm_mae.data.reading.policy import ReadingPolicy
from glcm_mae.data.store.loading import load_images
from glcm_mae.embedding import Embedder, weights_hash
from glcm_mae.model import build_encoder
from glcm_mae.model.baseline import build_baseline

POLICY = ReadingPolicy(size=(32, 32))


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> LoadedImages:
    folder = write_phantoms(tmp_path_factory.mktemp("p") / "x", count=12, size=32, seed=0)
    return load_images(read_table(folder, labelled=True), POLICY)


def embedder(cache: Path | None, *, seed: int = 0, **more: object) -> Embedder:
    torch.manual_seed(seed)
    model = build_encoder(
        "vit_tiny_patch16_224",
        image_size=(32, 32),
        patch_size=8,
        channels=1,
        options={"depth": 1, "embed_dim": 24, "num_heads": 2},
    )
    settings = {"pooling": "mean", "batch_size": 5, "cache": cache, **more}
    return Embedder(
        model,
        reading=POLICY.facts(),
        device=torch.device("cpu"),
        precision="float32",
        **settings,
    )


def counting(subject: Embedder, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    seen: list[int] = []
    honest = Embedder._compute

    def counted(self: Embedder, images: LoadedImages, rows: np.ndarray) -> np.ndarray:
        seen.append(len(rows))
        return honest(self, images, rows)

    monkeypatch.setattr(Embedder, "_compute", counted)
    return seen


@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_features_are_those_of_the_encoder(images: LoadedImages, pooling: str) -> None:
    subject = embedder(None, pooling=pooling)
    rows = np.array([3, 1, 7])
    with torch.no_grad():
        levels = torch.from_numpy(images.pixels[rows].astype(np.float32) / 65535)
        tokens = subject.model.eval()(levels)
    expected = tokens[:, 1:].mean(1) if pooling == "mean" else tokens[:, 0]
    found = subject.embed(images, rows)
    assert found.dtype == np.float32
    assert found == pytest.approx(expected.numpy(), abs=1e-5)


def test_neither_company_nor_cache_change_a_bit(images: LoadedImages, tmp_path: Path) -> None:
    rows = np.arange(12)
    whole = embedder(None).embed(images, rows)
    for part in (rows[4:6], rows[::-1], rows[[2, 2, 9]]):
        assert np.array_equal(embedder(None).embed(images, part), whole[part])
        assert np.array_equal(embedder(tmp_path).embed(images, part), whole[part])
        assert np.array_equal(embedder(tmp_path).embed(images, part), whole[part])


def test_what_is_known_is_not_computed_again(
    images: LoadedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = embedder(tmp_path)
    seen = counting(subject, monkeypatch)
    subject.embed(images, np.arange(8))
    subject.embed(images, np.arange(5, 12))
    subject.embed(images, np.arange(12))
    assert seen == [8, 4]
    # Other weights, another pooling or another reading are other features.
    embedder(tmp_path, seed=1).embed(images, np.arange(3))
    embedder(tmp_path, pooling="cls").embed(images, np.arange(3))
    other = replace(embedder(tmp_path), reading={**POLICY.facts(), "fit": "crop"})
    other.embed(images, np.arange(3))
    assert seen == [8, 4, 3, 3, 3]


def test_a_file_that_is_not_whole_counts_as_absent(
    images: LoadedImages, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = embedder(tmp_path)
    whole = subject.embed(images, np.arange(12))
    seen = counting(subject, monkeypatch)
    (path,) = tmp_path.glob("features/*/*.safetensors")
    path.write_bytes(path.read_bytes()[:-50])
    assert np.array_equal(subject.embed(images, np.arange(12)), whole)
    assert seen == [12]


def test_clearing_the_cache_takes_features_too(images: LoadedImages, tmp_path: Path) -> None:
    from glcm_mae.data.store.cache import clear_cache

    embedder(tmp_path).embed(images, np.arange(12))
    assert clear_cache(tmp_path) > 12 * 24 * 4
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_timm_model_has_features_of_its_own_pooling(images: LoadedImages) -> None:
    model = build_baseline("test_resnet", image_size=(32, 32), channels=1, classes=2)
    subject = replace(embedder(None), model=model)
    assert subject.embed(images, np.arange(3)).shape == (3, model.classifier.in_features)


def test_every_number_of_the_weights_counts() -> None:
    model = torch.nn.Linear(3, 2)
    before = weights_hash(model)
    with torch.no_grad():
        model.bias[1] += 1e-6
    assert weights_hash(model) != before
