"""A finished run on corrupted images, each by its own fold's classifier, and elsewhere."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.metrics import balanced_accuracy_score
from tiny import FINETUNE, TINY, Command

from glcm_mae.assembly import load_classifier
from glcm_mae.cli import main
from glcm_mae.data import read_image, read_table, write_phantoms
from glcm_mae.data.corruptions import corrupt
from glcm_mae.data.reading.policy import ReadingPolicy

QUICK = ["--evaluation.resamples", "200", "--leak-check", "off"]
TWO = ["--corruptions", "[gaussian_noise, jpeg]"]


@pytest.fixture(scope="module")
def finished(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two fine-tunings as a cross-validation leaves them: what one tests the other learns.

    One of the files was broken, and skipped; so ``groups.csv`` does not tell of it.
    """
    folder = tmp_path_factory.mktemp("robust")
    run, own = folder / "run", shutil.copytree(phantoms, folder / "images")
    (own / "broken.png").write_bytes(b"no image")
    lines = (own / "manifest.csv").read_text().splitlines()
    columns = dict.fromkeys(lines[0].split(","), "")
    broken = columns | {"path": "broken.png", "label": "coarse"}
    (own / "manifest.csv").write_text("\n".join([*lines, ",".join(broken.values())]) + "\n")
    table = read_table(phantoms / "manifest.csv", labelled=True)
    run.mkdir()
    with (run / "groups.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerows([("path", "group"), *((name, name) for name in table.names)])
    half = [row % 2 for row in range(len(table))]
    for number in (0, 1):
        folder = run / f"fold-{number}"
        folder.mkdir(parents=True)
        parts = ["test" if half[row] == number else "train" for row in range(len(table))]
        train = [row for row, part in enumerate(parts) if part == "train"]
        for row in train[:3] + train[-3:]:
            parts[row] = "val"
        with (folder / "split.csv").open("w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerows([("path", "split"), *zip(table.names, parts, strict=True)])
        main(
            [
                *("finetune", "--data.table", str(own / "manifest.csv")),
                *("--data.groups", str(run / "groups.csv"), "--data.on_error", "skip"),
                *("--data.positive", "coarse", *TINY, *FINETUNE, "--start", "scratch"),
                *("--data.split", str(folder / "split.csv"), "--seed", str(number)),
                *("--evaluation.resamples", "200", "--out", str(folder / "finetuning")),
                *("--finetuning.test_flips", "true" if number else "false"),
            ]
        )
        renumber(folder / "finetuning", number)
    return run


def renumber(folder: Path, number: int) -> None:
    """Give predictions the number of their fold, as a cross-validation does."""
    for name in ("predictions.csv", "validation.csv"):
        rows = read_rows(folder / name)
        with (folder / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({**row, "fold": number} for row in rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def asked(folder: Path, images: np.ndarray) -> np.ndarray:
    model, facts = load_classifier(folder)
    views = [images, images[..., ::-1].copy()] if facts["test_flips"] else [images]
    with torch.no_grad():
        parts = [model(torch.from_numpy(view)).double().softmax(dim=1) for view in views]
    return np.mean([part.numpy() for part in parts], axis=0)


def test_every_image_is_judged_by_its_own_fold(
    finished: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    out = tmp_path / "out"
    code, told, err = glcm_mae("robustness", finished, *TWO, *QUICK, "--out", out)
    assert code == 0, err
    assert {path.name for path in out.iterdir()} == {
        *(
            "robustness.json",
            "robustness.csv",
            "robustness.md",
            "robustness.png",
            "robustness.svg",
        ),
    }
    assert "gaussian_noise" in told
    assert "came out the same" in " ".join(told.split())
    facts = json.loads((out / "robustness.json").read_text())
    table = read_table(phantoms / "manifest.csv", labelled=True)
    policy = ReadingPolicy(size=(32, 32))
    for severity in (0, 3):
        scores = []
        for number in (0, 1):
            folder = finished / f"fold-{number}" / "finetuning"
            names = [row["path"] for row in read_rows(folder / "predictions.csv")]
            rows = [table.names.index(name) for name in names]
            images = np.stack([read_image(table.file(row), policy=policy) for row in rows])
            if severity:
                images = corrupt(images, "gaussian_noise", severity, rows=rows)
            called = asked(folder, images).argmax(axis=1)
            truth = np.array(table.labels)[rows]
            scores.append(balanced_accuracy_score(truth, called))
        levels = facts["corruptions"]["gaussian_noise"]["levels"]
        part = levels[severity - 1]["scores"] if severity else facts["clean"]
        assert part["balanced_accuracy"]["estimate"] == pytest.approx(np.mean(scores))
    rows = read_rows(out / "robustness.csv")
    assert len(rows) == 3 * (1 + 2 * 5)
    clean = {row["score"]: float(row["estimate"]) for row in rows[:3]}
    for row in rows:
        drop = clean[row["score"]] - float(row["estimate"])
        assert float(row["drop"]) == pytest.approx(drop, abs=1e-12)

    # Against itself every error is one.
    twice = tmp_path / "twice"
    code, _, err = glcm_mae(
        *("robustness", finished, *TWO, *QUICK, "--out", twice, "--reference", out)
    )
    assert code == 0, err
    again = json.loads((twice / "robustness.json").read_text())
    assert again["relative"]["mce"] == pytest.approx(1.0)
    assert again["corruptions"] == facts["corruptions"]  # the noise is the same again


def test_an_external_table_is_judged_by_all_classifiers_averaged(
    finished: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    elsewhere = write_phantoms(tmp_path / "elsewhere", count=12, size=32, seed=77)
    rows = read_rows(elsewhere / "manifest.csv")
    known = read_table(phantoms / "manifest.csv", labelled=True)
    with Image.open(known.file(0)) as image:  # the same pixels in another file
        Image.fromarray(np.asarray(image)).save(elsewhere / rows[0]["path"], compress_level=1)
    command = ("robustness", finished, "--corruptions", "[gamma_up]", *QUICK[:2])
    external = ("--external", elsewhere / "manifest.csv")
    out = tmp_path / "out"
    code, told, err = glcm_mae(*command, *external, "--out", out)
    assert code == 0, err
    assert "WARNING: 1 external images are near-duplicates" in " ".join(told.split())
    assert "mean of the probabilities of 2 classifiers" in " ".join(told.split())
    table = read_table(elsewhere / "manifest.csv", labelled=True)
    policy = ReadingPolicy(size=(32, 32))
    images = np.stack([read_image(table.file(row), policy=policy) for row in range(12)])
    folders = [finished / f"fold-{number}" / "finetuning" for number in (0, 1)]
    shares = np.mean([asked(folder, images) for folder in folders], axis=0)
    found = read_rows(out / "external_predictions.csv")
    assert [row["path"] for row in found] == list(table.names)
    values = [[float(row[f"p_{name}"]) for name in table.classes] for row in found]
    np.testing.assert_allclose(values, shares, atol=1e-4)
    facts = json.loads((out / "robustness.json").read_text())["external"]
    accuracy = np.mean(np.array(values).argmax(1) == np.array(table.labels))
    assert facts["pooled"]["accuracy"]["estimate"] == pytest.approx(accuracy)
    assert facts["operating_point"]["rule"] == "youden"


def test_external_images_of_the_run_and_other_classes_are_refused(
    finished: Path, phantoms: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    command = ("robustness", finished, "--corruptions", "[gamma_up]", *QUICK)
    elsewhere = write_phantoms(tmp_path / "elsewhere", count=6, size=32, seed=78)
    rows = read_rows(elsewhere / "manifest.csv")
    victim = elsewhere / rows[0]["path"]
    known = read_table(phantoms / "manifest.csv", labelled=True)
    shutil.copy(known.file(0), victim)
    external = ("--external", elsewhere / "manifest.csv")
    code, _, err = glcm_mae(*command, *external, "--out", tmp_path / "out")
    assert code == 2
    assert f"1 of 6 external images are images of the run, such as {rows[0]['path']}" in err
    text = (elsewhere / "manifest.csv").read_text().replace(",coarse", ",rough")
    (elsewhere / "manifest.csv").write_text(text)
    code, _, err = glcm_mae(*command, *external, "--out", tmp_path / "out")
    assert code == 2
    assert "the classes fine, rough, sparse, the run coarse, fine, sparse; bring" in err
    assert not (tmp_path / "out").exists()
    # Both remedies that the messages name.
    write_phantoms(tmp_path / "again", count=6, size=32, seed=78)
    shutil.copy(tmp_path / "again" / rows[0]["path"], victim)
    mapped = ("--external-label-map", "{fine: fine, rough: coarse, sparse: sparse}")
    code, _, err = glcm_mae(*command, *external, *mapped, "--out", tmp_path / "out")
    assert code == 0, err


def test_a_run_that_was_moved_is_tested_all_the_same(
    finished: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    moved = shutil.copytree(finished, tmp_path / "moved")
    for path in moved.rglob("config.yaml"):
        path.write_text(path.read_text().replace(str(finished), "/no/such/place"))
    one = ("--corruptions", "[gamma_up]")
    code, _, err = glcm_mae("robustness", moved, *one, *QUICK, "--out", tmp_path / "out")
    assert code == 0, err


def test_what_is_no_finished_run_is_refused(
    finished: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    code, _, err = glcm_mae("robustness", tmp_path, *QUICK, "--out", tmp_path / "out")
    assert code == 2
    assert "holds no classifier.safetensors" in err
    shutil.copytree(finished / "fold-0", tmp_path / "several" / "a")
    shutil.copytree(finished / "fold-0", tmp_path / "several" / "b")
    several = ("robustness", tmp_path / "several", *QUICK, "--out", tmp_path / "out")
    code, _, err = glcm_mae(*several)
    assert code == 2
    assert "two classifiers have the number 0" in err
    code, _, err = glcm_mae(
        *("robustness", finished, *QUICK, "--table", tmp_path / "gone.csv"),
        *("--out", tmp_path / "out"),
    )
    assert code == 2
    assert "gone.csv" in err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").touch()
    code, _, err = glcm_mae("robustness", finished, *QUICK, "--out", tmp_path / "full")
    assert code == 2
    assert "exists and is not empty" in err
