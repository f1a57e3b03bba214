"""Applies a capability table to expressions: DuckDB's meaning in, the source's SQL out.

:func:`translate` gives an exact translation or raises :class:`Untranslatable`;
:func:`translate_filter` may also give a looser predicate for a filter that stays above. Both walk
the expression once, bottom-up, and know the operand class of every part.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

from sqlglot import exp

from dovetail.connectors.capabilities import Capabilities, Entry
from dovetail.plan import nodes
from dovetail.plan.expressions import (
    KeyFilter,
    PlanSubquery,
    conjunction,
    free_columns,
    function_name,
    has_subquery,
    is_volatile,
    unparenthesized,
)
from dovetail.types import Type, parse_type


class Untranslatable(Exception):
    """The table does not offer this; the reason is shown by EXPLAIN."""


@dataclass(frozen=True)
class Value:
    """A translated expression, its operand class, and whether it is exact and comparable."""

    expression: exp.Expression
    operand: str
    exact: bool = True
    comparable: bool = True
    column: nodes.Column | None = None


_COMPARISONS: dict[type[exp.Expression], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "is not distinct from",
    exp.NullSafeNEQ: "is distinct from",
}
# Never true of NULL.
_STRICT = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between)
_ARITHMETIC: dict[type[exp.Expression], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.DPipe: "||",
}

# What the translator understands of each node. sqlglot puts modifiers into arguments (NOT LIKE is
# a Like with ``negate``), and one that is overlooked would change the meaning.
_ARGUMENTS: dict[type[exp.Expression], tuple[str, ...]] = {
    exp.Like: ("this", "expression", "negate"),
    exp.In: ("this", "expressions", "query"),
    exp.Between: ("this", "low", "high"),
    exp.Is: ("this", "expression"),
    exp.Case: ("this", "ifs", "default"),
    exp.Coalesce: ("this", "expressions"),
    exp.Extract: ("this", "expression"),
    exp.Cast: ("this", "to"),
    exp.Exists: ("this",),
    exp.Not: ("this",),
    exp.Column: ("this",),
    exp.Literal: ("this", "is_string"),
    exp.Substring: ("this", "start", "length"),
    **dict.fromkeys((*_COMPARISONS, *_ARITHMETIC, exp.And, exp.Or), ("this", "expression")),
    # ``safe`` is how sqlglot notes that DuckDB's || converts its operands; here both are text.
    exp.DPipe: ("this", "expression", "safe"),
}
_AGGREGATE_ARGUMENTS = ("this", "expression", "big_int", "expressions")

# What keys of a dynamic filter may be. A char(n) is not: its padding counts here, not there.
_KEYS = ("integer", "decimal", "date", "timestamp", "text")

# DuckDB's own conversion to DOUBLE is the nearest one only up to so many digits (A5).
_EXACT_DIGITS = 15

Columns = Mapping[str, nodes.Column]
SubqueryCheck = Callable[[nodes.Plan], None]


def operand_class(type_: Type, native_type: str | None = None) -> str | None:
    """The operand class of a column, or None when it can be no operand."""
    native = (native_type or "").lower()
    match type_.family:
        case "text":
            if native.startswith(("bpchar", "character(", "char(")) or native == "char":
                return "char"
            # Other types that Dovetail shows as text compare by their own rules at the source.
            known: tuple[str, ...] = (
                "",
                "text",
                "varchar",
                "character varying",
                "name",
                "tinytext",
            )
            known += ("mediumtext", "longtext")
            return "text" if native.split("(")[0].strip() in known else None
        case "float":
            # A numeric that is read as DOUBLE compares with all its digits at the source.
            own = native_type is None or native.startswith("double")
            return "double" if type_.text == "DOUBLE" and own else None
        case "boolean" if native.startswith("tinyint"):
            return None  # 2 is read as true, but it is not equal to true at the source
        case "integer" if type_.text in ("HUGEINT", "UHUGEINT") and native_type is None:
            return "integer"
        case "integer" | "decimal" if native in ("oid", "money"):
            return None  # shown as numbers, but with operators of their own at the source
        case "boolean" | "integer" | "decimal" | "date" | "timestamp" | "timestamptz":
            return type_.family
        case _:
            return None


def read_as_null(table: Capabilities, column: nodes.Column) -> bool:
    """Whether a value of the column may be NULL here and something else at the source."""
    dates = ("date", "timestamp", "timestamptz")
    return not table.dates_are_exact and column.type.family in dates


class _Translator:
    def __init__(
        self, table: Capabilities, columns: Columns, check_subquery: SubqueryCheck | None
    ) -> None:
        self.table = table
        self.columns = columns
        self.check_subquery = check_subquery

    def refuse(self, what: str) -> NoReturn:
        raise Untranslatable(f"{what} is not offered by {self.table.kind}")

    # -- values ---------------------------------------------------------------------------------

    def value(self, node: exp.Expression) -> Value:
        known = _ARGUMENTS.get(type(node))
        if known is not None:
            for key, value in node.args.items():
                if value and key not in known:
                    self.refuse(f"{type(node).__name__.lower()} with {key}")
        match node:
            case exp.Paren():
                inner = self.value(node.this)
                return Value(
                    exp.Paren(this=inner.expression), inner.operand, inner.exact, inner.comparable
                )
            case exp.Column():
                return self.column(node)
            case exp.Literal() | exp.Neg() | exp.Boolean() | exp.Null() | exp.Cast():
                return self.constant(node)
            case exp.And() | exp.Or():
                left, right = self.boolean(node.this), self.boolean(node.expression)
                made = type(node)(this=left.expression, expression=right.expression)
                return Value(made, "boolean", left.exact and right.exact)
            case exp.Not():
                return self.negation(node)
            case exp.Is():
                return self.is_test(node)
            case exp.Between():
                return self.between(node)
            case exp.In():
                return self.membership(node)
            case exp.Exists():
                return Value(exp.Exists(this=self.subquery(node.this)), "boolean")
            case PlanSubquery():
                plan = self.subquery(node).plan
                column = plan.columns[0]
                operand = operand_class(column.type, column.native_type)
                if operand is None or operand == "double" or read_as_null(self.table, column):
                    self.refuse(f"a scalar subquery of {column.type}")
                return Value(node, operand)
            case exp.Case():
                return self.case(node)
            case exp.Coalesce():
                values = [self.value(v) for v in (node.this, *node.expressions)]
                operand = self.one_class(values, "coalesce")
                if not all(v.exact for v in values):
                    self.refuse("coalesce over a looser value")
                rest = [v.expression for v in values[1:]]
                merged = exp.Coalesce(this=values[0].expression, expressions=rest)
                return Value(merged, operand, all(v.exact for v in values))
            case exp.Like():
                return self.like(node)
            case _ if type(node) in _COMPARISONS:
                return self.comparison(node, self.value(node.this), self.value(node.expression))
            case _ if type(node) in _ARITHMETIC:
                operands = [self.value(node.this), self.value(node.expression)]
                return self.apply(_ARITHMETIC[type(node)], node, operands)
            case KeyFilter():
                return self.key_filter(node)
            case exp.Extract():
                unit = node.name.lower()
                return self.apply(f"extract {unit}", node, [self.value(node.expression)])
            case exp.Func():
                return self.function(node)
            case _:
                self.refuse(type(node).__name__.lower())

    def column(self, node: exp.Column) -> Value:
        column = self.columns.get(node.name)
        if column is None:
            self.refuse(f"column {node.name}")
        operand = operand_class(column.type, column.native_type)
        if operand is None:
            self.refuse(f"a predicate over {column.native_type or column.type}")
        if operand in ("text", "char") and not self.table.text_is_exact(column.collation):
            return Value(node.copy(), f"{operand} loose", column=column)
        if not read_as_null(self.table, column):
            return Value(node.copy(), operand, column=column)
        if self.table.date_is_real is None:
            return Value(node.copy(), operand, exact=False, column=column)
        return Value(self.date_or_null(node), operand, column=column)

    def date_or_null(self, date: exp.Expression) -> exp.Expression:
        """A date as it is read: NULL where the source holds one that is none."""
        assert self.table.date_is_real is not None
        is_real = self.table.date_is_real(date.copy())
        return exp.Case(ifs=[exp.If(this=is_real, true=date.copy())])

    def constant(self, node: exp.Expression) -> Value:
        sign = ""
        bare = node
        if isinstance(bare, exp.Neg):
            sign, bare = "-", unparenthesized(bare.this)
        match bare:
            case exp.Literal() if not bare.is_string:
                text = sign + bare.this
                if "e" in text.lower():
                    return self.literal(text, "DOUBLE", "double")
                if "." in text:
                    return self.literal(text, "DECIMAL", "decimal")
                return self.literal(text, "BIGINT", "integer")
            case exp.Literal() if not sign:
                return self.literal(bare.this, "VARCHAR", "text")
            case exp.Boolean() if not sign:
                return Value(bare.copy(), "boolean")
            case exp.Null() if not sign:
                return Value(bare.copy(), "null")
            case exp.Cast() if not sign and isinstance(
                unparenthesized(bare.this), exp.Literal | exp.Neg
            ):
                type_ = parse_type(bare.to.sql(dialect="duckdb"))
                operand = operand_class(type_)
                inner = unparenthesized(bare.this)
                negative = isinstance(inner, exp.Neg)
                text = ("-" if negative else "") + (inner.this.name if negative else inner.name)
                if operand is None:
                    self.refuse(f"a constant of {type_}")
                return self.literal(text, type_.text, operand)
            case _:
                self.refuse("a computed cast")

    def literal(self, text: str, type_: str, operand: str) -> Value:
        made = self.table.literal(text, type_)
        if made is None:
            self.refuse(f"the {type_} constant {text[:40]}")
        return Value(made, operand)

    # -- predicates -----------------------------------------------------------------------------

    def boolean(self, node: exp.Expression) -> Value:
        value = self.value(node)
        if value.operand not in ("boolean", "null"):
            self.refuse(f"{value.operand} as a truth value")
        return value

    def negation(self, node: exp.Not) -> Value:
        inner = unparenthesized(node.this)
        if isinstance(inner, exp.Like | exp.In | exp.Between | exp.Exists | exp.Is):
            value = self.boolean(node.this)
        else:
            value = self.boolean(inner)
        if not value.exact:
            self.refuse("NOT over a looser predicate")
        return Value(exp.Not(this=exp.Paren(this=value.expression)), "boolean")

    def is_test(self, node: exp.Is) -> Value:
        if not isinstance(node.expression, exp.Null):
            self.refuse("IS other than NULL")
        bare = unparenthesized(node.this)
        if isinstance(bare, exp.Column):  # any column can be tested for NULL
            column = self.columns.get(bare.name)
            if column is None:
                self.refuse(f"column {bare.name}")
            tested: exp.Expression = bare.copy()
            if read_as_null(self.table, column):
                if self.table.date_is_real is None:
                    self.refuse(f"IS NULL over {column.native_type}")
                tested = self.date_or_null(tested)
            return Value(exp.Is(this=tested, expression=exp.Null()), "boolean")
        value = self.value(node.this)
        if not value.exact:
            self.refuse("IS NULL over a looser predicate")
        return Value(exp.Is(this=value.expression, expression=exp.Null()), "boolean")

    def key_filter(self, node: KeyFilter) -> Value:
        """Exact whatever the source makes of it: such a filter may keep any row."""
        operand = self.value(node.this)
        kind = operand.operand.removesuffix(" loose")
        column = unparenthesized(node.this)
        if kind not in _KEYS or not isinstance(column, exp.Column):
            self.refuse(f"keys of {operand.operand}")
        made = KeyFilter(**{**node.args, "this": column.copy(), "operand": operand.operand})
        return Value(made, "boolean")

    def between(self, node: exp.Between) -> Value:
        if node.args.get("symmetric"):
            self.refuse("BETWEEN SYMMETRIC")
        operand = self.value(node.this)
        low, high = self.value(node.args["low"]), self.value(node.args["high"])
        lower = self.comparison(exp.GTE(), operand, low)
        upper = self.comparison(exp.LTE(), operand, high)
        made = exp.And(this=lower.expression, expression=upper.expression)
        return Value(exp.Paren(this=made), "boolean", lower.exact and upper.exact)

    def membership(self, node: exp.In) -> Value:
        query = node.args.get("query")
        operand = self.value(node.this)
        if query is not None:
            plan = self.subquery(query).plan
            column = plan.columns[0]
            inner = operand_class(column.type, column.native_type)
            if inner is None or read_as_null(self.table, column):
                self.refuse(f"IN over {column.type}")
            if inner in ("text", "char") and not self.table.text_is_exact(column.collation):
                self.refuse("IN over loosely compared text")
            probe = self.comparison(exp.EQ(), operand, Value(exp.column("probe"), inner))
            if not probe.exact or "char" in (operand.operand, inner):
                self.refuse("IN over loosely compared text")
            return Value(exp.In(this=operand.expression, query=query.copy()), "boolean")
        if not node.expressions or node.args.get("unnest") or node.args.get("field"):
            self.refuse("IN over a list value")
        members = [self.value(member) for member in node.expressions]
        tests = [self.comparison(exp.EQ(), operand, member) for member in members]
        exact = all(test.exact for test in tests)
        plain = all(
            isinstance(test.expression, exp.EQ) and test.expression.this == tests[0].expression.this
            for test in tests
        )
        as_bytes = self.table.text_bytes
        if as_bytes is not None and operand.operand.endswith("loose") and exact:
            # One list as the collation compares, for an index, and one that decides.
            values = [member.expression for member in members]
            listed = exp.In(this=operand.expression, expressions=[v.copy() for v in values])
            decides = exp.In(
                this=as_bytes(operand.expression), expressions=[as_bytes(v) for v in values]
            )
            return Value(exp.Paren(this=exp.And(this=listed, expression=decides)), "boolean")
        if plain:
            left = tests[0].expression.this
            rights = [test.expression.expression for test in tests]
            return Value(exp.In(this=left, expressions=rights), "boolean", exact)
        made = tests[0].expression
        for test in tests[1:]:
            made = exp.Or(this=made, expression=test.expression)
        return Value(exp.Paren(this=made), "boolean", exact)

    def comparison(self, node: exp.Expression, left: Value, right: Value) -> Value:
        for side in (left, right):
            if not side.comparable:
                self.refuse("a comparison of a DOUBLE computed at the source")
            if side.operand == "double" and not isinstance(
                unparenthesized(side.expression), exp.Column | exp.Literal | exp.Cast | exp.Neg
            ):
                self.refuse("a comparison of a DOUBLE computed at the source")
        if isinstance(node, exp.NullSafeEQ | exp.NullSafeNEQ) and not (left.exact and right.exact):
            self.refuse("IS DISTINCT FROM over a looser value")
        if "double" in (left.operand, right.operand):
            for side in (left, right):
                if side.operand == "decimal" and _digits(side) > _EXACT_DIGITS:
                    self.refuse("a comparison of a DOUBLE with a long decimal")
        value = self.apply(_COMPARISONS[type(node)], node, [left, right])
        if isinstance(node, exp.EQ) and left.column is not None and right.column is not None:
            loose = left.operand.endswith("loose") and right.operand.endswith("loose")
            if loose and left.column.collation == right.column.collation is not None:
                # What decides are the bytes; an index serves the collation's own equality.
                plain = exp.EQ(this=left.expression.copy(), expression=right.expression.copy())
                both = exp.And(this=plain, expression=value.expression)
                return replace(value, expression=exp.Paren(this=both))
        return value

    def like(self, node: exp.Like) -> Value:
        operand = self.value(node.this)
        pattern = unparenthesized(node.expression)
        if not isinstance(pattern, exp.Literal) or not pattern.is_string:
            self.refuse("LIKE with a computed pattern")
        if "\\" in pattern.this:
            self.refuse("LIKE with a backslash")
        if operand.operand.startswith("char"):
            self.refuse("LIKE over char(n)")
        positive = exp.Like(this=node.this, expression=node.expression)
        value = self.apply("like", positive, [operand, self.value(pattern)])
        if not node.args.get("negate"):
            return value
        if not value.exact:
            self.refuse("NOT LIKE over loosely compared text")
        return Value(exp.Not(this=exp.Paren(this=value.expression)), "boolean")

    def case(self, node: exp.Case) -> Value:
        subject = self.value(node.this) if node.this is not None else None
        branches: list[exp.If] = []
        values: list[Value] = []
        for branch in node.args["ifs"]:
            if subject is not None:
                test = self.comparison(exp.EQ(), subject, self.value(branch.this))
            else:
                test = self.boolean(branch.this)
            if not test.exact:
                self.refuse("CASE over a looser predicate")
            values.append(self.value(branch.args["true"]))
            branches.append(exp.If(this=test.expression, true=values[-1].expression))
        default = node.args.get("default")
        if default is not None:
            values.append(self.value(default))
        made = exp.Case(ifs=branches)
        if default is not None:
            made.set("default", values[-1].expression)
        return Value(made, self.one_class(values, "CASE"), all(v.exact for v in values))

    def one_class(self, values: list[Value], what: str) -> str:
        classes = {v.operand for v in values if v.operand != "null"}
        if classes == {"integer", "decimal"}:
            return "decimal"
        if len(classes) != 1:
            self.refuse(f"{what} of mixed types")
        return classes.pop()

    # -- functions ------------------------------------------------------------------------------

    def function(self, node: exp.Expression) -> Value:
        name = function_name(node)
        if is_volatile(node):
            self.refuse(f"the volatile function {name}")
        operands = [
            self.value(part) for part in node.iter_expressions() if not isinstance(part, exp.Var)
        ]
        return self.apply(str(name), node, operands)

    def aggregate(self, node: exp.Expression) -> Value:
        """An aggregate call at the top of an expression."""
        condition: exp.Expression | None = None
        call = node
        if isinstance(call, exp.Filter):
            condition = self.exact_boolean(call.expression.this)
            call = call.this
        for key, value in call.args.items():
            if value and key not in _AGGREGATE_ARGUMENTS:
                self.refuse(f"{function_name(call)} with {key}")
        distinct = isinstance(call.this, exp.Distinct)
        arguments = call.this.expressions if distinct else list(call.iter_expressions())
        name = str(function_name(call))
        if isinstance(call, exp.Count) and (not arguments or isinstance(arguments[0], exp.Star)):
            made: exp.Expression = exp.Count(this=exp.Star(), big_int=True)
            return Value(self.filtered(made, condition), "integer")
        if len(arguments) != 1:
            self.refuse(f"{name} of {len(arguments)} arguments")
        operand = self.value(arguments[0])
        entry = self.table.aggregates.get((name, (operand.operand,)))
        if entry is None or not operand.exact:
            self.refuse(f"{name}({operand.operand})")
        inner: exp.Expression = operand.expression
        if distinct:
            if operand.operand not in ("integer", "decimal", "date", "text", "boolean"):
                self.refuse(f"{name}(DISTINCT {operand.operand})")
            inner = exp.Distinct(expressions=[inner])
        if entry.rewrite is not None:
            made = entry.rewrite(inner, node=call, condition=condition)
            if condition is not None and "condition" not in made.meta:
                made = self.filtered(made, condition)
        else:
            made = self.filtered(type(call)(this=inner), condition)
        return Value(made, entry.result, comparable=not entry.output_only)

    def filtered(self, call: exp.Expression, condition: exp.Expression | None) -> exp.Expression:
        if condition is None:
            return call
        if "filter" not in self.table.nodes:
            self.refuse("an aggregate with FILTER")
        return exp.Filter(this=call, expression=exp.Where(this=condition))

    def exact_boolean(self, node: exp.Expression) -> exp.Expression:
        value = self.boolean(node)
        if not value.exact:
            self.refuse("a looser predicate")
        return value.expression

    def apply(self, operator: str, node: exp.Expression, operands: list[Value]) -> Value:
        """Look the operator up and build its translation."""
        classes = tuple(o.operand for o in operands)
        entry = self.table.entries.get((operator, classes))
        self.refuse_mixed_text(operands)
        if entry is None and "null" in classes:
            self.refuse(f"{operator} with NULL")
        if entry is None:
            self.refuse(f"{operator} over {' and '.join(classes) or 'nothing'}")
        exact = entry.exact and all(o.exact for o in operands)
        parts = [o.expression for o in operands]
        made = self.build(entry, node, parts)
        comparable = not entry.output_only and all(o.comparable for o in operands)
        return Value(made, entry.result, exact, comparable)

    def refuse_mixed_text(self, operands: list[Value]) -> None:
        """Refuse a text constant that a column's character set cannot be compared with."""
        for column in (o.column for o in operands):
            for other in (unparenthesized(o.expression) for o in operands):
                if column is None or not isinstance(other, exp.Literal) or not other.is_string:
                    continue
                if not self.table.text_mixes(other.this, column.collation):
                    self.refuse(f"a text constant beyond the characters of {column.collation}")

    def build(
        self, entry: Entry, node: exp.Expression, parts: list[exp.Expression]
    ) -> exp.Expression:
        if entry.rewrite is not None:
            return entry.rewrite(*parts, node=node)
        if isinstance(node, exp.Binary):
            wrapped = [exp.Paren(this=p) if isinstance(p, exp.Binary) else p.copy() for p in parts]
            return type(node)(this=wrapped[0], expression=wrapped[1])
        self.refuse(type(node).__name__.lower())

    def subquery(self, node: exp.Expression) -> PlanSubquery:
        if not isinstance(node, PlanSubquery) or self.check_subquery is None:
            self.refuse("a subquery")
        self.check_subquery(node.plan)
        return node


