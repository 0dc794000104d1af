"""What a finished run looks at: cases of every fold, maps, likes, and the map of features."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import FINETUNE, PRETRAIN, TINY, Command

from glcm_mae.assembly import load_classifier
from glcm_mae.cli import main
from glcm_mae.data import read_table
from glcm_mae.evaluation import read_predictions
from glcm_mae.model.rollout import patch_relevance
from once import MadeOnce

QUICK = ["--projection", "tsne", "--steps", "8", "--right", "1", "--uncertain", "1"]


def crossval(phantoms: Path, out: Path, *more: str) -> Path:
    main(
        [
            *("crossval", "--data.table", str(phantoms / "manifest.csv"), *TINY, *FINETUNE),
            *("--folds.count", "2", "--baselines", "off", "--leak-check", "off"),
            *("--evaluation.resamples", "200", "--out", str(out), *more),
        ]
    )
    return out


@pytest.fixture(scope="module")
def finished(phantoms: Path, made_once: MadeOnce) -> Path:
    """Two folds of phantoms, from scratch."""
    parent = made_once(
        "explained", lambda parent: crossval(phantoms, parent / "run", "--start", "scratch")
    )
    return parent / "run"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def part(run: Path, fold: int, name: str) -> set[str]:
    rows = rows_of(run / f"fold-{fold}" / "split.csv")
    return {row["path"] for row in rows if row["split"] == name}


@pytest.mark.slow
def test_every_fold_has_its_cases(finished: Path, tmp_path: Path, glcm_mae: Command) -> None:
    out = tmp_path / "out"
    code, told, err = glcm_mae("explain", finished, *QUICK, "--out", out)
    assert code == 0, err
    assert "Warning" not in err
    assert "same class of the 10 nearest test images" in told
    found = json.loads((out / "explanations.json").read_text())
    assert set(found) == {
        *("run", "settings", "cases", "map", "random_weights", "findings", "notes"),
    }
    said = read_predictions(finished / "predictions.csv")
    places = {path: row for row, path in enumerate(said.paths)}
    for case in found["cases"]:
        row = places[case["image"]]
        assert case["fold"] == said.folds[row]
        assert case["truth"] == said.classes[said.labels[row]]
        assert case["predicted"] == said.classes[said.probabilities[row].argmax()]
        assert case["probability"] == pytest.approx(said.probabilities[row].max())
        assert case["right"] == (case["truth"] == case["predicted"])
        assert case["kind"] == "uncertain" or case["right"] == (case["kind"] == "right")
        assert case["completeness_missed"] < 0.05
        assert len(case["nearest"]) == 3
        train = part(finished, case["fold"], "train")
        assert {other["image"] for other in case["nearest"]} <= train
        similarities = [other["similarity"] for other in case["nearest"]]
        assert similarities == sorted(similarities, reverse=True)
        with Image.open(out / case["picture"]) as drawn:
            assert drawn.width > drawn.height
    assert {case["fold"] for case in found["cases"]} == {0, 1}
    pictures = sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png"))
    assert pictures == sorted(
        [*(case["picture"] for case in found["cases"]), "feature_map.png"]
    )
    files = {path.name for path in out.iterdir()}
    assert files == {
        *("cases", "explanations.json", "explanations.csv"),
        *("feature_map.png", "feature_map.svg", "feature_map.pdf"),
    }
    check_map(found["map"], said.paths, shared=False)
    check_table(out, found["cases"])


def check_map(found: dict, paths: tuple[str, ...], *, shared: bool) -> None:
    assert found["method"] == "tsne"
    assert found["shared"] is shared
    assert sorted(point["image"] for point in found["points"]) == sorted(paths)
    assert {point["fold"] for point in found["points"]} == {0, 1}
    assert all(np.isfinite([point["x"], point["y"]]).all() for point in found["points"])
    agreement = found["agreement"]
    assert 0 < agreement["class"]["chance"] < 1
    assert (agreement["fold"] is not None) is shared


def check_table(out: Path, cases: list[dict]) -> None:
    rows = rows_of(out / "explanations.csv")
    assert [row["picture"] for row in rows] == [case["picture"] for case in cases]
    for row, case in zip(rows, cases, strict=True):
        assert row["nearest_1"] == case["nearest"][0]["image"]
        assert float(row["nearest_3_similarity"]) == case["nearest"][2]["similarity"]
        assert float(row["random_weights_rollout"]) == pytest.approx(
            case["random_weights"]["rollout"]
        )


@pytest.mark.slow
def test_a_second_run_gives_the_same(finished: Path, tmp_path: Path, glcm_mae: Command) -> None:
    for name in ("one", "two"):
        command = ("explain", finished, *QUICK, "--map", "gradcam", "--out", tmp_path / name)
        code, _, err = glcm_mae(*command)
        assert code == 0, err
    one, two = (sorted((tmp_path / name).rglob("*.*")) for name in ("one", "two"))
    assert len(one) == len(two) > 6
    for first, second in zip(one, two, strict=True):
        if first.name != "explanations.json":  # which holds the folder
            assert first.read_bytes() == second.read_bytes(), first.name


def test_maps_are_those_of_the_folds_own_classifier(
    finished: Path, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hold the rollout that is drawn against one made from the files alone."""
    drawn: list[torch.Tensor] = []

    def keep(path: Path, image: object, overlays: list, *rest: object, **more: object) -> None:
        drawn.append(overlays[0].values)

    monkeypatch.setattr("glcm_mae.explaining.fold_cases.draw_case", keep)
    out = tmp_path / "out"
    main([*("explain", str(finished), *QUICK, "--map", "saliency", "--out", str(out))])
    cases = json.loads((out / "explanations.json").read_text())["cases"]
    assert len(drawn) == len(cases)
    for values, case in zip(drawn, cases, strict=True):
        model, facts = load_classifier(finished / f"fold-{case['fold']}" / "finetuning")
        image = read_as(phantoms / case["image"], facts)
        expected = patch_relevance(model, image)[0] * 16
        torch.testing.assert_close(values, expected, rtol=1e-4, atol=1e-4)
        assert case["completeness_missed"] is None


