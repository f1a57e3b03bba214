"""Which tables a statement has in scope at a place in it, read off its tokens.

The statement need not be finished: ``select | from crm.customers c`` has ``c`` in scope although
nothing is selected yet.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from dovetail.editing.schema import Columns, Schema
from dovetail.editing.tokens import Token, words

_ENDS_FROM = frozenset(
    words(
        """
        where group having order limit qualify window select union intersect except offset
        using sample returning fetch
        """
    )
)
_SET_WORDS = frozenset(("union", "intersect", "except"))
_NOT_ALIAS = _ENDS_FROM | frozenset(
    words(
        """
        from join on left right full inner outer cross natural semi anti asof positional
        lateral tablesample pivot unpivot as and or
        """
    )
)
_DEEPEST = 8


@dataclass
class Block:
    """A parenthesised part of the statement, or the whole of it; ``items`` are tokens and blocks.

    ``start`` and ``end`` are offsets inside the brackets.
    """

    start: int
    end: int
    items: list[Token | Block] = field(default_factory=list)


@dataclass(frozen=True)
class Relation:
    """A table in scope: the name it goes by, and where its columns come from.

    ``parts`` is the name of a table or the path of a file; ``columns`` is set for a subquery.
    """

    alias: str
    parts: tuple[str, ...] = ()
    columns: Columns | None = None


@dataclass
class Scope:
    """Tables in scope, inner ones first, and the common table expressions that may be named."""

    relations: list[Relation] = field(default_factory=list)
    ctes: dict[str, Columns] = field(default_factory=dict)
    in_from: bool = False  # the place is where a table is named


def block_of(tokens: Sequence[Token], end: int) -> Block:
    """The tokens of one statement as nested blocks; brackets that never close reach the end."""
    root = Block(tokens[0].start if tokens else 0, end)
    stack = [root]
    for token in tokens:
        if token.kind == "comment":
            continue
        if token.kind == "symbol" and token.text == "(":
            inner = Block(token.end, end)
            stack[-1].items.append(inner)
            stack.append(inner)
        elif token.kind == "symbol" and token.text == ")" and len(stack) > 1:
            stack.pop().end = token.start
        else:
            stack[-1].items.append(token)
    return root


def scope_at(tokens: Sequence[Token], offset: int, end: int, schema: Schema) -> Scope:
    """The scope at ``offset`` of the statement that ``tokens`` are."""
    scope = Scope()
    chain = [block_of(tokens, end)]
    while True:
        inner = next(
            (
                item
                for item in chain[-1].items
                if isinstance(item, Block) and item.start <= offset <= item.end
            ),
            None,
        )
        if inner is None:
            break
        chain.append(inner)
    for block in chain:
        for name, columns in _ctes(block, schema, scope.ctes):
            if columns is not None:
                scope.ctes[name] = columns
    for depth, block in enumerate(reversed(chain)):
        part = _part_at(block, offset)
        scope.relations += _relations(part, schema, scope.ctes)
        if depth == 0:
            scope.in_from = _in_from(part, offset)
    return scope


def _part_at(block: Block, offset: int) -> list[Token | Block]:
    """The items of the SELECT that holds ``offset``, when set operations join several."""
    part: list[Token | Block] = []
    for item in block.items:
        if isinstance(item, Token) and item.word in _SET_WORDS:
            if item.start >= offset:
                return part
            part = []
        else:
            part.append(item)
    return part


def _in_from(items: Sequence[Token | Block], offset: int) -> bool:
    """Whether a name at ``offset`` would be that of a table."""
    before = [item for item in items if item.end <= offset]
    expects = inside = naming = False
    for item in before:
        if isinstance(item, Block):
            expects = naming = False
        elif item.word in ("from", "join"):
            expects, inside, naming = True, True, False
        elif item.word in _ENDS_FROM:
            expects = inside = naming = False
        elif item.text == ",":
            expects, naming = inside, False
        elif item.text == ".":
            expects = naming
        else:
            expects, naming = False, expects
    return expects


def _ctes(
    block: Block, schema: Schema, outer: dict[str, Columns], depth: int = 0
) -> Iterator[tuple[str, Columns | None]]:
    items = block.items
    known = dict(outer)
    for index, item in enumerate(items):
        if not (isinstance(item, Block) and index >= 2 and depth < _DEEPEST):
            continue
        before = items[index - 1]
        if isinstance(before, Token) and before.word == "materialized":
            index -= 2 if _word(items, index - 2) == "not" else 1
            before = items[index - 1]
        if not (isinstance(before, Token) and before.word == "as"):
            continue
        named = items[index - 2]
        given: list[str] = []
        if isinstance(named, Block) and index >= 3:
            given = [t.name for t in named.items if isinstance(t, Token) and t.text != ","]
            named = items[index - 3]
        if isinstance(named, Token) and named.kind in ("word", "quoted") and _selects(item):
            columns = _output(item, schema, known, depth + 1)
            if given:
                columns = tuple(
                    (name, columns[i][1] if i < len(columns) else "")
                    for i, name in enumerate(given)
                )
            known[named.name] = columns
            yield named.name, columns


def _word(items: Sequence[Token | Block], index: int) -> str:
    item = items[index] if 0 <= index < len(items) else None
    return item.word if isinstance(item, Token) else ""


def _selects(block: Block) -> bool:
    return any(
        isinstance(i, Token) and i.word in ("select", "from", "values", "with", "pivot")
        for i in block.items
    )


def _relations(
    items: Sequence[Token | Block], schema: Schema, ctes: dict[str, Columns], depth: int = 0
) -> list[Relation]:
    found: list[Relation] = []
    index, inside, expects = 0, False, False
    while index < len(items):
        item = items[index]
        word = item.word if isinstance(item, Token) else ""
        if word in ("from", "join"):
            inside = expects = True
        elif word in _ENDS_FROM:
            inside = expects = False
        elif word == "lateral":
            pass
        elif isinstance(item, Token) and item.text == "," and inside:
            expects = True
        elif expects:
            expects = False
            relation, index = _relation(items, index, schema, ctes, depth)
            found += relation
            continue
        index += 1
    return found


def _relation(
    items: Sequence[Token | Block],
    index: int,
    schema: Schema,
    ctes: dict[str, Columns],
    depth: int,
) -> tuple[list[Relation], int]:
    item = items[index]
    parts: list[str] = []
    columns: Columns | None = None
    if isinstance(item, Block):
        index += 1
        if not _selects(item):  # a join in brackets
            inner: list[Token | Block] = [Token("word", "from", item.start, item.start)]
            return _relations([*inner, *item.items], schema, ctes, depth + 1), index
        columns = _output(item, schema, ctes, depth + 1) if depth < _DEEPEST else ()
    else:
        while index < len(items):
            piece = items[index]
            if not isinstance(piece, Token) or piece.kind not in ("word", "quoted", "string"):
                break
            parts.append(piece.name)
            index += 1
            if _text(items, index) != ".":
                break
            index += 1
        if not parts:
            return [], index + 1
        if index < len(items) and isinstance(items[index], Block):  # a table function
            call = items[index]
            index += 1
            assert isinstance(call, Block)
            first = call.items[0] if call.items else None
            is_file = isinstance(first, Token) and first.kind == "string"
            parts = [first.name] if is_file and isinstance(first, Token) else []
            columns = None if is_file else ()
        elif len(parts) == 1:
            columns = next((c for n, c in ctes.items() if n.lower() == parts[0].lower()), None)
    alias = ""
    if _word(items, index) == "as":
        index += 1
    named = items[index] if index < len(items) else None
    if isinstance(named, Token) and (
        named.kind == "quoted" or (named.kind == "word" and named.word not in _NOT_ALIAS)
    ):
        alias = named.name
        index += 1
    elif parts and not ({"/", "."} & set(parts[-1])):
        alias = parts[-1]
    return [Relation(alias, tuple(parts), columns)], index


def _text(items: Sequence[Token | Block], index: int) -> str:
    item = items[index] if index < len(items) else None
    return item.text if isinstance(item, Token) else ""


def columns_of(relation: Relation, schema: Schema) -> Columns:
    """The columns of a relation as far as they are known."""
    if relation.columns is not None:
        return relation.columns
    return schema.columns(relation.parts) if relation.parts else ()


def _output(block: Block, schema: Schema, ctes: dict[str, Columns], depth: int) -> Columns:
    """The output columns of a subquery: names of its select list, stars expanded."""
    known = dict(ctes)
    for name, columns in _ctes(block, schema, known, depth):
        known[name] = columns or ()
    first = _part_at(block, -1) or _part_at(block, block.end)
    relations = _relations(first, schema, known, depth)
    chosen: list[list[Token | Block]] = [[]]
    selecting = False
    for item in first:
        word = item.word if isinstance(item, Token) else ""
        if word == "select":
            selecting = True
        elif selecting and word in (_ENDS_FROM | {"from"}):
            break
        elif selecting and isinstance(item, Token) and item.text == ",":
            chosen.append([])
        elif selecting:
            chosen[-1].append(item)
    if not selecting:  # FROM first
        return tuple(c for r in relations for c in columns_of(r, schema))
    found: list[tuple[str, str]] = []
    types = {n.lower(): t for r in relations for n, t in columns_of(r, schema)}
    for expression in chosen:
        last = expression[-1] if expression else None
        if not isinstance(last, Token):
            continue
        if last.text == "*":
            prefix = expression[0] if len(expression) > 1 else None
            for relation in relations:
                if prefix is None or (
                    isinstance(prefix, Token) and prefix.name.lower() == relation.alias.lower()
                ):
                    found += columns_of(relation, schema)
        elif last.kind in ("word", "quoted") and last.word not in ("end", "null", "distinct"):
            plain = len(expression) == 1 or _text(expression, len(expression) - 2) == "."
            found.append((last.name, types.get(last.name.lower(), "") if plain else ""))
    return tuple(found)
