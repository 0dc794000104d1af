"""Pseudonyms: keyed hashes in place of what must not be read in an output."""

import hashlib
import hmac
import os
import re
import secrets
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from glcm_mae.errors import InputError

KEY_VARIABLE = "GLCM_MAE_KEY"
"""Environment variable that names the key file."""

_KEY_BYTES = 32
_DIGITS = 16
_RUN_FILES = ("config.yaml", "environment.json")


@dataclass(frozen=True)
class Pseudonyms:
    """Keyed hashes: the same text gives the same pseudonym, and only the key links them.

    Without the key nobody can try out patient numbers until one fits. Losing it loses
    the link, and nothing else.

    Attributes:
        key: The secret.

    Example:
        >>> hidden = Pseudonyms(bytes(32))
        >>> hidden.of("patient", "0815"), hidden.of("study", "0815")
        ('5ee88ead1089ecc4', '74ed885630a05684')
    """

    key: bytes = field(repr=False)

    @classmethod
    def load(cls, key: Path | None = None) -> "Pseudonyms":
        """Read the key, or make one on first need.

        Args:
            key: Its file; without one, that of the environment variable
                ``GLCM_MAE_KEY``, else ``glcm-mae/key`` in ``XDG_CONFIG_HOME`` or
                ``~/.config``.

        Raises:
            InputError: If the file cannot be read or made, holds no key, or lies in a run
                folder, which is made to be passed on.
        """
        path = _key_file(key)
        for folder in path.absolute().parents:
            if all((folder / name).is_file() for name in _RUN_FILES):
                raise InputError(
                    f"{path}: the key must not lie in the run folder {folder}, which others "
                    "may get to see; keep it elsewhere"
                )
        try:
            if not path.exists():
                _make(path)
            text = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise InputError(
                f"{path}: the key cannot be read or made ({reason}); name another file by "
                f"the setting key or by {KEY_VARIABLE}"
            ) from error
        if not re.fullmatch(f"(?:[0-9a-fA-F]{{2}}){{{_KEY_BYTES},}}", text):
            raise InputError(
                f"{path}: a key is {2 * _KEY_BYTES} hexadecimal digits or more, this is not; "
                "name the right file, or remove it to have a new key made"
            )
        return cls(bytes.fromhex(text))

    def of(self, kind: str, text: str) -> str:
        """Return the pseudonym of a text: 16 hexadecimal digits.

        Args:
            kind: What the text is, such as ``patient``; equal texts of different kinds
                have different pseudonyms.
            text: What must not be read.

        Returns:
            The first 64 bits of HMAC-SHA-256 [1]_.

        References:
            .. [1] RFC 2104, doi:10.17487/RFC2104
        """
        message = f"{kind}\0{text}".encode(errors="surrogateescape")
        return hmac.new(self.key, message, hashlib.sha256).hexdigest()[:_DIGITS]


def _key_file(given: Path | None) -> Path:
    try:
        if given is not None:
            return given.expanduser()
        if told := os.environ.get(KEY_VARIABLE):
            return Path(told).expanduser()
        home = os.environ.get("XDG_CONFIG_HOME")
        return (Path(home) if home else Path.home() / ".config") / "glcm-mae" / "key"
    except RuntimeError as error:
        raise InputError(
            f"key: there is no home folder to keep it in ({error}); name a file by the "
            f"setting key or by {KEY_VARIABLE}"
        ) from error


def _make(path: Path) -> None:
    """Write a new key for its owner alone; where another process was faster, keep its key."""
    for folder in reversed(path.absolute().parents):
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".key-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            os.link(temporary, path)  # unlike a rename, never replaces a key
    finally:
        Path(temporary).unlink()
