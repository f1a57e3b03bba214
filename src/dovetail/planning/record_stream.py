"""Records that are checked and handed to the engine while their writer is still at it."""

from __future__ import annotations

import contextlib
import json
import uuid
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import IO, Any

from dovetail.connectors import inspector
from dovetail.connectors.files_lines import LinesConnector, next_batch
from dovetail.connectors.files_paths import FileTable
from dovetail.connectors.open_lines import Batch, OpenLines
from dovetail.errors import UsageError
from dovetail.language.rules.diagnostics import RulesError
from dovetail.language.rules.directives import SourceDeclaration
from dovetail.planning.records import (
    Policy,
    Report,
    TooManyErrors,
    checked_lines,
    members,
    policy_of,
    record_error,
)
from dovetail.planning.streaming import NotSettled
from dovetail.quoting import sql_string
from dovetail.types import Type


class RecordStream:
    """Standard input as a declared source of JSON lines; a :class:`~dovetail.execution.work.Feed`.

    The columns are those of the schema, or else what the first batch holds: a later record that
    contradicts them is a record error. Where the schema or a policy asks for it every record is
    checked one by one. Otherwise each batch is checked as a whole: the engine tells the kinds of
    values in it, and only when they do not fit are its records looked at for the one to name.
    """

    def __init__(
        self,
        lines: OpenLines,
        connector: LinesConnector,
        declaration: SourceDeclaration,
        open_errors: Callable[[], contextlib.AbstractContextManager[IO[str] | None]],
    ) -> None:
        self._lines = lines
        self._connector = connector
        self.declaration = declaration
        self._open_errors = open_errors
        self.report = Report(policy_of(declaration, "stdin"))
        self._last = lines.head()
        self._first_lines = len(self._last.lines)
        self._begun = False
        self.source = connector.name
        self.rows = 0
        self.fields: set[str] = set()
        """The fields that the program reads: those of others may hold anything."""
        path = self._new_path()
        if declaration.schema or declaration.on_error == "fail":
            path.write_bytes(b"".join(self._last.lines))
        else:
            unchecked = Report(Policy(declaration.name, "stdin", "skip"))
            found = checked_lines(self._last.lines, {}, frozenset(), unchecked, None)
            path.write_text("".join(f"{record}\n" for record in found), encoding="utf-8")
        # Else a batch of {} is taken for values, not for records without fields.
        options: dict[str, Any] = {"records": "true"}
        if declaration.schema:
            options["columns"] = {s.field: s.type.text for s in declaration.schema}
        self.table: FileTable = connector.table(path, options)

    @cached_property
    def types(self) -> dict[str, Type]:
        """The type of each field, declared or as the first batch has it."""
        if self.declaration.schema:
            return {s.field: s.type for s in self.declaration.schema}
        return {c.source_name: c.type for c in self.table.columns}

    def require_settled(self) -> None:
        """Check that the first batch tells the types of what the program reads.

        Raises:
            NotSettled: a field has only NULLs so far.
        """
        if self.declaration.schema or self._lines.ended:
            return
        if not self.table.look.pinned:
            raise NotSettled("its fields have no plain names")
        for name in sorted(self.fields):
            if name in self.types and "JSON" in self.types[name].text:
                raise NotSettled(f"the field {name} has no value yet that tells its type")

    def batches(self) -> Iterator[str]:
        """Before each batch the statement that makes it what the source's fragments read.

        Raises:
            RulesError: R014, by the policy.
            UsageError: it has been read before.
        """
        if self._begun:
            raise UsageError("standard input has been read, and can be read only once")
        self._begun = True
        with self._open_errors() as errors:
            batch: Batch | None = self._lines.batch() or Batch([], 1)
            while batch is not None:
                self._last = batch
                path = self._new_path()
                try:
                    self._write(path, errors)
                    self.rows += sum(1 for line in self._last.lines if not line.isspace())
                    yield next_batch(path)
                finally:
                    path.unlink(missing_ok=True)
                batch = self._lines.batch()

    def stop(self) -> None:
        """Read no more, from any thread."""
        self._lines.stop()

    def culprit(self) -> RulesError | None:
        """R014 for the first record of the last batch that contradicts the types, if one does."""
        strict = Report(Policy(self.declaration.name, "stdin"))
        try:
            for _ in self._checked(strict, None):
                pass
        except TooManyErrors as stopped:
            return self._error(stopped, strict.policy)
        return None

    def _write(self, path: Path, errors: IO[str] | None) -> None:
        """The records of the last batch as a file."""
        if self.declaration.checks_records:
            try:
                records = "".join(f"{record}\n" for record in self._checked(self.report, errors))
            except TooManyErrors as stopped:
                raise self._error(stopped, self.report.policy) from None
            finally:
                if errors is not None:
                    errors.flush()
            path.write_text(records, encoding="utf-8")
            return
        path.write_bytes(b"".join(self._last.lines))
        if not self._fits(path):
            found = self.culprit()
            if found is not None:
                raise found

    def _checked(self, report: Report, errors: IO[str] | None) -> Iterator[str]:
        used = frozenset(self.fields)
        return checked_lines(
            self._last.lines, self.types, used, report, errors, first_line=self._last.first
        )

    def _fits(self, path: Path) -> bool:
        """Whether the engine reads every value in a batch as exactly what it is."""
        import duckdb

        cursor = inspector.cursor()
        try:
            row = cursor.execute(
                "SELECT json_group_structure(json) FROM read_json_objects("
                f"{sql_string(str(path))}, format = 'newline_delimited')"
            ).fetchone()
        except duckdb.Error:  # a line that is no JSON
            return False
        finally:
            cursor.close()
        shape = json.loads(row[0]) if row and row[0] else {}
        return isinstance(shape, dict) and all(
            fits(shape[name], self.types[name]) for name in self.fields & shape.keys()
        )

    def _error(self, stopped: TooManyErrors, policy: Policy) -> RulesError:
        help_ = ""
        name = stopped.record.field
        if name is not None and not self.declaration.schema:
            help_ = (
                f"the type of {name} is that of the first {self._first_lines} lines; "
                f"schema([{name}-…]) declares it"
            )
        return record_error(stopped, policy, self.declaration, help_)

    def _new_path(self) -> Path:
        return self._connector.spool / f"stdin-{uuid.uuid4().hex}.jsonl"


_SHAPES = {
    "integer": ("BIGINT", "UBIGINT"),
    "float": ("BIGINT", "UBIGINT", "DOUBLE"),
    "boolean": ("BOOLEAN",),
    "text": ("VARCHAR",),
}
# Texts that the reader converts; it checks them where they are not nested.
_CONVERTED = ("date", "timestamp", "timestamptz", "time", "uuid")


def fits(shape: Any, type_: Type, nested: bool = False) -> bool:
    """Whether a JSON reader of ``type_`` takes values of a shape, as ``json_group_structure`` has
    it, for exactly what they are. False is not sure.
    """
    family = type_.family
    if shape == "NULL" or family == "json":
        return True
    if family in _CONVERTED:
        return shape == "VARCHAR" and not nested
    if family == "list":
        element = members(type_)["child"]
        return isinstance(shape, list) and all(fits(inner, element, True) for inner in shape)
    if family == "struct":
        inside = members(type_)
        return isinstance(shape, dict) and all(
            fits(shape[name], inside[name], True) for name in shape.keys() & inside.keys()
        )
    if family == "map":
        value = members(type_)["value"]
        return isinstance(shape, dict) and all(fits(v, value, True) for v in shape.values())
    return shape in _SHAPES.get(family, ())
