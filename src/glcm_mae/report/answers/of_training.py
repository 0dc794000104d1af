"""What a run tells of its models: how they are built, started, trained and picked."""

from collections.abc import Callable, Mapping
from typing import Any

from glcm_mae.downstream import TRAINED_PROTOCOLS
from glcm_mae.report.answers.of_study import model_name
from glcm_mae.report.evidence import Evidence

_TERMS = ("mse", "glcm", "ssim")


def architecture(evidence: Evidence) -> str:
    """Describe the model."""
    height, width = evidence.setting("model.image_size")
    channels = evidence.setting("model.channels")
    inputs = f"{height} x {width} pixels, {channels} channel{'s' if channels > 1 else ''}"
    if evidence.setting("baseline"):
        return f"{evidence.setting('baseline')} of timm, input {inputs}."
    options = evidence.setting("model.encoder_options")
    changed = ", ".join(f"{name} {value}" for name, value in options.items())
    text = (
        f"Vision transformer {model_name(evidence)}{f' ({changed})' if changed else ''}, input "
        f"{inputs}, patches of {evidence.setting('model.patch_size')} pixels"
    )
    if evidence.setting("start") == "pretraining":
        text += (
            f"; for pre-training {100 * evidence.setting('model.mask_ratio'):g} % of the "
            f"patches hidden, decoder depth {evidence.setting('model.decoder_depth')}, "
            f"width {evidence.setting('model.decoder_width')}, "
            f"heads {evidence.setting('model.decoder_heads')}"
        )
    return f"{text}; head: {_head(evidence)}."


def _head(evidence: Evidence) -> str:
    protocol = evidence.setting("protocol")
    return {
        "finetune": "one linear layer on the pooled tokens",
        "attentive": "attention over the tokens and one linear layer",
        "linear": "logistic regression on standardised features",
        "knn": "votes of the nearest images",
    }[str(protocol)]


def output(evidence: Evidence) -> str:
    """Say what the model puts out."""
    return (
        f"A probability for each of {', '.join(evidence.classes)}, which sum to one; the class "
        "of the highest is called."
    )


def threshold(evidence: Evidence) -> str:
    """Say how the threshold was found."""
    point = evidence.judged("operating_point")
    if not point:
        return "No operating point was chosen: no class is named positive, or too little known."
    rule = point["rule"]
    how = "Youden's index" if rule == "youden" else f"a sensitivity of {rule:g}"
    values = ", ".join(f"{value:.3f}" for value in point["thresholds"].values())
    return (
        f"A second decision calls {point['positive']} above a threshold that the inner "
        f"validation part of each fold chose by {how}: {values}."
    )


def initialisation(evidence: Evidence) -> str:
    """Say how parameters were set at the start."""
    seed = evidence.setting("seed")
    start = evidence.setting("start")
    if start == "pretraining":
        given = evidence.setting("pretraining.weights")
        first = (
            f"the weights {given}"
            if given
            else f"random weights (seed {seed} + fold number from 0)"
        )
        where = (
            "once, on all images, those of the test folds too"
            if evidence.score("transductive")
            else "in every fold without its test images"
        )
        return f"Pre-training began from {first}; classifiers from the encoder trained {where}."
    if start == "weights":
        return f"The encoder began from the given weights {evidence.setting('weights')}."
    return f"All parameters began at random (seed {seed} + fold number from 0)."


def training(evidence: Evidence) -> str:
    """Describe how models were trained."""
    parts = []
    if evidence.setting("start") == "pretraining":
        parts.append(
            f"Pre-training: {_schedule(evidence, 'pretraining')}; {_losses(evidence)}."
        )
    protocol = evidence.setting("protocol")
    if protocol in TRAINED_PROTOCOLS:
        parts.append(
            f"Classifier: {_schedule(evidence, 'finetuning')}, label smoothing "
            f"{evidence.setting('finetuning.label_smoothing'):g}, layer decay "
            f"{evidence.setting('finetuning.layer_decay'):g}."
        )
    elif protocol == "linear":
        penalties = ", ".join(f"{value:g}" for value in evidence.setting("probing.penalties"))
        parts.append(f"Classifier: logistic regression with C of {penalties}.")
    else:
        numbers = ", ".join(str(value) for value in evidence.setting("probing.neighbours"))
        parts.append(f"Classifier: {numbers} nearest images.")
    seeds, folds = evidence.setting("seeds"), len(evidence.parts)
    each = f"{seeds} model{'s' if seeds > 1 else ''} in each of {folds} "
    parts.append(f"{each}fold{'s' if folds > 1 else ''}.")
    return " ".join(parts)


