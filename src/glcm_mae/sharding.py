"""Decoded images as tar files: for sets beyond the memory, or for another machine."""

from glcm_mae.config import ShardConfig
from glcm_mae.data.store.shards import write_shards
from glcm_mae.errors import InputError
from glcm_mae.intake import cache_folder, list_images, read_listed, reading_policy
from glcm_mae.progress import Meter


def write_shard_folder(config: ShardConfig) -> int:
    """Decode the images of a table once, and pack them into shards.

    Args:
        config: Settings of the stage; a run that reads the shards must have the same
            gray-level policy and image size.

    Returns:
        The number of images written.

    Raises:
        InputError: If the folder exists, or the table or an image is bad.
    """
    if config.out.exists():
        raise InputError(f"{config.out}: exists; choose another --out, or remove it first")
    policy = reading_policy(config.data, config.model)
    table = list_images(config.data, labelled=config.labelled)
    cache = cache_folder(config.data.cache)
    images = read_listed(table, policy, cache=cache, on_error=config.data.on_error)
    with Meter("writing shards", total=len(images.table)) as meter:
        write_shards(
            images.table,
            images.pixels,
            policy,
            config.out,
            images_per_shard=config.images_per_shard,
            cache=cache,
            progress=lambda done, _: meter.advance(done - meter.done),
        )
    return len(images.table)
