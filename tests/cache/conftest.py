"""Sessions over a private cache, and files whose changes count at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import dovetail
from dovetail.connectors import file_state
from dovetail.session import Session

Open = Callable[..., Session]


@pytest.fixture(autouse=True)
def settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file counts as settled when it has just been written.

    What a test writes next differs in size, or comes a whole query later: it shows.
    """
    monkeypatch.setattr(file_state, "SETTLED", 0.0)


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    """``opened(sources)``: a session of its own; all of a test share one cache."""
    with ExitStack() as stack:

        def make(sources: dict[str, Any] | None = None, **options: Any) -> Session:
            cache = {"directory": str(tmp_path / "kept"), **options.pop("cache", {})}
            config = {"sources": sources or {}, "cache": cache}
            config["macros"] = options.pop("macros", {})
            options.setdefault("allowed_directories", [tmp_path])
            return stack.enter_context(dovetail.connect(config, **options))

        yield make
