"""The workspace's store, for commands that look into it or keep it; no server is needed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Option

if TYPE_CHECKING:
    from dovetail.workspace import Actor, Workspace, WorkspaceSettings

_NEEDED = ("sqlalchemy", "alembic")


@dataclass(frozen=True)
class StoreFlags:
    """Which workspace."""

    TITLE: ClassVar = "Workspace"

    store: Annotated[
        str | None,
        Option(
            "--store",
            metavar="URL",
            envvar="DOVETAIL_STORE",
            help="Database of the workspace: postgresql://…; unset: a SQLite file.",
        ),
    ] = None
    workspace: Annotated[
        str | None,
        Option(
            "--workspace",
            metavar="FOLDER",
            envvar="DOVETAIL_WORKSPACE",
            help="Folder of the workspace's files; unset: in your data folder.",
        ),
    ] = None


def store_settings(where: StoreFlags) -> WorkspaceSettings:
    """Settings for a look into the store: nothing is recovered, nothing runs."""
    missing = _missing()
    if missing:
        raise UsageError(f"the workspace needs {', '.join(missing)}; install dovetail[service]")
    from dovetail.workspace import WorkspaceSettings

    folder = Path(where.workspace) if where.workspace else WorkspaceSettings.default_folder()
    return WorkspaceSettings(folder, url=where.store, migrate=False, serving=False)


def _missing() -> list[str]:
    return [name for name in _NEEDED if importlib.util.find_spec(name) is None]


@contextmanager
def opened(where: StoreFlags, *, needed: bool = True) -> Iterator[tuple[Workspace, Actor] | None]:
    """The workspace and its local user, who may see everything; None when there is none yet.

    Not ``needed``: None too when the libraries of the workspace are not installed.
    """
    if not needed and where.store is None and _missing():
        yield None
        return
    settings = store_settings(where)
    if where.store is None and not (settings.folder / "workspace.db").exists():
        yield None
        return
    from dovetail.workspace import Workspace

    with Workspace.open(settings) as workspace:
        yield workspace, workspace.users.local_actor()
