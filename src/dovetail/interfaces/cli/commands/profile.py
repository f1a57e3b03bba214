"""``dovetail profile``: what is in each column of a table or file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

from dovetail.errors import UnknownNameError
from dovetail.interfaces.cli.commands.catalog import named, relation
from dovetail.interfaces.cli.declare import Argument, Option
from dovetail.interfaces.cli.options import MessageFlags, OutputFlags, SourceFlags
from dovetail.interfaces.cli.output import choose_output, write_rows
from dovetail.interfaces.cli.runtime import Job, Run
from dovetail.quoting import quote

if TYPE_CHECKING:
    from dovetail.session import Session

_EXACT_ROWS = 1_000_000
_TOP = 5
_NUMBERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")
_TIMES = ("DATE", "TIME")
_NESTED = ("STRUCT", "MAP", "UNION", "BLOB", "JSON", "VARIANT", "BIT", "GEOMETRY")


def profile(
    where: SourceFlags,
    out: OutputFlags,
    messages: MessageFlags,
    subject: Annotated[
        str, Argument(metavar="TABLE|FILE|SQL", help="What to look at.", complete="tables")
    ],
    column: Annotated[
        str | None,
        Option("--column", metavar="NAME", help="One column, with each of its values and counts."),
    ] = None,
    exact: Annotated[
        bool, Option("--exact", help="Exact figures for more than a million rows too.")
    ] = False,
) -> Job:
    """Show rows, NULLs, distinct values, range, mean, quartiles and top values of each column.

    Figures that are approximate, above a million rows, are marked with ~.

    dovetail profile exports/products.csv

    dovetail profile crm.customers --column country
    """
    output = choose_output(out, messages.color)

    def work(run: Run) -> None:
        with run.session(where) as session:
            looked = _Look(session, named(subject, session), exact)
            if column is None:
                write_rows(output, *looked.figures(looked.columns), run.diagnostics)
                return
            chosen = looked.find(column)
            if output.form.several:  # the figures, then the values
                write_rows(output, *looked.figures([chosen]), run.diagnostics)
                if output.form.for_eyes and output.path is None:
                    from dovetail.interfaces.cli.output import write_text

                    write_text("")
            write_rows(output, *looked.values(chosen), run.diagnostics)

    return Job(messages, work)


class _Look:
    """Asks a session about one table, file or query."""

    def __init__(self, session: Session, subject: str, exact: bool) -> None:
        self._session = session
        self.columns = [(c.column, c.type) for c in session.describe(subject)]
        self._from = relation(subject)
        self.rows = int(self._ask("count(*)")[0])
        self._exact = exact or self.rows <= _EXACT_ROWS

    def find(self, name: str) -> tuple[str, str]:
        """The column of that name, ignoring case. Raises :class:`UnknownNameError`."""
        for column in self.columns:
            if column[0].lower() == name.lower():
                return column
        known = [column for column, _ in self.columns]
        raise UnknownNameError(f'no column "{name}"; there is {", ".join(known)}')

    def _ask(self, expressions: str, tail: str = "") -> tuple[Any, ...]:
        with self._session.sql(f"SELECT {expressions} FROM {self._from}{tail}") as result:
            rows = result.rows()
        return rows[0] if rows else ()

    def figures(
        self, columns: list[tuple[str, str]]
    ) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
        """The columns of the listing, and a row for each column of the table."""
        parts: list[str] = []
        for name, type_ in columns:
            parts += self._expressions(quote(name), type_)
        found = self._ask(", ".join(parts))
        each = len(found) // len(columns)
        rows = []
        for index, (name, type_) in enumerate(columns):
            filled, distinct, low, high, mean, deviation, quartiles = found[
                index * each : (index + 1) * each
            ]
            nulls = self.rows - int(filled)
            about = "" if self._exact or distinct is None else "~"
            q1, q2, q3 = quartiles or (None, None, None)
            key = None if about else distinct == self.rows and nulls == 0 and self.rows > 0
            shown = None if distinct is None else f"{about}{distinct}"
            quarters = [None if q is None else f"{about}{q}" for q in (q1, q2, q3)]
            rows.append(
                (
                    name,
                    type_,
                    self.rows,
                    nulls,
                    shown,
                    low,
                    high,
                    mean,
                    deviation,
                    *quarters,
                    self._top(name, type_),
                    key,
                )
            )
        header = [
            ("column", "VARCHAR"),
            ("type", "VARCHAR"),
            ("rows", "BIGINT"),
            ("nulls", "BIGINT"),
            ("distinct", "VARCHAR"),
            ("min", "VARCHAR"),
            ("max", "VARCHAR"),
            ("mean", "DOUBLE"),
            ("stddev", "DOUBLE"),
            ("q1", "VARCHAR"),
            ("median", "VARCHAR"),
            ("q3", "VARCHAR"),
            ("top", "VARCHAR"),
            ("key", "BOOLEAN"),
        ]
        return header, rows

    def _expressions(self, column: str, type_: str) -> list[str]:
        if _is(type_, _NESTED) or type_.endswith("]"):
            return [f"count({column})", *["NULL::BIGINT"] * 6]
        distinct = "count(DISTINCT {})" if self._exact else "approx_count_distinct({})"
        made = [
            f"count({column})",
            distinct.format(column),
            f"min({column})::VARCHAR",
            f"max({column})::VARCHAR",
        ]
        if _is(type_, _NUMBERS):
            made += [f"avg({column})::DOUBLE", f"stddev_samp({column}::DOUBLE)"]
            quantile = "quantile_cont" if self._exact else "approx_quantile"
            value = f"{column}::DOUBLE"
        elif _is(type_, _TIMES) and self._exact:
            made += ["NULL::DOUBLE", "NULL::DOUBLE"]
            quantile, value = "quantile_disc", column
        else:
            return [*made, "NULL::DOUBLE", "NULL::DOUBLE", "NULL::BIGINT"]
        return [*made, f"{quantile}({value}, [0.25, 0.5, 0.75])::VARCHAR[]"]

    def _top(self, name: str, type_: str) -> str | None:
        """The values that are there most often, with their counts."""
        if _is(type_, _NESTED) or type_.endswith("]") or not self._exact:
            return None
        column = quote(name)
        sql = (
            f"SELECT {column}::VARCHAR, count(*) FROM {self._from} WHERE {column} IS NOT NULL "
            f"GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT {_TOP}"
        )
        with self._session.sql(sql) as result:
            rows = result.rows()
        if not rows or (rows[0][1] == 1 and len(rows) > 1):
            return None  # every value once: none is a top value
        return ", ".join(f"{_short(value)} ({count})" for value, count in rows)

    def values(
        self, column: tuple[str, str]
    ) -> tuple[list[tuple[str, str]], list[tuple[Any, ...]]]:
        """Every distinct value of a column with its count, the commonest first."""
        name = quote(column[0])
        sql = f"SELECT {name}::VARCHAR, count(*) FROM {self._from} GROUP BY 1 ORDER BY 2 DESC, 1"
        with self._session.sql(sql) as result:
            rows = [(value, int(count)) for value, count in result.rows()]
        return [(column[0], "VARCHAR"), ("count", "BIGINT")], rows


def _is(type_: str, kinds: tuple[str, ...]) -> bool:
    return type_.removeprefix("U").startswith(kinds) or type_.startswith(kinds)


def _short(value: str) -> str:
    shown = value if len(value) <= 24 else value[:23] + "…"
    return json.dumps(shown, ensure_ascii=False)[1:-1]


COMMANDS = {"profile": profile}
