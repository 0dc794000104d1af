"""The stage, from its settings to a pre-trained encoder."""

from pathlib import Path

from glcm_mae.assembly import (
    EARLIER_FILE,
    ENCODER_FILE,
    IMAGES_FILE,
    record_earlier,
    record_images,
    save_autoencoder,
)
from glcm_mae.config import PretrainConfig
from glcm_mae.data import LoadedImages
from glcm_mae.devices import be_deterministic, choose_device
from glcm_mae.distributed import connect, full_tensors, on_main
from glcm_mae.intake import cache_folder
from glcm_mae.pretraining.parts import SPLIT_FILE, read_images
from glcm_mae.pretraining.task import Pretraining
from glcm_mae.runs import Run, check_run_folder
from glcm_mae.training import Training


def pretrain(
    config: PretrainConfig,
    *,
    resume: bool = False,
    images: LoadedImages | None = None,
    title: str = "pre-training",
) -> Path:
    """Pre-train an encoder on images without labels.

    Images whose split is ``test`` are left out, and those that are held out to measure how
    well texture is restored. The run folder gets the settings, the environment, the list
    of images with their hashes, ``split.csv`` where some are held out, ``metrics.jsonl``,
    ``speed.jsonl``, TensorBoard events, ``checkpoints/``, ``reconstructions.png`` and, at
    the end, ``encoder.safetensors`` and ``autoencoder.safetensors``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out`` from its newest checkpoint; it ends
            bit for bit as if it had never stopped (on CPU).
        images: The images of ``config.data.table``, if they are in memory already.
        title: What the progress bar calls it.

    Returns:
        The encoder file.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        DivergenceError: If the loss or the gradient stays not finite; the last
            checkpoint is kept, and the step for ``glcm-mae replay``.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if config.deterministic:
        be_deterministic()
    device = choose_device(config.device)
    connect(device.type)
    check_run_folder(config, config.out, resume=resume)
    images = images or read_images(config)
    on_main(lambda: None)  # it may have taken another process long: this waits
    task = Pretraining.build(config, images, device, title=title)
    run = Run.open(config, folder=config.out, resume=resume)
    if len(task.parts.held_out):
        run.keep(SPLIT_FILE, task.parts.format(images.table).encode())
    seen = images.table.subset(task.trained_on)
    on_main(
        lambda: record_images(run.folder / IMAGES_FILE, seen, cache_folder(config.data.cache))
    )
    if (weights := config.pretraining.weights) is not None:
        on_main(lambda: record_earlier(run.folder / EARLIER_FILE, weights))
    task.picture = run.folder / "reconstructions.png"
    training = Training(task, config, config.pretraining, run, strategy=config.strategy)
    training.train(resume=resume)
    with training.average.in_place():
        last = full_tensors(task.model.state_dict())
        tensors, facts = task.chosen(last)
        on_main(lambda: save_autoencoder(run.folder, tensors, task.model, facts))
    return run.folder / ENCODER_FILE
