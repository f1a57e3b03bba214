"""Runs the statements of a script over one session, and keeps what they make.

A temporary view is kept as text and a temporary table as a private DuckDB file. A statement that
names one of them is run with a WITH clause in front that defines it: the planner sees an ordinary
query and pushes what it can, and no source ever sees the temporary name.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dovetail.catalog.catalogs import near_names
from dovetail.errors import BindError, DovetailError, Location, SourceError, UnknownNameError
from dovetail.language.sql.lexing import leading_blank, names_of, tokens_of
from dovetail.quoting import quote
from dovetail.script.depends import needed_objects

if TYPE_CHECKING:
    from dovetail.execution.result import Result
    from dovetail.explanation import Explanation
    from dovetail.script.statements import Statement
    from dovetail.session import Session

_MOST_ERRORS = 10


@dataclass(frozen=True)
class _Object:
    """A temporary table or view; ``query`` is what a WITH clause says it is, and needs no other.

    ``reads_file`` is set for a table, and for a view that reads one.
    """

    name: str
    kind: str
    query: str
    file: Path | None = None
    reads_file: bool = False


@dataclass(frozen=True)
class _Written:
    """A statement as it runs: the text, and how its places relate to the script's."""

    text: str
    begin: int  # where the statement's own text begins in `text`
    skipped: int = 0  # of its own first characters, which stand before `begin`
    reads_file: bool = False  # of a temporary table, which goes with the script


