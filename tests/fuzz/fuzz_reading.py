"""Read thousands of broken files: each must give pixels or one line that says why not.

A reader process of its own reads each file as a user's program would, children included.
A fault is: a reader that dies, any error but ``UnreadableImageError``, an error on more
than one line, pixels that are no float32 in [0, 1], more than 5 s of processor time and one
more per megabyte of the file, reader and children together, no answer within 90 s, more
than 1 GiB of resident memory in
the reader or in a child, or a file written by what was read.

    python tests/fuzz/fuzz_reading.py [--count 2000] [--seed 0] [--keep FOLDER] [--out FILE]
"""

import argparse
import json
import math
import os
import platform
import resource
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from fuzz.crafted import crafted
from fuzz.mutations import mutate
from fuzz.seeds import SEEDS, SUFFIXES
from glcm_mae.data.reading import sandbox
from glcm_mae.data.reading.images import UnreadableImageError, count_frames, read_image
from glcm_mae.data.reading.policy import ReadingPolicy

PROCESSOR_SECONDS = 5.0
SECONDS_PER_MEGABYTE = 1.0
WALL_SECONDS = 90.0
MEBIBYTES = 1024.0
FILES_PER_READER = 100
OUT = Path(__file__).resolve().parents[2] / "benchmarks" / "results" / "fuzz_reading.json"
LIBRARIES = ("numpy", "pillow", "tifffile", "imagecodecs", "pydicom", "nibabel")
POLICIES = (
    ReadingPolicy(),
    ReadingPolicy(window="range"),
    ReadingPolicy(window="percentile", size=(64, 48)),
    ReadingPolicy(window="40/400", channels=3),
    ReadingPolicy(window="full", size=(32, 32), fit="crop", axis=0),
)


@dataclass(frozen=True)
class Broken:
    """A file to read: its format, how it was broken, and its bytes' place."""

    number: int
    kind: str
    way: str
    path: str


@dataclass
class Verdict:
    """What came of a file."""

    outcome: str  # "pixels", "refused" or the name of a fault
    detail: str = ""
    seconds: float = 0.0
    processor_seconds: float = 0.0
    reader_mebibytes: float = 0.0
    child_mebibytes: float = 0.0


def files(count: int, seed: int, folder: Path) -> Iterator[Broken]:
    """Write the files one after the other; the crafted ones come first."""
    canary = str(folder / "canary")
    first = 0
    if count >= 1000:
        for number, (kind, way, suffix, make) in enumerate(crafted(canary)):
            path = folder / f"{number}{suffix}"
            path.write_bytes(make())
            yield Broken(number, kind, way, str(path))
            first = number + 1
    sound = {name: make() for name, make in SEEDS.items()}
    for number in range(first, count):
        random = np.random.default_rng([seed, number])
        name = list(sound)[number % len(sound)]
        way, data = mutate(sound[name], random)
        suffix = SUFFIXES[name.split()[0]]
        if random.integers(20) == 0:
            suffix = str(random.choice([".png", ".dcm", ".nii.gz", ".txt", ""]))
        path = folder / f"{number}{suffix}"
        path.write_bytes(data)
        yield Broken(number, name.split()[0].removeprefix("Big"), way, str(path))


