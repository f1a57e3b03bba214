"""Parameters and other dialects: what comes with a text before it is planned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

from sqlglot import exp, parse
from sqlglot.errors import SqlglotError

from dovetail.errors import Location, QuerySyntaxError, UsageError
from dovetail.language.sql.judge import Judged
from dovetail.language.sql.scope import NotModelled


def translated(text: str, dialect: str) -> str:
    """Text in another SQL dialect as DuckDB's.

    Raises:
        QuerySyntaxError: it does not parse there.
        UsageError: the dialect is unknown.
    """
    require_dialect(dialect)
    try:
        trees = parse(text, dialect=dialect)
    except SqlglotError as error:
        details = getattr(error, "errors", None) or [{}]
        first = details[0]
        where = None
        if first.get("line"):
            where = Location(first["line"], first.get("col") or 1)
        raise QuerySyntaxError(
            f"not {dialect} SQL: {first.get('description') or error}", location=where
        ) from None
    return ";\n".join(tree.sql(dialect="duckdb") for tree in trees if tree is not None)


def require_dialect(dialect: str) -> None:
    """Raises UsageError for the name of no SQL dialect."""
    from sqlglot.dialects.dialect import Dialect

    try:
        Dialect.get_or_raise(dialect)
    except ValueError as error:
        raise UsageError(f'no SQL dialect "{dialect}"; {str(error).splitlines()[0]}') from None


def checked_parameters(
    judged: Judged, params: Mapping[str, Any] | Sequence[Any] | None
) -> Mapping[str, Any] | Sequence[Any]:
    """The parameter values, after checking that each is used and none is missing.

    Raises:
        UsageError: a parameter has no value, or a value no parameter.
    """
    given: Mapping[str, Any] | Sequence[Any] = params if params is not None else {}
    if isinstance(given, Mapping):
        wanted = {name.lower() for name in judged.parameters}
        have = {str(name).lower() for name in given}
        if judged.positional and not have:
            raise UsageError(f"the query has {len(judged.parameters)} parameters; none is given")
        missing = sorted(wanted - have)
        if missing:
            raise UsageError(f"parameter {', '.join(missing)} has no value", suggestions=missing)
        unused = sorted(have - wanted)
        if unused:
            raise UsageError(
                f"parameter {', '.join(unused)} is not used in the query"
                + (f"; it has {', '.join(judged.parameters)}" if judged.parameters else "")
            )
        return dict(given)
    if len(given) != len(judged.parameters):
        raise UsageError(
            f"the query has {len(judged.parameters)} parameters, {len(given)} are given"
        )
    return given


def frozen(values: Mapping[str, Any] | Sequence[Any]) -> tuple[Any, ...] | None:
    """Parameter values as a key, with their types (1 and True are equal); None if impossible."""
    pairs = sorted(values.items()) if isinstance(values, Mapping) else list(enumerate(values))
    key = tuple((name, type(value).__name__, repr(value)) for name, value in pairs)
    plain = (str, int, float, bool, type(None), date, time, Decimal)
    return key if all(isinstance(value, plain) for _, value in pairs) else None


def literal(value: Any) -> exp.Expression:
    """A bound parameter as a typed constant of the plan.

    It is a node of the tree, never text: each dialect's generator quotes it.
    """

    def typed(text: str, type_: str) -> exp.Expression:
        return exp.Cast(
            this=exp.Literal.string(text), to=exp.DataType.build(type_, dialect="duckdb")
        )

    match value:
        case None:
            return exp.Null()
        case bool():
            return exp.Boolean(this=value)
        case int():
            for type_, bits in (("INTEGER", 31), ("BIGINT", 63), ("HUGEINT", 127)):
                if -(2**bits) <= value < 2**bits:
                    return typed(str(value), type_)
            raise NotModelled("an integer parameter beyond HUGEINT")
        case float():
            return typed(repr(value), "DOUBLE")
        case Decimal() if value.is_finite():
            _, digits, exponent = value.as_tuple()
            scale = max(0, -int(exponent))
            precision = max(len(digits), scale, len(digits) + max(0, int(exponent)), 1)
            if precision > 38:
                raise NotModelled("a decimal parameter of more than 38 digits")
            return typed(format(value, "f"), f"DECIMAL({precision},{scale})")
        case str():
            # Untyped, as DuckDB takes a bound text: it becomes what it is compared with.
            return exp.Literal.string(value)
        case datetime() if value.tzinfo is not None:
            return typed(value.astimezone(UTC).isoformat(sep=" "), "TIMESTAMP WITH TIME ZONE")
        case datetime():
            return typed(value.isoformat(sep=" "), "TIMESTAMP")
        case date():
            return typed(value.isoformat(), "DATE")
        case time() if value.tzinfo is None:
            return typed(value.isoformat(), "TIME")
        case _:
            raise NotModelled(f"a parameter of Python type {type(value).__name__}")
