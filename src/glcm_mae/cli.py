"""The command line: parse, validate, hand over. Heavy imports happen inside the verbs."""

import argparse
import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from glcm_mae.errors import DivergenceError, InputError, StoppedError
from glcm_mae.launching import find_place, launched, supervise
from glcm_mae.verbs import VERBS
from glcm_mae.version import __version__

BAD_INPUT = 2
"""Exit code for bad input: the message on one line says what to do."""
DIVERGED = 3
"""Exit code for a training that left the finite numbers."""
INTERRUPTED = 130
"""Exit code after Ctrl-C; after other signals that stop a run it is 128 plus their number."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exits with 0, or with a code above and one line on stderr."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        _run(words)
    except InputError as error:
        _fail(str(error), BAD_INPUT)
    except DivergenceError as error:
        _fail(str(error), DIVERGED)
    except StoppedError as error:
        _fail(str(error), 128 + error.signal)
    except KeyboardInterrupt:
        resumable = any(verb.resumable for name, verb in VERBS.items() if words[:1] == [name])
        remedy = (
            "the same command with --resume continues"
            if resumable
            else "nothing whole was written; remove what lies at --out before you start again"
        )
        _fail(f"interrupted; {remedy}", INTERRUPTED)


def _fail(message: str, code: int) -> None:
    sys.stderr.write(f"glcm-mae: error: {' '.join(message.split())}\n")
    raise SystemExit(code)


def _run(arguments: list[str]) -> None:
    from glcm_mae import config
    from glcm_mae.settings import Parser, add_flags, build, with_values

    name, rest = _split_verb(arguments)
    verb = VERBS[name]
    model = getattr(config, verb.settings)
    parser = Parser(
        prog=f"glcm-mae {name}",
        description=verb.summary,
        allow_abbrev=False,
        formatter_class=_Help,
    )
    parser.add_argument(
        "--config",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.yaml",
        help="Settings or recipe; may be given again, later ones win, and flags win over all.",
    )
    if verb.resumable:
        parser.add_argument(
            "--resume",
            action="store_true",
            help="Continue the run in --out from its last checkpoint; start it if not there.",
        )
    if verb.recipes:
        parser.add_argument(
            "recipes",
            nargs="*",
            type=Path,
            metavar="RECIPE.yaml",
            help="Recipes, as with --config.",
        )
    add_flags(parser, model, positional=verb.positional)
    words = with_values([_underscored(word) for word in rest], model)
    options = parser.parse_args(words)
    own = ("config", "recipes", "resume")
    flags = {k: v for k, v in vars(options).items() if k not in own}
    sections = tuple(config.AblateConfig.model_fields)
    settings = build(
        model,
        files=[*getattr(options, "recipes", []), *options.config],
        flags=flags,
        inherit=_settings_of_weights,
        other_sections=sections,
    )
    resume = getattr(options, "resume", False)
    if getattr(settings, "devices", 1) * getattr(settings, "nodes", 1) > 1 and not launched():
        raise SystemExit(_start_processes(settings, arguments, resume))
    lines = verb.run(settings, resume)
    if launched():
        from glcm_mae.distributed import disconnect

        disconnect()
    if os.environ.get("RANK", "0") == "0":  # of several processes the first tells
        for line in lines:
            sys.stdout.write(f"{line}\n")


def _start_processes(settings: Any, arguments: Sequence[str], resume: bool) -> int:
    """Start the processes of one training, and see to them until they are done."""
    from glcm_mae.runs import check_run_folder

    launch = settings.launch
    place = find_place(settings.nodes, launch.node, launch.address, os.environ)
    if place.node == 0:  # the others may find what the first has just begun
        check_run_folder(settings, settings.out, resume=resume)
    again = [] if "--resume" in arguments else ["--resume"]
    return supervise(
        [sys.executable, "-m", "glcm_mae", *arguments, *again],
        devices=settings.devices,
        nodes=settings.nodes,
        node=launch.node,
        address=launch.address,
        restarts=launch.restarts,
        watchdog=60 * launch.watchdog_minutes,
    )


def _underscored(word: str) -> str:
    """Take --leak-check for --leak_check: settings are named as in YAML, flags as is usual."""
    name, equals, value = word.partition("=")
    if not name.startswith("--"):
        return word
    return f"--{name[2:].replace('-', '_')}{equals}{value}"


def _settings_of_weights(weights: Path) -> dict[str, Any]:
    from glcm_mae.assembly import settings_of
    from glcm_mae.planning.shared_encoders import any_encoder, holds_encoders

    return settings_of(any_encoder(weights) if holds_encoders(weights) else weights)


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
        if verb in VERBS:
            return verb, arguments[words:]
    raise InputError(f"no such command: {_advice(arguments)} (glcm-mae --help shows all)")


def _advice(arguments: list[str]) -> str:
    """Say which command was meant, or which there are."""
    first = arguments[0]
    second = [name.partition(" ")[2] for name in VERBS if name.startswith(f"{first} ")]
    if second:
        return f"{' '.join(arguments[:2])}; behind {first} comes one of {', '.join(second)}"
    typed = [" ".join(arguments[:words]) for words in (2, 1)]
    near = [name for word in typed for name in difflib.get_close_matches(word, VERBS, n=1)]
    return f"{first}; " + (
        f"did you mean {near[0]}?" if near else f"there are {', '.join(VERBS)}"
    )


def _overview() -> str:
    lines = [
        "usage: glcm-mae COMMAND [--config FILE.yaml] [--SETTING VALUE ...]",
        "",
        "Texture-aware masked autoencoder pre-training for medical images.",
        "",
        "commands:",
        *(f"  {name:<15}{verb.summary}" for name, verb in VERBS.items()),
        "",
        "glcm-mae COMMAND --help lists the settings of a command with their defaults.",
        "First steps: glcm-mae demo",
    ]
    return "\n".join(lines) + "\n"