def read_as(path: Path, facts: dict) -> torch.Tensor:
    from glcm_mae.assembly import policy_of
    from glcm_mae.data import read_image

    pixels = read_image(path, policy=policy_of(facts))
    return torch.from_numpy(np.rint(pixels * 65535).astype(np.float32) / 65535)[None]


@pytest.mark.slow
def test_findings_are_held_against_masks(
    finished: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    masks = tmp_path / "masks"
    table = read_table(phantoms / "manifest.csv", labelled=True)
    for name in table.names:
        pixels = np.zeros((32, 32), dtype=np.uint8)
        pixels[8:24, 8:16] = 255
        (masks / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(masks / name)
    command = ("explain", finished, *QUICK, "--map", "saliency", "--masks", masks)
    code, told, err = glcm_mae(*command, "--findings", "10", "--out", tmp_path / "out")
    assert code == 0, err
    assert "share inside the finding" in told
    found = json.loads((tmp_path / "out" / "explanations.json").read_text())["findings"]
    assert set(found) == {"rollout", "gradient"}
    for held in found.values():
        assert held["images"] == 10
        assert held["area"] == pytest.approx(128 / 1024)
        assert 0 < held["mass"]["estimate"] < 1
        beyond = held["mass"]["estimate"] - held["area"]
        assert held["mass_beyond_area"]["estimate"] == pytest.approx(beyond)
    code, _, err = glcm_mae(*command[:-1], tmp_path / "none", "--out", tmp_path / "other")
    assert code == 2
    assert "masks" in err


@pytest.mark.slow
def test_one_encoder_for_all_folds_gives_one_map(
    finished: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    table = ("--data.table", str(phantoms / "manifest.csv"))
    code, _, err = glcm_mae("pretrain", *table, *PRETRAIN, "--out", tmp_path / "encoder")
    assert code == 0, err
    code, told, err = glcm_mae(
        *("explain", finished, *QUICK, "--map", "saliency", "--encoder", tmp_path / "encoder"),
        *("--out", tmp_path / "out"),
    )
    assert code == 0, err
    assert "same fold of the 10 nearest" in told
    assert "one map for all folds" in " ".join(told.split())
    found = json.loads((tmp_path / "out" / "explanations.json").read_text())
    said = read_predictions(finished / "predictions.csv")
    check_map(found["map"], said.paths, shared=True)
    svg = (tmp_path / "out" / "feature_map.svg").read_text()
    assert "by fold" in svg
    code, _, err = glcm_mae("explain", tmp_path / "encoder", "--out", tmp_path / "other")
    assert code == 2
    assert "is a pre-training, which tells no classes" in err


@pytest.mark.slow
def test_frozen_encoders_share_a_map_and_a_pool_by_attention_has_its_row(
    phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    table = ("--data.table", str(phantoms / "manifest.csv"))
    code, _, err = glcm_mae("pretrain", *table, *PRETRAIN, "--out", tmp_path / "encoder")
    assert code == 0, err
    given = ("--start", "weights", "--weights", str(tmp_path / "encoder"))
    run = crossval(phantoms, tmp_path / "run", *given, "--protocol", "attentive")
    code, told, err = glcm_mae("explain", run, *QUICK, "--out", tmp_path / "out")
    assert code == 0, err
    assert "weighted by what the pool takes" in " ".join(told.split())
    found = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert found["map"]["shared"] is True


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["integrated-gradients", "gradcam"])
def test_a_baseline_has_a_gradient_map_only(
    kind: str, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    run = crossval(
        phantoms, tmp_path / "run", "--start", "scratch", "--baseline", "test_resnet"
    )
    command = ("explain", run, *QUICK, "--map", kind, "--wrong", "1")
    code, told, err = glcm_mae(*command, "--out", tmp_path / "out")
    assert code == 0, err
    assert "rollout is not defined for a baseline" in " ".join(told.split())
    found = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert set(found["random_weights"]) == {"gradient"}
    code, _, err = glcm_mae(*command, "--encoder", run, "--out", tmp_path / "other")
    assert code == 2
    assert "cannot be held against baseline test_resnet" in err


@pytest.mark.slow
def test_hidden_names_stay_hidden(phantoms: Path, tmp_path: Path, glcm_mae: Command) -> None:
    run = crossval(phantoms, tmp_path / "run", "--start", "scratch", "--data.names", "hashed")
    command = ("explain", run, *QUICK, "--map", "saliency", "--out", tmp_path / "out")
    code, told, err = glcm_mae(*command)
    assert code == 0, err
    names = read_table(phantoms / "manifest.csv", labelled=True).names
    texts = [path.read_text() for path in (tmp_path / "out").glob("explanations.*")]
    for text in (*texts, told):
        assert not any(name in text for name in names)


def test_what_cannot_be_explained_is_refused(
    finished: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = ("--out", tmp_path / "out")
    code, _, err = glcm_mae("explain", tmp_path, *out)
    assert code == 2
    assert "holds no classifier.safetensors" in err
    begun = tmp_path / "begun"
    shutil.copytree(finished, begun)
    (begun / "predictions.csv").unlink()
    code, _, err = glcm_mae("explain", begun, *out)
    assert code == 2
    assert "is not finished; finish it with --resume first" in err
    code, _, err = glcm_mae("explain", finished, "--wrong", "9", "--right", "9", *out)
    assert code == 2
    assert "20 cases are asked for, but fold 0 has 12 test images; ask for fewer" in err
    probed = tmp_path / "probed"
    shutil.copytree(finished, probed)
    for file in probed.rglob("classifier.safetensors"):
        file.unlink()
    code, _, err = glcm_mae("explain", probed, *out)
    assert code == 2
    assert "was probed, and linear probes and nearest images keep no classifier" in err
    code, _, err = glcm_mae("explain", finished, "--encoder", tmp_path / "gone", *out)
    assert code == 2
    assert "gone" in err
    none = ("--wrong", "0", "--right", "0", "--uncertain", "0")
    code, _, err = glcm_mae("explain", finished, *none, *out)
    assert code == 2
    assert "ask for at least one case" in err
    assert not (tmp_path / "out").exists()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "note.txt").touch()
    code, _, err = glcm_mae("explain", finished, *out)
    assert code == 2
    assert "exists and is not empty" in err


def test_a_finetune_alone_is_explained(
    finished: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    alone = finished / "fold-1" / "finetuning"
    code, _, err = glcm_mae("explain", alone, *QUICK, "--out", tmp_path / "out")
    assert code == 0, err
    found = json.loads((tmp_path / "out" / "explanations.json").read_text())
    assert {case["fold"] for case in found["cases"]} == {1}
