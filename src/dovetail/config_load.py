"""Reads a configuration: finds the file, lays a profile over it, and reports every mistake at once.

The life of a configuration: :func:`find` → YAML with line numbers (:mod:`dovetail.config_yaml`) →
profile → URLs into parts (:mod:`dovetail.config_url`) → references in ordinary settings looked up,
those in passwords kept (:mod:`dovetail.config_check`) → models (:mod:`dovetail.config`) → one
:class:`Config`, or one :class:`ConfigError` with all problems.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dovetail.errors import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from dovetail.config import Config

FILE_NAME = "dovetail.yaml"


def find(
    flag: str | Path | None = None,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> tuple[Path | None, str]:
    """Which configuration file is used, and why: ``(path, why)``; the path is None without one.

    The first found is used alone: ``flag``, the variable ``DOVETAIL_CONFIG``, ``dovetail.yaml`` in
    ``folder`` (default: the working folder), ``dovetail.yaml`` in the user's configuration folder.
    A file named by flag or variable is returned even when it does not exist.
    """
    environment = os.environ if environment is None else environment
    if flag is not None:
        return Path(flag).expanduser(), "named by --config"
    named = environment.get("DOVETAIL_CONFIG")
    if named:
        return Path(named).expanduser(), "named by DOVETAIL_CONFIG"
    here = (folder or Path.cwd()) / FILE_NAME
    if here.is_file():
        return here, "found in the working folder"
    from platformdirs import user_config_path

    user = user_config_path("dovetail", appauthor=False) / FILE_NAME
    if user.is_file():
        return user, "found in the user's configuration folder"
    return None, f"there is no {here} and no {user}"


def load(
    source: str | Path | Mapping[str, Any] | None = None,
    *,
    profile: str | None = None,
    environment: Mapping[str, str] | None = None,
    plain_passwords: Literal["warn", "refuse"] = "warn",
) -> Config:
    """Read and check a configuration.

    ``source`` is a path, a dict of the same shape, or None for what :func:`find` finds (nothing
    found is an empty configuration). ``profile`` (else ``DOVETAIL_PROFILE``) names an entry of
    ``profiles`` to lay over it. Relative paths count from the file's folder, those of a dict from
    the working folder. Raises :class:`ConfigError` with all problems; what is unwise but works is
    in ``Config.warnings``.
    """
    environment = os.environ if environment is None else environment
    path: Path | None = None
    if source is None:
        path, _ = find(environment=environment)
        source = {} if path is None else path
    if not isinstance(source, Mapping) or "profiles" in source:
        # a dict without profiles was not meant by whoever set the variable
        profile = profile or environment.get("DOVETAIL_PROFILE") or None
    lines: dict[tuple[str | int, ...], int] = {}
    problems: list[ConfigProblem] = []
    if isinstance(source, Mapping):
        data: Any = _plain(source)
    else:
        from dovetail.config_yaml import read

        path = Path(source).expanduser()
        data, lines, problems = read(_text(path))
        data = {} if data is None and not problems else data
    title = f"{path} is not a valid configuration" if path else "the configuration is not valid"
    if not isinstance(data, dict):
        from dovetail.config_check import top_keys

        problems = problems or [
            ConfigProblem("", "must be a mapping", f"its keys are {', '.join(top_keys())}")
        ]
        raise ConfigError(title, problems)
    folder = path.absolute().parent if path else Path.cwd()
    from dovetail.config_check import Check

    check = Check(lines, problems, environment, folder, plain_passwords)
    config = check.config(data, profile)
    if config is None or check.problems:
        raise ConfigError(title, sorted(check.problems, key=lambda p: p.line or 0))
    if path is not None and check.plain:
        from dovetail.secrets import readable_by_others

        warning = readable_by_others(path)
        if warning:
            check.warnings.append(warning)
    config._warnings = tuple(check.warnings)
    config._path = path
    config._profile = profile
    return config


def json_schema() -> dict[str, Any]:
    """The JSON Schema of ``dovetail.yaml``, for editors."""
    from dovetail.config import Config

    schema = Config.model_json_schema()
    url = {"type": "string", "description": "Host, port, database, user and options in one text."}
    for definition in schema["$defs"].values():
        properties = definition.get("properties", {})
        for name, setting in properties.items():
            if setting.get("type") in ("integer", "number", "boolean"):
                kept = {k: setting.pop(k) for k in ("default", "description") if k in setting}
                reference = {"type": "string", "pattern": r"\$\{.+\}"}
                title = setting.pop("title", name)
                properties[name] = {"title": title, "anyOf": [setting, reference], **kept}
        if properties.get("kind", {}).get("const") in ("postgres", "mysql"):
            properties["url"] = url
    schema["properties"]["profiles"] = {
        "type": "object",
        "description": "Named sets of top-level keys that --profile lays over the file.",
        "additionalProperties": {"type": "object"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **schema,
        "title": "Dovetail configuration",
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text (byte {error.start})") from None
    except FileNotFoundError:
        raise ConfigError(f"there is no configuration file {path}") from None
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise ConfigError(f"the configuration file {path} cannot be read: {reason}") from None


def _plain(value: Any) -> Any:
    """A deep copy of mappings and lists, so that the caller's dict is never changed."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
