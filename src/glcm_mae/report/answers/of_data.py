"""What a run tells of its images: where from, how read, how divided, how many."""

from collections import Counter
from collections.abc import Callable, Mapping

from glcm_mae.report.evidence import Evidence

_GROUPINGS = {
    "manifest": "the groups that the table of images gives (patients, if it names them)",
    "dicom": "the patients of the DICOM headers",
    "pattern": "the patients found in the paths",
    "duplicates": "clusters of near-duplicates",
    "image": "single images, for nothing tells which are of one patient",
}


def data_source(evidence: Evidence) -> str:
    """Name the table of images."""
    return (
        f"The table {evidence.setting('data.table')}: {evidence.score('images')} images of "
        f"{len(evidence.classes)} classes. Development and evaluation use the same table."
    )


def subsets(evidence: Evidence) -> str:
    """Say whether part of the images was picked."""
    share = evidence.setting("folds.label_share")
    mapped = evidence.setting("data.label_map")
    left_out = [name for name, wanted in mapped.items() if wanted is None]
    classes = f"classes left out: {', '.join(left_out)}" if left_out else "no class left out"
    labels = (
        "all training labels" if share == 1 else f"{100 * share:g} % of the training labels"
    )
    cut = evidence.setting("data.fit") == "crop"
    whole = "cropped to the shape that the model takes" if cut else "used whole"
    return (
        f"{evidence.score('images')} images of the table were used, "
        f"{evidence.score('skipped')} were skipped; {classes}; {labels} were used. Images are "
        f"{whole}."
    )


def preprocessing(evidence: Evidence) -> str:
    """Describe how a file becomes what the model sees."""
    height, width = evidence.setting("model.image_size")
    window = evidence.setting("data.window")
    levels = {
        "file": "black and white are those that the file names, else all of its bits",
        "full": "black and white are the ends of its bits",
        "range": "black and white are its lowest and highest value",
        "percentile": "black and white are percentiles of its values",
    }.get(window, f"black and white are those of the window {window}")
    channels = evidence.setting("model.channels")
    return (
        f"Values become gray levels in [0, 1] (data.window {window}: {levels}), "
        f"{evidence.setting('data.depth')} bits, {channels} "
        f"channel{'s' if channels > 1 else ''}; images are brought to {height} x {width} "
        f"pixels (data.fit {evidence.setting('data.fit')})."
    )


def names(evidence: Evidence) -> str:
    """Say what outputs call images and patients."""
    shown = {"plain": "their paths", "hashed": "keyed hashes"}[evidence.setting("data.names")]
    return (
        f"Outputs call images by {shown} (data.names {evidence.setting('data.names')}) and "
        "patients by numbers."
    )


def missing(evidence: Evidence) -> str:
    """Say what was done about files that cannot be read."""
    rule = {"stop": "would have stopped the run", "skip": "are left out and counted"}[
        evidence.setting("data.on_error")
    ]
    return (
        f"{evidence.score('skipped')} files were skipped; files that cannot be read {rule} "
        f"(data.on_error {evidence.setting('data.on_error')}). Every image has a class; "
        "nothing was imputed."
    )


def duplicates(evidence: Evidence) -> str:
    """Say whether copies were looked for."""
    if evidence.score("leak_check.check") == "off":
        return "Near-duplicates were NOT looked for (leak_check off)."
    return (
        f"Near-duplicates were looked for: {evidence.score('leak_check.near_duplicate_pairs')} "
        f"pairs, {evidence.score('leak_check.images_in_clusters')} images in "
        f"{evidence.score('leak_check.clusters')} clusters, "
        f"{evidence.score('leak_check.pairs_across_classes')} pairs across classes."
    )


