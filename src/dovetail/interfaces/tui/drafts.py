"""What comes back after a crash, and what ``--continue`` brings: texts and layout, never data."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any
from uuid import uuid4


@dataclass
class Draft:
    """One buffer: its text, cursor and file."""

    text: str
    cursor: tuple[int, int] = (0, 0)
    path: str | None = None


@dataclass
class Saved:
    """Buffers and layout of one instance."""

    drafts: list[Draft] = field(default_factory=list)
    active: int = 0
    layout: dict[str, Any] = field(default_factory=dict)


def state_folder() -> Path:
    """Where drafts are kept: ``DOVETAIL_TUI_STATE``, or the user's folder for such things."""
    named = os.environ.get("DOVETAIL_TUI_STATE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_state_path("dovetail", appauthor=False)) / "tui"


class Drafts:
    """The drafts of one instance in one workspace. Each instance has a file of its own, locked
    while it lives, so two never write over each other, and a file without its owner is a crash.
    """

    def __init__(self, workspace: str, folder: Path | None = None) -> None:
        """``workspace`` is that of :func:`dovetail.editing.history.workspace_name`."""
        import hashlib

        base = folder if folder is not None else state_folder()
        name = hashlib.sha256(workspace.encode()).hexdigest()[:16]
        self._folder = base / name
        self._last = self._folder / "last.json"
        self._own: IO[str] | None = None
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._own = (self._folder / f"draft-{uuid4().hex}.json").open("w", encoding="utf-8")
            os.fchmod(self._own.fileno(), 0o600)
            fcntl.flock(self._own, fcntl.LOCK_EX)

    def recover(self) -> list[Draft]:
        """The drafts that a crashed instance left; they are handed out once."""
        found: list[Draft] = []
        for path in sorted(self._folder.glob("draft-*.json")):
            if self._own is not None and path.name == Path(self._own.name).name:
                continue
            with suppress(OSError, ValueError, TypeError), path.open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its owner lives: not ours
                found += [d for d in _read(file.read()).drafts if d.text.strip()]
                path.unlink()
        return found

    def last(self) -> Saved:
        """What the last instance that was left in order had open."""
        with suppress(OSError, ValueError, TypeError):
            return _read(self._last.read_text(encoding="utf-8"))
        return Saved()

    def keep(self, saved: Saved) -> None:
        """Write the drafts."""
        if self._own is None:
            return
        with suppress(OSError):
            self._own.seek(0)
            self._own.truncate()
            self._own.write(json.dumps(asdict(saved)))
            self._own.flush()

    def finish(self, saved: Saved) -> None:
        """Left in order: remember for ``--continue``, and leave no draft behind."""
        with suppress(OSError):
            beside = self._last.with_suffix(f".{os.getpid()}")
            beside.write_text(json.dumps(asdict(saved)), encoding="utf-8")
            beside.chmod(0o600)
            beside.replace(self._last)
        if self._own is not None:
            with suppress(OSError):
                Path(self._own.name).unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the file; unless :meth:`finish` came first, its drafts can be recovered."""
        if self._own is not None:
            self._own.close()
            self._own = None


def _read(text: str) -> Saved:
    data = json.loads(text)
    drafts = [Draft(d["text"], tuple(d["cursor"]), d["path"]) for d in data["drafts"]]
    return Saved(drafts, int(data["active"]), dict(data["layout"]))
