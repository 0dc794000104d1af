"""The command line: parse, validate, hand over. Heavy imports happen inside the verbs."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from glcm_mae.errors import DivergenceError, InputError
from glcm_mae.version import __version__

BAD_INPUT = 2
"""Exit code for bad input: the message on one line says what to do."""
DIVERGED = 3
"""Exit code for a training that left the finite numbers."""
INTERRUPTED = 130
"""Exit code after Ctrl-C: the run can be continued with --resume."""

RESUMABLE = ("demo", "pretrain", "finetune", "crossval")
"""Commands that take --resume."""

POSITIONAL = {"texture": "table"}
"""The setting that a command takes without a flag."""

Handler = Callable[[Any, argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, or with a code above and one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(words)
    except InputError as error:
        _fail(str(error), BAD_INPUT)
    except DivergenceError as error:
        _fail(str(error), DIVERGED)
    except KeyboardInterrupt:
        resumable = words[0] in RESUMABLE
        remedy = (
            "the same command with --resume continues" if resumable else "nothing was written"
        )
        _fail(f"interrupted; {remedy}", INTERRUPTED)


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"glcm-mae: error: {' '.join(message.split())}\n")
    raise SystemExit(code)


def _run(arguments: list[str]) -> None:
    from glcm_mae.config import CrossValConfig
    from glcm_mae.settings import Parser, add_flags, build

    verb, rest = _split_verb(arguments)
    summary, model, handler = _verbs()[verb]
    parser = Parser(
        prog=f"glcm-mae {verb}", description=summary, allow_abbrev=False, formatter_class=_Help
    )
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.yaml",
        help="Settings or recipe; may be given again, later ones win, and flags win over all.",
    )
    if verb in RESUMABLE:
        parser.add_argument(
            "--resume",
            action="store_true",
            help="Continue the run in --out from its last whole epoch; start it if not there.",
        )
    add_flags(parser, model, positional=POSITIONAL.get(verb, ""))
    options = parser.parse_args(rest)
    flags = {k: v for k, v in vars(options).items() if k not in ("config", "resume")}
    sections = tuple(CrossValConfig.model_fields)
    config = build(
        model,
        files=options.config,
        flags=flags,
        inherit=_settings_of_weights,
        other_sections=sections,
    )
    handler(config, options)


def _settings_of_weights(weights: Path) -> dict[str, Any]:
    from glcm_mae.assembly import settings_of

    return settings_of(weights)


class _Help(argparse.HelpFormatter):
    """Help of a width that a terminal shows without wrapping twice."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)

    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Any = None) -> None:
        """Keep the usage to one line; the flags follow anyway."""
        del usage, groups
        words = [str(action.metavar) for action in actions if not action.option_strings]
        settings = "[--config FILE.yaml] [--SETTING VALUE ...]"
        super().add_usage(" ".join([self._prog, *words, settings]), [], [], prefix)


def _split_verb(arguments: list[str]) -> tuple[str, list[str]]:
    """Return the verb (one or two words) and what follows; help and version exit."""
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.stdout.write(_overview())
        raise SystemExit(0)
    if arguments[0] == "--version":
        sys.stdout.write(f"glcm-mae {__version__}\n")
        raise SystemExit(0)
    for words in (2, 1):
        verb = " ".join(arguments[:words])
        if verb in _verbs():
            return verb, arguments[words:]
    raise InputError(
        f"no such command: {arguments[0]}; there are {', '.join(_verbs())} (glcm-mae --help)"
    )


def _overview() -> str:
    lines = [
        "usage: glcm-mae COMMAND [--config FILE.yaml] [--SETTING VALUE ...]",
        "",
        "Texture-aware masked autoencoder pre-training for medical images.",
        "",
        "commands:",
        *(f"  {verb:<15}{summary}" for verb, (summary, _, _) in _verbs().items()),
        "",
        "glcm-mae COMMAND --help lists the settings of a command with their defaults.",
        "First steps: glcm-mae demo",
    ]
    return "\n".join(lines) + "\n"


