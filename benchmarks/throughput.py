"""Pre-training images a second, beside Hugging Face's and lightly's masked autoencoders.

A whole step of each with the autoencoder of the paper (ViT-B/16, 224 x 224, 75 % hidden,
decoder 8 x 512 x 16) and the squared error alone: mask, forward, loss, backward, fused
AdamW, gradients set to none. Ours is what the engine runs: counted noise, mask and indices
on the CPU, the model, `masked_mse`. Images are gray; Hugging Face's and lightly's models
get three equal channels, as their users give them, and one channel in further rows.

Every system has a process of its own that lives through the whole run; they are asked for
steps in turn, so that a busy machine slows all alike. Ratios are those of the medians and of
the best. The peak of a large matrix product is measured in the same run, in turn with them:
a system that reaches the share u of it can be beaten by at most 1 / u without doing fewer
operations, whatever the code, and that bound is printed.

    pip install lightly transformers
    python benchmarks/throughput.py [--batch 8 --rounds 7 --threads 2] [--out FILE]
    python benchmarks/throughput.py --device cuda --precision bfloat16 --batch 64 --compile

`--out` is written after every round and gone on from when the same command is given again.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

SIZE, PATCH, RATIO = 224, 16, 0.75
WIDTH, DEPTH, HEADS = 512, 8, 16
RESULTS = Path(__file__).parent / "results" / "throughput.json"
INSTALL = "pip install lightly transformers"
SYSTEMS = {
    "ours, gray": ("ours", 1),
    "ours, RGB": ("ours", 3),
    "Hugging Face, gray as RGB": ("huggingface", 3),
    "Hugging Face, one channel": ("huggingface", 1),
    "lightly, gray as RGB": ("lightly", 3),
    "lightly, one channel": ("lightly", 1),
}
PEAK = "matrix product"


def ours(channels: int, options: argparse.Namespace) -> tuple[Any, Callable[[Any, int], Any]]:
    import torch

    from glcm_mae.data.batching.randomness import Stream, counted_generator
    from glcm_mae.losses.pixel import masked_mse
    from glcm_mae.model import MaskedAutoencoder, build_encoder, mask_from_noise
    from glcm_mae.model.encoder import use_fused_attention
    from glcm_mae.model.mae import visible_indices

    encoder = build_encoder(
        "vit_base_patch16_224", image_size=(SIZE, SIZE), patch_size=PATCH, channels=channels
    )
    model = MaskedAutoencoder(
        encoder, decoder_depth=DEPTH, decoder_width=WIDTH, decoder_heads=HEADS
    )
    if options.device == "cpu" and options.precision == "bfloat16":
        use_fused_attention(model, False)
    patches = (SIZE // PATCH) ** 2

    def loss(images: Any, step: int) -> Any:
        generator = counted_generator(0, Stream.MASK, 0, step)
        mask = mask_from_noise(torch.rand(len(images), patches, generator=generator), RATIO)
        visible = visible_indices(mask).to(images.device, non_blocking=True)
        mask = mask.to(images.device, non_blocking=True)
        with precision(options):
            prediction = model(images, mask, visible).prediction
        return masked_mse(prediction, images, mask, patch_size=PATCH)

    return model, loss


def huggingface(
    channels: int, options: argparse.Namespace
) -> tuple[Any, Callable[[Any, int], Any]]:
    from transformers import ViTMAEConfig, ViTMAEForPreTraining

    settings = ViTMAEConfig(num_channels=channels, mask_ratio=RATIO, norm_pix_loss=False)
    assert (settings.image_size, settings.patch_size) == (SIZE, PATCH)
    decoder = (
        settings.decoder_hidden_size,
        settings.decoder_num_hidden_layers,
        settings.decoder_num_attention_heads,
    )
    assert decoder == (WIDTH, DEPTH, HEADS)
    model = ViTMAEForPreTraining(settings)

    def loss(images: Any, _: int) -> Any:
        with precision(options):
            return model(pixel_values=images).loss

    return model, loss


def lightly(
    channels: int, options: argparse.Namespace
) -> tuple[Any, Callable[[Any, int], Any]]:
    """Build lightly's own example (examples/pytorch/mae.py), at the paper's sizes."""
    import timm
    from lightly.models import utils
    from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM
    from torch import nn

    vit = timm.create_model("vit_base_patch16_224", in_chans=channels, num_classes=0)

    class MAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = MaskedVisionTransformerTIMM(vit=vit)
            self.decoder = MAEDecoderTIMM(
                num_patches=vit.patch_embed.num_patches,
                patch_size=PATCH,
                in_chans=channels,
                embed_dim=vit.embed_dim,
                decoder_embed_dim=WIDTH,
                decoder_depth=DEPTH,
                decoder_num_heads=HEADS,
                mlp_ratio=4.0,
                proj_drop_rate=0.0,
                attn_drop_rate=0.0,
            )

        def forward(self, images: Any) -> Any:
            size = (len(images), self.backbone.sequence_length)
            keep, hidden = utils.random_token_mask(
                size=size, mask_ratio=RATIO, device=images.device
            )
            seen = self.decoder.embed(self.backbone.encode(images=images, idx_keep=keep))
            tokens = utils.repeat_token(self.decoder.mask_token, size)
            tokens = utils.set_at_index(tokens, keep, seen.type_as(tokens))
            decoded = utils.get_at_index(self.decoder.decode(tokens), hidden)
            target = utils.get_at_index(utils.patchify(images, PATCH), hidden - 1)
            return self.decoder.predict(decoded), target

    model, judge = MAE(), nn.MSELoss()

    def loss(images: Any, _: int) -> Any:
        with precision(options):
            predicted, target = model(images)
        return judge(predicted.float(), target)

    return model, loss


def precision(options: argparse.Namespace) -> Any:
    import torch

    enabled = options.precision == "bfloat16"
    return torch.autocast(options.device, dtype=torch.bfloat16, enabled=enabled)


def serve(name: str, options: argparse.Namespace) -> None:
    """Run in a process of its own: answer each line with the seconds of so many steps."""
    import warnings

    import torch

    warnings.simplefilter("ignore")
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest")
    device = torch.device(options.device)
    facts, run = (peak_of if name == PEAK else steps_of)(name, device, options)
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        print(json.dumps(run(int(line))), flush=True)


def peak_of(
    _: str, device: Any, options: argparse.Namespace
) -> tuple[dict[str, float], Callable[[int], dict[str, float]]]:
    import torch

    from glcm_mae.performance import matrix_peak

    def run(_: int) -> dict[str, float]:
        matrix_peak.cache_clear()
        return {"operations_per_second": matrix_peak(device, getattr(torch, options.precision))}

    return run(1), run


def steps_of(
    name: str, device: Any, options: argparse.Namespace
) -> tuple[dict[str, float], Callable[[int], dict[str, float]]]:
    import torch

    from glcm_mae.performance import flops_per_image, peak_memory

    kind, channels = SYSTEMS[name]
    builders = {"ours": ours, "huggingface": huggingface, "lightly": lightly}
    model, loss = builders[kind](channels, options)
    model.to(device).train()
    gray = torch.rand(options.batch, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    images = gray.expand(-1, channels, -1, -1).contiguous().to(device)

    class One(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return loss(image, 0)

    flops = flops_per_image(One(), images[:1])
    if options.compile:
        model.compile()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-5, fused=True)
    done = 0

    def run(count: int) -> dict[str, float]:
        nonlocal done
        started, used = time.perf_counter(), time.process_time()
        for _ in range(count):
            value = loss(images, done)
            value.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            done += 1
        if device.type == "cuda":
            torch.cuda.synchronize()
        taken = {"seconds": (time.perf_counter() - started) / count}
        taken["processor_seconds"] = (time.process_time() - used) / count
        assert torch.isfinite(value), name
        return taken | {"peak_memory_gb": peak_memory(device) / 1e9}

    run(options.warmup)
    return {"flops_per_image": flops}, run


class Child:
    """A system in a process of its own."""

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        arguments = [sys.executable, "-W", "ignore", __file__, "--serve", name]
        for key in ("batch", "threads", "device", "precision", "warmup"):
            arguments += [f"--{key}", str(getattr(options, key))]
        arguments += ["--compile"] if options.compile else []
        threads = str(options.threads)
        environment = {**os.environ, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
        self.process = subprocess.Popen(
            arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )
        self.facts: dict[str, float] = self.answer()

    def answer(self) -> dict[str, float]:
        """Read the next line."""
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a system ended early; are all there? {INSTALL}")
        found: dict[str, float] = json.loads(line)
        return found

    def run(self, count: int) -> dict[str, float]:
        """Ask for steps, and wait for them."""
        self.process.stdin.write(f"{count}\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self) -> None:
        """End the process."""
        self.process.stdin.close()
        self.process.wait()


def chosen(options: argparse.Namespace) -> list[str]:
    names = []
    for name, (kind, _) in SYSTEMS.items():
        package = {"ours": "glcm-mae", "huggingface": "transformers"}.get(kind, kind)
        try:
            version(package)
        except PackageNotFoundError:
            print(f"{name}: {package} is not installed ({INSTALL})", file=sys.stderr)
        else:
            names.append(name)
    wanted = options.only.split(";") if options.only else names
    return [name for name in names if name in wanted]


def about(options: argparse.Namespace, names: list[str]) -> dict[str, Any]:
    packages = {}
    for package in ("torch", "timm", "transformers", "lightly"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            continue
    keys = ("batch", "threads", "device", "precision", "compile", "steps")
    return {
        "command": "python benchmarks/throughput.py",
        **{key: getattr(options, key) for key in keys},
        "systems": names,
        "processor": processor(options.device),
        "packages": packages,
    }


def processor(device: str) -> str:
    if device == "cuda":
        import torch

        return str(torch.cuda.get_device_name())
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration, IndexError):
        return platform.processor()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    names = chosen(options)
    found: dict[str, Any] = {"about": about(options, names), "facts": {}, "rounds": []}
    if options.out.exists():
        before = json.loads(options.out.read_text("utf-8"))
        if before.get("about") == found["about"]:
            found = before
    if len(found["rounds"]) >= options.rounds:
        return found
    children = {name: Child(name, options) for name in (*names, PEAK)}
    found["facts"] = {name: child.facts for name, child in children.items()}
    while len(found["rounds"]) < options.rounds:
        turn = {name: child.run(options.steps) for name, child in children.items()}
        found["rounds"].append({**turn, "load_average": os.getloadavg()[0]})
        found["summary"] = summary(found, options.batch)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for child in children.values():
        child.close()
    return found


def summary(found: dict[str, Any], batch: int) -> dict[str, Any]:
    turns = found["rounds"]
    peak = max(turn[PEAK]["operations_per_second"] for turn in turns)
    rows: dict[str, Any] = {PEAK: {"gflops_per_second": peak / 1e9}}
    for name in found["about"]["systems"]:
        seconds = [turn[name]["seconds"] for turn in turns]
        flops = found["facts"][name]["flops_per_image"]
        share = flops * batch / min(seconds) / peak
        rows[name] = {
            "images_per_second_median": batch / statistics.median(seconds),
            "images_per_second_best": batch / min(seconds),
            "processor_seconds_per_step": min(
                turn[name]["processor_seconds"] for turn in turns
            ),
            "peak_memory_gb": turns[-1][name]["peak_memory_gb"],
            "gflops_per_image": flops / 1e9,
            "utilisation": share,
            "bound_on_any_gain": 1 / share,
        }
    first = rows.get("ours, gray")
    for name in found["about"]["systems"]:
        if first:
            # Ratios within a round: what slowed one slowed the other.
            each = [turn[name]["seconds"] / turn["ours, gray"]["seconds"] for turn in turns]
            rows[name]["ours_gray_is_faster_median"] = statistics.median(each)
            best = first["images_per_second_best"] / rows[name]["images_per_second_best"]
            rows[name]["ours_gray_is_faster_best"] = best
    return rows


def show(found: dict[str, Any]) -> None:
    rows, given = found["summary"], found["about"]
    peak = rows[PEAK]["gflops_per_second"]
    print(
        f"{given['processor']}, {given['device']}, {given['precision']}, "
        f"batch {given['batch']}, "
        f"{given['threads']} threads, {len(found['rounds'])} rounds of {given['steps']} steps\n"
        f"peak of a matrix product: {peak:.0f} GFLOP/s\n"
        f"{'':<28}{'images/s':>17}{'memory':>9}{'GFLOP/':>8}{'share':>7}{'ours gray':>18}"
        f"{'at most':>9}\n"
        f"{'':<28}{'median':>9}{'best':>8}{'GB':>9}{'image':>8}{'of peak':>8}"
        f"{'median':>9}{'best':>8}{'(bound)':>9}"
    )
    for name in given["systems"]:
        row = rows[name]
        print(
            f"{name:<28}{row['images_per_second_median']:9.2f}"
            f"{row['images_per_second_best']:8.2f}{row['peak_memory_gb']:9.2f}"
            f"{row['gflops_per_image']:8.1f}{row['utilisation']:8.0%}"
            f"{row.get('ours_gray_is_faster_median', float('nan')):8.2f}x"
            f"{row.get('ours_gray_is_faster_best', float('nan')):7.2f}x"
            f"{row['bound_on_any_gain']:8.2f}x"
        )
    print(
        "At most: how many times faster than this system anything can be that does as many "
        "operations at the peak of a matrix product."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, help="steps of each system in a round")
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--compile", action="store_true", help="torch.compile for all")
    parser.add_argument("--only", help="names of systems, with semicolons between")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    on_gpu = options.device == "cuda"
    options.batch = options.batch or (64 if on_gpu else 8)
    options.steps = options.steps or (20 if on_gpu else 1)
    if options.serve:
        serve(options.serve, options)
    else:
        show(measure(options))


if __name__ == "__main__":
    main()
