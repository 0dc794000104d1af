"""Plan a pre-training of many images: shards, disk, memory, hours, cost.

Everything follows from the images per second that one device was measured to reach
(`benchmarks/throughput.py`, or `speed.jsonl` of a short run). The default, 1,000, is no
measurement but a round number to scale by.

    python benchmarks/plan.py --images 1000000 --epochs 100 --rate 800 --devices 8 --price 2.5
"""

import argparse

SHARD = 2048
"""Images in a shard, as glcm-mae data shard makes them."""
ROW_BYTES = 90
"""Memory of a process for an image in a table of shards (results/epoch_loading.json)."""
ORDER_BYTES = 24
"""And for an epoch's order: three whole numbers of eight bytes."""
LOADING = 1670
"""Images per second that two threads read from shards (results/epoch_loading.json)."""


def plan(options: argparse.Namespace) -> list[tuple[str, str]]:
    """Return the lines of the plan."""
    pixels = options.size**2 * options.channels * options.depth // 8
    rate = options.rate * options.devices * options.efficiency
    hours = options.images * options.epochs / rate / 3600
    steps = -(-options.images // options.batch) * options.epochs
    return [
        ("images, epochs", f"{options.images:,}, {options.epochs}"),
        ("shards of 2,048 images", f"{-(-options.images // SHARD):,}"),
        ("disk, decoded", f"{options.images * pixels / 1e9:,.0f} GB"),
        ("memory a process, beyond the model", _gb(options.images)),
        ("reading all devices must keep up with", f"{rate:,.0f} images/s"),
        ("  threads for it, if a core reads as fast as ours", f"{rate / (LOADING / 2):,.1f}"),
        ("optimiser steps", f"{steps:,} of {options.batch} images"),
        ("hours", f"{hours:,.1f} on {options.devices} devices"),
        ("device hours", f"{hours * options.devices:,.0f}"),
        ("cost", f"{hours * options.devices * options.price:,.0f}" if options.price else "-"),
    ]


def _gb(images: int) -> str:
    return f"{images * (ROW_BYTES + ORDER_BYTES) / 1e9:,.1f} GB"


def main() -> None:
    """Print the plan."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=1_000_000)
    parser.add_argument("--rate", type=float, default=1000.0, help="images/s of one device")
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--devices", type=int, default=8)
    parser.add_argument("--efficiency", type=float, default=0.9, help="of many over one")
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--channels", type=int, default=1)
    parser.add_argument("--depth", type=int, choices=(8, 16), default=8)
    parser.add_argument("--price", type=float, default=0.0, help="of a device hour")
    for name, value in plan(parser.parse_args()):
        print(f"{name:<50}{value:>28}")


if __name__ == "__main__":
    main()
