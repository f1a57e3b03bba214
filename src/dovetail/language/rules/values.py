"""Values: what a variable or a term stands for in a plan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from functools import lru_cache
from typing import Any

from sqlglot import exp, parse_one

from dovetail.errors import BindError
from dovetail.language.rules.diagnostics import Span, fail
from dovetail.language.rules.kinds import NULL, kind_of
from dovetail.language.rules.terms import Compound, ListTerm, Number, Term, Text, shown
from dovetail.plan import nodes
from dovetail.plan.expressions import PlanSubquery, column, duckdb_sql, enclosed
from dovetail.plan.reference import Reference
from dovetail.types import BIGINT, BOOLEAN, DATE, DOUBLE, TIMESTAMP, VARCHAR, Type, parse_type

_INTEGERS = (-(1 << 63), (1 << 63) - 1)


@dataclass(frozen=True)
class Value:
    """``expression`` of ``type``; ``origin`` says for people where it comes from.

    ``constant`` is the term when it is one; ``span`` where it was written.
    """

    expression: exp.Expression
    type: Type
    origin: str
    constant: Term | None = None
    span: Span | None = field(default=None, compare=False)

    @property
    def kind(self) -> str:
        """number, text, date, …"""
        return kind_of(self.type)

    @property
    def is_null(self) -> bool:
        """Whether it is the constant NULL."""
        return self.constant is not None and isinstance(self.expression, exp.Null)

    def described(self, name: str = "") -> str:
        """``A is number (column age of users)``."""
        return f"{name or self.expression.sql(dialect='duckdb')} is {self.kind} ({self.origin})"


def of_column(made: nodes.Column, origin: str) -> Value:
    """The value of a plan column."""
    return Value(column(made.name), made.type, origin)


@lru_cache(maxsize=512)
def _template(text: str) -> exp.Expression:
    parsed = parse_one(text, dialect="duckdb")
    assert isinstance(parsed, exp.Expression)
    return parsed


def sql(template: str, *parts: exp.Expression) -> exp.Expression:
    """An expression from DuckDB SQL with ``_0``, ``_1``, … where the parts go."""

    def visit(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Column) and node.name[:1] == "_" and node.name[1:].isdigit():
            part = parts[int(node.name[1:])].copy()
            return part if node.parent is None else enclosed(part)
        return node

    result: exp.Expression = _template(template).copy().transform(visit, copy=False)
    return result


def cast_to(expression: exp.Expression, type_: Type) -> exp.Expression:
    """``CAST(expression AS type)``."""
    return exp.Cast(this=expression.copy(), to=exp.DataType.build(type_.text, dialect="duckdb"))


def constant(term: Term) -> Value | None:
    """The value of a constant term, or None when it is no constant.

    Raises:
        RulesError: an integer beyond 64 bits, a malformed date.
    """
    origin = f"constant {shown(term)}, line {term.span.line}"

    def made(expression: exp.Expression, type_: Type) -> Value:
        return Value(expression, type_, origin, term, term.span)

    match term:
        case Number():
            return made(exp.Literal.number(term.text), _number_type(term))
        case Text() if term.bare("true", "false"):
            return made(exp.Boolean(this=term.value == "true"), BOOLEAN)
        case Text() if term.bare("null"):
            return made(exp.Null(), NULL)
        case Text():
            return made(exp.Literal.string(term.value), VARCHAR)
        case ListTerm():
            if term.tail is not None:
                return None
            items = [constant(item) for item in term.items]
            if any(item is None for item in items):
                return None
            type_ = common_type([item.type for item in items if item]) if items else NULL
            if type_ is None:
                kinds = sorted({item.kind for item in items if item})
                raise fail("R009", f"a list of {' and '.join(kinds)} has no one type", term.span)
            list_type = parse_type((VARCHAR if type_ == NULL else type_).text + "[]")
            array = exp.Array(expressions=[item.expression for item in items if item])
            return made(cast_to(array, list_type), list_type)
        case Compound(name="date" | "timestamp", args=(Text() as inner,)):
            type_ = DATE if term.name == "date" else TIMESTAMP
            return made(moment(inner, type_), type_)
        case Compound(name="-", args=(Number() as inner,)) if not inner.text.startswith("-"):
            return made(exp.Literal.number("-" + inner.text), _number_type(inner))
        case _:
            return None


def _number_type(term: Number) -> Type:
    if term.is_integer:
        if not _INTEGERS[0] <= int(term.text) <= _INTEGERS[1]:
            raise fail(
                "R017",
                f"{term.text} is beyond 64 bits: from {_INTEGERS[0]} to {_INTEGERS[1]}",
                term.span,
            )
        return BIGINT
    if "e" in term.text.lower():
        return DOUBLE
    whole, _, part = term.text.lstrip("-").partition(".")
    digits = max(1, len(whole.lstrip("0")) + len(part))
    if digits > 38:
        return DOUBLE
    return Type(f"DECIMAL({max(digits, len(part))},{len(part)})")


def moment(term: Text, type_: Type) -> exp.Expression:
    """A text constant read as ISO 8601 for comparison with ``type_`` (a date or timestamp)."""
    text = term.value
    try:
        if type_.family == "date" and len(text) == 10:
            date.fromisoformat(text)
            return cast_to(exp.Literal.string(text), DATE)
        datetime.fromisoformat(text)
    except ValueError:
        raise fail(
            "R009",
            f"'{text}' is not a {kind_of(type_)} in ISO 8601 form (2024-01-31, "
            "2024-01-31 10:00:00)",
            term.span,
        ) from None
    return cast_to(exp.Literal.string(text), TIMESTAMP if type_.family == "date" else type_)


def stored(value: Value) -> exp.Expression:
    """The expression for a place where its type must be exactly ``value.type``."""
    if value.constant is None:
        return value.expression
    if value.type == NULL:
        return value.expression
    return cast_to(value.expression, value.type)


_ORDER = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")


def common_type(types: list[Type]) -> Type | None:
    """The type that holds values of all ``types``, or None when kinds differ."""
    known = list(dict.fromkeys(t for t in types if t != NULL))
    if not known:
        return NULL
    if len(known) == 1:
        return known[0]
    kinds = {kind_of(t) for t in known}
    if len(kinds) > 1:
        return None
    kind = kinds.pop()
    if kind == "number":
        return _common_number(known)
    if kind == "text":
        return VARCHAR
    if kind == "timestamp":
        zoned = [t for t in known if t.family == "timestamptz"]
        return zoned[0] if zoned else TIMESTAMP
    return None


def _common_number(types: list[Type]) -> Type:
    if any(t.family == "float" for t in types):
        return DOUBLE
    if all(t.family == "integer" for t in types):
        if all(t.text in _ORDER for t in types):
            return max(types, key=lambda t: _ORDER.index(t.text))
        return Type("HUGEINT")
    whole = scale = 0
    for type_ in types:
        precision, places = type_.decimal or (type_.integer_digits or 19, 0)
        whole, scale = max(whole, precision - places), max(scale, places)
    return Type(f"DECIMAL({whole + scale},{scale})") if whole + scale <= 38 else DOUBLE


@dataclass
class Typing:
    """Asks DuckDB for types. Column names are made canonical first, so that answers are reused."""

    reference: Reference
    column_type: Callable[[str], Type]
    _known: dict[Any, Type] = field(default_factory=dict)

    def of(
        self, expression: exp.Expression, span: Span | None = None, grouped: bool = False
    ) -> Type:
        """The type of ``expression`` over plan columns.

        Raises:
            RulesError: R009 when DuckDB gives it no meaning.
        """
        shape = self._shape(expression, {})
        known = self._known.get((shape, grouped))
        if known is not None:
            return known
        made = self._asked(expression, span, grouped)
        self._known[shape, grouped] = made
        return made

    def _shape(self, part: Any, places: dict[str, int]) -> Any:
        """What an expression is but for the names of its columns: writing it as SQL costs more."""
        if isinstance(part, exp.Column):
            place = places.setdefault(part.name, len(places))
            return place, self.column_type(part.name).text
        if isinstance(part, PlanSubquery):
            columns = part.plan.columns
            return "subquery", columns[0].type.text if columns else ""
        if isinstance(part, exp.Expr):
            inside = ((k, self._shape(v, places)) for k, v in part.args.items() if v is not None)
            return type(part), tuple(inside)
        if isinstance(part, list):
            return tuple(self._shape(item, places) for item in part)
        return part if isinstance(part, str | int | bool) else repr(part)

    def _asked(self, expression: exp.Expression, span: Span | None, grouped: bool) -> Type:
        names: dict[str, str] = {}

        def visit(node: exp.Expression) -> exp.Expression:
            if isinstance(node, exp.Column):
                short = names.setdefault(node.name, f"c{len(names)}")
                return column(short)
            return node

        text = duckdb_sql(expression.copy().transform(visit, copy=False))
        columns = {short: self.column_type(name).text for name, short in names.items()}
        try:
            return self.reference.types([text], columns, () if grouped else None)[0]
        except BindError as error:
            raise fail("R009", f"DuckDB cannot compute this: {error.message}", span) from None


def with_origin(value: Value, origin: str) -> Value:
    """The same value, said to come from elsewhere."""
    return replace(value, origin=origin)
