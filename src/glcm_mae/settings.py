"""YAML files and flags to validated settings, and errors that people can read."""

import argparse
import copy
import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeVar, get_args, get_origin

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo

from glcm_mae.config import Settings
from glcm_mae.errors import InputError

Stage = TypeVar("Stage", bound=Settings)


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are InputErrors, with a guess at what was meant."""

    def error(self, message: str) -> NoReturn:
        """Refuse bad arguments on one line."""
        known = [name for name in self._option_string_actions if name.startswith("--")]
        wrong = [word.rstrip(":") for word in message.split() if word.startswith("--")]
        near = difflib.get_close_matches(wrong[0], known, n=1, cutoff=0.5) if wrong else []
        guess = f"; did you mean {near[0]}?" if near and near[0] != wrong[0] else ""
        raise InputError(f"{message}{guess} (see {self.prog} --help)")


def fields(model: type[Settings], prefix: str = "") -> Iterator[tuple[str, FieldInfo, str]]:
    """Yield the dotted name, the field and the description of every single setting.

    Example:
        >>> from glcm_mae.config import PhantomsConfig
        >>> [name for name, _, _ in fields(PhantomsConfig)][:2]
        ['out', 'count']
    """
    for name, field in model.model_fields.items():
        if _is_section(field):
            yield from fields(field.annotation, f"{prefix}{name}.")  # type: ignore[arg-type]
        else:
            yield f"{prefix}{name}", field, _description(model, name)


def _is_section(field: FieldInfo) -> bool:
    return isinstance(field.annotation, type) and issubclass(field.annotation, Settings)


def _description(model: type[Settings], name: str) -> str:
    for base in model.__mro__:
        field = getattr(base, "model_fields", {}).get(name)
        if field is not None and field.description:
            return str(field.description)
    return ""


def add_flags(
    parser: argparse.ArgumentParser,
    model: type[Settings],
    *,
    positional: Sequence[str] = (),
) -> None:
    """Give a parser one flag a setting, grouped by section, with defaults in the help.

    Args:
        parser: Gets the flags.
        model: Settings of the stage.
        positional: Settings that may also be given without their flags, in their order.
    """
    known = {name: (field, description) for name, field, description in fields(model)}
    for name in positional:
        field, description = known[name]
        several = get_origin(field.annotation) is tuple
        parser.add_argument(
            name,
            nargs="*" if several else "?",
            default=argparse.SUPPRESS,
            metavar=name.rpartition(".")[2].upper(),
            help=description,
        )
    groups: dict[str, Any] = {}
    for name, (field, description) in known.items():
        section = name.rpartition(".")[0]
        group = groups.get(section)
        if group is None:
            group = parser.add_argument_group(section or "the run")
            groups[section] = group
        group.add_argument(
            f"--{name}",
            dest=name,
            default=argparse.SUPPRESS,
            action="append" if get_origin(field.annotation) is dict else "store",
            metavar=_metavar(field),
            help=f"{description} {_default(model, name)}".replace("%", "%%"),
        )


def with_values(words: Sequence[str], model: type[Settings]) -> list[str]:
    """Return words as typed, with ``true`` after every switch that has no value.

    Args:
        words: What stands behind the verb.
        model: Settings of the stage.

    Example:
        >>> from glcm_mae.config import ReportConfig
        >>> with_values(["--with_images", "runs/busi"], ReportConfig)
        ['--with_images', 'true', 'runs/busi']
        >>> with_values([], ReportConfig)
        []
    """
    switches = {f"--{name}" for name, field, _ in fields(model) if field.annotation is bool}
    found: list[str] = []
    for word, following in zip(words, [*words, ""][1:], strict=True):
        found.append(word)
        if word in switches and following.lower() not in _TRUTHS:
            found.append("true")
    return found


_TRUTHS = ("true", "false", "yes", "no", "on", "off", "1", "0")
"""What may stand behind a switch as its value."""


def _metavar(field: FieldInfo) -> str:
    if get_origin(field.annotation) is Literal:
        return "|".join(str(choice) for choice in get_args(field.annotation))
    names = {int: "N", float: "X", bool: "[true|false]", str: "NAME", Path: "PATH"}
    if field.annotation in names:
        return names[field.annotation]
    if get_origin(field.annotation) is dict:
        return "NAME=VALUE"
    if get_origin(field.annotation) is tuple:
        return "YAML"
    # Such as Path | None, and numbers with limits | None.
    parts = [getattr(part, "__origin__", part) for part in get_args(field.annotation)]
    return next((name for kind, name in names.items() if kind in parts), "YAML")


def _default(model: type[Settings], dotted: str) -> str:
    *sections, name = dotted.split(".")
    place: Any = model
    for section in sections:
        if isinstance(place, Settings):
            place = getattr(place, section)
            continue
        field = place.model_fields[section]
        place = field.default if isinstance(field.default, Settings) else field.annotation
    if isinstance(place, Settings):
        return f"(default {_plain(getattr(place, name))})"
    field = place.model_fields[name]
    return "(required)" if field.is_required() else f"(default {_plain(field.default)})"


def _plain(value: Any) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(_plain(part) for part in value) + "]"
    if isinstance(value, Settings):
        changed = {k: v for k, v in value.model_dump().items() if v}
        return "{" + ", ".join(f"{k}: {v:g}" for k, v in changed.items()) + "}"
    if isinstance(value, bool):
        return str(value).lower()
    return "none" if value in (None, "", {}) else str(value)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file of settings.

    Raises:
        InputError: If it is missing, no YAML, or no mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror}); check --config"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path}: is not YAML ({reason}); correct that line") from error
    if not isinstance(content, dict):
        raise InputError(
            f"{path}: must hold settings as 'key: value', got {type(content).__name__}"
        )
    return content


def build(
    model: type[Stage],
    *,
    files: Sequence[Path] = (),
    flags: Mapping[str, Any] | None = None,
    inherit: Callable[[Path], Mapping[str, Any]] | None = None,
    other_sections: Sequence[str] = (),
) -> Stage:
    """Return validated settings: files in order, then flags on top.

    Args:
        model: Settings of the stage.
        files: YAML files; later ones win, key by key.
        flags: Dotted name to text, as typed.
        inherit: Returns the settings that go with ``weights``; what files and flags
            say wins over them.
        other_sections: Top-level keys that belong to other stages; passed over in files,
            so that one recipe serves several stages.

    Raises:
        InputError: If a key is unknown or a value bad; the message names key, rule and value.
    """
    settings: dict[str, Any] = {}
    for file in files:
        content = read_yaml(file)
        foreign = set(other_sections) - set(model.model_fields)
        merge(settings, {k: v for k, v in content.items() if k not in foreign})
    known = {name: field for name, field, _ in fields(model)}
    for dotted, text in (flags or {}).items():
        merge(settings, nest(dotted, _value(text, known.get(dotted))))
    if inherit and settings.get("weights"):
        inherited = copy.deepcopy(dict(inherit(Path(str(settings["weights"])))))
        merge(inherited, settings)
        settings = inherited
    try:
        return model(**settings)
    except ValidationError as error:
        raise InputError(explain(error, model)) from error


def merge(into: dict[str, Any], other: Mapping[str, Any]) -> None:
    """Put settings on top of others, key by key; lists are replaced as a whole.

    Example:
        >>> settings = {"model": {"mask_ratio": 0.75, "channels": 1}}
        >>> merge(settings, {"model": {"mask_ratio": 0.5}})
        >>> settings
        {'model': {'mask_ratio': 0.5, 'channels': 1}}
    """
    for key, value in other.items():
        if isinstance(value, dict) and isinstance(into.get(key), dict):
            merge(into[key], value)
        else:
            into[key] = value


def nest(dotted: str, value: Any) -> dict[str, Any]:
    """Return a value at its place in the sections.

    Example:
        >>> nest("losses.glcm.levels", 16)
        {'losses': {'glcm': {'levels': 16}}}
    """
    for part in reversed(dotted.split(".")):
        value = {part: value}
    return dict(value)


def _value(text: str | list[str], field: FieldInfo | None) -> Any:
    """Read lists and mappings as YAML; leave single values to pydantic, it knows the type."""
    if field is not None and get_origin(field.annotation) is dict:
        return _mapping([text] if isinstance(text, str) else text)
    if isinstance(text, list):  # several words without a flag
        return text
    if text.lstrip()[:1] not in ("[", "{"):
        choices = get_args(field.annotation) if field else ()
        if text == "none" and type(None) in choices:
            return None
        # Pydantic does not turn text into a choice such as the number 3.
        return next((choice for choice in choices if str(choice) == text), text)
    return _yaml(text)


def _mapping(words: Sequence[str]) -> Any:
    """Read a flag that may be given several times: as NAME=VALUE, or as a mapping."""
    found: dict[str, Any] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if word.lstrip().startswith("{") or not equals:
            content = _yaml(word)
            if not isinstance(content, dict):
                return content  # pydantic tells what a mapping is
            merge(found, content)
        else:
            found[name.strip()] = _yaml(value)
    return found


def _yaml(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise InputError(f"{text!r} is not YAML: {' '.join(str(error).split())}") from error


def explain(error: ValidationError, model: type[Settings]) -> str:
    """Return all faults of some settings on one line: the key, the rule, the value.

    Example:
        >>> from glcm_mae.config import PhantomsConfig
        >>> try:
        ...     PhantomsConfig(out="x", count=0)
        ... except ValidationError as error:
        ...     print(explain(error, PhantomsConfig))
        count: input should be greater than or equal to 1, got 0
    """
    faults = error.errors()
    below = {fault["loc"][:end] for fault in faults for end in range(len(fault["loc"]))}
    told = [
        # A list is also called too short when its items are the fault.
        _explain_one(dict(fault), model)
        for fault in faults
        if fault["type"] != "too_short" or fault["loc"] not in below
    ]
    return "; ".join(told)


def _explain_one(fault: dict[str, Any], model: type[Settings]) -> str:
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        known = [name for name, _, _ in fields(model)]
        known += sorted({name.rpartition(".")[0] for name in known if "." in name})
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        return f"{key}: no such setting" + (f"; did you mean {near[0]}?" if near else "")
    if fault["type"] == "missing":
        needed = [name for name, field, _ in fields(model) if field.is_required()]
        flag = next((name for name in needed if name.startswith(f"{key}.")), key)
        return f"{flag}: is required; pass --{flag}"
    if fault["type"] == "value_error":
        text = str(fault["ctx"]["error"])
        return text if not key or text.startswith(key) else f"{key}: {text}"
    text = fault["msg"][0].lower() + fault["msg"][1:]
    return f"{key}: {text}, got {fault['input']!r}"