def _schedule(evidence: Evidence, stage: str) -> str:
    def told(name: str) -> Any:
        return evidence.setting(f"{stage}.{name}")

    rate = told("learning_rate")
    given = f"{rate:g}" if rate else f"{told('base_learning_rate'):g} x batch / 256"
    return (
        f"{told('epochs')} epochs, batches of {told('batch_size')}, AdamW, learning rate "
        f"{given}, warm-up {told('warmup_epochs'):g}, weight decay "
        f"{told('weight_decay'):g}"
    )


def _losses(evidence: Evidence) -> str:
    phases = []
    for phase in evidence.setting("losses.phases"):
        terms = " + ".join(f"{phase[name]:g} {name.upper()}" for name in _TERMS if phase[name])
        phases.append(f"{terms} for {100 * phase['share']:g} % of the epochs")
    return f"loss {', then '.join(phases)}"


def training_data_changes(evidence: Evidence) -> str:
    """Describe augmentation."""
    stages = {"pretraining": evidence.setting("start") == "pretraining"}
    stages["finetuning"] = evidence.setting("protocol") in TRAINED_PROTOCOLS
    told = []
    for stage, used in stages.items():
        if used:
            values = evidence.setting(f"{stage}.augmentation")
            on = ", ".join(f"{name} {value:g}" for name, value in values.items() if value)
            told.append(f"{stage}: {on or 'none'}")
    if not told:
        return "Images were not augmented."
    return f"Augmentation of training images ({'; '.join(told)})."


def selection(evidence: Evidence) -> str:
    """Say how the final model was picked."""
    protocol = evidence.setting("protocol")
    tried = "The run holds one set of other settings; what was tried before it is not recorded."
    if protocol not in TRAINED_PROTOCOLS:
        by = evidence.setting("probing.select_by")
        best = f"The settings of the probe with the best {by} on the inner validation part"
        return f"{best}. {tried}"
    chosen = evidence.score("selection")
    by = evidence.setting("finetuning.select_by")
    how = {
        "inner": f"The epoch with the best {by} on the inner validation part of each fold",
        "last": "The weights of the last epoch",
        "test-fold": f"The epoch with the best {by} ON THE TEST PART, so scores are too good",
    }[str(chosen)]
    return f"{how} (selection {chosen}). {tried}"


def ensemble(evidence: Evidence) -> str:
    """Say whether several models answer together."""
    flips = evidence.setting("protocol") in TRAINED_PROTOCOLS and evidence.setting(
        "finetuning.test_flips"
    )
    views = " Probabilities are the mean over the image and its mirror image." if flips else ""
    seeds = evidence.setting("seeds")
    several = f" Scores of {seeds} models a fold stand side by side." if seeds > 1 else ""
    return (
        f"None: each answer is that of one model, whose fold tests the image.{several}{views}"
    )


def imbalance(evidence: Evidence) -> str:
    """Say what was done about unequal classes."""
    stage = "finetuning" if evidence.setting("protocol") in TRAINED_PROTOCOLS else "probing"
    balance = evidence.setting(f"{stage}.balance")
    how = {
        "none": "Nothing was done about unequal classes",
        "loss": "The loss weighs classes by the inverse of their share in the training part",
    }.get(str(balance), f"Classes were drawn evenly ({balance})")
    return (
        f"{how} ({stage}.balance {balance}). Calibration is reported before and after a "
        "temperature that was fitted on the inner validation part."
    )


def computation(evidence: Evidence) -> str:
    """Say how predictions are computed."""
    files = (
        "classifier.safetensors in the folder of each fold"
        if evidence.setting("protocol") in TRAINED_PROTOCOLS
        else "a probe fitted anew from the features of each fold"
    )
    precision = evidence.setting("precision")
    return (
        f"Softmax of the model's outputs: {files}; precision {precision}. predictions.csv "
        f"holds all {len(evidence.predictions)} of them."
    )


ANSWERS: Mapping[str, Callable[[Evidence], str]] = {
    "architecture": architecture,
    "output": output,
    "threshold": threshold,
    "initialisation": initialisation,
    "training": training,
    "training_data_changes": training_data_changes,
    "selection": selection,
    "ensemble": ensemble,
    "imbalance": imbalance,
    "computation": computation,
}