class Desk:
    """The temporary objects of one script or shell, over one session. Close it after use."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._objects: dict[str, _Object] = {}
        self._folder: Path | None = None
        self._made = 0

    @property
    def objects(self) -> dict[str, str]:
        """The temporary objects: name → ``table`` or ``view``, in the order they were made."""
        return {item.name: item.kind for item in self._objects.values()}

    def drop(self, name: str) -> bool:
        """Forget a temporary object; False if there is none of that name."""
        found = self._objects.pop(name.lower(), None)
        if found is not None and found.file is not None:
            found.file.unlink(missing_ok=True)
        return found is not None

    def close(self) -> None:
        """Remove the files of temporary tables."""
        self._objects.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def __enter__(self) -> Desk:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- running --------------------------------------------------------------------------------

    def run(
        self,
        statement: Statement,
        params: Mapping[str, Any] | None = None,
        *,
        limit: int | None = None,
        timeout: float | None = None,
        dialect: str = "duckdb",
        cache: bool | float | None = None,
        on_progress: Callable[[Any], None] | None = None,
        on_start: Callable[[Callable[[], None]], None] | None = None,
    ) -> Result | None:
        """Run one statement: its result, or None when it made a temporary object.

        ``params`` may hold more than the statement uses. The other arguments are those of
        :meth:`dovetail.session.Session.sql`.

        Raises:
            DovetailError: located in the script, with the number of the statement.
        """
        written = self._written(statement, dialect)
        try:
            values = _used(written.text, params or {})
            options: dict[str, Any] = {
                "cache": False if written.reads_file else cache,
                "timeout": timeout,
                "on_progress": on_progress,
                "on_start": on_start,
            }
            if statement.kind in ("explain", "analyze"):
                analyze = statement.kind == "analyze"
                return _as_result(
                    self._session.explain(
                        written.text, values, analyze=analyze, cache=options["cache"]
                    )
                )
            if statement.kind == "query":
                return self._session.sql(written.text, values, limit=limit, **options)
            self._refuse_second(statement, self._objects)
            if statement.kind == "view":
                self._session.explain(written.text, values)  # says what is wrong with it now
                if values:
                    raise BindError(
                        "a temporary view cannot hold parameters; make a table of it: "
                        f"create temp table {statement.name} as …"
                    )
                self._keep(statement, written.text, reads_file=written.reads_file)
                return None
            with self._session.sql(written.text, values, **options) as result:
                self._keep_table(statement, result)
            return None
        except DovetailError as error:
            raise self._placed(error, statement, written) from None

    def check(
        self,
        statements: Sequence[Statement],
        params: Mapping[str, Any] | None = None,
        *,
        dialect: str = "duckdb",
    ) -> list[DovetailError]:
        """Parse and bind all statements in order without running any.

        Returns what is wrong, at most ten errors. A statement that needs an object which is wrong
        itself is passed over.
        """
        errors: list[DovetailError] = []
        wrong: set[int] = set()
        for statement in statements:
            if any(other.number in wrong for other in needed_objects(statement, statements)):
                wrong.add(statement.number)
                continue
            try:
                self.plan(statement, params, dialect=dialect, before=statements)
            except SourceError:
                raise  # a source that is down says nothing about the statements
            except DovetailError as error:
                wrong.add(statement.number)
                errors.append(error)
                if len(errors) == _MOST_ERRORS:
                    break
        return errors

    def plan(
        self,
        statement: Statement,
        params: Mapping[str, Any] | None = None,
        *,
        dialect: str = "duckdb",
        before: Sequence[Statement] = (),
    ) -> Explanation:
        """The plan of one statement, as if the temporary objects made in ``before`` were views."""
        objects = dict(self._objects)
        for other in before:
            if other.number >= statement.number:
                break
            if not other.has_rows:
                query = self._written(other, dialect, objects).text
                objects[other.name.lower()] = _Object(other.name, other.kind, query)
        written = self._written(statement, dialect, objects)
        try:
            if not statement.has_rows:
                self._refuse_second(statement, objects)
            return self._session.explain(written.text, _used(written.text, params or {}))
        except DovetailError as error:
            raise self._placed(error, statement, written) from None

    @staticmethod
    def _refuse_second(statement: Statement, objects: Mapping[str, _Object]) -> None:
        if statement.name.lower() in objects and not statement.replaces:
            raise BindError(
                f'there is a temporary {objects[statement.name.lower()].kind} "{statement.name}" '
                f"already; write create or replace temp {statement.kind}"
            )

    def _placed(
        self, error: DovetailError, statement: Statement, written: _Written
    ) -> DovetailError:
        """The error with its place in the script instead of the text that ran."""
        error.statement = statement.number
        place = error.location
        if place is not None:
            lines = written.text.split("\n")
            offset = sum(len(line) + 1 for line in lines[: place.line - 1]) + place.column - 1
            if offset >= written.begin:
                own = offset - written.begin + written.skipped
                error.location = Location.of_offset(statement.script, statement.query_start + own)
            else:  # in the definition of a temporary object, which was right when it was made
                error.location = None
        if statement.origin and not error.message.startswith(statement.origin):
            error.message = f"{statement.origin}: {error.message}"
        if isinstance(error, UnknownNameError) and not error.suggestions:
            error.suggestions = tuple(near_names(_missing(error.message), list(self.objects)))
        return error

    # -- temporary objects ----------------------------------------------------------------------

    def _keep(
        self, statement: Statement, query: str, file: Path | None = None, *, reads_file: bool
    ) -> None:
        name = statement.name.lower()
        self._objects[name] = _Object(statement.name, statement.kind, query, file, reads_file)

    def _keep_table(self, statement: Statement, result: Result) -> None:
        import duckdb

        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="dovetail-"))
        self._made += 1
        file = self._folder / f"temporary_{self._made}.duckdb"
        limits = self._session.config.limits
        config: dict[str, Any] = {} if limits.threads is None else {"threads": limits.threads}
        if limits.memory is not None:
            config["memory_limit"] = f"{limits.memory}B"
        columns = ", ".join(
            f"CAST({quote(f'c{number}')} AS {type_}) AS {quote(name)}"
            for number, (name, type_) in enumerate(result.columns)
        )
        reader = result.reader()
        names = [f"c{number}" for number in range(len(result.columns))]
        with duckdb.connect(str(file), config=config) as database:
            database.register("arrow_rows", _renamed(reader, names))
            database.execute(
                f"CREATE TABLE {quote(statement.name)} AS SELECT {columns} FROM arrow_rows"
            )
            database.unregister("arrow_rows")
        query = f"SELECT * FROM {quote(str(file))}.{quote(statement.name)}"
        self._keep(statement, query, file, reads_file=True)

    # -- text -----------------------------------------------------------------------------------

    def _written(
        self,
        statement: Statement,
        dialect: str,
        objects: Mapping[str, _Object] | None = None,
    ) -> _Written:
        """The text that runs: the statement's query under the definitions that it needs."""
        query = statement.query
        if dialect != "duckdb":
            from dovetail.planning.parameters import translated

            query = translated(query, dialect)
        needed = _needed(query, self._objects if objects is None else objects)
        if not needed:
            return _Written(query, 0)
        reads_file = any(item.reads_file for item in needed)
        definitions = ",\n".join(
            f"{quote(item.name)} AS (\n{item.query.rstrip().rstrip(';')}\n)" for item in needed
        )
        lead = re.match(r"(?:describe|desc|summarize|show)\s+", query, re.IGNORECASE)
        if lead is not None:
            rest = query[lead.end() :]
            # `describe t` names a table where a query would have to stand.
            select = "" if _starts_query(rest) else "SELECT * FROM "
            verb = lead[0].strip()
            text = f"{verb} WITH {definitions}\n{select}"
            return _Written(text + rest, len(text), lead.end(), reads_file)
        head = query[: leading_blank(query)]
        body = query[len(head) :]
        own = re.match(r"with(\s+recursive)?\b", body, re.IGNORECASE)
        if own is None:
            text = f"WITH {definitions}\n"
            return _Written(text + query, len(text), 0, reads_file)
        text = f"{own[0]} {definitions},\n"
        return _Written(text + body[own.end() :], len(text), len(head) + own.end(), reads_file)


