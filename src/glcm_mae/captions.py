"""What a table says of a cross-validation: the name of the system, headline and notes."""

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from glcm_mae.assembly import earlier_images, known_images, which_seen
from glcm_mae.config import CrossValConfig
from glcm_mae.data import ImageTable, LoadedImages, file_hashes
from glcm_mae.downstream import TEST_FOLD_NOTE, TRAINED_PROTOCOLS
from glcm_mae.intake import cache_folder
from glcm_mae.planning.shared_encoders import any_encoder, holds_encoders
from glcm_mae.runs import read_config

_ON_TOP = {
    "finetune": "fine-tuned",
    "linear": "linear probe",
    "attentive": "attentive probe",
    "knn": "kNN",
}


def headline(config: CrossValConfig, table: ImageTable, folds: int, passes: int) -> str:
    """Return the headline of the table; it says what a reader must not overlook.

    Args:
        config: Settings of the cross-validation.
        table: The images.
        folds: Folds of all repeats together.
        passes: Repeats.
    """
    times = f"{passes} times repeated " if passes > 1 else ""
    marks = {
        ", image-level split": table.grouping == "image",
        ", leak check off": config.leak_check == "off",
        ", TRANSDUCTIVE (pre-trained on the test images too)": config.transductive,
    }
    named = Path(*config.data.table.resolve().parts[-2:])  # no path of this machine
    method = f"{times}{folds // passes}-fold cross-validation"
    if config.folds.official:
        method = "Official split"
    return f"{method} of {named}{''.join(mark for mark, holds in marks.items() if holds)}"


def system_name(config: CrossValConfig) -> str:
    """Return what the system is called in the table."""
    on_top = _ON_TOP[config.protocol]
    marks = ""
    if config.protocol in TRAINED_PROTOCOLS and config.finetuning.selection == "test-fold":
        marks = " (epoch picked on the TEST fold)"
    if config.start == "scratch":
        how = "from scratch" if config.protocol == "finetune" else f"untrained, {on_top}"
        return f"{config.baseline or 'ViT'}{', ' if config.baseline else ' '}{how}{marks}"
    if config.start == "weights" and not holds_encoders(config.weights):
        return f"{config.baseline or 'given encoder'}, {on_top}{marks}"
    return f"{'GLCM-MAE' if has_texture(config) else 'MAE (no GLCM)'}, {on_top}{marks}"


def has_texture(config: CrossValConfig) -> bool:
    """Say whether the encoders of a cross-validation were trained with the texture loss.

    Raises:
        InputError: If they are those of another cross-validation that is not there.
    """
    return any(phase.get("glcm", 0.0) > 0 for phase in _phases(config))


def _phases(config: CrossValConfig) -> Sequence[Mapping[str, float]]:
    """Return the phases of the losses that the encoders were trained by."""
    if config.start == "pretraining" or config.weights is None:
        return [phase.model_dump() for phase in config.losses.phases]
    settings = read_config(any_encoder(config.weights))
    return list(settings["losses"]["phases"])


def selection_note(config: CrossValConfig) -> str:
    """Say in one sentence what picked the weights that were tested."""
    if config.protocol not in TRAINED_PROTOCOLS:
        return "an inner validation part picked the settings of the probe"
    return {
        "inner": "an inner validation part picked the epoch",
        "last": "no epoch was picked: the weights are those of the last",
        "test-fold": TEST_FOLD_NOTE,
    }[config.finetuning.selection]


def pretraining_note(config: CrossValConfig, images: LoadedImages) -> str:
    """Say in one sentence what the encoder saw of the images that are tested."""
    if config.transductive:
        return "TRANSDUCTIVE: one pre-training on all images, those of the test folds too"
    if config.start == "pretraining":
        aware = "pre-training is fold-aware: it never saw the test fold's images"
        began = config.pretraining.weights
        earlier = known_images(began) if began is not None else set[str]()
        return _foldwise_note(aware, earlier, config, images)
    if config.start == "scratch" or config.weights is None:
        return "no pre-training"
    if holds_encoders(config.weights):
        aware = (
            "pre-training is fold-aware: encoders of another cross-validation, each of which "
            "never saw the test fold's images"
        )
        return _foldwise_note(aware, earlier_images(config.weights), config, images)
    return _seen_note("the given encoder", known_images(config.weights), config, images)


def _foldwise_note(
    aware: str, earlier: Set[str], config: CrossValConfig, images: LoadedImages
) -> str:
    """Say what pre-training in every fold saw, and what the weights did that it began with."""
    if not earlier:
        return aware
    note = _seen_note("what pre-training began with", earlier, config, images)
    return note if note.startswith("NOT") else f"{aware}; {note}"


def _seen_note(what: str, known: Set[str], config: CrossValConfig, images: LoadedImages) -> str:
    hashes = file_hashes(images.table, cache_folder(config.data.cache))
    seen = which_seen(known, hashes)
    if seen is None:
        return f"NOT fold-aware: whether {what} saw the test images is not known"
    if any(seen):
        return f"NOT fold-aware: {what} was trained on {sum(seen)} of these very images"
    return f"{what} was trained on none of these images (compared by content)"