def _digits(value: Value) -> int:
    """How many decimal digits a decimal operand may have; computed ones have any number."""
    bare = unparenthesized(value.expression)
    if value.column is not None and value.column.type.decimal is not None:
        return value.column.type.decimal[0]
    if isinstance(bare, exp.Neg):
        bare = bare.this
    if isinstance(bare, exp.Literal):
        return sum(c.isdigit() for c in str(bare.this))
    return 99


def translate(
    expression: exp.Expression,
    table: Capabilities,
    columns: Columns,
    check_subquery: SubqueryCheck | None = None,
) -> Value:
    """The exact translation of an expression (an aggregate call may stand at its top).

    Raises:
        Untranslatable: the table offers it not at all, or only in a looser form.
    """
    translator = _Translator(table, columns, check_subquery)
    bare = unparenthesized(expression)
    if isinstance(bare, exp.Filter | exp.AggFunc):
        return translator.aggregate(bare)
    value = translator.value(expression)
    if not value.exact:
        raise Untranslatable(f"{table.kind} offers only a looser form")
    return value


def translate_filter(
    expression: exp.Expression,
    table: Capabilities,
    columns: Columns,
    check_subquery: SubqueryCheck | None = None,
) -> Value:
    """A predicate that every wanted row satisfies; ``exact`` says whether only those do.

    Raises:
        Untranslatable: not even a looser form is offered.
    """
    value = _Translator(table, columns, check_subquery).boolean(expression)
    dates = [
        node
        for node in dict.fromkeys(expression.find_all(exp.Column))
        if node.name in columns and read_as_null(table, columns[node.name])
    ]
    if table.date_is_real is None or not dates:
        return value
    if _compares(expression, dates):
        # With NULL it keeps no row, so it may take the dates as they are (an index finds them) if
        # they are tested, too. The test comes last, after all that leaves fewer rows to test.
        as_they_are = _Translator(replace(table, dates_are_exact=True), columns, check_subquery)
        decided = as_they_are.boolean(expression)
        tests = [table.date_is_real(node.copy()) for node in dates]
        both = conjunction([decided.expression, *tests])
    else:
        # Beside the predicate that decides stands the one over the bare columns, for an index.
        bare = replace(table, date_is_real=None)
        try:
            decided = value
            looser = _Translator(bare, columns, check_subquery).boolean(expression)
        except Untranslatable:
            return value
        both = conjunction([looser.expression, value.expression])
    assert both is not None
    return replace(decided, expression=both)


def _compares(expression: exp.Expression, dates: Sequence[exp.Column]) -> bool:
    """Whether it compares these columns themselves, and nothing that is computed of them."""
    bare = unparenthesized(expression)
    if not isinstance(bare, _STRICT) or has_subquery(bare):
        return False
    operands = [unparenthesized(operand) for operand in bare.iter_expressions()]
    names = {date.name for date in dates}
    return all(
        isinstance(operand, exp.Column) or names.isdisjoint(free_columns(operand))
        for operand in operands
    )
