"""Secrets of tokens: how they look, and the only form in which they are kept."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

PREFIX = "dvt_"


def new_secret() -> str:
    """``dvt_`` and 43 characters: 256 random bits."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(secret: str) -> str:
    """What is stored. A fast hash will do: nobody can guess 256 bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def kept_secret(path: Path) -> str:
    """The secret in a file of mode 0600, made when it is not there."""
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    secret = new_secret()
    temporary = path.with_name(f".{path.name}-{os.getpid()}-{secrets.token_hex(4)}")
    handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(secret + "\n")
    try:
        os.link(temporary, path)  # unlike a rename, does not replace another process's token
    except FileExistsError:
        return kept_secret(path)
    finally:
        temporary.unlink()
    return secret