def partition(evidence: Evidence) -> str:
    """Say how images were dealt to the parts."""
    count = len(evidence.parts)
    share = evidence.setting("folds.validation_share")
    inner = f"{100 * share:g} % of the rest"
    if evidence.score("official"):
        return (
            f"The parts are those of the given split ({count} division); where it names no "
            f"validation part, {inner} is drawn."
        )
    if evidence.setting("folds.file"):
        return (
            f"{count} folds were given as a file (folds.file {evidence.setting('folds.file')})."
        )
    repeats = evidence.setting("folds.repeats")
    times = f", repeated {repeats} times" if repeats > 1 else ""
    return (
        f"Cross-validation in {evidence.setting('folds.count')} folds{times}, drawn at random "
        f"(seed {evidence.setting('seed')}), stratified by class; an inner validation part is "
        f"{inner}. Every image is in the test part of one fold of each repeat."
    )


def disjoint(evidence: Evidence) -> str:
    """Say what stays in one part."""
    grouping = evidence.score("grouping")
    told = evidence.note("stand in two parts", "stands in two parts", "IMAGE-LEVEL")
    note = f" {told[0].upper()}{told[1:]}." if told else ""
    copies = evidence.note("near-duplicates")
    also = f" {copies[0].upper()}{copies[1:]}." if copies and copies != told else ""
    return (
        f"What belongs together are {_GROUPINGS.get(grouping, grouping)}; "
        f"{evidence.score('groups')} groups of {evidence.score('images')} images.{note}{also}"
    )


def sizes(evidence: Evidence) -> str:
    """Give the sizes of all parts; the run knows of no calculation."""
    parts = [Counter(column.values()) for column in evidence.parts]
    told = "; ".join(
        f"fold {number + 1}: {count['train']} train, {count['validation']} validation, "
        f"{count['test']} test"
        for number, count in enumerate(parts)
    )
    return (
        f"{evidence.score('images')} images in {evidence.score('groups')} groups ({told}). The "
        "run records no calculation of the sample size."
    )


def class_counts(evidence: Evidence) -> str:
    """Count the test images of each class, each image once."""
    found = evidence.predictions
    once = found.rows(found.repeat == found.repeat.min())
    counts = Counter(found.classes[label] for label in once.labels)
    told = ", ".join(f"{counts[name]} {name}" for name in evidence.classes)
    of_folds = []
    for number in sorted(set(once.folds.tolist())):
        own = Counter(found.classes[label] for label in once.fold(number).labels)
        own_told = ", ".join(f"{own[name]} {name}" for name in evidence.classes)
        of_folds.append(f"fold {number + 1}: {own_told}")
    each = f" ({'; '.join(of_folds)})" if len(of_folds) > 1 else ""
    return f"Test images by class: {told}{each}."


def flow(evidence: Evidence) -> str:
    """Say how many images came in and how many were left out."""
    return (
        f"{evidence.score('images')} images in {evidence.score('groups')} groups took part, "
        f"{evidence.score('skipped')} files were skipped, "
        f"{len(set(evidence.predictions.paths))} images were tested."
    )


def sameness(evidence: Evidence) -> str:
    """Say how development and evaluation data differ."""
    if evidence.score("official"):
        return (
            "Both come from one table; which image is in which part was given with it, so the "
            "parts may differ in what the table does not tell."
        )
    return (
        "None by design: both are drawn at random, by class, from the same "
        f"{evidence.score('images')} images."
    )


def sameness_of_predictors(evidence: Evidence) -> str:
    """Say that there is nothing to compare, where the parts are the same images in turn."""
    if evidence.score("official"):
        return ""
    return (
        "In cross-validation the images of development and of evaluation are the same "
        f"{evidence.score('images')} in turn, so there are no two sets to compare."
    )


ANSWERS: Mapping[str, Callable[[Evidence], str]] = {
    "data_source": data_source,
    "subsets": subsets,
    "preprocessing": preprocessing,
    "names": names,
    "missing": missing,
    "duplicates": duplicates,
    "partition": partition,
    "disjoint": disjoint,
    "sizes": sizes,
    "class_counts": class_counts,
    "flow": flow,
    "sameness": sameness,
    "sameness_of_predictors": sameness_of_predictors,
}
