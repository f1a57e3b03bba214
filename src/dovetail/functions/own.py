"""The user's own macros: those under ``macros:`` in the configuration, checked.

A macro is one expression over its parameters. It may call functions and other macros, which are
written out here, so that a checked body calls no macro. It reads no table: what a query may see is
decided where the query is read, and a table in a macro would be out of sight there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from dovetail.engines.constants import expressions_of
from dovetail.errors import ConfigError, ConfigProblem, DovetailError
from dovetail.functions.expand import columns_in, expand, lambda_names
from dovetail.functions.library import Library
from dovetail.functions.macros import Macro
from dovetail.language.sql import judge_functions as lists
from dovetail.language.sql.errors import read_report
from dovetail.language.sql.judge import judge
from dovetail.language.sql.judged import Judged
from dovetail.language.sql.lexing import tokens_of

FAMILY = "Own macros"
_ENGINE = lists.ALLOWED | lists.REFUSED.keys() | lists.FILE_FUNCTIONS | lists.TABLE_FUNCTIONS
_NAME = re.compile(r"[a-z_]\w*")
_REFUSED_PARTS = {
    "SUBQUERY": "holds a SELECT; a macro is an expression over its parameters and reads no table",
    "STAR": "holds a *; a macro is an expression over its parameters",
    "PARAMETER": "holds a $parameter of a query; give the macro a parameter instead",
    "POSITIONAL_REFERENCE": "names a column by its number; give the macro a parameter instead",
}

Add = Callable[[tuple[str | int, ...], str, str], None]


class Definition(Protocol):
    """A macro as the configuration has it, see :class:`dovetail.config.MacroSettings`."""

    parameters: tuple[str, ...]
    sql: str
    description: str


def own_macros(definitions: Mapping[str, Definition]) -> Library:
    """The library of a configuration.

    Raises:
        ConfigError: all that is wrong with the macros.
    """
    problems: list[ConfigProblem] = []

    def add(path: tuple[str | int, ...], message: str, valid: str) -> None:
        problems.append(ConfigProblem(".".join(map(str, path)), message, valid))

    found = read_macros(definitions, add)
    if problems:
        raise ConfigError("the macros of the configuration are not valid", problems)
    return Library(found)


def read_macros(definitions: Mapping[str, Definition], add: Add) -> dict[str, Macro]:
    """The macros that have nothing wrong with them; ``add`` is told what is wrong with the others.

    ``add(path, message, what would be valid)``.
    """
    import duckdb

    with duckdb.connect(
        config={
            "enable_external_access": "false",
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "errors_as_json": "true",
        }
    ) as connection:
        return _Reading(definitions, add, connection).all()


class _Reading:
    """One reading of all macros of a configuration."""

    def __init__(self, definitions: Mapping[str, Definition], add: Add, connection: Any) -> None:
        self._definitions = definitions
        self._add = add
        self._connection = connection
        self._own = {name.lower() for name in definitions}
        self._names = lists.MACROS | self._own
        self._judged: dict[str, Judged] = {}
        self._done: dict[str, Macro | None] = {}

    def all(self) -> dict[str, Macro]:
        written: dict[str, Macro] = {}
        for name, definition in self._definitions.items():
            macro = self._read(name, definition, written)
            if macro is not None:
                written[macro.name] = macro
        done = {name: self._write_out(macro, written, ()) for name, macro in written.items()}
        return {name: macro for name, macro in done.items() if macro is not None}

    def _read(self, key: str, definition: Definition, before: Mapping[str, Macro]) -> Macro | None:
        """The macro as it is written, if its name, parameters and expression are ones."""
        path = ("macros", key)
        name = key.lower()
        if not _NAME.fullmatch(name):
            self._add(path, "a name is made of letters, digits and _", "such as `net_price`")
        elif name in _ENGINE:
            self._add(path, f"`{name}` is a function of the engine", "choose another name")
        elif self._is_reserved(name):
            self._add(path, f"`{name}` is a word of SQL", "choose another name")
        elif name in before:
            self._add(path, f"`{name}` is there already, in other letters", "remove one")
        else:
            parameters = self._parameters(definition.parameters, path)
            judged = self._expression(definition.sql, (*path, "sql"))
            if parameters is not None and judged is not None:
                self._judged[name] = judged
                body = judged.sql.removeprefix("SELECT ")
                about = definition.description
                return Macro(name, FAMILY, about, parameters, body, ())
        return None

    def _parameters(
        self, given: Sequence[str], path: tuple[str | int, ...]
    ) -> tuple[tuple[str, str | None], ...] | None:
        found: list[tuple[str, str | None]] = []
        for number, text in enumerate(given):
            at: tuple[str | int, ...] = (*path, "parameters", number)
            name, assigned, default = (part.strip() for part in text.partition(":="))
            name = name.lower()
            if not _NAME.fullmatch(name) or (assigned and not default):
                self._add(at, f"`{text}` is no parameter", "write `name` or `name := value`")
            elif self._is_reserved(name):
                self._add(at, f"`{name}` is a word of SQL", "choose another name")
            elif name in [other for other, _ in found]:
                self._add(at, f"`{name}` is there twice", "")
            elif not assigned:
                found.append((name, None))
            elif self._expression(default, at) is not None:
                found.append((name, default))
        return tuple(found) if len(found) == len(given) else None

    def _expression(self, sql: str, path: tuple[str | int, ...]) -> Judged | None:
        """The judged text ``SELECT sql``, if ``sql`` is one expression that a macro may be."""
        text = sql.strip()
        if "--" in text:
            text += "\n"  # what follows the macro must not become part of its comment
        try:
            judged = judge(f"SELECT {text}", connection=self._connection, macros=self._names)
        except DovetailError as error:
            self._add(path, error.message, "")
            return None
        node = judged.ast["node"]
        items = node.get("select_list") or []
        rest = {k: v for k, v in node.items() if k not in ("select_list", "from_table", "type")}
        plain: tuple[Any, ...] = (None, "", [], False, "STANDARD_HANDLING", {"map": []})
        if (
            node.get("type") != "SELECT_NODE"
            or node["from_table"]["type"] != "EMPTY"
            or len(items) != 1
            or any(value not in plain for value in rest.values())
            or ";" in [word for _, word in tokens_of(text)]
        ):
            self._add(path, "is not one expression", "such as `price * (1 - discount)`")
            return None
        if items[0].get("alias"):
            self._add(path, f"names its result `{items[0]['alias']}`", "leave the name out")
            return None
        if items[0]["class"] == "WINDOW":
            valid = "make it part of one, such as `coalesce(sum(x) OVER ())`"
            self._add(path, "is a window function and no expression", valid)
            return None
        for part in expressions_of(items):
            if part["class"] in _REFUSED_PARTS:
                self._add(path, _REFUSED_PARTS[part["class"]], "")
                return None
        return judged

    def _write_out(
        self, macro: Macro, written: Mapping[str, Macro], above: tuple[str, ...]
    ) -> Macro | None:
        """The macro with the bodies of those that it calls, checked by DuckDB."""
        at = ("macros", self._key(macro.name), "sql")
        if macro.name in above:
            chain = " → ".join([*above[above.index(macro.name) :], macro.name])
            self._add(at, f"calls itself: {chain}", "a macro is written out, so it must end")
            return None
        if macro.name in self._done:
            return self._done[macro.name]
        found = self._done[macro.name] = self._written_out(macro, at, written, above)
        return found

    def _written_out(
        self,
        macro: Macro,
        at: tuple[str, ...],
        written: Mapping[str, Macro],
        above: tuple[str, ...],
    ) -> Macro | None:
        judged = self._judged[macro.name]
        inner: dict[str, Macro] = {}
        for called in sorted({name for _, name in judged.macro_calls} & self._own):
            found = None
            if called in written:
                found = self._write_out(written[called], written, (*above, macro.name))
            if found is None:
                return None  # the problem is that of the macro called
            inner[called] = found
        library = Library(inner)
        try:
            body = expand(judged, library, self._judge).removeprefix("SELECT ")
        except DovetailError as error:
            self._add(at, error.message, "")
            return None
        ready = replace(macro, body=body)
        return ready if self._accepted(ready, at) else None

    def _accepted(self, macro: Macro, at: tuple[str, ...]) -> bool:
        import duckdb

        names = [name for name, _ in macro.parameters]
        tree = self._judge(f"SELECT {macro.body}").ast
        inside = lambda_names(tree)
        valid = f"its parameters are {', '.join(names)}" if names else "it has no parameters"
        for name in sorted(inside & set(names)):
            self._add(at, f"`{name}` is a parameter and a value inside a lambda", "rename one")
            return False
        for column in columns_in(tree):
            if column["column_names"][0].lower() not in inside | set(names):
                self._add(at, f"`{column['column_names'][0]}` is no parameter", valid)
                return False
        try:
            self._connection.execute(macro.statement)
        except duckdb.Error as error:
            self._add(at, read_report(error).headline, valid)
            return False
        return True

    def _is_reserved(self, name: str) -> bool:
        found = self._connection.execute(
            "SELECT count(*) FROM duckdb_keywords() "
            "WHERE keyword_name = ? AND keyword_category = 'reserved'",
            [name],
        ).fetchone()
        return bool(found[0])

    def _judge(self, sql: str) -> Judged:
        return judge(sql, connection=self._connection, macros=self._names)

    def _key(self, name: str) -> str:
        return next(key for key in self._definitions if key.lower() == name)