def _starts_query(text: str) -> bool:
    words = [word for _, word in tokens_of(text)[:1]]
    return bool(words) and words[0] in ("select", "with", "from", "values", "(", "pivot", "unpivot")


def _needed(query: str, objects: Mapping[str, _Object]) -> list[_Object]:
    """The objects that a query names and does not define itself."""
    names = names_of(query) - _defined(query)
    return [item for name, item in objects.items() if name in names]


def _defined(query: str) -> set[str]:
    """The names that the WITH clause at the begin of a query defines, in lower case."""
    found: set[str] = set()
    depth = 0
    before = ""
    tokens = tokens_of(query)
    if not tokens or tokens[0][1] != "with":
        return found
    for offset, word in tokens:
        if depth == 0 and before in ("with", "recursive", ",") and word != "recursive":
            found |= names_of(query[offset:].partition(" ")[0].partition("(")[0])
        elif depth == 0 and word in ("select", "from", "values", "pivot", "unpivot"):
            break
        depth += (word in "([{") - (word in ")]}")
        before = word
    return found


def _used(text: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters that a statement uses, of those of the whole script."""
    names = {match[1].lower() for match in re.finditer(r"[$:]([A-Za-z_]\w*)", text)}
    return {name: value for name, value in params.items() if name.lower() in names}


def _renamed(reader: Any, names: list[str]) -> Any:
    """The same stream under other names."""
    import pyarrow as pa

    schema = pa.schema([field.with_name(n) for field, n in zip(reader.schema, names, strict=True)])
    batches = (pa.RecordBatch.from_arrays(b.columns, schema=schema) for b in reader)
    return pa.RecordBatchReader.from_batches(schema, batches)


def _missing(message: str) -> str:
    found = re.search(r'no table "([^"]*)"', message)
    return found[1] if found else ""


def _as_result(plan: Explanation) -> Result:
    """The text of a plan as a result of one column."""
    import pyarrow as pa

    from dovetail.execution.profile import Profile
    from dovetail.execution.result import Result

    schema = pa.schema([pa.field("plan", pa.string())])
    batch = pa.record_batch([str(plan).split("\n")], schema=schema)
    profile = plan.profile or Profile()

    def nothing() -> None:
        """Nothing runs."""

    return Result(schema, ["VARCHAR"], iter([batch]), profile, nothing, nothing, list)
