"""Settings of a stored connection: checked as ``dovetail.yaml`` checks them, without the password.

A password is kept apart from the rest: as a reference, or sealed. Everything else is stored as the
models of :mod:`dovetail.config` dump it, so reading it back needs no further checking.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dovetail.config import KINDS, SourceSettings
from dovetail.config_load import load
from dovetail.errors import ConfigError
from dovetail.secrets import Resolver, Secret
from dovetail.workspace.access import Actor
from dovetail.workspace.problems import WorkspaceError, invalid

FILE_KINDS = ("sqlite", "duckdb", "files")


@dataclass(frozen=True)
class CheckedSettings:
    """``plain`` is what may be shown; of ``reference`` and ``text`` at most one is set."""

    kind: str
    plain: Mapping[str, Any]
    reference: str | None
    text: str | None

    @property
    def model(self) -> SourceSettings:
        """The settings as a session takes them."""
        if self.reference is not None:
            return settings_model(self.kind, self.plain, Resolver().secret(self.reference))
        return settings_model(
            self.kind, self.plain, None if self.text is None else Secret(self.text)
        )


def settings_model(kind: str, plain: Mapping[str, Any], password: Secret | None) -> SourceSettings:
    """The settings as a session takes them."""
    values = dict(plain)
    if password is not None:
        values["password"] = password
    model: Any = KINDS[kind].model_validate({"kind": kind, **values})
    return model  # type: ignore[no-any-return]


def checked_settings(
    actor: Actor, kind: str, given: Mapping[str, Any], *, roots: tuple[Path, ...], store: Path
) -> CheckedSettings:
    """Check settings that came from outside.

    Raises:
        WorkspaceError: ``validation``, with one entry of ``errors`` per mistake; ``forbidden`` for
            references, and for files outside ``roots``, unless an admin asks.
    """
    if kind not in KINDS:
        raise invalid("kind", f'there is no kind "{kind}"', valid=list(KINDS))
    entry = {key: value for key, value in given.items() if value is not None}
    _require_references_allowed(actor, entry)
    if kind in FILE_KINDS and isinstance(entry.get("path"), str):
        path = Path(entry["path"]).expanduser()
        if not path.is_absolute():
            raise invalid("settings.path", "must be an absolute path on the server")
    try:
        config = load({"sources": {"connection": {"kind": kind, **entry}}}, environment={})
    except ConfigError as error:
        raise _as_validation(error) from None
    model = config.sources["connection"]
    if kind in FILE_KINDS:
        _require_path_allowed(actor, Path(getattr(model, "path")).resolve(), roots, store)  # noqa: B009
    secret: Secret | None = getattr(model, "password", None)
    plain = model.model_dump(mode="json", exclude={"kind", "password"}, exclude_defaults=True)
    if secret is None:
        return CheckedSettings(kind, plain, None, None)
    if secret.reference:
        return CheckedSettings(kind, plain, secret.reference, None)
    raw = entry.get("password")
    if isinstance(raw, str) and Resolver().has_reference(raw):
        return CheckedSettings(kind, plain, raw, None)
    return CheckedSettings(kind, plain, None, secret.reveal())


def _require_references_allowed(actor: Actor, entry: Mapping[str, Any]) -> None:
    resolver = Resolver()
    for key, value in entry.items():
        texts = value if isinstance(value, (list, tuple)) else [value]
        if not any(isinstance(text, str) and resolver.has_reference(text) for text in texts):
            continue
        if key != "password":
            raise invalid(f"settings.{key}", "references are allowed in the password only")
        if not actor.is_admin:
            # A reference reads the server's environment and files.
            raise WorkspaceError(
                "forbidden",
                "only an admin may use references to the server's secrets; give the password "
                "itself, it is stored encrypted",
                missing="role admin",
            )


def _require_path_allowed(actor: Actor, path: Path, roots: tuple[Path, ...], store: Path) -> None:
    if path.is_relative_to(store.resolve()) or store.resolve().is_relative_to(path):
        raise invalid("settings.path", "lies in the workspace's own folder")
    if actor.is_admin or any(path.is_relative_to(root.resolve()) for root in roots):
        return
    raise WorkspaceError(
        "forbidden",
        "only an admin may connect to this file on the server",
        missing="role admin",
    )


def _as_validation(error: ConfigError) -> WorkspaceError:
    errors = []
    for problem in error.problems:
        loc = problem.path.replace("sources.connection", "settings", 1)
        tail = f"; {problem.valid}" if problem.valid else ""
        errors.append({"loc": loc, "msg": f"{problem.message}{tail}", "type": "value_error"})
    detail = "; ".join(f"{entry['loc']}: {entry['msg']}" for entry in errors)
    return WorkspaceError("validation", detail or error.message, errors=errors)
