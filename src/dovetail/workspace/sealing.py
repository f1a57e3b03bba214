"""Passwords at rest: AES-256-GCM under a key that is not in the database.

The key comes from ``DOVETAIL_SECRET_KEY`` (or the settings) through scrypt. What is sealed is tied
to the id of its connection: moved to another row, it does not open.
"""

from __future__ import annotations

import base64
import os
from functools import cache

from dovetail.workspace.problems import WorkspaceError, invalid

VARIABLE = "DOVETAIL_SECRET_KEY"
_FORMAT = "v1."
_SHORTEST = 16
# A salt keeps two keys apart; there is one key per store, and it must give the same result always.
_SALT = b"dovetail workspace passwords v1"


class Sealer:
    """Seals and opens texts with one key; without a key it can do neither."""

    def __init__(self, key: str | None) -> None:
        self._key = key or os.environ.get(VARIABLE) or None

    @property
    def has_key(self) -> bool:
        """Whether there is a key."""
        return self._key is not None

    def seal(self, text: str, owner: str) -> str:
        """``text``, encrypted for the object with the id ``owner``.

        Raises:
            WorkspaceError: ``validation``: there is no key, or it is too short.
        """
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self._key is None:
            raise invalid(
                "password",
                f"a password is stored only encrypted, and {VARIABLE} is not set; set it to a long "
                "random text, or (as an admin) write a reference such as ${env:NAME}",
            )
        if len(self._key) < _SHORTEST:
            raise invalid("password", f"{VARIABLE} is shorter than {_SHORTEST} characters")
        nonce = os.urandom(12)
        sealed = AESGCM(_derived(self._key)).encrypt(nonce, text.encode(), owner.encode())
        return _FORMAT + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, owner: str) -> str:
        """The text.

        Raises:
            WorkspaceError: ``configuration``: there is no key, or another one.
        """
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        if self._key is None:
            raise WorkspaceError(
                "configuration",
                f"the stored password needs the key it was encrypted with: set {VARIABLE}",
            )
        data = base64.b64decode(sealed.removeprefix(_FORMAT))
        try:
            opened = AESGCM(_derived(self._key)).decrypt(data[:12], data[12:], owner.encode())
        except InvalidTag:
            raise WorkspaceError(
                "configuration",
                f"the stored password was encrypted with another key than {VARIABLE} is now; "
                "enter the password again, or set the former key",
            ) from None
        return opened.decode()


@cache
def _derived(key: str) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    return Scrypt(salt=_SALT, length=32, n=2**14, r=8, p=1).derive(key.encode())
