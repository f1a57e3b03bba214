"""Which configuration file is used, and why."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from dovetail.errors import ConfigError

FILE_NAME = "dovetail.yaml"


@dataclass(frozen=True)
class Location:
    """The configuration of this run. ``path`` is None when there is none, which is fine."""

    path: Path | None
    reason: str
    looked: tuple[Path, ...] = ()


def locate(flag: str | None) -> Location:
    """``--config``, else ``DOVETAIL_CONFIG``, else here, else the user's folder.

    The first that is found is used alone; files are never merged. Raises :class:`ConfigError`
    when a file is named that does not exist.
    """
    for given, reason in ((flag, "--config"), (os.environ.get("DOVETAIL_CONFIG"), "")):
        if given:
            path = Path(given).expanduser()
            why = reason or "the environment variable DOVETAIL_CONFIG"
            if not path.is_file():
                what = "is a folder" if path.is_dir() else "does not exist"
                raise ConfigError(f"configuration {given} (from {why}) {what}")
            return Location(path, f"named by {why}")
    here = Path.cwd() / FILE_NAME
    if here.is_file():
        return Location(here, "found in the working folder")
    from platformdirs import user_config_path

    user = user_config_path("dovetail") / FILE_NAME
    if user.is_file():
        return Location(user, "found in the user's configuration folder", (here,))
    return Location(None, "none found; files can still be queried", (here, user))
