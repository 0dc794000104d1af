"""The commands about data, ``glcm-mae data ...``."""

from collections.abc import Sequence
from typing import Any

from glcm_mae.errors import InputError


def audit(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data audit``."""
    from glcm_mae.auditing import audit as audit_images

    audit_images(config)
    return (
        f"page:    {config.out / 'audit.html'}",
        f"numbers: {config.out / 'audit.json'}, {config.out / 'duplicates.csv'}",
        f"groups:  {config.out / 'groups.csv'} (for a manifest: what must stay together)",
    )


def catalog(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data catalog``."""
    from glcm_mae.data.known.catalog import find_set, format_catalog, format_set

    return (format_set(find_set(config.name)) if config.name else format_catalog(),)


def check(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data check``."""
    from glcm_mae.data.known.catalog import find_set
    from glcm_mae.data.known.published import check_folder, write_manifest

    entry = find_set(config.name)
    lines = [str(check_folder(entry, config.folder))]
    if config.manifest is not None:
        written = write_manifest(entry, config.folder, config.manifest)
        lines.append(f"manifest: {written}")
    return lines


def download(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data download``."""
    from glcm_mae.data.known.catalog import find_set
    from glcm_mae.data.known.download import download as fetch
    from glcm_mae.progress import Meter

    with Meter(f"fetching {config.name}", total=1, unit="MB") as meter:
        file = fetch(
            find_set(config.name),
            config.out,
            size=config.size,
            progress=lambda done, total: meter.reach(done // 10**6, total // 10**6),
        )
    return (f"file: {file}", f"next: glcm-mae data check {config.name} {file}")


def split(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data split``."""
    from glcm_mae.splitting import write_split

    notes = write_split(config)
    return (*notes, f"folds: {config.out} (for --folds.file)")


def shard(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data shard``."""
    from glcm_mae.sharding import write_shard_folder

    images = write_shard_folder(config)
    return (f"{images} images in {config.out}", f"next: --data.table {config.out}")


def cache(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data cache``."""
    from glcm_mae.data.store.cache import cache_entries, clear_cache
    from glcm_mae.intake import cache_folder

    folder = cache_folder(config.cache)
    if folder is None:
        raise InputError("cache: none is no folder; give one, or leave the setting out")
    if config.clear:
        return (f"{clear_cache(folder) / 1e6:.1f} MB removed from {folder}",)
    entries = cache_entries(folder)
    lines = [f"{entry}" for entry in entries]
    return (*lines, f"{len(entries)} entries in {folder}; --clear true removes them")


def phantoms(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae data phantoms``."""
    from glcm_mae.data.phantoms import write_phantoms

    folder = write_phantoms(
        config.out,
        count=config.count,
        size=config.size,
        seed=config.seed,
        labelled=config.labelled,
    )
    return (f"{config.count} phantoms: {folder}",)
