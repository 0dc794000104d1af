"""The commands that study finished runs: what each tells at the end."""

from collections.abc import Sequence
from typing import Any


def ablate(config: Any, resume: bool) -> Sequence[str]:
    """Run ``glcm-mae ablate``."""
    from glcm_mae.ablation import ablate as run
    from glcm_mae.plain_table import print_rows

    found = run(config, resume=resume)
    tables = found.tables()
    for table in tables:
        notes = found.notes if table is tables[-1] else ()
        print_rows(table.headings, table.rows, title=table.title, notes=notes)
    files = "ablation.json, .csv, .md, .tex, .png, .svg, .pdf"
    return (*found.verdicts, f"folder: {config.out} ({files}; a crossval a variant)")


def controls(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae controls``."""
    from glcm_mae.controls import control
    from glcm_mae.plain_table import print_rows

    found = control(config)
    print_rows(found.headings, found.rows, title=found.title, notes=found.notes)
    return (
        *found.verdicts,
        f"folder: {config.out} (controls.json, .csv, .md, .png, .svg)",
    )


def explain(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae explain``."""
    from glcm_mae.explaining import explain as run
    from glcm_mae.plain_table import print_rows

    found = run(config)
    print_rows(found.headings, found.rows(), title=found.title, notes=found.notes)
    return (f"folder: {config.out} (explanations.json, .csv, cases/, feature_map.png)",)


def predict(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae predict``."""
    from glcm_mae.inference import predict_images
    from glcm_mae.plain_table import print_rows

    found = predict_images(config)
    title = f"{config.run.resolve().name}: what its classifiers say of {config.table.name}"
    print_rows(found.headings, found.rows, title=title, notes=found.notes)
    return (f"table: {config.out} (a line an image; {config.out.stem}.json says what made it)",)


def reconstruct(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae reconstruct``."""
    from glcm_mae.analysis import reconstruct as run
    from glcm_mae.analysis.tables import HEADINGS, rows_of
    from glcm_mae.plain_table import print_rows

    found = run(config)
    print_rows(HEADINGS, rows_of(found), title=found.title, notes=found.notes)
    files = "reconstruction.json, reconstructions.csv, haralick.csv, .md, figures, gallery.png"
    return (*found.verdicts, f"folder: {config.out} ({files})")


def report(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae report``."""
    from glcm_mae.report.writing import write_report

    written = write_report(config)
    return (
        f"report:  {written.page} ({written.megabytes:.1f} MB, opens without a network)",
        f"figures: {written.figures} (.svg, .pdf, scores.tex)",
    )


def softness(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae softness``."""
    from glcm_mae.plain_table import print_rows
    from glcm_mae.softness import compare_softness

    found = compare_softness(config)
    title = f"Soft against hard, {config.levels} levels"
    print_rows(found.headings, found.rows(), title=title, notes=found.notes)
    return (f"folder: {config.out} (softness.png, .svg, .pdf, .csv, .json)",)
