"""Checks configuration data against the models and says what is wrong in words a user can act on.

Nothing stops at the first mistake: problems are collected with their path and line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from dovetail.errors import ConfigError, ConfigProblem

if TYPE_CHECKING:
    from pydantic import BaseModel

    from dovetail.config import Config

RESERVED = ("memory", "main", "temp", "system", "stdin")
"""Names that mean something else in SQL, so no source may have them."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """``did you mean `x`?`` when one of ``choices`` is near, and else the list of them all."""
    from rapidfuzz import process
    from rapidfuzz.distance import DamerauLevenshtein

    known = list(choices)
    best = process.extractOne(
        name.lower(), known, scorer=DamerauLevenshtein.normalized_similarity, score_cutoff=0.6
    )
    if best is not None:
        return f"did you mean `{best[0]}`?"
    return f"valid: {', '.join(known)}" if known else ""


def top_keys() -> list[str]:
    """The keys at the top of a configuration file."""
    from dovetail.config import Config

    return [*Config.model_fields, "profiles"]


class Check:
    """One reading of one configuration: collects problems and warnings."""

    def __init__(
        self,
        lines: dict[tuple[str | int, ...], int],
        problems: list[ConfigProblem],
        environment: Mapping[str, str],
        folder: Path,
        plain_passwords: str,
    ) -> None:
        from dovetail.secrets import Resolver

        self.lines = lines
        self.problems = problems
        self.warnings: list[str] = []
        self.plain = False
        self._resolver = Resolver(environment, folder)
        self._context = {"folder": folder, "resolver": self._resolver}
        self._plain_passwords = plain_passwords

    def add(self, path: tuple[str | int, ...], message: str, valid: str = "") -> None:
        """Note a problem at ``path``, with the line of the nearest thing that has one."""
        from dovetail.config_yaml import dotted

        near = path
        while near and near not in self.lines:
            near = near[:-1]
        self.problems.append(ConfigProblem(dotted(path), message, valid, self.lines.get(near)))

    def config(self, data: dict[str, Any], profile: str | None) -> Config | None:
        """The checked configuration, or None; complete only if there are no ``problems``."""
        from dovetail.config import Config, Limits

        data = self._with_profile(data, profile)
        for key in [key for key in data if key not in Config.model_fields]:
            self.add((key,), "unknown key", nearest(key, top_keys()))
            del data[key]
        top = {k: v for k, v in data.items() if v is not None}  # `limits:` with nothing below
        sources = self._sources(top.pop("sources", {}))
        limits = self._model(Limits, top.pop("limits", {}), ("limits",))
        rest = self._model(Config, top, ())
        if rest is None or limits is None:
            return None
        assert isinstance(rest, Config)
        if rest.macros:
            from dovetail.functions.own import read_macros

            read_macros(rest.macros, self.add)
        # The parts are checked models already; the private attributes come from the caller.
        return rest.model_copy(update={"sources": sources, "limits": limits})

    def _with_profile(self, data: dict[str, Any], profile: str | None) -> dict[str, Any]:
        profiles = data.pop("profiles", None) or {}
        if not isinstance(profiles, dict):
            self.add(("profiles",), "must be a mapping of profile names to settings")
            profiles = {}
        for name, overlay in profiles.items():
            if not isinstance(overlay, dict):
                self.add(("profiles", name), "must be a mapping of top-level keys")
                continue
            for key in overlay:
                if key not in top_keys()[:-1]:
                    valid = nearest(key, top_keys()[:-1])
                    self.add(("profiles", name, key), "unknown key", valid)
        if profile is None:
            return data
        if profile not in profiles:
            known = ", ".join(profiles) or "none is defined"
            self.add(("profiles",), f"there is no profile `{profile}`", f"valid: {known}")
            return data
        overlay = profiles[profile]
        if not isinstance(overlay, dict):
            return data
        for at, line in list(self.lines.items()):
            if at[:2] == ("profiles", profile) and len(at) > 2:
                self.lines[at[2:]] = line
        above = {key: value for key, value in overlay.items() if key in top_keys()}
        merged: dict[str, Any] = _overlay(data, above)
        return merged

    def _sources(self, entries: Any) -> dict[str, BaseModel]:
        if not isinstance(entries, dict):
            self.add(("sources",), "must be a mapping of names to sources")
            return {}
        seen: dict[str, str] = {}
        sources = {}
        for name, entry in entries.items():
            self._name(name, seen)
            source = self._source(entry, ("sources", name))
            if source is not None:
                sources[name] = source
        return sources

    def _name(self, name: str, seen: dict[str, str]) -> None:
        path = ("sources", name)
        folded = name.lower()
        if not name.isidentifier() or len(name) > 63:
            better = re.sub(r"\W+", "_", name).strip("_")[:63] or "source"
            better = f"_{better}" if better[0].isdigit() else better
            self.add(
                path,
                "a source's name is made of letters, digits and _, and begins with a letter",
                f"for example `{better}`",
            )
        elif folded in RESERVED or folded.startswith("_dovetail"):
            self.add(path, f"the name `{name}` is reserved", f"for example `{name.strip('_')}_db`")
        if folded in seen:
            self.add(path, f"differs from the source `{seen[folded]}` in case only", "rename one")
        seen[folded] = name

    def _source(self, entry: Any, path: tuple[str, ...]) -> BaseModel | None:
        from dovetail.config import KINDS
        from dovetail.config_url import kind_of

        if not isinstance(entry, dict):
            self.add(path, "must be a mapping", "such as {kind: sqlite, path: sales.db}")
            return None
        entry = dict(entry)
        kind = entry.get("kind")
        url = entry.get("url")
        if kind is None and isinstance(url, str):
            kind = entry["kind"] = kind_of(url)
        if not isinstance(kind, str) or kind not in KINDS:
            message = "is missing" if kind is None else f"there is no kind `{kind}`"
            near = "" if kind is None else nearest(str(kind), [*KINDS, "postgresql", "mariadb"])
            near = near.replace("postgresql", "postgres").replace("`mariadb`", "`mysql`")
            kinds = f"valid: {', '.join(KINDS)}"
            valid = f"{near} {kinds}" if near.startswith("did") else kinds
            self.add((*path, "kind"), message, valid)
            return None
        model = KINDS[kind]
        from_url = False
        if "url" in entry:
            if kind not in ("postgres", "mysql"):
                self.add((*path, "url"), f"a source of kind {kind} has no url", "give its `path`")
                return None
            from_url = self._expand(entry, kind, path)
        self._passwords(entry, path, from_url)
        return self._model(model, entry, path)

    def _expand(self, entry: dict[str, Any], kind: str, path: tuple[str, ...]) -> bool:
        """Replace ``url`` by its parts; whether its password came by a reference."""
        from dovetail.config import KINDS
        from dovetail.config_url import UrlError, expand

        at = (*path, "url")
        url = entry.pop("url")
        if not isinstance(url, str):
            self.add(at, "must be a text")
            return False
        looked_up = self._resolver.has_reference(url) and re.fullmatch(r"\$\{[^{}]*\}", url)
        try:
            if looked_up:
                url = self._resolver.text(url)
            found, parts = expand(url, literal=bool(looked_up))
        except UrlError as error:
            self.add(at, str(error))
            return False
        except ConfigError as error:
            self.add(at, error.message)
            return False
        if found != kind:
            self.add(at, f"is the address of a {found} source, and `kind` says {kind}")
            return False
        known = [name for name in KINDS[kind].model_fields if name != "kind"]
        for name, value in parts.items():
            if name not in known:
                # an option's name is no secret, unlike its value
                self.add(at, f"unknown option `{name}`", nearest(name, known))
            elif name in entry:
                self.add((*path, name), "is also given in `url`", "keep one")
            else:
                entry[name] = value.split(",") if name == "schemas" else value
                self.lines.setdefault((*path, name), self.lines.get(at, 0))
        return bool(looked_up)

    def _passwords(self, entry: dict[str, Any], path: tuple[str, ...], looked_up: bool) -> None:
        """Warn about, or refuse, passwords in plain words; check how references are written."""
        value = entry.get("password")
        if not isinstance(value, str) or not value:
            return
        at = (*path, "password")
        problems = self._resolver.problems(value)
        for problem in problems:
            self.add(at, problem)
        if problems:
            del entry["password"]
            return
        self.warnings += self._resolver.file_warnings(value)
        if looked_up or self._resolver.has_reference(value):
            return
        self.plain = True
        where = ".".join(path)
        variable = re.sub(r"\W", "_", path[-1]).upper() + "_PASSWORD"
        advice = f'write password: "${{env:{variable}}}" and set that variable, or use a keyring'
        if self._plain_passwords == "refuse":
            self.add(at, "a password in plain words is refused here", advice)
        else:
            self.warnings.append(f"{where}.password is in plain words; {advice}")

    def _model(
        self, model: type[BaseModel], entry: Any, path: tuple[str | int, ...]
    ) -> BaseModel | None:
        """Build one model; every error it finds becomes a problem."""
        from pydantic import ValidationError

        if not isinstance(entry, dict):
            self.add(path, "must be a mapping", f"its keys are {', '.join(model.model_fields)}")
            return None
        before = len(self.problems)
        ready = {}
        for key, value in entry.items():
            if key in model.model_fields and _is_secret(model, key):
                ready[key] = value
            elif isinstance(value, bool) and not _takes_bool(model, key):
                self.add(
                    (*path, key),
                    f"YAML reads this as {str(value).lower()}",
                    "put a text in quotes; a number is written without",
                )
            else:
                ready[key] = self._looked_up(value, (*path, key))
        try:
            built = model.model_validate(ready, context=self._context)
        except ValidationError as error:
            for detail in error.errors(include_url=False):
                inner = tuple(part for part in detail["loc"] if part != "[key]")
                at = (*path, *inner)
                if any(p.path and _same(p, at) for p in self.problems[before:]):
                    continue
                message, valid = _explain(detail, model)
                self.add(at, message, valid)
            return None
        return built if len(self.problems) == before else None

    def _looked_up(self, value: Any, path: tuple[str | int, ...]) -> Any:
        """References in ordinary settings are looked up when the configuration is read."""
        if isinstance(value, dict):
            return {key: self._looked_up(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._looked_up(item, (*path, i)) for i, item in enumerate(value)]
        if not isinstance(value, str) or "${" not in value:
            return value
        try:
            return self._resolver.text(value)
        except ConfigError as error:
            self.add(path, error.message)
            return value


def _same(problem: ConfigProblem, path: tuple[str | int, ...]) -> bool:
    from dovetail.config_yaml import dotted

    return problem.path == dotted(path)


def _overlay(below: Any, above: Any, depth: int = 0) -> Any:
    """``above`` over ``below``: mappings merge, all else is replaced.

    A source that states its ``kind`` replaces the one below as a whole, so that no setting of
    another kind is left behind.
    """
    if not isinstance(below, dict) or not isinstance(above, dict):
        return above
    if depth == 2 and "kind" in above:
        return above
    merged = dict(below)
    for key, value in above.items():
        merged[key] = _overlay(below[key], value, depth + 1) if key in below else value
    return merged


def _is_secret(model: type[BaseModel], key: str) -> bool:
    from dovetail.secrets import Secret

    return Secret in get_args(model.model_fields[key].annotation)


def _takes_bool(model: type[BaseModel], key: str) -> bool:
    field = model.model_fields.get(key)
    return field is None or field.annotation is bool


_MUST = {
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be a text; put it in quotes",
    "path_type": "must be a path",
    "tuple_type": "must be a list, such as [a, b]",
    "list_type": "must be a list, such as [a, b]",
    "dict_type": "must be a mapping",
    "model_type": "must be a mapping",
    "missing": "is missing",
    "string_too_short": "must not be empty",
}


def _explain(detail: Any, model: type[BaseModel]) -> tuple[str, str]:
    """Pydantic's finding in our words: ``(message, what would be valid)``. Shows no secret."""
    kind = detail["type"]
    if kind == "extra_forbidden":
        return "unknown key", nearest(str(detail["loc"][-1]), _keys(model, detail["loc"]))
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", detail["ctx"]["expected"])
        value = detail["input"]
        near = nearest(str(value), choices)
        listed = f"valid: {', '.join(choices)}"
        return f"`{value}` is not one of the choices", (
            f"{near} {listed}" if near.startswith("did") else listed
        )
    if kind == "value_error":
        return str(detail["ctx"]["error"]), ""
    if kind in _MUST:
        return _MUST[kind], ""
    return str(detail["msg"]).replace("Input should be", "must be"), ""


def _keys(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """The keys that are valid where ``path`` ends."""
    from dovetail.config import FilesSettings, FileTableSettings

    if model is FilesSettings and len(path) == 3:
        return list(FileTableSettings.model_fields)
    names = list(model.model_fields)
    return [*names, "url"] if "host" in names else names
