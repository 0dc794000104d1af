"""What several processes of the tests need is made by one of them."""

import multiprocessing
import time
from pathlib import Path

import pytest

from once import make_once, shared_base


def count(folder: Path) -> None:
    with (folder.parent / "calls").open("a") as file:
        file.write("called\n")
    time.sleep(0.2)  # so that the others come while it is being made
    (folder / "made").write_text("whole")


def ask(base: Path, answers: "multiprocessing.SimpleQueue[str]") -> None:
    answers.put((make_once(base, "thing", count) / "made").read_text())


def test_one_of_several_processes_makes_it(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    started = [context.Process(target=ask, args=(tmp_path, answers)) for _ in range(3)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
    assert [answers.get() for _ in started] == ["whole"] * 3
    assert (tmp_path / "calls").read_text() == "called\n"


def test_what_failed_is_not_tried_again_and_told_to_all(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        (folder / "half").touch()
        raise SystemExit("no such setting")

    with pytest.raises(SystemExit, match="no such setting"):
        make_once(tmp_path, "thing", make)
    with pytest.raises(RuntimeError, match=r"(?s)thing could not be made:.*no such setting"):
        make_once(tmp_path, "thing", count)


def test_what_was_skipped_is_skipped_by_each(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match="no images"):
            make_once(tmp_path, "thing", lambda _: pytest.skip("no images"))


def test_what_a_stopped_process_left_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    (tmp_path / "thing" / "half").touch()
    folder = make_once(tmp_path, "thing", count)
    assert [path.name for path in folder.iterdir()] == ["made"]
    assert make_once(tmp_path, "thing", count) == folder


def test_processes_of_xdist_share_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    assert shared_base(tmp_path / "run") == tmp_path / "run" / "made-once"
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    bases = {shared_base(tmp_path / "run" / f"popen-gw{number}") for number in (0, 1)}
    assert bases == {tmp_path / "run" / "made-once"}
