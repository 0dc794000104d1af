"""What a run's files tell, with the place of every value that an answer took from them."""

from collections.abc import Mapping
from typing import Any

from glcm_mae.evaluation import Predictions
from glcm_mae.report.facts import ATTACHMENTS, Facts, RunFacts


class UntoldError(LookupError):
    """A value that no file of the run holds; the message says which."""


class Evidence:
    """Values of one run, looked up by file and dotted key; every look-up is remembered.

    So the source that stands beside an answer is what the answer was made of, by
    construction.

    Args:
        facts: All that is known.
        run: The run that is asked.
    """

    def __init__(self, facts: Facts, run: RunFacts) -> None:
        self._facts, self._run = facts, run
        self._places: dict[str, list[str]] = {}

    @property
    def source(self) -> str:
        """Files and keys that were looked up since the last :meth:`begin`."""
        return "; ".join(
            f"{file} ({', '.join(keys)})" if keys else file
            for file, keys in self._places.items()
        )

    def begin(self) -> None:
        """Forget what was looked up: another answer begins."""
        self._places = {}

    def setting(self, key: str) -> Any:
        """Return a setting of the run by its dotted name."""
        return self._look(self._run.settings, "config.yaml", key)

    def score(self, key: str) -> Any:
        """Return a value of ``scores.json`` by its dotted name."""
        return self._look(self._run.scores, "scores.json", key)

    def judged(self, key: str) -> Any:
        """Return what was said of the run's system, by its dotted name."""
        self._remember("scores.json", f"systems → {key}")
        return _get(self._run.judged, "scores.json", key)

    def environment(self, key: str) -> Any:
        """Return a value of ``environment.json``."""
        return self._look(self._run.environment, "environment.json", key)

    def hash(self, file: str) -> str:
        """Return the SHA-256 of a file of the run.

        Raises:
            UntoldError: If the run has no such file.
        """
        if file not in self._run.hashes:
            raise UntoldError(file)
        self._remember(file, "")
        return self._run.hashes[file]

    def attached(self, kind: str) -> Mapping[str, Any]:
        """Return a study of the run.

        Raises:
            UntoldError: If it was not made, or not named.
        """
        of_run = [
            one.content for one in self._facts.attached.get(kind, ()) if one.is_of(self._run)
        ]
        if not of_run:
            raise UntoldError(f"{kind}.json, which glcm-mae {ATTACHMENTS[kind]} makes")
        self._remember(f"{kind}.json", "")
        return of_run[0]

    @property
    def predictions(self) -> Predictions:
        """Predictions on all test images."""
        self._remember("predictions.csv", "")
        return self._run.predictions

    @property
    def parts(self) -> list[Mapping[str, str]]:
        """Part of each image by its name, one entry a fold."""
        self._remember("folds.csv", "")
        return list(self._run.parts)

    @property
    def classes(self) -> list[str]:
        """Names of the classes."""
        self._remember("scores.json", "classes")
        return self._run.classes

    @property
    def positive(self) -> str:
        """The positive class, or empty."""
        self._remember("scores.json", "positive")
        return self._run.positive

    def note(self, *words: str) -> str:
        """Return the first note of ``scores.json`` that holds one of some words, or nothing."""
        for text in (str(note) for note in self.score("notes")):
            if any(word in text for word in words):
                return text
        return ""

    def _look(self, content: Mapping[str, Any], file: str, key: str) -> Any:
        self._remember(file, key)
        return _get(content, file, key)

    def _remember(self, file: str, key: str) -> None:
        keys = self._places.setdefault(file, [])
        if key and key not in keys:
            keys.append(key)


def _get(content: Mapping[str, Any], file: str, key: str) -> Any:
    value: Any = content
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            raise UntoldError(f"{key} in {file}")
        value = value[name]
    return value
