"""Terms → scalar expressions: arithmetic, comparisons, text, null tests.

Everything here works on bound values; which goals are ready is the solver's business.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from dovetail.catalog.catalogs import near_names
from dovetail.language.rules.diagnostics import Span, did_you_mean, fail
from dovetail.language.rules.kinds import comparable, element_type, kind_of
from dovetail.language.rules.terms import (
    Compound,
    Dotted,
    ListTerm,
    Term,
    Text,
    Var,
    shown,
)
from dovetail.language.rules.values import (
    Typing,
    Value,
    cast_to,
    common_type,
    constant,
    moment,
    sql,
    stored,
)
from dovetail.types import BIGINT, DOUBLE, VARCHAR, Type

Bound = Mapping[str, Value]


class Unbound(Exception):
    """A variable that is needed has no value yet."""

    def __init__(self, variable: Var, role: str) -> None:
        super().__init__(variable.name)
        self.variable = variable
        self.role = role


EVALUATED = {"=:=": "=", "=\\=": "<>", "<": "<", ">": ">", "=<": "<=", ">=": ">="}
PLAIN = {"\\=": "<>", "@<": "<", "@>": ">", "@=<": "<=", "@>=": ">="}
NULL_SAFE = {"==": "IS NOT DISTINCT FROM", "\\==": "IS DISTINCT FROM"}
FOLDED = {"=@=": "=", "\\=@=": "<>"}
COMPARISONS = {*EVALUATED, *PLAIN, *NULL_SAFE, *FOLDED}
TEXT_TESTS = {
    "contains": "contains(_0, _1)",
    "starts_with": "starts_with(_0, _1)",
    "ends_with": "suffix(_0, _1)",
    "like": "_0 LIKE _1",
    "ilike": "_0 ILIKE _1",
    "matches": "regexp_matches(_0, _1)",
}
NULL_TESTS = {"is_null": "_0 IS NULL", "is_not_null": "NOT _0 IS NULL"}
# name/arity → template and the kinds of its inputs; the last argument is the result.
FUNCTIONS: dict[tuple[str, int], tuple[str, tuple[str, ...]]] = {
    ("string_lower", 2): ("lower(_0)", ("text",)),
    ("string_upper", 2): ("upper(_0)", ("text",)),
    ("string_length", 2): ("length(_0)", ("text",)),
    ("trim", 2): ("trim(_0)", ("text",)),
    ("string_concat", 3): ("_0 || _1", ("text", "text")),
    ("substring", 4): ("substring(_0, _1, _2)", ("text", "number", "number")),
    ("replace", 4): ("replace(_0, _1, _2)", ("text", "text", "text")),
}
_ARITHMETIC = {("+", 2), ("-", 2), ("*", 2), ("/", 2), ("//", 2), ("mod", 2), ("rem", 2)} | {
    ("**", 2),
    ("^", 2),
    ("-", 1),
}
_UNARY = {
    "sqrt": "sqrt(_0)",
    "exp": "exp(_0)",
    "log": "ln(_0)",
    "log2": "log2(_0)",
    "sin": "sin(_0)",
    "cos": "cos(_0)",
    "tan": "tan(_0)",
    "asin": "asin(_0)",
    "acos": "acos(_0)",
    "atan": "atan(_0)",
}
_ROUNDING = {"floor": "floor(_0)", "ceiling": "ceil(_0)", "round": "round(_0)"} | {
    "truncate": "trunc(_0)",
    "integer": "round(_0)",
}
FUNCTION_NAMES = (
    *_UNARY,
    *_ROUNDING,
    *("abs", "sign", "min", "max", "float", "pi", "e"),
)
_RANDOM = {"random", "random_float", "cputime", "realtime", "now", "get_time", "rand", "walltime"}


class Scalars:
    """Builds expressions; ``typing`` tells their types."""

    def __init__(self, typing: Typing) -> None:
        self.typing = typing

    # -- values ---------------------------------------------------------------------------------

    def plain(self, term: Term, bound: Bound, role: str) -> Value:
        """The value of a variable or constant; nothing is evaluated.

        Raises:
            Unbound: the variable has no value.
            RulesError: R010 for a term that is no value.
        """
        if isinstance(term, Var):
            value = bound.get(term.name)
            if value is None:
                raise Unbound(term, role)
            return value
        value = constant(term)
        if value is None:
            raise self.no_value(term)
        return value

    @staticmethod
    def no_value(term: Term) -> Exception:
        """The refusal of a term that is no value."""
        if isinstance(term, Compound) and is_arithmetic(term):
            return fail(
                "R010",
                f"{shown(term)} is not evaluated here",
                term.span,
                f"bind it first: T is {shown(term)}",
            )
        if isinstance(term, ListTerm) and term.tail is not None:
            return fail(
                "R010",
                "[H|T] patterns are not supported: lists are values, not cells",
                term.span,
                "member(X, List) gives one row per element",
            )
        if isinstance(term, Dotted):
            return fail("R010", f"{shown(term)} is a name, not a value; quote text", term.span)
        if isinstance(term, ListTerm):
            return fail("R010", "a list holds constants only", term.span)
        return fail(
            "R010",
            f"the compound term {shown(term)} is not a value",
            term.span,
            "use one argument for each of its parts",
        )

    def evaluated(self, term: Term, bound: Bound, role: str) -> Value:
        """The value of an arithmetic term. Raises as :meth:`plain` does."""
        if isinstance(term, Text) and term.bare("pi", "e"):
            return Value(
                sql("pi()" if term.value == "pi" else "exp(1.0::DOUBLE)"), DOUBLE, term.value
            )
        if not isinstance(term, Compound) or constant(term) is not None:
            if isinstance(term, Text) and term.bare(*_RANDOM):
                raise _random(term.value, term.span)
            return self.plain(term, bound, role)
        name, arity = term.name, len(term.args)
        if name in _RANDOM:
            raise _random(name, term.name_span)
        if (name, arity) in _ARITHMETIC or name in FUNCTION_NAMES:
            parts = [self.evaluated(a, bound, role) for a in term.args]
            for part, written in zip(parts, term.args, strict=True):
                self.require(part, written, "number", name)
            return self._computed(term, parts)
        near = near_names(name, FUNCTION_NAMES)
        if name in FUNCTION_NAMES:
            raise fail("R005", f"{name} does not take {arity} arguments", term.name_span)
        raise fail(
            "R010",
            f"{name}/{arity} is no arithmetic function{did_you_mean(near)}",
            term.name_span,
            "sql_fn(Name, [Arg, …], R) calls a function of DuckDB",
            near,
        )

    def require(self, value: Value, written: Term, kind: str, user: str) -> None:
        """Check the kind of an operand. Raises R009."""
        if value.kind not in (kind, "null"):
            hint = ""
            if kind == "number" and value.kind == "text":
                hint = "atom_number(T, N) reads a number from text"
            if user in ("=:=", "=\\="):
                hint = f'"{user}" compares numbers; "=" compares values of any kind'
            raise fail(
                "R009",
                f"{user} needs {kind}, but {value.described(shown(written))}",
                written.span,
                hint,
            )

    def _computed(self, term: Compound, parts: list[Value]) -> Value:
        name = term.name
        wide = self._widened(name, parts)
        template = self._formula(term, parts)
        expression = sql(template, *wide)
        type_ = self.typing.of(expression, term.span)
        return Value(expression, type_, f"{shown(term)}, line {term.span.line}", span=term.span)

    def _widened(self, name: str, parts: list[Value]) -> list[exp.Expression]:
        """Integers are 64-bit: narrower columns, and one of two constants, are cast."""
        if name in ("/", "**", "^") or not all(p.type.family == "integer" for p in parts):
            return [p.expression for p in parts]
        literal = [p.constant is not None for p in parts]
        result = []
        for number, part in enumerate(parts):
            narrow = part.type.text not in ("BIGINT", "HUGEINT", "UBIGINT", "UHUGEINT")
            cast = narrow or (all(literal) and number == 0)
            result.append(cast_to(part.expression, BIGINT) if cast else part.expression)
        return result

    def _formula(self, term: Compound, parts: list[Value]) -> str:
        name, arity = term.name, len(parts)
        if name in ("//", "mod", "rem"):
            for part, written in zip(parts, term.args, strict=True):
                if part.type.family not in ("integer", "null"):
                    raise fail(
                        "R009",
                        f"{name} needs integers, but {shown(written)} is {part.type} "
                        f"({part.origin})",
                        written.span,
                        "integer(X) rounds to an integer, truncate(X) cuts",
                    )
        match name, arity:
            case (("+" | "-" | "*"), 2):
                return f"_0 {name} _1"
            case "-", 1:
                return "-_0"
            case "/", 2:
                return "_0 / nullif(_1, 0)"
            case "//", 2:
                return "_0 // nullif(_1, 0)"
            case "rem", 2:
                return "_0 % nullif(_1, 0)"
            case "mod", 2:
                rest = "(_0 % nullif(_1, 0))"
                return (
                    f"CASE WHEN {rest} <> 0 AND ({rest} < 0) <> (_1 < 0) "
                    f"THEN {rest} + _1 ELSE {rest} END"
                )
            case (("**" | "^"), 2):
                return "pow(CAST(_0 AS DOUBLE), CAST(_1 AS DOUBLE))"
            case "abs", 1:
                return "abs(_0)"
            case "sign", 1:
                return "sign(_0)"
            case (("min" | "max"), 2):
                first = "<=" if name == "min" else ">="
                return f"CASE WHEN _0 {first} _1 THEN _0 WHEN NOT _0 {first} _1 THEN _1 END"
            case "float", 1:
                return "CAST(_0 AS DOUBLE)"
            case "round", 2:
                return "round(_0, CAST(_1 AS INTEGER))"
            case "log", 2:
                return "ln(_1) / nullif(ln(_0), 0)"
            case _, 1 if name in _ROUNDING:
                if parts[0].type.family in ("integer", "null"):
                    return "_0"
                return f"CAST({_ROUNDING[name]} AS BIGINT)"
            case _, 1 if name in _UNARY:
                return _UNARY[name]
        raise fail("R005", f"{name} does not take {arity} arguments", term.name_span)

    # -- tests ----------------------------------------------------------------------------------

    def comparison(self, term: Compound, bound: Bound) -> exp.Expression:
        """A comparison of bound values as a boolean expression."""
        name = term.name
        role = "comparison"
        if name in EVALUATED:
            left, right = (self.evaluated(a, bound, role) for a in term.args)
            if name in ("=:=", "=\\="):
                for value, written in zip((left, right), term.args, strict=True):
                    self.require(value, written, "number", name)
        else:
            left, right = (self.plain(a, bound, role) for a in term.args)
        if name in FOLDED:
            for value, written in zip((left, right), term.args, strict=True):
                self.require(value, written, "text", name)
            return sql(f"lower(_0) {FOLDED[name]} lower(_1)", left.expression, right.expression)
        if name == "\\=" and (left.is_null or right.is_null):
            return sql("NOT _0 IS NULL", (right if left.is_null else left).expression)
        a, b = self.matched(left, right, term)
        operator = EVALUATED.get(name) or PLAIN.get(name) or NULL_SAFE[name]
        return sql(f"_0 {operator} _1", a, b)

    def equality(self, left: Value, right: Value, term: Term, name: str = "") -> exp.Expression:
        """SQL equality of two values; ``= null`` tests NULL."""
        if left.is_null or right.is_null:
            return sql("_0 IS NULL", (right if left.is_null else left).expression)
        a, b = self.matched(left, right, term, name)
        return sql("_0 = _1", a, b)

    def matched(
        self, left: Value, right: Value, term: Term, name: str = ""
    ) -> tuple[exp.Expression, exp.Expression]:
        """Both sides as expressions of comparable types: a text constant becomes a moment."""
        for value, other, swap in ((left, right, False), (right, left, True)):
            if other.kind in ("date", "timestamp") and isinstance(value.constant, Text):
                if value.kind != "text":
                    continue
                literal = moment(value.constant, other.type)
                return (other.expression, literal) if swap else (literal, other.expression)
        if not comparable(left.type, right.type):
            if isinstance(term, Compound) and len(term.args) == 2 and not name:
                names = [shown(a) for a in term.args]
            else:
                names = [
                    shown(value.constant) if value.constant is not None else name or which
                    for value, which in ((left, "the first value"), (right, "the second value"))
                ]
            raise fail(
                "R009",
                f"{left.described(names[0])} and {right.described(names[1])}: they cannot be "
                "compared",
                term.span,
                "values of different kinds are never converted; write a constant of the other "
                "kind, or use atom_number(T, N)"
                if {left.kind, right.kind} == {"number", "text"}
                else "",
            )
        return left.expression, right.expression

    def text_test(self, term: Compound, bound: Bound) -> exp.Expression:
        """``contains``, ``like``, …: both arguments are text."""
        parts = []
        for argument in term.args:
            value = self.plain(argument, bound, "comparison")
            self.require(value, argument, "text", term.name)
            parts.append(self.as_text(value))
        return sql(TEXT_TESTS[term.name], *parts)

    @staticmethod
    def as_text(value: Value) -> exp.Expression:
        """Text for a text function; enum and UUID values are spelled out."""
        if value.type == VARCHAR or value.constant is not None:
            return value.expression
        return cast_to(value.expression, VARCHAR)

    def null_test(self, term: Compound, bound: Bound) -> exp.Expression:
        """``is_null``, ``is_not_null``."""
        value = self.plain(term.args[0], bound, "comparison")
        return sql(NULL_TESTS[term.name], value.expression)

    def member_test(self, term: Compound, bound: Bound) -> exp.Expression:
        """``member(X, L)`` with both bound."""
        item = self.plain(term.args[0], bound, "comparison")
        written = term.args[1]
        if isinstance(written, ListTerm):
            values = [self.plain(i, bound, "comparison") for i in written.items]
            if not values:
                return exp.false()
            pairs = [
                self.matched(item, value, i, shown(term.args[0]))[1]
                for value, i in zip(values, written.items, strict=True)
            ]
            return exp.In(this=item.expression.copy(), expressions=[p.copy() for p in pairs])
        values_ = self.list_value(written, bound)
        element = Value(item.expression, element_type(values_.type), f"element of {shown(written)}")
        self.matched(item, element, term)
        return sql("list_contains(_0, _1)", values_.expression, item.expression)

    def list_value(self, term: Term, bound: Bound) -> Value:
        """The list of ``member/2``. Raises R009 for anything else."""
        value = self.plain(term, bound, "comparison")
        if value.kind != "list":
            raise fail(
                "R009", f"member needs a list, but {value.described(shown(term))}", term.span
            )
        return value

    def between_test(self, term: Compound, bound: Bound) -> exp.Expression:
        """``between(L, H, X)`` with X bound."""
        low, high, value = (self.evaluated(a, bound, "comparison") for a in term.args)
        for part, written in zip((low, high, value), term.args, strict=True):
            self.require(part, written, "number", "between")
        return sql("_2 BETWEEN _0 AND _1", low.expression, high.expression, value.expression)

    # -- functions ------------------------------------------------------------------------------

    def function(self, term: Compound, bound: Bound) -> Value | None:
        """The result of a built-in whose last argument is its result; None when it is none."""
        key = (term.name, len(term.args))
        if key in FUNCTIONS:
            template, kinds = FUNCTIONS[key]
            parts = []
            for argument, kind in zip(term.args, kinds, strict=False):
                value = (
                    self.evaluated(argument, bound, "comparison")
                    if kind == "number"
                    else (self.plain(argument, bound, "comparison"))
                )
                self.require(value, argument, kind, term.name)
                parts.append(self.as_text(value) if kind == "text" else value.expression)
            expression = sql(template, *parts)
            type_ = self.typing.of(expression, term.span)
            return Value(expression, type_, f"result of {term.name}", span=term.span)
        if key == ("atom_number", 2):
            value = self.plain(term.args[0], bound, "comparison")
            self.require(value, term.args[0], "text", "atom_number")
            expression = sql("TRY_CAST(_0 AS DOUBLE)", self.as_text(value))
            return Value(expression, DOUBLE, "result of atom_number", span=term.span)
        if key == ("coalesce", 2):
            return self._coalesce(term, bound)
        if key == ("sql_fn", 3):
            return self._sql_function(term, bound)
        return None

    def _coalesce(self, term: Compound, bound: Bound) -> Value:
        listed = term.args[0]
        if not isinstance(listed, ListTerm) or not listed.items:
            raise fail("R010", "coalesce takes a list: coalesce([X, 0], R)", term.span)
        values = [self.plain(i, bound, "comparison") for i in listed.items]
        type_ = common_type([v.type for v in values])
        if type_ is None:
            kinds = " and ".join(dict.fromkeys(v.kind for v in values))
            raise fail("R009", f"coalesce of {kinds}: the values must be of one kind", listed.span)
        expression = exp.Coalesce(
            this=values[0].expression.copy(), expressions=[v.expression.copy() for v in values[1:]]
        )
        return Value(expression, self.typing.of(expression, term.span), "result of coalesce")

    def _sql_function(self, term: Compound, bound: Bound) -> Value:
        from dovetail.language.sql import judge_functions
        from dovetail.language.sql.aggregates import AGGREGATES

        name, listed = term.args[0], term.args[1]
        if not isinstance(name, Text) or not isinstance(listed, ListTerm):
            raise fail("R010", "sql_fn takes a name and a list: sql_fn(year, [D], Y)", term.span)
        known = judge_functions.ALLOWED - judge_functions.CONSTANT_PER_QUERY - AGGREGATES
        from dovetail.plan.expressions import VOLATILE_FUNCTIONS

        if name.value.lower() not in known or name.value.lower() in VOLATILE_FUNCTIONS:
            near = near_names(name.value, known - VOLATILE_FUNCTIONS)
            raise fail(
                "R003",
                f"no deterministic scalar function {name.value} in DuckDB{did_you_mean(near)}",
                name.span,
                near=near,
            )
        values = [self.plain(i, bound, "comparison") for i in listed.items]
        expression = exp.Anonymous(
            this=name.value.lower(), expressions=[stored(v).copy() for v in values]
        )
        type_ = self.typing.of(expression, term.span)
        return Value(expression, type_, f"result of {name.value}", span=term.span)


def is_arithmetic(term: Term) -> bool:
    """Whether a term is an arithmetic operation (and not a constant)."""
    if not isinstance(term, Compound) or constant(term) is not None:
        return False
    return (term.name, len(term.args)) in _ARITHMETIC or term.name in FUNCTION_NAMES


def _random(name: str, span: Span) -> Exception:
    return fail(
        "R010",
        f"{name} is not supported: an answer must not depend on chance or the clock",
        span,
        "pass the value as a parameter: param(Name, Type)",
    )


def number_type_name(type_: Type) -> str:
    """integer or number, for messages."""
    return "integer" if type_.family == "integer" else kind_of(type_)
