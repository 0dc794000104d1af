"""What batch norm asks of a step: that it be whole."""

from glcm_mae.config import FinetuneConfig
from glcm_mae.distributed import ranks
from glcm_mae.errors import InputError


def refuse_divided_batches(config: FinetuneConfig, images: int) -> None:
    """Refuse to divide the steps of a model whose batch norm looks at all their images.

    Statistics of a part are not those of the step: the result would depend on what
    computes it.

    Args:
        config: Settings of the stage.
        images: Images of the training part.

    Raises:
        InputError: If steps are divided over parts or processes, or hold one image.
    """
    settings = config.finetuning
    if settings.accumulate > 1 or ranks().size > 1:
        raise InputError(
            f"{config.baseline}: its batch norm looks at all images of a step, so a step "
            "cannot be divided: leave finetuning.accumulate and devices at 1, or choose a "
            "smaller finetuning.batch_size"
        )
    if min(settings.batch_size, images) < 2:
        raise InputError(
            f"{config.baseline}: its batch norm needs two images a step: finetuning.batch_size "
            f"is {settings.batch_size}, with {images} training images; choose a larger one"
        )
