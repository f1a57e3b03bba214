"""Records of JSON lines looked at one by one, for sources that declare a schema or a policy.

DuckDB's own ``ignore_errors`` is no help: it turns a malformed line into a row of NULLs, counts
lines from elsewhere, and reads ``"40"`` and ``40.5`` as the integer 40. So each line is checked
here against what the program uses, and a clean copy is what the query reads.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from datetime import time as clock
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import IO, Any
from uuid import UUID

from dovetail.language.rules.diagnostics import RulesError, fail
from dovetail.language.rules.directives import SourceDeclaration
from dovetail.types import Type, parse_type

_RAW = 64 * 1024
_SHOWN = 80


@dataclass(frozen=True)
class Policy:
    """What happens to a record that does not fit: ``on_error`` is fail, skip or null."""

    source: str
    shown: str
    on_error: str = "fail"
    error_file: Path | None = None
    threshold: int | None = None


def policy_of(declaration: SourceDeclaration, shown: str) -> Policy:
    """The policy that a source declares; ``shown`` is what messages call it."""
    error_file = declaration.error_file
    return Policy(
        declaration.name,
        shown,
        declaration.on_error,
        Path(error_file) if error_file is not None else None,
        declaration.error_threshold,
    )


@dataclass(frozen=True)
class BadRecord:
    """One record error. ``line`` is the physical line, blank ones counted."""

    line: int
    field: str | None
    expected: str
    found: str
    error: str
    raw: str


class TooManyErrors(Exception):
    """Stops the reading: the first error under ``fail``, or one more than the threshold."""

    def __init__(self, record: BadRecord, count: int) -> None:
        super().__init__(record.error)
        self.record = record
        self.count = count


@dataclass
class Report:
    """What reading a source came to."""

    policy: Policy
    errors: int = 0
    records: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """``2 records skipped in m.jsonl (see bad.jsonl)``."""
        if self.policy.on_error == "null":
            nulls, lines = self.kinds.get("field", 0), self.kinds.get("line", 0)
            parts = []
            if nulls:
                parts.append(f"{nulls} field{'' if nulls == 1 else 's'} read as null")
            if lines:
                parts.append(f"{lines} record{'' if lines == 1 else 's'} skipped")
            text = " and ".join(parts)
        else:
            text = f"{self.errors} record{'' if self.errors == 1 else 's'} skipped"
        see = f" (see {self.policy.error_file})" if self.policy.error_file is not None else ""
        return f"{text} in {self.policy.shown}{see}"


def checked_lines(
    lines: Iterable[bytes],
    schema: Mapping[str, Type],
    used: frozenset[str],
    report: Report,
    errors: IO[str] | None,
    first_line: int = 1,
) -> Iterator[str]:
    """The records that fit, as JSON lines with only the used fields.

    Raises:
        TooManyErrors: by the policy.
    """
    policy = report.policy
    for number, line in enumerate(lines, start=first_line):
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
        if not text:
            continue
        report.records += 1
        record, bad = _record(text, number, schema, used)
        if not bad:
            yield record
            continue
        for problem in bad if policy.on_error == "null" else bad[:1]:
            report.errors += 1
            kind = "line" if problem.field is None else "field"
            report.kinds[kind] = report.kinds.get(kind, 0) + 1
            if errors is not None:
                json.dump(_written(problem, policy.source), errors, ensure_ascii=False)
                errors.write("\n")
            over = policy.threshold is not None and report.errors > policy.threshold
            if policy.on_error == "fail" or over:
                raise TooManyErrors(problem, report.errors)
        if policy.on_error == "null" and bad[0].field is not None:
            yield record


def record_error(
    stopped: TooManyErrors, policy: Policy, declaration: SourceDeclaration, help: str = ""
) -> RulesError:
    """R014 for what stopped the reading; ``help`` tells more than what other policies would do."""
    record: BadRecord = stopped.record
    place = f"{policy.shown} line {record.line}"
    field_ = f", field {record.field}" if record.field is not None else ""
    what = f"{place}{field_}: {record.expected} expected, found {record.found}"
    if policy.on_error != "fail":
        return fail(
            "R014",
            f"{stopped.count} record errors in {policy.shown}, more than "
            f"error_threshold({policy.threshold}) allows; the last: {what}",
            declaration.location.span,
            "raise error_threshold(N), or correct the records",
        )
    return fail(
        "R014",
        what,
        declaration.location.span,
        help or "on_error(skip) leaves such records out, on_error(null) reads the field as NULL",
    )


def _written(problem: BadRecord, source: str) -> dict[str, Any]:
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "source": source,
        "line": problem.line,
        "field": problem.field,
        "expected": problem.expected,
        "found": problem.found,
        "error": problem.error,
        "raw": problem.raw[:_RAW],
    }


def _record(
    text: str, number: int, schema: Mapping[str, Type], used: frozenset[str]
) -> tuple[str, list[BadRecord]]:
    def bad(name: str | None, expected: str, found: Any, error: str) -> BadRecord:
        written = found if isinstance(found, str) and name is None else _json(found)
        return BadRecord(number, name, expected, written[:_SHOWN], error, text)

    try:
        record = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        reason = str(error).partition(":")[0]
        return "", [bad(None, "a JSON object", text, f"not JSON: {reason}")]
    if not isinstance(record, dict):
        return "", [bad(None, "a JSON object", text, "the line is not a JSON object")]
    problems: list[BadRecord] = []
    if schema:
        kept = {}
        for name, type_ in schema.items():
            value = record.get(name)
            if value is None:
                continue
            fits, clean = fit(value, type_)
            if fits:
                kept[name] = clean
            elif name in used:
                expected = expected_name(type_)
                problems.append(bad(name, expected, value, f"the field {name} is not {expected}"))
        record = kept
    return _json(record), problems


def _no_constant(text: str) -> Any:
    raise ValueError(f"{text} is not JSON")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=_number)


def _number(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else str(value)


def expected_name(type_: Type) -> str:
    """What messages call a declared type."""
    names = {"VARCHAR": "text", "BIGINT": "integer", "DOUBLE": "number"}
    return names.get(type_.text, type_.text.lower())


_PARSED: Mapping[str, Callable[[str], Any]] = {
    "date": date.fromisoformat,
    "time": clock.fromisoformat,
    "timestamp": datetime.fromisoformat,
    "timestamptz": datetime.fromisoformat,
    "uuid": UUID,
}


def fit(value: Any, type_: Type) -> tuple[bool, Any]:
    """Whether a JSON value is of the declared type, and how to write it for the reader."""
    match type_.family:
        case "json":
            return True, value
        case "text":
            return isinstance(value, str), value
        case "boolean":
            return isinstance(value, bool), value
        case "integer":
            if isinstance(value, bool) or not isinstance(value, int | Decimal):
                return False, None
            whole = not isinstance(value, Decimal) or value == value.to_integral_value()
            if not whole or not -(1 << 63) <= int(value) < 1 << 63:
                return False, None
            return True, int(value)
        case "float" | "decimal":
            if isinstance(value, bool) or not isinstance(value, int | Decimal):
                return False, None
            if type_.decimal is not None:
                precision, scale = type_.decimal
                rounded = round(Decimal(value), scale)
                if rounded != value or abs(rounded) >= Decimal(10) ** (precision - scale):
                    return False, None
                return True, str(value)
            return True, value
        case "date" | "time" | "timestamp" | "timestamptz" | "uuid":
            try:
                _PARSED[type_.family](value)
            except (ValueError, TypeError, AttributeError):
                return False, None
            return True, value
        case "list":
            if not isinstance(value, list):
                return False, None
            element = members(type_)["child"]
            fits = [(True, None) if v is None else fit(v, element) for v in value]
            return all(ok for ok, _ in fits), [clean for _, clean in fits]
        case "struct" | "map":
            return _fit_object(value, type_)
        case _:
            return True, value


def _fit_object(value: Any, type_: Type) -> tuple[bool, Any]:
    if not isinstance(value, dict):
        return False, None
    inside = members(type_)
    clean = {}
    for name, member in value.items():
        expected = inside.get("value" if type_.family == "map" else name)
        if expected is None or member is None:
            continue
        fits, clean[name] = fit(member, expected)
        if not fits:
            return False, None
    return True, clean


@lru_cache(maxsize=256)
def members(type_: Type) -> Mapping[str, Type]:
    """The types inside a nested one: a list's ``child``, a map's ``value``, a struct's fields."""
    import duckdb

    return {name: parse_type(str(inner)) for name, inner in duckdb.sqltype(type_.text).children}


def open_lines(path: Path) -> IO[bytes]:
    """A file of lines, unpacked when it is packed with gzip."""
    if path.suffix == ".gz":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def field_kinds(paths: Sequence[str], name: str) -> list[tuple[str, int]]:
    """The kinds of values a field has, each with the first line of the first file that has it."""
    found: dict[str, int] = {}
    for path in paths:
        with open_lines(Path(path)) as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    record = json.loads(line) if line.strip() else None
                except ValueError:
                    continue
                value = record.get(name) if isinstance(record, dict) else None
                if value is not None:
                    found.setdefault(_kind(value), number)
    return list(found.items())


def _kind(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "text"
        case list():
            return "list"
        case _:
            return "object"
