"""Names, headlines and notes: nothing that flatters a score goes untold."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from glcm_mae import captions
from glcm_mae.assembly import known_images, record_earlier, which_seen
from glcm_mae.captions import headline, pretraining_note, selection_note, system_name
from glcm_mae.config import CrossValConfig
from glcm_mae.data import ImageTable

TABLE = ImageTable(Path("t"), ("a",), (), (), ("p",), (), grouping="manifest")


def config(**settings: Any) -> CrossValConfig:
    return CrossValConfig(**{"data": {"table": "some/scans"}, "out": "o", **settings})


SCRATCH = {"start": "scratch"}
TEST_FOLD = {"finetuning": {"selection": "test-fold"}}
GIVEN = {"start": "weights", "weights": "none/here"}
MSE = {"losses": {"phases": [{"share": 1.0, "mse": 1.0}]}}


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "GLCM-MAE, fine-tuned"),
        (MSE, "MAE (no GLCM), fine-tuned"),
        (SCRATCH, "ViT from scratch"),
        (GIVEN, "given encoder, fine-tuned"),
        ({"protocol": "linear"}, "GLCM-MAE, linear probe"),
        ({**SCRATCH, "protocol": "knn"}, "ViT untrained, kNN"),
        ({**SCRATCH, "baseline": "resnet50"}, "resnet50, from scratch"),
        ({**GIVEN, "baseline": "resnet50"}, "resnet50, fine-tuned"),
        ({**SCRATCH, **TEST_FOLD}, "ViT from scratch (epoch picked on the TEST fold)"),
        (
            {**TEST_FOLD, "protocol": "attentive"},
            "GLCM-MAE, attentive probe (epoch picked on the TEST fold)",
        ),
        ({**TEST_FOLD, "protocol": "linear"}, "GLCM-MAE, linear probe"),
    ],
)
def test_a_name_says_what_was_trained_and_what_picked_the_epoch(
    settings: dict[str, Any], name: str
) -> None:
    assert system_name(config(**settings)) == name


def test_the_loss_of_shared_encoders_names_the_system(tmp_path: Path) -> None:
    folder = tmp_path / "fold-0/pretraining"
    folder.mkdir(parents=True)
    (tmp_path / "plan.json").touch()
    (folder / "encoder.safetensors").touch()
    shared = {"start": "weights", "weights": tmp_path}
    for phases, name in (
        ("{mse: 1.0, glcm: 0.2}", "GLCM-MAE"),
        ("{mse: 1.0}", "MAE (no GLCM)"),
    ):
        (folder / "config.yaml").write_text(f"losses: {{phases: [{phases}]}}\n")
        assert system_name(config(**shared)) == f"{name}, fine-tuned"


@pytest.mark.parametrize(
    ("settings", "passes", "text"),
    [
        ({}, 1, "5-fold cross-validation of some/scans"),
        ({}, 3, "3 times repeated 5-fold cross-validation of some/scans"),
        ({"leak_check": "off"}, 1, "5-fold cross-validation of some/scans, leak check off"),
        (
            {"transductive": True},
            1,
            "5-fold cross-validation of some/scans, TRANSDUCTIVE (pre-trained on the test "
            "images too)",
        ),
        ({"folds": {"official": True}}, 1, "Official split of some/scans"),
    ],
)
def test_a_headline_says_what_must_not_be_overlooked(
    settings: dict[str, Any], passes: int, text: str
) -> None:
    assert headline(config(**settings), TABLE, 5 * passes, passes) == text


def test_a_headline_says_when_no_patient_is_known() -> None:
    table = ImageTable(Path("t"), ("a",), (), (), ("a",), ())
    assert headline(config(), table, 5, 1).endswith("of some/scans, image-level split")


def test_a_note_says_what_picked_the_weights() -> None:
    assert selection_note(config()) == "an inner validation part picked the epoch"
    assert "those of the last" in selection_note(config(finetuning={"selection": "last"}))
    assert "test part" in selection_note(config(**TEST_FOLD))
    assert "settings of the probe" in selection_note(config(protocol="knn", **TEST_FOLD))


@pytest.mark.parametrize(
    ("lists", "note"),
    [
        ({}, "NOT fold-aware: whether what pre-training began with saw the test images is not"),
        (
            {"images.csv": "ac"},
            "NOT fold-aware: what pre-training began with was trained on 1 of",
        ),
        (
            {"images.csv": "c"},
            "fold-aware: it never saw the test fold's images; what pre-training",
        ),
        ({"images.csv": "c", "earlier_images.csv": "b"}, "NOT fold-aware: what pre-training"),
        ({"images.csv": "c", "earlier_images.csv": ["not known"]}, "began with saw the test"),
        (
            {"images.csv": "a", "earlier_images.csv": ["not known"]},
            "trained on 1 of these very",
        ),
    ],
)
def test_weights_that_pre_training_begins_with_are_looked_at_too(
    lists: dict[str, str], note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, hashes in lists.items():
        rows = "".join(f"{digest}\n" for digest in hashes)
        (tmp_path / name).write_text(f"sha256\n{rows}")
    (tmp_path / "encoder.safetensors").touch()
    monkeypatch.setattr(captions, "file_hashes", lambda *_: ["a", "b"])
    images: Any = SimpleNamespace(table=TABLE)
    begun = config(pretraining={"weights": tmp_path})
    assert note in pretraining_note(begun, images)


def test_what_a_training_began_with_is_handed_on(tmp_path: Path) -> None:
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    for folder, digest in ((first, "a"), (second, "b"), (third, "c")):
        folder.mkdir()
        (folder / "images.csv").write_text(f"path,sha256\nx,{digest}\n")
    record_earlier(second / "earlier_images.csv", first)
    record_earlier(third / "earlier_images.csv", second)
    assert which_seen(known_images(third), list("abcd")) == [True, True, True, False]
    (first / "images.csv").unlink()
    (second / "earlier_images.csv").unlink()
    record_earlier(second / "earlier_images.csv", first)
    known = known_images(second)
    assert which_seen(known, ["a"]) is None, "nothing tells what the first one saw"
    assert which_seen(known, ["b"]) == [True]


def test_a_table_of_images_of_somebody_else_tells_nothing(tmp_path: Path) -> None:
    (tmp_path / "images.csv").write_text("path,label\nx.png,ill\n")
    (tmp_path / "mae.pth").touch()
    assert which_seen(known_images(tmp_path / "mae.pth"), ["a"]) is None


@pytest.mark.parametrize(
    ("hashes", "note"),
    [
        (None, "each of which never saw the test fold's images"),
        ("c", "images; what pre-training began with was trained on none of these"),
        ("a", "NOT fold-aware: what pre-training began with was trained on 1 of these very"),
    ],
)
def test_encoders_of_another_crossval_are_asked_what_they_began_with(
    hashes: str | None, note: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captions, "holds_encoders", lambda _: True)
    monkeypatch.setattr(captions, "file_hashes", lambda *_: ["a", "b"])
    if hashes is not None:
        folder = tmp_path / "fold-0" / "pretraining"
        folder.mkdir(parents=True)
        (folder / "earlier_images.csv").write_text(f"sha256\n{hashes}\n")
    images: Any = SimpleNamespace(table=TABLE)
    assert note in pretraining_note(config(start="weights", weights=tmp_path), images)


def test_a_note_says_what_the_encoder_saw() -> None:
    images: Any = None
    assert "never saw the test fold" in pretraining_note(config(), images)
    assert "TRANSDUCTIVE" in pretraining_note(config(transductive=True), images)
    assert pretraining_note(config(**SCRATCH), images) == "no pre-training"