def read(path: str, number: int) -> tuple[str, str]:
    """Read a file as a user's program would, and judge what comes of it."""
    policy = POLICIES[number % len(POLICIES)]
    try:
        frames = count_frames(path, axis=policy.axis)
        pixels = read_image(path, frame=None if frames == 1 else frames // 2, policy=policy)
    except UnreadableImageError as error:
        text = str(error)
        named = text.startswith(f"{path}: ") and text.endswith("or pass --data.on_error skip")
        if not (named and text.isprintable() and 3 <= len(error.reason) <= 400):
            return "not one clear line", repr(text)
        return "refused", error.reason
    except Exception as error:
        return "another error", repr(error)
    return judge(pixels, policy)


def judge(pixels: np.ndarray, policy: ReadingPolicy) -> tuple[str, str]:
    """Tell whether an array is what reading promises."""
    sound = (
        pixels.dtype == np.float32
        and pixels.ndim == 3
        and len(pixels) == policy.channels
        and pixels.shape[1:] == (policy.size or pixels.shape[1:])
        and pixels.size > 0
        and bool(pixels.min() >= 0)  # False for NaN
        and bool(pixels.max() <= 1)
    )
    return ("pixels", "") if sound else ("bad pixels", f"{pixels.dtype} {pixels.shape}")


def serve() -> None:
    """Read the files named on the standard input; one line of JSON about each."""
    own = f"/proc/{os.getpid()}"
    for line in sys.stdin:
        number, path = json.loads(line)
        Path(own, "clear_refs").write_text("5")  # the peak of memory counts from here
        before, start = processor_seconds(), time.monotonic()
        outcome, detail = read(path, number)
        verdict = Verdict(
            outcome,
            detail,
            seconds=time.monotonic() - start,
            processor_seconds=processor_seconds() - before,
            reader_mebibytes=peak_mebibytes(own),
            child_mebibytes=max(
                resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024,
                *(peak_mebibytes(child) for child in living_children()),
                0.0,
            ),
        )
        sys.stdout.write(json.dumps(asdict(verdict)) + "\n")
        sys.stdout.flush()


def living_children() -> list[str]:
    """Return the folders that the system keeps about the children."""
    return [f"/proc/{child.process.pid}" for child in sandbox._pool._all]


def peak_mebibytes(process: str) -> float:
    """Return the most resident memory that a process had."""
    status = Path(process, "status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024 if "VmHWM:" in status else 0.0


def processor_seconds() -> float:
    """Return what this process and its children, living and dead, have used."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    total = sum(one.ru_utime + one.ru_stime for one in used)
    for child in living_children():
        fields = Path(child, "stat").read_text().rsplit(")", 1)[1].split()
        total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


class Reader:
    """The process under observation, replaced when it dies or is old."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.read = 0

    def verdict(self, file: Broken) -> Verdict:
        if self.process is None or self.read >= FILES_PER_READER:
            self.start()
        process = self.process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        self.read += 1
        process.stdin.write(json.dumps([file.number, file.path]) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], WALL_SECONDS)
        line = process.stdout.readline() if ready else ""
        if not line:
            process.kill()
            code = process.wait()
            self.process = None
            return Verdict("crash" if ready else "hang", f"exit code {code}", WALL_SECONDS)
        return self.with_limits(Verdict(**json.loads(line)), Path(file.path).stat().st_size)

    def with_limits(self, verdict: Verdict, size: int) -> Verdict:
        """Make a fault of what costs too much."""
        allowed = PROCESSOR_SECONDS + SECONDS_PER_MEGABYTE * size / 1e6
        if verdict.processor_seconds > allowed:
            verdict.outcome = "slow"
        if max(verdict.reader_mebibytes, verdict.child_mebibytes) > MEBIBYTES:
            verdict.outcome = "memory"
        return verdict

    def start(self) -> None:
        self.stop()
        self.read = 0
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--read"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def stop(self) -> None:
        if self.process is not None:
            self.process.communicate()
            self.process = None


def fuzz(count: int, seed: int, keep: Path | None = None) -> dict[str, Any]:
    """Read broken files and return what came of them.

    Args:
        count: How many; from 1,000 on, the crafted ones are among them.
        seed: Of the random numbers that break them.
        keep: Folder for the files that made a fault.
    """
    reader, results = Reader(), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in files(count, seed, folder):
            verdict = reader.verdict(file)
            if (folder / "canary").exists():
                verdict.outcome = "code ran"
                (folder / "canary").unlink()
            if keep is not None and verdict.outcome not in ("pixels", "refused"):
                keep.mkdir(parents=True, exist_ok=True)
                (keep / Path(file.path).name).write_bytes(Path(file.path).read_bytes())
            Path(file.path).unlink()
            results.append((file, verdict))
        left = sorted(path.name for path in folder.iterdir())
    reader.stop()
    return summary(results, left)


def summary(results: list[tuple[Broken, Verdict]], left: list[str]) -> dict[str, Any]:
    """Count the outcomes by format, and list the faults and the most costly files."""

    def told(file: Broken, verdict: Verdict) -> dict[str, Any]:
        facts = {"file": file.number, "format": file.kind, "way": file.way, **asdict(verdict)}
        return {
            key: round(value, 2) if isinstance(value, float) else value
            for key, value in facts.items()
        }

    def most(field: str) -> list[dict[str, Any]]:
        order = sorted(results, key=lambda pair: -getattr(pair[1], field))
        return [told(*pair) for pair in order[:5]]

    formats = sorted({file.kind for file, _ in results})
    outcomes = {
        kind: dict(sorted(Counter(v.outcome for f, v in results if f.kind == kind).items()))
        for kind in formats
    }
    faults = [told(f, v) for f, v in results if v.outcome not in ("pixels", "refused")]
    return {
        "files": len(results),
        "outcomes": outcomes,
        "faults": faults,
        "files_written_by_readers": left,
        "reasons": dict(Counter(v.detail for _, v in results if v.detail).most_common(40)),
        "most_processor_seconds": most("processor_seconds"),
        "most_seconds": most("seconds"),
        "most_reader_mebibytes": most("reader_mebibytes"),
        "most_child_mebibytes": most("child_mebibytes"),
    }


def main() -> int:
    """Fuzz from the command line; the exit code is 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that made a fault")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--read", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        serve()
        return 0
    start = time.monotonic()
    found = fuzz(options.count, options.seed, options.keep)
    facts = {
        "command": f"python tests/fuzz/fuzz_reading.py --count {options.count} "
        f"--seed {options.seed}",
        "seed": options.seed,
        "python": platform.python_version(),
        "system": platform.system(),
        "versions": {name: version(name) for name in LIBRARIES},
        "limits": {
            "processor_seconds": PROCESSOR_SECONDS,
            "processor_seconds_per_megabyte": SECONDS_PER_MEGABYTE,
            "wall_seconds": WALL_SECONDS,
            "resident_mebibytes": MEBIBYTES,
        },
        "minutes": math.ceil((time.monotonic() - start) / 6) / 10,
    }
    options.out.write_text(json.dumps(facts | found, indent=1) + "\n", "utf-8")
    sys.stdout.write(f"{found['files']} files, {len(found['faults'])} faults: {options.out}\n")
    return int(bool(found["faults"] or found["files_written_by_readers"]))


if __name__ == "__main__":
    sys.exit(main())
