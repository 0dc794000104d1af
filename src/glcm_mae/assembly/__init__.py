"""From settings to what is trained, and back from its files: models, objective, weights.

The rooms, from the ground up: ``models`` builds autoencoders and objectives,
``encoder_files`` writes and reads their weights, ``seen_images`` remembers what they were
trained on, ``classifiers`` builds, starts and reads classifiers and baselines.
"""

from glcm_mae.assembly.classifiers import (
    CLASSIFIER_FILE,
    build_classifier,
    load_classifier,
    start_baseline,
    start_classifier,
    start_probed,
)
from glcm_mae.assembly.encoder_files import (
    AUTOENCODER_FILE,
    ENCODER_FILE,
    encoder_file,
    holds_policy,
    is_own,
    load_autoencoder,
    load_encoder,
    one_line,
    policy_of,
    save_autoencoder,
    settings_of,
    start_autoencoder,
)
from glcm_mae.assembly.models import assembled_encoder, build_autoencoder, build_objective
from glcm_mae.assembly.seen_images import (
    EARLIER_FILE,
    IMAGES_FILE,
    earlier_images,
    known_images,
    record_earlier,
    record_images,
    which_seen,
)

__all__ = [
    "AUTOENCODER_FILE",
    "CLASSIFIER_FILE",
    "EARLIER_FILE",
    "ENCODER_FILE",
    "IMAGES_FILE",
    "assembled_encoder",
    "build_autoencoder",
    "build_classifier",
    "build_objective",
    "earlier_images",
    "encoder_file",
    "holds_policy",
    "is_own",
    "known_images",
    "load_autoencoder",
    "load_classifier",
    "load_encoder",
    "one_line",
    "policy_of",
    "record_earlier",
    "record_images",
    "save_autoencoder",
    "settings_of",
    "start_autoencoder",
    "start_baseline",
    "start_classifier",
    "start_probed",
    "which_seen",
]
