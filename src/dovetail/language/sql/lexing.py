"""SQL text as DuckDB's lexer sees it: tokens, statements, and edits between tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator


def split_statements(sql: str) -> list[tuple[int, str]]:
    """The statements of a script as ``(character offset, text)``, split by DuckDB's own lexer."""
    pieces = []
    start = 0
    for offset, word in [*tokens_of(sql), (len(sql), ";")]:
        if word != ";":
            continue
        piece = sql[start:offset]
        lead = leading_blank(piece)
        if piece[lead:].strip():
            pieces.append((start + lead, piece[lead:].rstrip()))
        start = offset + 1
    return pieces


def leading_blank(text: str) -> int:
    """The length of the white space and comments before the first word."""
    match = re.match(r"(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*", text)
    return match.end() if match else 0


def tokens_of(sql: str) -> list[tuple[int, str]]:
    """``(character offset, text)`` of each token: words in lower case, strings as a quote."""
    import duckdb

    try:
        raw = duckdb.tokenize(sql)
    except duckdb.Error:
        return []
    if not raw:
        return []
    encoded = sql.encode("utf-8")
    tokens = []
    ends = [offset for offset, _ in raw[1:]] + [len(encoded)]
    place = len(encoded[: raw[0][0]].decode("utf-8", "ignore"))
    for (offset, kind), end in zip(raw, ends, strict=True):
        word = encoded[offset:end].decode("utf-8", "ignore")
        if kind.name == "string_const":
            tokens.append((place, "'"))
        elif kind.name == "operator":
            tokens.append((place, word[:1]))
        elif word[:1] == '"':
            tokens.append((place, '"'))
        else:
            match = re.match(r"\w+", word)
            tokens.append((place, match[0].lower() if match else word.strip()))
        place += len(word)
    return tokens


def names_of(sql: str) -> set[str]:
    """Every word and quoted name of a text, in lower case."""
    found = set()
    for offset, word in tokens_of(sql):
        if word == '"':
            match = re.compile(r'"((?:[^"]|"")*)"').match(sql, offset)
            if match is not None:
                found.add(match[1].replace('""', '"').lower())
        else:
            found.add(word)
    return found


def query_of_view(definition: str) -> str | None:
    """The query inside ``CREATE VIEW name (columns) AS query``, or None when there is none."""
    depth = 0
    for place, word in tokens_of(definition):
        depth += (word == "(") - (word == ")")
        if word == "as" and depth == 0:
            return definition[place + len("as") :]
    return None


def pivot_lists(sql: str) -> list[tuple[int, str]]:
    """What to insert, and where, to put ``IN ('x')`` behind every PIVOT key that lacks a list.

    Without a list DuckDB expands the text into several statements, which do not serialise. The
    insertions stand between tokens, so the edited text calls every function and names every table
    that the text does.
    """
    tokens = tokens_of(sql)
    edits: list[tuple[int, str]] = []
    for index, (_, word) in enumerate(tokens):
        if word in ("pivot", "pivot_wider"):
            for start, end in _keys_without_list(sql, tokens, index + 1):
                edits += [(start, "("), (end, ") IN ('x')")]
    return sorted(edits)


def edited(sql: str, edits: list[tuple[int, str]]) -> str:
    """The text with each of ``(character offset, insertion)`` put in, in order of the offsets."""
    pieces = []
    last = 0
    for place, inserted in edits:
        pieces += [sql[last:place], inserted]
        last = place
    return "".join([*pieces, sql[last:]])


def _keys_without_list(
    sql: str, tokens: list[tuple[int, str]], index: int
) -> Iterator[tuple[int, int]]:
    """``(start, end)`` of the keys after ON of the PIVOT whose source begins at ``index``."""
    depth = 0
    while index < len(tokens) and not (depth == 0 and tokens[index][1] == "on"):
        word = tokens[index][1]
        depth += (word in "([{") - (word in ")]}")
        if depth < 0 or word == ";":
            return
        index += 1
    index += 1
    if index >= len(tokens):
        return
    start = tokens[index][0]
    listed = False
    depth = 0
    ends = ("using", "group", "order", "limit", "union", "intersect", "except", ";")
    for place, word in [*tokens[index:], (len(sql), ";")]:
        closing = depth == 0 and word in ")]}"
        if closing or (depth == 0 and (word in ends or word == ",")):
            if not listed:
                yield start + leading_blank(sql[start:]), _end_of_text(sql, start, place)
            if word != ",":
                return
            start, listed = place + 1, False
            continue
        depth += (word in "([{") - (word in ")]}")
        listed = listed or (depth == 0 and word == "in")


def _end_of_text(sql: str, start: int, end: int) -> int:
    """The end of the last token in ``sql[start:end]``, before trailing blanks and comments."""
    last = start
    for place, _ in tokens_of(sql):
        if start <= place < end:
            last = place
    piece = sql[last:end]
    comment = re.search(r"\s*(?:--|/\*)", piece) if piece[:1] not in "'\"" else None
    return last + (comment.start() if comment else len(piece.rstrip()))


def name_span(sql: str, offset: int | None) -> tuple[int, int] | None:
    """The span of the (qualified, perhaps quoted) name that begins at ``offset``."""
    part = r"""(?:"(?:[^"]|"")*"|'(?:[^']|'')*'|[^\s"'.(),;\[\]]+)"""
    match = re.compile(rf"{part}(?:\s*\.\s*{part})*").match(sql, offset or 0)
    return (match.start(), match.end()) if match and offset is not None else None


def call_span(sql: str, offset: int | None) -> tuple[int, int] | None:
    """The span of the call that begins at ``offset``, up to its closing parenthesis."""
    if offset is None:
        return None
    depth = 0
    for place, word in tokens_of(sql):
        if place < offset:
            continue
        depth += (word == "(") - (word == ")")
        if word == ")" and depth == 0:
            return offset, place + 1
    return None
