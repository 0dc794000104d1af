"""Nothing that is read may run code."""

import ast
import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src" / "glcm_mae"
# The one place that opens checkpoints of others, by torch's reader of tensors alone.
READER = SOURCES / "model" / "weights" / "sources.py"
FORBIDDEN = {
    "pickle": r"^\s*(import|from)\s+(pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b",
    "torch.load": (
        r"\b(torch|serialization)\.load\(|from torch(\.serialization)? import .*\bload\b"
    ),
    "torch.hub": r"\btorch\.hub\.(load|load_state_dict_from_url)\(|\btorch\.jit\.load\(",
    "weights_only": r"weights_only\s*=\s*(?!True\b)",
    "safe globals": r"\b(add_safe_globals|safe_globals)\(",
    "unsafe yaml": r"\byaml\.(load|load_all|unsafe_load|full_load|unsafe_load_all)\(",
    "allow_pickle": r"allow_pickle\s*=\s*True",
    "eval or exec": r"(?<![\w.])(eval|exec)\(",
}


def offences(text: str) -> list[str]:
    return [name for name, rule in FORBIDDEN.items() if re.search(rule, text, re.MULTILINE)]


def guarded(text: str) -> bool:
    """Say whether torch.load is called once, for weights alone, and one class is allowed."""
    loads, allowed = [], []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name == "torch.load":
                loads.append({k.arg: ast.unparse(k.value) for k in node.keywords})
            elif name.endswith("safe_globals"):
                allowed.append((name, [ast.unparse(value) for value in node.args]))
    return (
        len(loads) == 1
        and loads[0].get("weights_only") == "True"
        and None not in loads[0]
        and "pickle_module" not in loads[0]
        and allowed == [("torch.serialization.safe_globals", ["[argparse.Namespace]"])]
    )


def test_no_source_can_run_what_it_reads() -> None:
    files = sorted(SOURCES.rglob("*.py"))
    assert len(files) > 20
    found = {file: offences(file.read_text("utf-8")) for file in files}
    assert found.pop(READER) == ["torch.load", "safe globals"]
    assert {file.name: what for file, what in found.items() if what} == {}


def test_the_one_reader_of_checkpoints_is_guarded() -> None:
    assert guarded(READER.read_text("utf-8"))


GUARD = (
    "with torch.serialization.safe_globals([argparse.Namespace]):\n"
    "    x = torch.load(path, weights_only=True)\n"
)


def test_the_guard_is_known() -> None:
    assert guarded(GUARD)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("weights_only=True", "weights_only=False"),
        (", weights_only=True", ""),
        ("weights_only=True", "weights_only=safe"),
        ("weights_only=True", "weights_only=True, pickle_module=other"),
        ("weights_only=True", "weights_only=True, **more"),
        ("Namespace]", "Namespace, os.system]"),
        ("[argparse.Namespace]", "classes"),
        ("safe_globals", "add_safe_globals"),
        ("x = ", "x = torch.load(path) or "),
    ],
)
def test_every_way_around_the_guard_is_seen(old: str, new: str) -> None:
    assert not guarded(GUARD.replace(old, new))


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import pickle", "pickle"),
        ("    from pickle import loads", "pickle"),
        ("state = torch.load(path)", "torch.load"),
        ("state = torch.load(path, weights_only=True)", "torch.load"),
        ("from torch import Tensor, load", "torch.load"),
        ("from torch.serialization import load", "torch.load"),
        ("state = torch.serialization.load(path)", "torch.load"),
        ("state = torch.hub.load_state_dict_from_url(url)", "torch.hub"),
        ("model = torch.jit.load(path)", "torch.hub"),
        ("read(path, weights_only=False)", "weights_only"),
        ("torch.serialization.add_safe_globals([Anything])", "safe globals"),
        ("yaml.load(text)", "unsafe yaml"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("value = eval(text)", "eval or exec"),
    ],
)
def test_the_rules_find_what_they_are_for(line: str, name: str) -> None:
    assert offences(f"x = 1\n{line}\n") == [name]


def test_the_rules_leave_a_model_in_evaluation_mode_alone() -> None:
    assert offences("model.eval()\nyaml.safe_load(text)\n") == []
