"""The table of results of one data set: every system on the same folds, and their comparison.

    python benchmarks/result_tables.py busi BUSI/manifest.csv --seeds 3 --out runs/tables

Each system is one ``glcm-mae crossval`` with the laptop recipe of the set; the commands are
printed as they run. Killed, or stopped after ``--minutes``, the same command goes on where
it was. At the end ``glcm-mae compare`` tests every row against GLCM-MAE, and scores,
p-values, commands and wall times are written to ``benchmarks/results/table_SET.json`` and
``.md``.
"""

import argparse
import json
import os
import platform
import resource
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from glcm_mae.comparison.report import p_text
from glcm_mae.scoreboard.cells import GLANCE, HEADINGS

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MSE = "[{share: 1.0, mse: 1.0}]"
PAPER = "[{share: 0.5, mse: 1.0}, {share: 0.5, mse: 0.1, glcm: 1.0, ssim: 1.0}]"
SYSTEMS = {
    "glcm-mae": [],
    "mae": ["--losses.phases", MSE],
    "vit-scratch": ["--start", "scratch"],
    "glcm-mae-paper": [
        *("--losses.phases", PAPER, "--losses.glcm.levels", "256"),
        *("--losses.glcm.bandwidth", "0.0333"),
    ],
    "resnet50-scratch": ["--baseline", "resnet50", "--start", "scratch"],
}
TITLES = {
    "resnet50-scratch": "ResNet-50 from scratch",
    "vit-scratch": "ViT from scratch",
    "mae": "MAE (MSE alone)",
    "glcm-mae-paper": "GLCM-MAE (paper's setting)",
    "glcm-mae": "GLCM-MAE (default setting)",
}
BASELINES = {
    "majority-class": "majority class",
    "gray-level-statistics": "gray-level statistics",
    "radiomics-logistic-regression": "radiomics, logistic regression",
    "radiomics-gradient-boosting": "radiomics, gradient boosting",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("set", choices=("busi", "kermany", "sarscov2"))
    parser.add_argument("table", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/tables"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="stop after so long; 0: never"
    )
    parser.add_argument("--systems", nargs="*", choices=SYSTEMS, default=list(SYSTEMS))
    options = parser.parse_args()
    signal.signal(
        signal.SIGTERM, lambda *_: _interrupt()
    )  # so that no cross-validation is orphaned
    deadline = time.monotonic() + 60 * options.minutes if options.minutes else None
    folder = options.out / options.set
    folder.mkdir(parents=True, exist_ok=True)
    for name in options.systems:
        if not run_system(name, options, folder / name, deadline):
            print("stopped; the same command goes on from here")
            return 1
    if set(options.systems) == set(SYSTEMS):
        conclude(options, folder)
    return 0


def _interrupt() -> None:
    raise KeyboardInterrupt


def command_of(name: str, options: argparse.Namespace, out: Path) -> list[str]:
    return [
        *("glcm-mae", "crossval", "--config", f"recipes/laptop/{options.set}.yaml"),
        *("--data.table", str(options.table), "--seeds", str(options.seeds)),
        *("--fanout.workers", str(options.workers), "--fanout.threads", "1"),
        *SYSTEMS[name],
        *("--out", str(out)),
    ]


def run_system(
    name: str, options: argparse.Namespace, out: Path, deadline: float | None
) -> bool:
    """Run or continue one cross-validation; return whether it is finished."""
    cost_file = out.parent / "cost.json"
    costs = json.loads(cost_file.read_text()) if cost_file.is_file() else {}
    if (out / "scores.json").is_file() and name in costs:
        return True
    command = [*command_of(name, options, out.resolve()), "--resume"]
    command[command.index("--data.table") + 1] = str(options.table.resolve())
    print("$", " ".join(command), flush=True)
    command[:1] = [sys.executable, "-m", "glcm_mae"]
    start, busy = time.monotonic(), _processor_seconds()
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        left = None if deadline is None else max(1.0, deadline - time.monotonic())
        code = process.wait(timeout=left)
    except (subprocess.TimeoutExpired, KeyboardInterrupt):
        process.send_signal(signal.SIGTERM)
        process.wait()
        code = None
    if cost_file.is_file():  # another call may have finished other systems meanwhile
        costs = json.loads(cost_file.read_text())
    cost = costs.setdefault(name, {"wall_seconds": 0.0, "processor_seconds": 0.0})
    cost["wall_seconds"] += time.monotonic() - start
    cost["processor_seconds"] += _processor_seconds() - busy
    cost_file.write_text(json.dumps(costs, indent=2))
    if code not in (None, 0):
        raise SystemExit(f"{name} ended with code {code}")
    return code == 0


def _processor_seconds() -> float:
    """Return what ended children have used of all cores; what runs beside does not count."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def conclude(options: argparse.Namespace, folder: Path) -> None:
    """Compare the systems, and write the table."""
    names = list(SYSTEMS)
    compared = folder / "comparison"
    if not (compared / "comparison.json").is_file():
        runs = [f"{name}={folder / name}" for name in names]
        runs += [str(folder / names[0] / "baselines" / name) for name in BASELINES]
        arguments = [sys.executable, "-m", "glcm_mae", "compare", *runs]
        arguments += ["--reference", "true", "--scores", "[auroc]", "--out", str(compared)]
        subprocess.run(arguments, check=True)
    comparison = json.loads((compared / "comparison.json").read_text())
    scores = {name: json.loads((folder / name / "scores.json").read_text()) for name in names}
    first = scores[names[0]]
    systems = {label: first["systems"][label] for label in BASELINES.values()}
    systems |= {TITLES[n]: scores[n]["systems"][scores[n]["system"]] for n in TITLES}
    kept = {
        label: {key: found[key] for key in ("summary", "pooled", "operating_point")}
        for label, found in systems.items()
    }
    # No path of this machine.
    named = argparse.Namespace(**vars(options) | {"table": Path(*options.table.parts[-2:])})
    facts = {
        "set": options.set,
        "seeds": options.seeds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "title": first["title"],
        "notes": {name: found["notes"] for name, found in scores.items()},
        "commands": {
            name: shlex.join(command_of(name, named, Path("runs/tables") / options.set / name))
            for name in names
        },
        "cost": json.loads((folder / "cost.json").read_text()),
        "systems": kept,
        "comparison": comparison,
    }
    (RESULTS / f"table_{options.set}.json").write_text(json.dumps(facts, indent=1) + "\n")
    (RESULTS / f"table_{options.set}.md").write_text(as_markdown(facts))
    print(as_markdown(facts))


def as_markdown(facts: dict) -> str:
    """Return mean ± SD, the interval of the AUROC, the comparison with GLCM-MAE, the cost."""
    pairs = {pair["second"]: pair["scores"][0] for pair in facts["comparison"]["pairs"]}
    found = {(TITLES | BASELINES)[name]: item for name, item in pairs.items()}
    cost = {TITLES[name]: item["processor_seconds"] for name, item in facts["cost"].items()}
    headings = [
        "System (%)",
        *(HEADINGS[score] for score in GLANCE),
        "AUROC, all images [95 %]",
        "GLCM-MAE minus it",
        "p",
        "p (Holm)",
        "Processor min",
    ]
    lines = [headings, ["---"] + ["---:"] * (len(headings) - 1)]
    for label, system in facts["systems"].items():
        cells = [_mean_sd(system["summary"][score]) for score in GLANCE]
        area = system["pooled"]["auroc"]
        limits = (
            f"{_percent(area['estimate'])} [{_percent(area['low'])}, {_percent(area['high'])}]"
        )
        time = f"{cost[label] / 60:.0f}" if label in cost else ""
        lines.append([label, *cells, limits, *_difference(found.get(label)), time])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _difference(item: dict | None) -> list[str]:
    if item is None:
        return ["", "", ""]
    gain = item["difference"]
    limits = " to ".join(
        "–" if gain[side] is None else f"{100 * gain[side]:+z.1f}" for side in ("low", "high")
    )
    return [
        f"{100 * gain['estimate']:+z.1f} ({limits})",
        *("–" if item[key] is None else p_text(item[key]) for key in ("p_value", "p_holm")),
    ]


def _mean_sd(value: dict) -> str:
    if value["mean"] is None:
        return "–"
    spread = "" if value["sd"] is None else f" ± {100 * value['sd']:.1f}"
    return f"{100 * value['mean']:.1f}{spread}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


if __name__ == "__main__":
    raise SystemExit(main())
