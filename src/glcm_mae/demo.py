"""The whole path on synthetic images: does texture-aware pre-training help?"""

from pathlib import Path
from typing import Any

from glcm_mae.config import CrossValConfig, DemoConfig, PretrainConfig
from glcm_mae.crossvalidation import CrossValidation, cross_validate
from glcm_mae.data.phantoms import write_phantoms
from glcm_mae.pretraining import pretrain
from glcm_mae.progress import say
from glcm_mae.scoreboard import print_table

SIZE = 64
UNLABELLED = 384
LABELLED = 150
FOLDS = 3
SYSTEMS = ("ViT from scratch", "MAE (MSE alone)", "GLCM-MAE")

MODEL: dict[str, Any] = {
    "encoder": "vit_tiny_patch16_224",
    "encoder_options": {"depth": 4, "embed_dim": 96, "num_heads": 3},
    "image_size": [SIZE, SIZE],
    "patch_size": 8,
    "decoder_depth": 2,
    "decoder_width": 64,
    "decoder_heads": 2,
}
PRETRAINING: dict[str, Any] = {
    "epochs": 28,
    "batch_size": 32,
    "learning_rate": 1e-3,
    "warmup_epochs": 4,
    "picture_every": 20,
}
FINETUNING: dict[str, Any] = {
    "epochs": 24,
    "batch_size": 8,
    "learning_rate": 1e-3,
    "warmup_epochs": 3,
    "layer_decay": 1.0,  # at 0.75 the first of so few steps hardly move the lower layers
    "drop_path": 0.0,
}
CHECKPOINTS = {"every_epochs": 8}  # an epoch takes about a second
LOSSES: dict[str, dict[str, Any]] = {
    SYSTEMS[1]: {"ssim": {"window": 7}, "phases": [{"share": 1.0, "mse": 1.0}]},
    SYSTEMS[2]: {"ssim": {"window": 7}},
}


def run_demo(config: DemoConfig, *, resume: bool = False) -> dict[str, CrossValidation]:
    """Pre-train on phantoms with and without the texture term, and compare.

    384 unlabelled phantoms are for pre-training, 150 other, labelled ones are
    cross-validated three times: from scratch, from an MAE, and from a GLCM-MAE.

    Args:
        config: Settings of the demonstration.
        resume: Keep what an earlier call finished.

    Returns:
        The cross-validation of each of the three systems.

    Raises:
        InputError: If the folder exists and is not to be resumed.
    """
    out = config.out
    unlabelled, labelled = out / "unlabelled", out / "labelled"
    for folder, count, seed in ((unlabelled, UNLABELLED, 1), (labelled, LABELLED, 2)):
        if not (resume and (folder / "manifest.csv").is_file()):
            write_phantoms(
                folder,
                count=count,
                size=SIZE,
                seed=config.seed + seed,
                labelled=folder == labelled,
            )
    say(f"synthetic images in {out}: {UNLABELLED} to pre-train on, {LABELLED} with labels")
    found = {SYSTEMS[0]: _cross_validate(config, labelled, None, resume)}
    for name, losses in LOSSES.items():
        folder = out / _slug(name)
        stage = PretrainConfig(
            data={"table": unlabelled},
            model=MODEL,
            losses=losses,
            pretraining=PRETRAINING,
            checkpoints=CHECKPOINTS,
            out=folder / "pretraining",
            seed=config.seed,
        )
        pretrain(stage, resume=resume, title=f"pre-training {name}")
        found[name] = _cross_validate(config, labelled, folder, resume)
    _report(out, found)
    return found


def _slug(name: str) -> str:
    return name.split(" (")[0].lower()


def _cross_validate(
    config: DemoConfig, table: Path, pretrained: Path | None, resume: bool
) -> CrossValidation:
    folder = pretrained or config.out / "scratch"
    stage = CrossValConfig(
        data={"table": table},
        model=MODEL,
        finetuning=FINETUNING,
        checkpoints=CHECKPOINTS,
        folds={"count": FOLDS},
        start="weights" if pretrained else "scratch",
        weights=pretrained / "pretraining" if pretrained else None,
        baselines="off" if pretrained else "on",  # once is enough
        out=folder / "crossval",
        seed=config.seed,
    )
    return cross_validate(stage, resume=resume)


def _report(out: Path, found: dict[str, CrossValidation]) -> None:
    first = next(iter(found.values()))
    systems = {name: scores for name, scores in first.systems.items() if name != first.name}
    systems |= {name: result.systems[result.name] for name, result in found.items()}
    notes = (
        first.notes[0],
        "classes differ in texture alone: mean and histogram of the lesions are matched",
        "pre-trained on other phantoms than those tested",
    )
    print_table(systems, title="What pre-training brings on phantoms", notes=notes, positive="")
    say(
        f"pictures:    {out}/mae/pretraining/reconstructions.png and "
        f"{out}/glcm-mae/pretraining/reconstructions.png\n"
        f"run folders: {out}/*/pretraining, {out}/*/crossval (scores.json, predictions.csv)\n"
        "next, for a folder of your own with one subfolder a class:\n"
        "  glcm-mae crossval --config recipes/laptop/busi.yaml --data.table YOUR_FOLDER "
        "--data.positive CLASS --out runs/mine"
    )
