"""``glcm-mae report`` on cross-validations that the command line made."""

import csv
import re
from pathlib import Path

import pytest
from tiny import Command

pytestmark = pytest.mark.slow


def own_text(page: Path) -> str:
    """Return the page without plotly, whose text is not ours."""
    return re.sub(r"<script>.*?</script>", "", page.read_text("utf-8"), flags=re.DOTALL)


def test_a_report_of_two_runs(
    glcm_mae: Command, reported_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "report.html"
    first, second = reported_runs
    code, told, err = glcm_mae("report", f"ours={first}", second, "--out", out)
    assert code == 0, err
    assert "opens without a network" in told
    assert out.stat().st_size < 15e6
    shown = own_text(out)
    for words in ("ours", "scratch", "sparse against the rest", "Not distinguishable"):
        assert words in shown
    assert str(first.parent) not in shown
    assert "data:image/png" not in shown
    code, _, err = glcm_mae("report", first, "--out", out)
    assert code == 2
    assert err.strip().endswith(f"{out}: exists; choose another --out, or remove it")


def test_images_are_shown_only_where_it_is_asked_for(
    glcm_mae: Command, reported_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    out = tmp_path / "inside.html"
    run = reported_runs[0]
    code, _, err = glcm_mae("report", run, "--with_images", "true", "--out", out)
    assert code == 0, err
    shown = own_text(out)
    assert "do not pass it on" in shown
    with (run / "predictions.csv").open() as file:
        wrong = [row for row in csv.DictReader(file) if row["label"] != row["predicted"]]
    assert shown.count("data:image/png") == len({row["path"] for row in wrong}) > 0
    assert "--with_images" not in shown


def test_studies_beside_the_runs_are_found(
    glcm_mae: Command, reported_runs: tuple[Path, Path], tmp_path: Path
) -> None:
    compared = tmp_path / "compared"
    quick = ("--resamples", "200", "--permutations", "199")
    assert glcm_mae("compare", *reported_runs, *quick, "--out", compared)[0] == 0
    out = tmp_path / "report.html"
    code, _, err = glcm_mae(
        "report", *reported_runs, "--comparison", f"[{compared}]", "--out", out
    )
    assert code == 0, err
    assert "permutation" in own_text(out)
    code, _, err = glcm_mae(
        "report", *reported_runs, "--audit", f"[{compared}]", "--out", tmp_path / "no.html"
    )
    assert code == 2
    assert "holds no audit.json; give the folder that glcm-mae data audit wrote" in err
    assert not (tmp_path / "no.html").exists()


def test_bad_settings_are_refused(glcm_mae: Command, tmp_path: Path) -> None:
    for arguments, message in (
        (("report", tmp_path, "--out", tmp_path / "no"), "out: must end in .html"),
        (("report", "--out", tmp_path / "no.html"), "runs: is required"),
        (("report", tmp_path, "--out", tmp_path / "no.html"), "is not a finished cross-val"),
    ):
        code, _, err = glcm_mae(*arguments)
        assert code == 2
        assert message in err