def _verbs() -> dict[str, tuple[str, Any, Handler]]:
    from glcm_mae import config

    return {
        "demo": (
            "The whole path on synthetic images, in a few minutes.",
            config.DemoConfig,
            _demo,
        ),
        "pretrain": (
            "Pre-train an encoder on a folder of images without labels.",
            config.PretrainConfig,
            _pretrain,
        ),
        "finetune": (
            "Fine-tune a classifier on one split and test it once.",
            config.FinetuneConfig,
            _finetune,
        ),
        "crossval": (
            "Pre-train, fine-tune and test in every fold; print the table of scores.",
            config.CrossValConfig,
            _crossval,
        ),
        "reconstruct": (
            "Show and measure what a pre-trained autoencoder makes of images.",
            config.ReconstructConfig,
            _reconstruct,
        ),
        "texture": (
            "Measure the texture features of a folder of images, or of regions in them.",
            config.TextureConfig,
            _texture,
        ),
        "data phantoms": (
            "Write synthetic ultrasound images whose classes differ in texture.",
            config.PhantomsConfig,
            _phantoms,
        ),
    }


def _demo(config: Any, options: argparse.Namespace) -> None:
    from glcm_mae.demo import run_demo

    run_demo(config, resume=options.resume)


def _pretrain(config: Any, options: argparse.Namespace) -> None:
    from glcm_mae.pretraining import pretrain

    encoder = pretrain(config, resume=options.resume)
    _tell(
        f"encoder: {encoder}",
        f"picture: {config.out / 'reconstructions.png'}",
        "next:    glcm-mae finetune --weights "
        f"{config.out} --data.table LABELLED_FOLDER --out {config.out}-finetuned",
    )


def _finetune(config: Any, options: argparse.Namespace) -> None:
    from glcm_mae.evaluation import score_folds
    from glcm_mae.finetuning import finetune
    from glcm_mae.scoreboard import print_table

    predictions = finetune(config, resume=options.resume)
    systems = {"fine-tuned": score_folds(predictions, config.data.positive)}
    notes = (f"{len(predictions.paths)} test images, looked at once",)
    print_table(systems, title="Test part", notes=notes, positive=config.data.positive)
    _tell(f"run folder: {config.out}")


def _crossval(config: Any, options: argparse.Namespace) -> None:
    from glcm_mae.crossvalidation import cross_validate
    from glcm_mae.scoreboard import print_table

    result = cross_validate(config, resume=options.resume)
    title = f"{config.folds.count}-fold cross-validation of {config.data.table}"
    print_table(result.systems, title=title, notes=result.notes, positive=result.positive)
    _tell(f"run folder: {config.out} (scores.json, predictions.csv, scores.md)")


def _reconstruct(config: Any, options: argparse.Namespace) -> None:
    from glcm_mae.analysis import reconstruct

    del options
    means = reconstruct(config)
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    _tell(
        f"mean over hidden patches: {numbers}",
        f"picture: {config.out / 'reconstructions.png'}",
        f"table:   {config.out / 'reconstructions.csv'}",
    )


def _texture(config: Any, options: argparse.Namespace) -> None:
    from glcm_mae.extraction import extract

    del options
    found = extract(config)
    skipped = f", {found.skipped} left out" if found.skipped else ""
    _tell(
        f"{found.images} images, {found.features} features each{skipped}",
        f"table: {config.out}",
    )


def _phantoms(config: Any, options: argparse.Namespace) -> None:
    from glcm_mae.data.phantoms import write_phantoms

    del options
    folder = write_phantoms(
        config.out,
        count=config.count,
        size=config.size,
        seed=config.seed,
        labelled=config.labelled,
    )
    _tell(f"{config.count} phantoms: {folder}")


def _tell(*lines: str) -> None:
    sys.stdout.write("\n".join(lines) + "\n")
