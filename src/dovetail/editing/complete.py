"""What could stand at the cursor: tables, columns, functions, key words, file names.

Only from names that are known already (:class:`~dovetail.editing.schema.Schema`): an answer takes
milliseconds and never waits for a source.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dovetail.editing.schema import Schema
from dovetail.editing.scope import Scope, columns_of, scope_at
from dovetail.editing.statements import statements_of
from dovetail.editing.tokens import Token, quote_name, tokens_of, words

KEYWORDS = words(
    """
    select from where group by having order limit distinct join left right full outer inner
    cross on using and or not in is null between like ilike case when then else end as with
    recursive union all intersect except asc desc nulls first last over partition qualify
    window exists cast filter values pivot unpivot summarize describe offset true false rows
    range preceding following unbounded current row interval date timestamp semi anti asof
    natural lateral rollup cube grouping sets exclude replace
    """
)
_STARTS = ("select", "from", "with", "values", "summarize", "describe", "pivot", "explain")
_TABLE_FUNCTIONS = ("read_csv", "read_json", "read_parquet", "range", "generate_series", "unnest")
_MOST = 200


@dataclass(frozen=True)
class Completion:
    """``text`` replaces the characters from ``start`` to the cursor.

    ``kind`` is ``table``, ``source``, ``schema``, ``column``, ``function``, ``keyword`` or
    ``file``; ``detail`` says more (a type, a table).
    """

    text: str
    start: int
    kind: str
    detail: str = ""
    label: str = ""

    @property
    def shown(self) -> str:
        """What the list shows."""
        return self.label or self.text


def complete(text: str, offset: int, schema: Schema) -> list[Completion]:
    """What could stand at ``offset`` of ``text``, best first; at most 200."""
    begin, end = _span(text, offset)
    tokens = [t for t in tokens_of(text) if t.start >= begin and t.end <= end]
    at = next((t for t in tokens if t.start < offset <= t.end), None)
    if at is not None and (at.kind == "comment" or at.kind == "number"):
        return []
    before = [t for t in tokens if t.end <= offset and t is not at and t.kind != "comment"]
    if at is not None and at.kind == "string" and (at.open or offset < at.end):
        return _files(at, before, offset, text)
    if at is not None and at.kind in ("string", "parameter"):
        return []
    is_word = at is not None and at.kind in ("word", "quoted")
    start = at.start if at is not None and is_word else offset
    typed = text[start:offset].lstrip('"')
    if at is not None and not is_word:
        before.append(at)
    scope = scope_at(tokens, start, end, schema)
    found: Iterable[Completion]
    if before and before[-1].text == ".":
        found = _members(before, scope, schema, start)
    elif scope.in_from:
        found = _tables(scope, schema, start)
    elif not before:
        found = (Completion(word, start, "keyword") for word in _STARTS)
    else:
        found = _expression(scope, schema, start)
    return _ranked(found, typed)


def _span(text: str, offset: int) -> tuple[int, int]:
    """From where to where the statement reaches that is typed at ``offset``."""
    for statement in statements_of(text):
        inside = offset <= statement.end or not statement.finished
        if statement.start <= offset and inside:
            return statement.start, max(statement.end, offset)
    return offset, offset


def opens_by_itself(text: str, offset: int) -> bool:
    """Whether the list should open while typing: after a dot, and after FROM or JOIN."""
    tokens = [t for t in tokens_of(text[:offset]) if t.kind != "comment" or t.open]
    if not tokens:
        return False
    last = tokens[-1]
    if last.open:
        return last.kind == "string" and len(tokens) > 1 and tokens[-2].word in ("from", "join")
    if last.text == ".":
        return len(tokens) > 1 and tokens[-2].kind in ("word", "quoted")
    if last.kind in ("word", "quoted") and last.end == offset and len(tokens) > 1:
        return tokens[-2].text == "." or tokens[-2].word in ("from", "join")
    return last.word in ("from", "join") and last.end < offset


def _ranked(found: Iterable[Completion], typed: str) -> list[Completion]:
    wanted = typed.lower()
    ranked: list[tuple[int, int, Completion]] = []
    seen: set[tuple[str, str]] = set()
    for order, item in enumerate(found):
        rank = _rank(item, wanted)
        if rank is not None and (item.text, item.kind) not in seen and item.text != typed:
            seen.add((item.text, item.kind))
            ranked.append((rank, order, item))
    ranked.sort(key=lambda entry: entry[:2])
    return [item for _, _, item in ranked[:_MOST]]


def _rank(item: Completion, wanted: str) -> int | None:
    if not wanted:
        return 0
    name = item.text.lower().strip('"')
    if name.startswith(wanted):
        return 0
    last = name.rpartition(".")[2].strip('"')
    if last.startswith(wanted):
        return 1
    if item.kind in ("keyword", "function"):
        return None
    if wanted in name:
        return 2
    letters = iter(name)
    return 3 if len(wanted) > 1 and all(letter in letters for letter in wanted) else None


def _qualifier(before: Sequence[Token]) -> tuple[str, ...]:
    """The names before the dot at the end of ``before``: ``crm.main.`` is ``(crm, main)``."""
    parts: list[str] = []
    index = len(before) - 1
    while index >= 1 and before[index].text == ".":
        name = before[index - 1]
        if name.kind not in ("word", "quoted", "string"):
            break
        parts.insert(0, name.name)
        index -= 2
    return tuple(parts)


def _members(
    before: Sequence[Token], scope: Scope, schema: Schema, start: int
) -> Iterator[Completion]:
    parts = _qualifier(before)
    lowered = tuple(part.lower() for part in parts)
    if len(parts) == 1 and not scope.in_from:
        for relation in scope.relations:
            if relation.alias.lower() == lowered[0]:
                for name, type_ in columns_of(relation, schema):
                    yield Completion(quote_name(name), start, "column", type_)
                return
    if not scope.in_from:
        for name, type_ in schema.columns(parts):
            yield Completion(quote_name(name), start, "column", type_)
    schemas: dict[str, str] = {}
    for table in schema.tables:
        if table.source.lower() == lowered[0] if lowered else False:
            if len(lowered) == 1:
                schemas.setdefault(table.schema, table.source)
                if schema.short_name(table) == (table.source, table.name):
                    yield Completion(quote_name(table.name), start, "table", table.kind)
            elif len(lowered) == 2 and table.schema.lower() == lowered[1]:
                yield Completion(quote_name(table.name), start, "table", table.kind)
    for name, source in schemas.items():
        if name:
            yield Completion(quote_name(name), start, "schema", source)


def _tables(scope: Scope, schema: Schema, start: int) -> Iterator[Completion]:
    for name in scope.ctes:
        yield Completion(quote_name(name), start, "table", "with")
    for name in schema.local_names:
        yield Completion(quote_name(name), start, "table", "session")
    for table in schema.tables:
        parts = schema.short_name(table)
        yield Completion(".".join(quote_name(p) for p in parts), start, "table", table.kind)
    for source in schema.sources:
        yield Completion(quote_name(source.name), start, "source", source.kind)
    for name in _TABLE_FUNCTIONS:
        yield Completion(f"{name}(", start, "function")


def _expression(scope: Scope, schema: Schema, start: int) -> Iterator[Completion]:
    for relation in scope.relations:
        for name, type_ in columns_of(relation, schema):
            detail = f"{type_} · {relation.alias}" if relation.alias else type_
            yield Completion(quote_name(name), start, "column", detail)
    for relation in scope.relations:
        if relation.alias:
            yield Completion(quote_name(relation.alias), start, "table", "in scope")
    for word in KEYWORDS:
        yield Completion(word, start, "keyword")
    for name in functions(schema.macros):
        yield Completion(f"{name}(", start, "function")


_functions: tuple[str, ...] | None = None


def functions(own: Collection[str] = ()) -> tuple[str, ...]:
    """The names of the functions that a query may call, in alphabetical order.

    ``own`` are the names of the user's macros.
    """
    global _functions
    if _functions is None:
        from dovetail.language.sql.judge_functions import CALLABLE

        _functions = tuple(sorted(n for n in CALLABLE if n.isidentifier() and n[0] != "_"))
    return tuple(sorted({*_functions, *own})) if own else _functions


def _files(at: Token, before: Sequence[Token], offset: int, text: str) -> list[Completion]:
    """File names, inside the quotes of a path: after FROM or JOIN, or in a read function."""
    last = before[-1] if before else None
    if last is None:
        return []
    reads = last.text == "(" and len(before) > 1 and before[-2].word.startswith("read_")
    if not (reads or last.word in ("from", "join") or last.text == ","):
        return []
    start = at.start + 1
    typed = text[start:offset].replace("''", "'")
    return [
        Completion(found.replace("'", "''"), start, "file", detail, label)
        for found, label, detail in paths(typed)
    ]


def paths(typed: str) -> list[tuple[str, str, str]]:
    """``(path, name, what it is)`` of the files and folders whose path begins with ``typed``."""
    head, name = os.path.split(typed)
    folder = Path(head or ".").expanduser()
    try:
        entries = sorted(folder.iterdir(), key=lambda p: (not p.is_dir(), p.name))[:2000]
    except OSError:
        return []
    found = []
    for entry in entries:
        if entry.name.startswith(".") and not name.startswith("."):
            continue
        if entry.name.lower().startswith(name.lower()):
            ending = "/" if entry.is_dir() else ""
            shown = entry.name + ending
            found.append((os.path.join(head, shown), shown, "folder" if ending else "file"))
    return found[:_MOST]
