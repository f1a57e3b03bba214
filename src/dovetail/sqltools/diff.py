"""How two tables, files or queries differ: the SQL that finds out, and what can be told without.

Rows are found by a key, in which NULL equals NULL, as in GROUP BY. Values are compared with IS
DISTINCT FROM: two NULLs are the same, and so are two NaN. Columns go by name, whatever its case.
Types that are not of one kind are compared as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dovetail.catalog.catalogs import near_names
from dovetail.errors import UnknownNameError, UsageError
from dovetail.quoting import quote, sql_string
from dovetail.types import parse_type

_KINDS = {
    "integer": "number",
    "decimal": "number",
    "float": "number",
    "date": "time",
    "timestamp": "time",
}


@dataclass(frozen=True)
class Side:
    """One of the two: as the user wrote it, as it stands in FROM, and its columns with types."""

    shown: str
    relation: str
    columns: tuple[tuple[str, str], ...]
    primary_key: tuple[str, ...] = ()

    def find(self, name: str) -> tuple[str, str] | None:
        """The column of that name, ignoring case."""
        return next((c for c in self.columns if c[0].lower() == name.lower()), None)


@dataclass(frozen=True)
class _Pair:
    """A column of both sides; ``as_text`` when its types cannot be compared otherwise."""

    a: str
    b: str
    as_text: bool

    def of(self, side: str) -> str:
        """The column as an expression over one side, ``"a"`` or ``"b"``."""
        name = quote(self.a if side == "a" else self.b)
        return f"CAST({name} AS VARCHAR)" if self.as_text else name


def column_differences(a: Side, b: Side) -> list[tuple[str, str, str | None, str | None]]:
    """``(change, column, type in a, type in b)`` of each column that is not the same in both.

    ``change`` is ``removed`` (only in ``a``), ``added`` (only in ``b``) or ``type``.
    """
    found: list[tuple[str, str, str | None, str | None]] = []
    for name, type_ in a.columns:
        other = b.find(name)
        if other is None:
            found.append(("removed", name, type_, None))
        elif other[1] != type_:
            found.append(("type", name, type_, other[1]))
    return found + [("added", n, None, t) for n, t in b.columns if a.find(n) is None]


def key_of(a: Side, b: Side, given: Sequence[str]) -> list[str]:
    """The key: ``given``, or the primary key that both have.

    Raises:
        UsageError: none is given and there is none in common, or a column is given twice.
        UnknownNameError: a side has no such column.
    """
    names = list(given) or list(a.primary_key)
    if not given and (
        not names or {n.lower() for n in names} != {n.lower() for n in b.primary_key}
    ):
        likely = ",".join(a.primary_key or b.primary_key) or "id,day"
        raise UsageError(
            "--data tells rows apart by their key, and A and B have no primary key in common: give "
            f"its columns, such as --key {likely}"
        )
    for number, name in enumerate(names):
        if name.lower() in [other.lower() for other in names[:number]]:
            raise UsageError(f'--key names "{name}" twice')
        for side in (a, b):
            if side.find(name) is None:
                known = [column for column, _ in side.columns]
                near = near_names(name, known)
                hint = f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
                raise UnknownNameError(
                    f'no column "{name}" in {side.shown}; {hint}', suggestions=near
                )
    return names


def compared_as_text(a: Side, b: Side, name: str) -> bool:
    """Whether a column that both have is compared as text, since its types are of two kinds."""
    return _pair(a, b, name).as_text


def count_sql(side: Side) -> str:
    """One row: the number of rows of a side."""
    return f"SELECT count(*) AS n FROM {side.relation}"


def duplicates_sql(side: Side, key: Sequence[str], most: int) -> str:
    """Keys that more than one row has, with the number of these rows; the most frequent first."""
    names = [quote(found[0]) for name in key if (found := side.find(name))]
    listed = ", ".join(names)
    return (
        f"SELECT {listed}, count(*) AS rows_of_key FROM {side.relation} GROUP BY {listed} "
        f"HAVING count(*) > 1 ORDER BY rows_of_key DESC, {listed} LIMIT {most}"
    )


def data_sql(a: Side, b: Side, key: Sequence[str]) -> str:
    """The differences of the rows, by key, which must be unique on both sides.

    Columns: ``change`` (``added``, ``removed`` or ``changed``), the key, then ``column``, ``a`` and
    ``b``. A changed row has a line for each column that differs, with both values as text. An added
    or removed row has one line without ``column``, and all its other values as one JSON object.
    Columns that only one side has are not compared.
    """
    keys = [_pair(a, b, name) for name in key]
    folded = {name.lower() for name in key}
    rest = [
        _pair(a, b, name)
        for name, _ in a.columns
        if name.lower() not in folded and b.find(name) is not None
    ]
    both = "d.in_a IS NOT NULL AND d.in_b IS NOT NULL"
    differ = [f"d.a{i} IS DISTINCT FROM d.b{i}" for i in range(len(rest))]
    name = _chosen([sql_string(pair.a) for pair in rest])
    items = [
        "CASE WHEN d.in_a IS NULL THEN 'added' WHEN d.in_b IS NULL THEN 'removed' "
        "ELSE 'changed' END AS change",
        *(f"d.k{i} AS {quote(pair.a)}" for i, pair in enumerate(keys)),
        f'CASE WHEN {both} THEN {name} END AS "column"',
    ]
    for side in "ab":
        value = _chosen([_as_text(f"d.{side}{i}") for i in range(len(rest))])
        items.append(
            f"CASE WHEN {both} THEN {value} "
            f"WHEN d.in_{side} IS NOT NULL THEN {_row(side, rest)} END AS {side}"
        )
    differs = _chosen(differ) if differ else "false"
    numbers = ", ".join(f"({i})" for i in range(max(len(rest), 1)))
    order = ", ".join([*(f"d.k{i}" for i in range(len(keys))), "n.i"])
    return (
        f"SELECT {', '.join(items)}\n"
        f"FROM (\n{_joined(a, b, keys, rest)}\n) AS d CROSS JOIN (VALUES {numbers}) AS n(i)\n"
        f"WHERE CASE WHEN {both} THEN {differs} ELSE n.i = 0 END\nORDER BY {order}"
    )


def _joined(a: Side, b: Side, keys: Sequence[_Pair], rest: Sequence[_Pair]) -> str:
    """The rows that differ, with the values of both sides side by side."""
    sides = []
    for name, side in (("a", a), ("b", b)):
        columns = [f"{pair.of(name)} AS k{i}" for i, pair in enumerate(keys)]
        columns += [f"{pair.of(name)} AS c{i}" for i, pair in enumerate(rest)]
        sides.append(f"(SELECT {', '.join(columns)}, 1 AS here FROM {side.relation}) AS {name}")
    same = " AND ".join(f"a.k{i} IS NOT DISTINCT FROM b.k{i}" for i in range(len(keys)))
    items = [f"coalesce(a.k{i}, b.k{i}) AS k{i}" for i in range(len(keys))]
    items += ["a.here AS in_a", "b.here AS in_b"]
    items += [f"{side}.c{i} AS {side}{i}" for i in range(len(rest)) for side in "ab"]
    differ = ["a.here IS NULL", "b.here IS NULL"]
    differ += [f"a.c{i} IS DISTINCT FROM b.c{i}" for i in range(len(rest))]
    return (
        f"  SELECT {', '.join(items)}\n  FROM {sides[0]}\n  FULL JOIN {sides[1]} ON {same}\n"
        f"  WHERE {' OR '.join(differ)}"
    )


def _pair(a: Side, b: Side, name: str) -> _Pair:
    found = (a.find(name), b.find(name))
    (in_a, type_a), (in_b, type_b) = (column for column in found if column is not None)
    return _Pair(in_a, in_b, _kind(type_a) != _kind(type_b))


def _kind(type_: str) -> str:
    family = parse_type(type_).family
    return _KINDS.get(family, type_)


def _chosen(expressions: Sequence[str]) -> str:
    """The expression of the column whose number is ``n.i``."""
    if not expressions:
        return "CAST(NULL AS VARCHAR)"
    arms = " ".join(f"WHEN {i} THEN {text}" for i, text in enumerate(expressions))
    return f"CASE n.i {arms} END"


def _row(side: str, rest: Sequence[_Pair]) -> str:
    if not rest:
        return "CAST(NULL AS VARCHAR)"
    values = (f"{sql_string(pair.a)}, {_as_text(f'd.{side}{i}')}" for i, pair in enumerate(rest))
    return f"CAST(json_object({', '.join(values)}) AS VARCHAR)"


def _as_text(expression: str) -> str:
    return f"CAST({expression} AS VARCHAR)"
