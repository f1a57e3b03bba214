"""One query across every database and file you have. Read-only, always.

>>> import dovetail
>>> with dovetail.connect("dovetail.yaml") as session:
...     print(session.sql("select * from crm.customers limit 5").arrow())

Importing this package loads nothing else; :func:`connect` loads what a session needs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from dovetail.session import Session

__all__ = ["__version__", "connect"]


def connect(config: str | Path | Mapping[str, Any] | None = None, **options: Any) -> Session:
    """Open a :class:`dovetail.session.Session`.

    ``config`` is the path of a ``dovetail.yaml``, a dict of the same shape, or None for no sources:
    files can still be queried. ``options`` are those of :meth:`dovetail.session.Session.open`.
    Raises :class:`dovetail.errors.ConfigError` with every mistake in the configuration. No source
    is connected to before the first query needs it.
    """
    from dovetail.session import Session

    return Session.open(config, **options)


def __getattr__(name: str) -> Any:
    """``__version__`` is read from the installed package on first use: it costs 20 ms."""
    if name == "__version__":
        from importlib.metadata import version

        return version("dovetail")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
