"""Questions about a result that has arrived, answered by DuckDB over its Arrow table.

Filters, sorts, searches and statistics run here, off the screen's thread, and never row by row in
Python. Rows are not copied: a filtered or sorted view is an array of row numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.catalog.model import distinct_names
from dovetail.errors import CancelledError, DataError, DovetailError, QueryError
from dovetail.interfaces.tui.view import View, order_by, text_test, where
from dovetail.present.values import Column, text_expression
from dovetail.quoting import quote

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

ROW = "__dovetail_row"
_RAW = "__dovetail_rows"  # the rows as they came
_ROWS = "result"  # what the rows are called in SQL; the user sees it in messages
_NUMERIC = ("tinyint", "smallint", "integer", "bigint", "hugeint", "utinyint", "usmallint",
            "uinteger", "ubigint", "uhugeint", "float", "double", "decimal", "bignum")  # fmt: skip
_TIMES = ("date", "timestamp", "timestamp_s", "timestamp_ms", "timestamp_ns",
          "timestamp with time zone", "time")  # fmt: skip
_BARS = 12


@dataclass(frozen=True)
class Matches:
    """The cells that a search found: positions in the view of rows with a match, in order, and
    how many cells match up to and with each of them."""

    positions: pa.Array
    upto: pa.Array

    @property
    def cells(self) -> int:
        """How many cells match."""
        return int(self.upto[-1].as_py()) if len(self.upto) else 0


@dataclass(frozen=True)
class ColumnStatistics:
    """What a column holds, over the rows shown. Values are text as the grid shows them."""

    name: str
    type: str
    rows: int
    total_rows: int
    nulls: int
    distinct: int
    facts: tuple[tuple[str, str], ...]
    top: tuple[tuple[str | None, int], ...]
    histogram: tuple[tuple[str, int], ...]


class Analyst:
    """Answers about one table of results. Calls may come from several threads."""

    def __init__(self, table: pa.Table, columns: Sequence[Column]) -> None:
        """``columns`` gives distinct names and DuckDB types in the order of ``table``."""
        import duckdb

        self.columns = list(columns)
        self._connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "enable_external_access": "false",
                "arrow_large_buffer_size": "true",
                "default_null_order": "nulls_last",
                "python_enable_replacements": "false",
            }
        )
        self.kinds = [self._kind(column.type, index, table) for index, column in enumerate(columns)]
        self._carried = self._carried_otherwise(table)
        self._lock = threading.Lock()
        self._cursors: set[duckdb.DuckDBPyConnection] = set()
        self.table = table
        self.replace(table)

    def _kind(self, name: str, index: int, table: pa.Table) -> Any:
        import duckdb

        try:
            return self._connection.type(name)
        except duckdb.Error:  # a type of an extension that is not loaded here
            return self._connection.from_arrow(table.select([index]).slice(0, 0)).types[0]

    def _carried_otherwise(self, table: pa.Table) -> dict[int, str]:
        """Columns that Arrow carries as another type than their own, such as TIMETZ and BIT as
        text: their number and the type they come as."""
        names = [f"c{number}" for number in range(len(self.columns))]
        empty = table.slice(0, 0).rename_columns(names)
        seen = self._connection.from_arrow(empty).types
        return {
            number: str(came)
            for number, (came, kind) in enumerate(zip(seen, self.kinds, strict=True))
            if str(came) != str(kind)
        }

    def replace(self, table: pa.Table) -> None:
        """More rows have come: answer about ``table`` from now on."""
        import pyarrow as pa

        numbers = _count(table.num_rows)
        named = pa.Table.from_arrays(
            [*table.columns, numbers], names=[*(c.name for c in self.columns), ROW]
        )
        with self._lock:
            self._numbered, self.table = named, table

    @contextmanager
    def _cursor(self) -> Iterator[duckdb.DuckDBPyConnection]:
        import duckdb

        with self._lock:
            cursor = self._connection.cursor()
            self._cursors.add(cursor)
        try:
            cursor.execute("SET TimeZone = 'UTC'")
            if self._carried:
                cursor.register(_RAW, self._numbered)
                cursor.execute(
                    f"CREATE TEMP VIEW {_ROWS} AS SELECT * {self._own_types()} FROM {_RAW}"
                )
            else:
                cursor.register(_ROWS, self._numbered)
            yield cursor
        except duckdb.InterruptException:
            raise CancelledError("cancelled") from None
        except duckdb.Error as error:
            raise _readable(error) from None
        finally:
            with self._lock:
                self._cursors.discard(cursor)
            cursor.close()

    def _own_types(self) -> str:
        casts = [
            f"CAST({name} AS {self.columns[number].type}) AS {name}"
            for number in self._carried
            for name in [quote(self.columns[number].name)]
        ]
        return f"REPLACE ({', '.join(casts)})"

    def _as_it_came(self, column: int) -> str:
        """SQL for the values of a column as Arrow carries them: as their own type some would lose
        something on the way out (TIMETZ its offset)."""
        name = quote(self.columns[column].name)
        came = self._carried.get(column)
        return name if came is None else f"CAST({name} AS {came}) AS {name}"

    def interrupt(self) -> None:
        """Break off the questions that are being answered."""
        with self._lock:
            for cursor in self._cursors:
                cursor.interrupt()

    def close(self) -> None:
        """Let go of the table."""
        self.interrupt()
        with self._lock:
            self._connection.close()

    def query(self, sql: str) -> pa.Table:
        """Run ``sql``, in which the rows are called ``result``. Raises :class:`DovetailError`."""
        with self._cursor() as cursor:
            return cursor.sql(sql).to_arrow_table()

    # -- which rows, in which order ---------------------------------------------------------------

    def rows_of(self, view: View) -> pa.Array | None:
        """The numbers of the rows that ``view`` shows, in its order; None for all as they came.

        Raises:
            QueryError: a regular expression or an expression of the user is wrong.
        """
        if not view.moves_rows():
            return None
        self._check(view)
        sql = (
            f"SELECT {ROW} FROM {_ROWS}{where(view, self.columns)}"
            f"{order_by(view, self.columns, ROW)}"
        )
        return self.query(sql).column(0).combine_chunks()

    def _check(self, view: View) -> None:
        """An expression must be an expression: text that ends the query early is refused."""
        import duckdb

        for filter_ in view.filters:
            if filter_.kind != "expression":
                continue
            # It must be one expression by itself as well as in the brackets it will stand in.
            bare, inside = f"SELECT {filter_.text}", f"SELECT ({filter_.text}\n)"
            try:
                counts = [len(duckdb.extract_statements(text)) for text in (bare, inside)]
            except duckdb.Error as error:
                raise _readable(error) from None
            if counts != [1, 1]:
                raise QueryError("the filter must be one expression, such as qty > 40")

    def find(self, pattern: str, columns: Sequence[int], rows: pa.Array | None) -> Matches:
        """The cells of ``columns`` that hold ``pattern``; case counts if it has a capital."""
        import pyarrow as pa
        import pyarrow.compute as pc

        tests = [text_test("exact", pattern, self.columns[c]) for c in columns]
        count = " + ".join(f"coalesce({test}, false)::INTEGER" for test in tests) or "0"
        found = f"SELECT {ROW} AS place, {count} AS cells FROM {_ROWS}"
        if rows is None:
            table = self.query(f"SELECT * FROM ({found}) WHERE cells > 0 ORDER BY place")
        else:
            with self._cursor() as cursor:
                places = pa.table({"place": _count(len(rows)), "row": rows})
                cursor.register("places", places)
                table = cursor.sql(
                    f"SELECT p.place, f.cells FROM ({found}) f JOIN places p ON p.row = f.place "
                    "WHERE f.cells > 0 ORDER BY p.place"
                ).to_arrow_table()
        cells = table.column("cells").combine_chunks().cast(pa.int64())
        return Matches(table.column("place").combine_chunks(), pc.cumulative_sum(cells))

    def next_change(
        self, column: int, rows: pa.Array | None, place: int, *, back: bool, null: bool
    ) -> int | None:
        """The place of the next row whose value differs (``null``: is NULL), or None."""
        import pyarrow as pa

        name = quote(self.columns[column].name)
        source = f"SELECT {ROW} AS place, {name} AS v FROM {_ROWS}"
        with self._cursor() as cursor:
            inner = source
            if rows is not None:
                places = pa.table({"place": _count(len(rows)), "row": rows})
                cursor.register("places", places)
                inner = f"SELECT p.place, f.v FROM ({inner}) f JOIN places p ON p.row = f.place"
            side = f"place {'<' if back else '>'} {place}"
            best = "max(place)" if back else "min(place)"
            if null:
                test = "v IS NULL"
            else:
                test = f"v IS DISTINCT FROM (SELECT v FROM ({inner}) WHERE place = {place})"
            found = cursor.sql(f"SELECT {best} FROM ({inner}) WHERE {side} AND {test}").fetchone()
        return None if found is None or found[0] is None else int(found[0])

    # -- statistics -------------------------------------------------------------------------------

    def statistics(self, column: int, view: View) -> ColumnStatistics:
        """What a column holds, over the rows that the filters leave."""
        this, kind = self.columns[column], self.kinds[column]
        name, source = quote(this.name), f"{_ROWS}{where(view, self.columns)}"
        text = text_expression
        facts: list[tuple[str, str]] = [
            ("min", text(f"min({name})", kind)),
            ("max", text(f"max({name})", kind)),
        ]
        if self.is_number(column):
            number = f"{name}::DOUBLE"
            quantiles = f"quantile_cont({number}, [0.25, 0.5, 0.75])"
            facts += [
                ("mean", f"round(avg({number}), 2)::VARCHAR"),
                ("median", f"round({quantiles}[2], 2)::VARCHAR"),
                ("quartiles", f"round({quantiles}[1], 2)::VARCHAR || ' and ' || "
                 f"round({quantiles}[3], 2)::VARCHAR"),
                ("standard deviation", f"round(stddev_samp({number}), 2)::VARCHAR"),
                ("sum", f"sum({name})::VARCHAR"),
            ]  # fmt: skip
            if kind.id in ("float", "double"):  # NaN and infinities have no mean
                facts[2:] = [
                    (n, f"CASE WHEN bool_and(isfinite({name})) THEN {sql} END")
                    for n, sql in facts[2:]
                ]
        elif this.type == "VARCHAR":
            facts.append(
                ("lengths", f"min(length({name}))::VARCHAR || '–' || max(length({name}))::VARCHAR")
            )
        head = ["count(*)", f"count({name})"]
        row = self.query(
            f"SELECT {', '.join([*head, *(sql for _, sql in facts)])} FROM {source}"
        ).to_pylist()[0]
        values = list(row.values())
        known = [(n, v) for (n, _), v in zip(facts, values[2:], strict=True) if v is not None]
        top, distinct = self._frequent(column, view)
        return ColumnStatistics(
            this.name,
            this.type,
            int(values[0]),
            self.table.num_rows,
            int(values[0]) - int(values[1]),
            distinct,
            tuple(known),
            tuple(top),
            tuple(self.histogram(column, view)),
        )

    def top(self, column: int, view: View, limit: int = 10) -> list[tuple[str | None, int]]:
        """The most frequent values with their counts; ties in the order of the values."""
        return self._frequent(column, view, limit)[0]

    def _frequent(
        self, column: int, view: View, limit: int = 10
    ) -> tuple[list[tuple[str | None, int]], int]:
        """The most frequent values, and how many different ones there are."""
        this, kind = self.columns[column], self.kinds[column]
        name = quote(this.name)
        # Only the chosen values become text: for the others it would take as long as the counting.
        table = self.query(
            f"WITH g AS MATERIALIZED (SELECT {name} AS v, count(*) AS n "
            f"FROM {_ROWS}{where(view, self.columns)} GROUP BY {name}) "
            f"SELECT {text_expression('v', kind)} AS t, n, (SELECT count(v) FROM g) AS different "
            f"FROM (FROM g ORDER BY n DESC, v NULLS LAST LIMIT {limit}) "
            "ORDER BY n DESC, v NULLS LAST"
        )
        texts, counts, different = (column.to_pylist() for column in table.columns)
        return list(zip(texts, counts, strict=True)), different[0] if different else 0

    def is_number(self, column: int) -> bool:
        """Whether the column holds numbers."""
        return self.kinds[column].id in _NUMERIC

    def numbers(self, column: int, rows: Sequence[int]) -> dict[int, float]:
        """Row number → value, of these rows; NULL, NaN and infinities are left out."""
        import pyarrow as pa

        name = f"{quote(self.columns[column].name)}::DOUBLE"
        with self._cursor() as cursor:
            cursor.register("chosen", pa.table({"row": pa.array(rows, pa.int64())}))
            found = cursor.sql(
                f"SELECT {ROW}, {name} FROM {_ROWS} WHERE {ROW} IN (SELECT row FROM chosen) "
                f"AND isfinite({name})"
            ).fetchall()
        return dict(found)

    def histogram(self, column: int, view: View) -> list[tuple[str, int]]:
        """``(least value, rows)`` of equal ranges from the least number to the greatest."""
        if not self.is_number(column):
            return []
        name = f"{quote(self.columns[column].name)}::DOUBLE"
        filters = where(view, self.columns)
        finite = f"{filters} {'AND' if filters else 'WHERE'} isfinite({name})"
        table = self.query(
            f"WITH v AS (SELECT {name} AS v FROM {_ROWS}{finite}), "
            "e AS (SELECT min(v) AS lo, max(v) AS hi FROM v) "
            f"SELECT least(floor((v - lo) / nullif(hi - lo, 0) * {_BARS}), {_BARS - 1})::INTEGER "
            "AS bar, count(*) AS n, any_value(lo) AS lo, any_value(hi) AS hi "
            "FROM v, e WHERE hi > lo GROUP BY bar ORDER BY bar"
        ).to_pylist()
        if not table:
            return []
        low, high = table[0]["lo"], table[0]["hi"]
        counts = {row["bar"]: row["n"] for row in table}
        step = (high - low) / _BARS
        return [(f"{low + bar * step:.6g}", counts.get(bar, 0)) for bar in range(_BARS)]

    def all_statistics(self, view: View) -> pa.Table:
        """One row per visible column: type, NULLs, distinct values, least, greatest, mean."""
        import pyarrow as pa

        shown = view.columns
        parts: list[str] = ["count(*)"]
        for index in shown:
            name, kind = quote(self.columns[index].name), self.kinds[index]
            number = kind.id in _NUMERIC
            finite = f" FILTER (WHERE isfinite({name}::DOUBLE))" if number else ""
            mean = f"round(avg({name}::DOUBLE){finite}, 4)" if number else "NULL"
            parts += [
                f"count({name})",
                f"approx_count_distinct({name})",
                text_expression(f"min({name})", kind),
                text_expression(f"max({name})", kind),
                mean,
            ]
        names = [f"{part} AS s{number}" for number, part in enumerate(parts)]
        row = self.query(
            f"SELECT {', '.join(names)} FROM {_ROWS}{where(view, self.columns)}"
        ).to_pylist()[0]
        values = list(row.values())
        total, rest = values[0], values[1:]
        found = [rest[n * 5 : n * 5 + 5] for n in range(len(shown))]
        return pa.table(
            {
                "column": [self.columns[c].name for c in shown],
                "type": [self.columns[c].type for c in shown],
                "rows": pa.array([total] * len(shown), pa.int64()),
                "nulls": pa.array([total - f[0] for f in found], pa.int64()),
                "distinct~": pa.array([f[1] for f in found], pa.int64()),
                "min": pa.array([f[2] for f in found], pa.string()),
                "max": pa.array([f[3] for f in found], pa.string()),
                "mean": pa.array([f[4] for f in found], pa.float64()),
            }
        )

    def frequencies(self, columns: Sequence[int], view: View) -> pa.Table:
        """Every combination of values with its count and share, most frequent first."""
        names = ", ".join(quote(self.columns[c].name) for c in columns)
        came = ", ".join(self._as_it_came(c) for c in columns)
        order = ", ".join(f"f.{quote(self.columns[c].name)}" for c in columns)
        table = self.query(
            f"SELECT {came}, {ROW}_count, {ROW}_share FROM (SELECT {names}, "
            f"count(*) AS {ROW}_count, "
            f"round(100 * count(*) / sum(count(*)) OVER (), 2) AS {ROW}_share "
            f"FROM {_ROWS}{where(view, self.columns)} GROUP BY {names}) AS f "
            f"ORDER BY {ROW}_count DESC, {order}"
        )
        named = [*(self.columns[c].name for c in columns), "count", "percent"]
        return table.rename_columns(distinct_names(named))

    def all_null(self, view: View) -> list[int]:
        """The columns that hold nothing but NULL in the rows shown."""
        parts = ", ".join(f"count({quote(self.columns[c].name)}) AS c{c}" for c in view.columns)
        row = self.query(f"SELECT {parts} FROM {_ROWS}{where(view, self.columns)}").to_pylist()[0]
        return [c for c in view.columns if row[f"c{c}"] == 0]

    def summary(self, cells: Sequence[tuple[int, pa.Array | None, int, int]]) -> dict[str, Any]:
        """Count, sum, average, least and greatest of a selection of numbers.

        ``cells`` are ``(column, rows of the view, first place, last place)``.
        """
        import pyarrow as pa

        parts = []
        for column, rows, first, last in cells:
            if self.kinds[column].id not in _NUMERIC:
                continue
            name = quote(self.columns[column].name)
            numbers = (
                _count(last - first + 1, first)
                if rows is None
                else rows.slice(first, last - first + 1)
            )
            parts.append((name, numbers))
        if not parts:
            return {}
        with self._cursor() as cursor:
            cursor.register("chosen", pa.table({"row": parts[0][1]}))
            union = " UNION ALL ".join(
                f"SELECT {name}::DOUBLE AS v FROM {_ROWS} WHERE {ROW} IN (SELECT row FROM chosen)"
                for name, _ in parts
            )
            found = cursor.sql(
                f"SELECT count(*), sum(v), avg(v), min(v), max(v) FROM ({union})"
            ).fetchone()
        assert found is not None
        return dict(zip(("count", "sum", "average", "min", "max"), found, strict=True))

    # -- taking rows out --------------------------------------------------------------------------

    def take(self, view: View, rows: pa.Array | None, columns: Sequence[int]) -> pa.Table:
        """The rows of the view as a table of their own, with these columns."""
        import pyarrow as pa

        names = ", ".join(f"r.{quote(self.columns[c].name)}" for c in columns)
        if rows is None:
            return self.table.select(list(columns)).rename_columns(
                [self.columns[c].name for c in columns]
            )
        with self._cursor() as cursor:
            cursor.register("places", pa.table({"place": _count(len(rows)), "row": rows}))
            return cursor.sql(
                f"SELECT {names} FROM {_RAW if self._carried else _ROWS} r "
                f"JOIN places p ON p.row = r.{ROW} ORDER BY p.place"
            ).to_arrow_table()

    def texts(self, table: pa.Table, columns: Sequence[int]) -> list[list[str | None]]:
        """The text of every value of ``table``, whose columns are ``columns`` of the result."""
        names = [f"c{number}" for number in range(len(columns))]
        wanted = ", ".join(
            f"{text_expression(name, self.kinds[c])} AS {name}"
            for name, c in zip(names, columns, strict=True)
        )
        with self._cursor() as cursor:
            made = cursor.from_arrow(table.rename_columns(names)).project(wanted).to_arrow_table()
        return [column.to_pylist() for column in made.columns]


def _count(rows: int, first: int = 0) -> pa.Array:
    """``first``, ``first + 1``, … as int64, made without a Python object per row."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.cumulative_sum(pa.repeat(pa.scalar(1, pa.int64()), rows), start=first - 1)


def _readable(error: Exception) -> DovetailError:
    """DuckDB's message without its class, line marks and hints about its own settings."""
    message = str(error).split("\n\n")[0].split("\nLINE ")[0].strip()
    kind, colon, rest = message.partition(": ")
    if colon and kind.endswith("Error"):
        message = rest
    return DataError(message[:300])
