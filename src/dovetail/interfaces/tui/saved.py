"""Saved queries: the ``.sql`` files of one folder, which can be kept with the configuration."""

from __future__ import annotations

from pathlib import Path

from dovetail.errors import UsageError

_LISTED = 1_000


class SavedQueries:
    """A query is called as its file, without ``.sql``."""

    def __init__(self, folder: Path) -> None:
        """``folder`` is made when the first query is saved."""
        self.folder = folder

    def names(self) -> list[str]:
        """All names in their order; none without the folder."""
        try:
            found = [path.stem for path in self.folder.glob("*.sql") if path.is_file()]
        except OSError:
            return []
        return sorted(found, key=lambda name: (name.lower(), name))[:_LISTED]

    def path(self, name: str) -> Path:
        """The file of a query, whether it is there or not.

        Raises:
            UsageError: it cannot be the name of a file in the folder.
        """
        name = name.strip().removesuffix(".sql")
        if not name or name.startswith(".") or any(c in name for c in "/\\\0\n"):
            raise UsageError(
                f'"{name}" cannot be the name of a query: it becomes a file of '
                f"{self.folder}, so it has no / and does not begin with a dot"
            )
        return self.folder / f"{name}.sql"
