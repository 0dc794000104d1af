"""Nothing that is read may run code."""

import re
from pathlib import Path

import pytest

SOURCES = Path(__file__).resolve().parents[2] / "src" / "glcm_mae"
FORBIDDEN = {
    "pickle": r"^\s*(import|from)\s+(pickle|cPickle|dill|cloudpickle|joblib|shelve|marshal)\b",
    "torch.load": r"\btorch\.load\(",
    "unsafe yaml": r"\byaml\.(load|load_all|unsafe_load|full_load|unsafe_load_all)\(",
    "allow_pickle": r"allow_pickle\s*=\s*True",
    "eval or exec": r"(?<![\w.])(eval|exec)\(",
}


def offences(text: str) -> list[str]:
    return [name for name, rule in FORBIDDEN.items() if re.search(rule, text, re.MULTILINE)]


def test_no_source_can_run_what_it_reads() -> None:
    files = sorted(SOURCES.rglob("*.py"))
    assert len(files) > 20
    found = {file.name: offences(file.read_text("utf-8")) for file in files}
    assert {name: what for name, what in found.items() if what} == {}


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("import pickle", "pickle"),
        ("    from pickle import loads", "pickle"),
        ("state = torch.load(path)", "torch.load"),
        ("yaml.load(text)", "unsafe yaml"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("value = eval(text)", "eval or exec"),
    ],
)
def test_the_rules_find_what_they_are_for(line: str, name: str) -> None:
    assert offences(f"x = 1\n{line}\n") == [name]


def test_the_rules_leave_a_model_in_evaluation_mode_alone() -> None:
    assert offences("model.eval()\nyaml.safe_load(text)\n") == []
