"""The stage, from its settings to a tested classifier."""

from glcm_mae.config import FinetuneConfig
from glcm_mae.data import LoadedImages
from glcm_mae.devices import be_deterministic, choose_device
from glcm_mae.distributed import connect
from glcm_mae.downstream import Trial, read_finished
from glcm_mae.evaluation import Predictions
from glcm_mae.finetuning.task import Finetuning
from glcm_mae.runs import Run, check_run_folder
from glcm_mae.training import Training


def finetune(
    config: FinetuneConfig,
    *,
    resume: bool = False,
    images: LoadedImages | None = None,
    number: int = 0,
    repeat: int = 0,
    title: str = "fine-tuning",
) -> Predictions:
    """Fine-tune a classifier on one division of the images, and test it once.

    The division is the table's split column (or ``data.split``) where there is one;
    otherwise groups are held out at random, stratified by class, near-duplicates kept
    together. The inner validation part picks the epoch by ``finetuning.select_by``; then
    the test part is looked at, once. The run folder gets ``split.csv``,
    ``classifier.safetensors``, ``validation.csv``, ``predictions.csv`` and ``scores.json``.

    Args:
        config: Settings of the stage.
        resume: Continue the run in ``config.out``; a finished one is only read.
        images: The images of ``config.data.table``, if they are in memory already.
        number: Number of the trained model, for the table of predictions.
        repeat: Number of the complete pass over the images that it belongs to.
        title: What the progress bar calls it.

    Returns:
        The predictions on the test part.

    Raises:
        InputError: If a setting or a file is bad; the message says what to do.
        DivergenceError: If the loss or the gradient stays not finite.
        StoppedError: If a signal asked to stop; the state is saved.
    """
    if config.deterministic:
        be_deterministic()
    device = choose_device(config.device)
    connect(device.type)
    check_run_folder(config, config.out, resume=resume)
    found = read_finished(config, resume=resume)
    if found is not None:
        return found
    trial = Trial.prepare(config, images, number=number, repeat=repeat)
    task = Finetuning.build(config, trial, device, title=title)
    run = Run.open(config, folder=config.out, resume=resume)
    trial.keep_split(run)
    training = Training(task, config, config.finetuning, run, strategy=config.strategy)
    training.train(resume=resume)
    return task.finish(run)
