"""Datasets: uploaded files, kept results, and tables of sources by reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import Dataset, DatasetSchema, Page, Rows, TableProfile


class Upload:
    """A file on its way in. Use it in a ``with`` block: without ``finish`` nothing is left."""

    @property
    def dataset_id(self) -> str:
        """The id the dataset will have."""
        raise NotImplementedError

    def write(self, chunk: bytes) -> None:
        """Append; raises ``too-large`` or ``store-full`` as soon as it is too much."""
        raise NotImplementedError

    def finish(
        self,
        *,
        name: str | None = None,
        description: str | None = None,
        options: Mapping[str, Any] | None = None,
        wait: float = 10.0,
    ) -> Dataset:
        """Read, check and convert; the dataset is READY, or PROCESSING after ``wait`` seconds.

        Raises:
            WorkspaceError: ``unsupported-media-type`` (``valid``), ``file-empty``,
                ``file-unreadable`` (``lines``), ``validation`` for ``options``.
        """
        raise NotImplementedError

    def abort(self) -> None:
        """Drop what was written. Idempotent, and nothing after ``finish``."""
        raise NotImplementedError

    def __enter__(self) -> Upload:
        return self

    def __exit__(self, *exc: object) -> None:
        self.abort()


class Datasets:
    """The datasets of the workspace."""

    def begin_upload(self, actor: Actor, filename: str, *, replaces: str | None = None) -> Upload:
        """Begin an upload; ``replaces`` is a dataset id that gets a new version (``manage``).

        ``filename`` is data: it names the dataset and hints at the format, never a path.
        """
        raise NotImplementedError

    def register(
        self,
        actor: Actor,
        connection: str,
        table: str,
        *,
        schema: str | None = None,
        name: str | None = None,
        description: str | None = None,
    ) -> Dataset:
        """A source's table by reference (id or name of the connection); needs ``query`` there."""
        raise NotImplementedError

    def list(
        self,
        actor: Actor,
        *,
        limit: int = 50,
        cursor: str | None = None,
        q: str | None = None,
        deleted: bool = False,
    ) -> Page[Dataset]:
        """The datasets the actor may view, newest first; ``deleted`` lists his deleted ones."""
        raise NotImplementedError

    def get(self, actor: Actor, dataset_id: str, *, wait: float = 0.0) -> Dataset:
        """One dataset; ``wait`` seconds at most while it is PROCESSING."""
        raise NotImplementedError

    def update(
        self,
        actor: Actor,
        dataset_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        columns: Mapping[str, str | None] | None = None,
        if_match: str | None = None,
    ) -> Dataset:
        """``columns`` maps column → description; an empty ``description`` removes it."""
        raise NotImplementedError

    def delete(self, actor: Actor, dataset_id: str) -> None:
        """Soft: :meth:`restore` brings it back for 30 days."""
        raise NotImplementedError

    def restore(self, actor: Actor, dataset_id: str) -> Dataset:
        """Undo :meth:`delete`."""
        raise NotImplementedError

    def purge(self, actor: Actor, dataset_id: str) -> None:
        """Remove a deleted dataset with its files for good; admins only."""
        raise NotImplementedError

    def schema(self, actor: Actor, dataset_id: str) -> DatasetSchema:
        """Columns with types, keys and descriptions."""
        raise NotImplementedError

    def profile(self, actor: Actor, dataset_id: str) -> TableProfile:
        """Figures per column; kept until the content changes. Needs ``query``."""
        raise NotImplementedError

    def preview(self, actor: Actor, dataset_id: str, *, limit: int = 100, offset: int = 0) -> Rows:
        """Rows as they lie in the file; ``limit`` 1–1,000."""
        raise NotImplementedError
