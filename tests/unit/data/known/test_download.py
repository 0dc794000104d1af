"""Downloads from a server on this machine that cuts, lies and refuses."""

import errno
import hashlib
import http.server
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from glcm_mae.data.known import download as module
from glcm_mae.data.known.catalog import KnownSet, find_set
from glcm_mae.data.known.download import TRIES, download
from glcm_mae.errors import InputError

CONTENT = bytes(range(256)) * 8192  # 2 MiB, two pieces


@dataclass
class Behaviour:
    """What the server does; ``asked`` holds the Range of every request."""

    content: bytes = CONTENT
    ranges: bool = True
    cut_after: int | None = None
    statuses: list[int] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)


class Handler(http.server.BaseHTTPRequestHandler):
    behaviour: Behaviour

    def do_GET(self) -> None:
        told = self.behaviour
        told.asked.append(self.headers.get("Range"))
        if told.statuses:
            self.send_error(told.statuses.pop(0))
            return
        start = 0
        if told.ranges and "Range" in self.headers:
            start = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
        total = len(told.content)
        if start >= total:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{total}")
            self.end_headers()
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(total - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{total - 1}/{total}")
        self.end_headers()
        end = total if told.cut_after is None else start + told.cut_after
        self.wfile.write(told.content[start:end])

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Server:
    behaviour: Behaviour
    entry: KnownSet


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    behaviour = Behaviour()
    handler = type("Told", (Handler,), {"behaviour": behaviour})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setattr(module.time, "sleep", lambda seconds: None)
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        entry = replace(
            find_set("breastmnist"),
            address=f"http://127.0.0.1:{listening.server_port}/{{file}}",
            files={224: hashlib.md5(CONTENT).hexdigest()},
        )
        try:
            yield Server(behaviour, entry)
        finally:
            listening.shutdown()
            thread.join()


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_a_file_is_fetched_once(server: Server, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    out = tmp_path / "new" / "folder"
    file = download(server.entry, out, progress=lambda done, total: seen.append((done, total)))
    assert file == out / "breastmnist_224.npz"
    assert file.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert download(server.entry, out) == file
    assert server.behaviour.asked == [None]
    assert names(out) == ["breastmnist_224.npz"]


def test_a_cut_download_goes_on_where_it_was(server: Server, tmp_path: Path) -> None:
    server.behaviour.cut_after = 700_000
    file = download(server.entry, tmp_path)
    assert file.read_bytes() == CONTENT
    assert server.behaviour.asked == [None, "bytes=700000-", "bytes=1400000-"]
    assert names(tmp_path) == ["breastmnist_224.npz"]


def test_a_download_that_is_always_cut_keeps_its_part_for_the_next_call(
    server: Server, tmp_path: Path
) -> None:
    server.behaviour.cut_after = 1000
    with pytest.raises(InputError) as caught:
        download(server.entry, tmp_path)
    assert f"tried {TRIES} times (cut after 5,000 of 2,097,152 bytes)" in str(caught.value)
    assert str(caught.value).endswith(
        "; 5,000 bytes are kept in breastmnist_224.npz.part, the same command goes on"
    )
    assert names(tmp_path) == ["breastmnist_224.npz.part"]
    server.behaviour.cut_after = None
    assert download(server.entry, tmp_path).read_bytes() == CONTENT
    assert server.behaviour.asked[-1] == "bytes=5000-"


def test_a_server_without_ranges_is_read_from_the_start(server: Server, tmp_path: Path) -> None:
    server.behaviour.ranges = False
    (tmp_path / "breastmnist_224.npz.part").write_bytes(b"x" * 12345)
    assert download(server.entry, tmp_path).read_bytes() == CONTENT


def test_a_part_that_is_whole_is_taken(server: Server, tmp_path: Path) -> None:
    (tmp_path / "breastmnist_224.npz.part").write_bytes(CONTENT)
    assert download(server.entry, tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Server, tmp_path: Path) -> None:
    (tmp_path / "breastmnist_224.npz.part").write_bytes(CONTENT + b"x")
    assert download(server.entry, tmp_path).read_bytes() == CONTENT


def test_a_wrong_checksum_leaves_nothing(server: Server, tmp_path: Path) -> None:
    server.behaviour.content = CONTENT[::-1]
    with pytest.raises(InputError, match=r"published checksum md5:.* removed"):
        download(server.entry, tmp_path)
    assert names(tmp_path) == []


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(
    server: Server, tmp_path: Path
) -> None:
    server.behaviour.statuses = [503, 429]
    assert download(server.entry, tmp_path).read_bytes() == CONTENT
    (tmp_path / "breastmnist_224.npz").unlink()
    server.behaviour.asked.clear()
    server.behaviour.statuses = [404]
    with pytest.raises(InputError) as caught:
        download(server.entry, tmp_path)
    assert str(caught.value).endswith(
        "/breastmnist_224.npz: cannot be fetched, tried once (the server answers 404 Not Found)"
        "; check the network and try again"
    )
    assert len(server.behaviour.asked) == 1


def test_no_server_at_all(server: Server, tmp_path: Path) -> None:
    entry = replace(server.entry, address="http://127.0.0.1:9/{file}")
    with pytest.raises(InputError, match=r"tried 5 times \(.*refused\); check the network"):
        download(entry, tmp_path)


def test_another_file_of_the_name_stays(server: Server, tmp_path: Path) -> None:
    there = tmp_path / "breastmnist_224.npz"
    there.write_bytes(b"mine")
    with pytest.raises(InputError, match="is there already but does not have the published"):
        download(server.entry, tmp_path)
    assert there.read_bytes() == b"mine"
    assert server.behaviour.asked == []


def test_a_disk_that_fills_up(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[int] = []
    real = module._append

    def append(file: object, piece: bytes) -> None:
        if written:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(len(piece))
        real(file, piece)  # type: ignore[arg-type]

    (tmp_path / "other.npz").write_bytes(b"kept")
    with monkeypatch.context() as patch:
        patch.setattr(module, "_append", append)
        with pytest.raises(InputError) as caught:
            download(server.entry, tmp_path)
    needed = len(CONTENT) - written[0]
    assert f"the disk is full, {needed:,} bytes are needed and " in str(caught.value)
    assert names(tmp_path) == ["breastmnist_224.npz.part", "other.npz"]
    assert download(server.entry, tmp_path).read_bytes() == CONTENT
    assert server.behaviour.asked == [None, f"bytes={written[0]}-"]


def test_a_disk_too_small_is_told_before_anything_is_written(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = module.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(InputError, match="2,097,152 bytes are needed and 1,000 are free"):
        download(server.entry, tmp_path)
    assert names(tmp_path) == []


def test_a_folder_that_cannot_be_written(server: Server, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot be written .*choose another --out"):
        download(server.entry, tmp_path / "file" / "folder")


@pytest.mark.parametrize("name", ["busi", "gbcu", "dermamnist"])
def test_a_set_that_a_program_may_not_fetch(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=f"{name} is not fetched by a program .licence: "):
        download(find_set(name), tmp_path)
    assert names(tmp_path) == []


def test_a_size_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        download(find_set("pathmnist"), tmp_path, size=256)
    assert str(caught.value) == (
        "size: pathmnist has images of 28, 64, 128, 224 pixels, not 256"
    )


def test_a_missing_library_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(InputError, match=r"pip install 'glcm-mae\[download\]'"):
        download(find_set("breastmnist"), tmp_path)
