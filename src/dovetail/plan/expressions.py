"""Every helper that reads or rewrites scalar expressions.

Scalars are sqlglot expressions over unqualified columns with plan-unique names. They are never
edited in place: each function here returns new trees. A subquery inside an expression is a
:class:`PlanSubquery` leaf that holds a plan; its free columns are outer references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

from sqlglot import exp

from dovetail.plan import nodes
from dovetail.types import Type

_T = TypeVar("_T")
_REMEMBERED = 4_000


class PlanSubquery(exp.Expression):
    """A subquery in a scalar position: ``args["plan"]`` is its plan.

    Alone it is a scalar subquery; inside Exists, In(query=…), Any or All it means what they say.
    """

    arg_types = {"plan": True}  # noqa: RUF012  (sqlglot's own convention)

    @property
    def plan(self) -> nodes.Plan:
        """The plan of the subquery."""
        plan = self.args["plan"]
        assert isinstance(plan, nodes.Plan)
        return plan


class KeyFilter(exp.Expression, exp.Predicate):
    """``this`` is among the keys that dynamic filter ``number`` learns while the query runs.

    Only ever drops rows that cannot matter, so it may be taken as true. ``operand`` is the operand
    class of ``this``, once it has been translated for a source; ``distinct`` is how many different
    values it is estimated to have.
    """

    arg_types = {"this": True, "number": True, "operand": False, "distinct": False}  # noqa: RUF012

    @property
    def number(self) -> int:
        """Which dynamic filter of the plan it is."""
        return int(self.args["number"])


def column(name: str) -> exp.Column:
    """A reference to the plan column ``name``."""
    return exp.Column(this=exp.Identifier(this=name, quoted=True))


def conjuncts(predicate: exp.Expression | None) -> list[exp.Expression]:
    """The parts of a conjunction, flattened; parentheses around parts are dropped."""
    if predicate is None:
        return []
    bare = unparenthesized(predicate)
    if isinstance(bare, exp.And):
        return [*conjuncts(bare.this), *conjuncts(bare.expression)]
    return [bare]


def conjunction(parts: Iterable[exp.Expression]) -> exp.Expression | None:
    """The conjunction of ``parts``, or None when there are none."""
    parts = list(parts)
    if len(parts) == 1:
        return parts[0]
    result: exp.Expression | None = None
    for part in parts:
        wrapped = exp.Paren(this=part.copy()) if isinstance(part, exp.Or) else part.copy()
        result = wrapped if result is None else exp.And(this=result, expression=wrapped)
    return result


def unparenthesized(expression: exp.Expression) -> exp.Expression:
    """The expression without parentheses around the whole of it."""
    while isinstance(expression, exp.Paren):
        expression = expression.this
    return expression


def enclosed(expression: exp.Expression) -> exp.Expression:
    """The expression as an operand of any operator: in parentheses unless it stands for itself.

    sqlglot takes AND and OR for functions, and date arithmetic that is written with ``+``.
    """
    is_call = isinstance(expression, exp.Func) and not isinstance(
        expression, exp.Binary | exp.IntervalOp | exp.TsOrDsAdd
    )
    if is_call or isinstance(expression, exp.Column | exp.Literal | exp.Paren | exp.Null):
        return expression
    return exp.Paren(this=expression)


class _Remembered(Generic[_T]):
    """A function of one expression or plan that is asked of the same object again and again.

    Neither is ever edited in place, so what was true of an object stays true. It is kept beside
    its answer: another object may get the same id later.
    """

    def __init__(self, function: Callable[[Any], _T]) -> None:
        self._function = function
        self._known: dict[int, tuple[object, _T]] = {}

    def __call__(self, of: object) -> _T:
        known = self._known.get(id(of))
        if known is not None and known[0] is of:
            return known[1]
        found = self._function(of)
        if len(self._known) > _REMEMBERED:
            self._known.clear()
        self._known[id(of)] = (of, found)
        return found


@_Remembered
def free_columns(expression: exp.Expression) -> frozenset[str]:
    """Names of all columns the expression needs from outside, subqueries included."""
    names: set[str] = set()
    for node in expression.walk():
        if isinstance(node, exp.Column):
            names.add(node.name)
        elif isinstance(node, PlanSubquery):
            names |= plan_free_columns(node.plan)
    return frozenset(names)


@_Remembered
def plan_free_columns(plan: nodes.Plan) -> frozenset[str]:
    """Columns that a plan refers to but does not produce: its outer references."""
    produced: set[str] = set()
    used: set[str] = set()
    for node in plan.walk():
        produced |= {c.name for c in node.columns}
        inner = node.plan if isinstance(node, nodes.Fragment) else None
        if inner is not None:
            used |= plan_free_columns(inner)
            produced |= {c.name for n in inner.walk() for c in n.columns}
        for expression in node_expressions(node):
            used |= free_columns(expression)
    return frozenset(used - produced)


def node_expressions(node: nodes.Plan) -> Iterator[exp.Expression]:
    """The expressions a node holds directly."""
    match node:
        case nodes.Filter():
            yield node.predicate
        case nodes.Project() | nodes.Window():
            for item in node.items:
                yield item.expression
        case nodes.Unnest():
            yield node.item.expression
        case nodes.Join():
            if node.condition is not None:
                yield node.condition
        case nodes.Aggregate():
            for item in (*node.keys, *node.aggregates):
                yield item.expression
        case nodes.Sort():
            for key in node.keys:
                yield key.expression
        case nodes.Distinct():
            yield from node.on
            for key in node.order:
                yield key.expression
        case nodes.Values():
            for row in node.rows:
                yield from row


def map_expressions(
    node: nodes.Plan, function: Callable[[exp.Expression], exp.Expression]
) -> nodes.Plan:
    """The node with ``function`` applied to its expressions; the same object if none changed."""
    old = list(node_expressions(node))
    made = [function(expression) for expression in old]
    if all(new is known for new, known in zip(made, old, strict=True)):
        return node
    left = iter(made)

    def apply(expression: exp.Expression) -> exp.Expression:
        return next(left)

    def items(old: tuple[nodes.Item, ...]) -> tuple[nodes.Item, ...]:
        return tuple(nodes.Item(item.column, apply(item.expression)) for item in old)

    def keys(old: tuple[nodes.SortKey, ...]) -> tuple[nodes.SortKey, ...]:
        return tuple(
            nodes.SortKey(apply(key.expression), key.descending, key.nulls_first) for key in old
        )

    match node:  # in the order of node_expressions
        case nodes.Filter(input=child):
            return nodes.Filter(child, apply(node.predicate), node.loose)
        case nodes.Project(input=child):
            return nodes.Project(child, items(node.items))
        case nodes.Window(input=child):
            return nodes.Window(child, items(node.items))
        case nodes.Unnest(input=child):
            return nodes.Unnest(child, items((node.item,))[0])
        case nodes.Join() if node.condition is not None:
            return nodes.Join(node.kind, node.left, node.right, apply(node.condition))
        case nodes.Aggregate(input=child):
            grouped, counted = items(node.keys), items(node.aggregates)
            return nodes.Aggregate(child, grouped, counted, node.grouping_sets)
        case nodes.Sort(input=child):
            return nodes.Sort(child, keys(node.keys))
        case nodes.Distinct(input=child):
            return nodes.Distinct(child, tuple(apply(e) for e in node.on), keys(node.order))
        case nodes.Values():
            rows = tuple(tuple(apply(e) for e in row) for row in node.rows)
            return nodes.Values(node.outputs, rows)
        case _:
            return node


def transform_plan(plan: nodes.Plan, function: Callable[[nodes.Plan], nodes.Plan]) -> nodes.Plan:
    """Apply ``function`` bottom-up to every node, also to plans nested in expressions."""

    def in_expression(expression: exp.Expression) -> exp.Expression:
        if not has_subquery(expression):
            return expression
        changed = False

        def visit(node: exp.Expression) -> exp.Expression:
            nonlocal changed
            if isinstance(node, PlanSubquery):
                inner = transform_plan(node.plan, function)
                if inner is not node.plan:
                    changed = True
                    return PlanSubquery(plan=inner)
            return node

        result = expression.copy().transform(visit, copy=False)
        return result if changed else expression

    rebuilt = plan.with_inputs([transform_plan(child, function) for child in plan.inputs])
    return function(map_expressions(rebuilt, in_expression))


def substitute(expression: exp.Expression, mapping: Mapping[str, exp.Expression]) -> exp.Expression:
    """Replace columns by expressions, also outer references inside nested subqueries."""
    if not (free_columns(expression) & mapping.keys()):
        return expression

    def visit(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Column) and node.name in mapping:
            return enclosed(mapping[node.name].copy())
        if isinstance(node, PlanSubquery):
            return PlanSubquery(plan=substitute_plan(node.plan, mapping))
        return node

    return expression.copy().transform(visit, copy=False)


def substitute_plan(plan: nodes.Plan, mapping: Mapping[str, exp.Expression]) -> nodes.Plan:
    """Replace outer references of a plan."""
    if not (plan_free_columns(plan) & mapping.keys()):
        return plan
    return transform_plan(plan, lambda n: map_expressions(n, lambda e: substitute(e, mapping)))


def subqueries(expression: exp.Expression) -> Iterator[PlanSubquery]:
    """The subqueries directly inside an expression."""
    for node in expression.walk():
        if isinstance(node, PlanSubquery):
            yield node


@_Remembered
def has_subquery(expression: exp.Expression) -> bool:
    """Whether the expression holds a subquery."""
    return next(subqueries(expression), None) is not None


def contains(expression: exp.Expression, *kinds: type[exp.Expression]) -> bool:
    """Whether a node of one of ``kinds`` occurs in the expression."""
    return any(isinstance(node, kinds) for node in expression.walk())


@lru_cache(maxsize=1024)
def _parsed_type(text: str, dialect: str) -> exp.DataType:
    return exp.DataType.build(text, dialect=dialect, udt=True)


def data_type(text: str, dialect: str = "duckdb") -> exp.DataType:
    """The type as sqlglot writes it, read once: a type's text takes as long as a small query's."""
    return _parsed_type(text, dialect).copy()


def typed_null(type_: Type) -> exp.Expression:
    """``CAST(NULL AS type)`` in DuckDB's dialect."""
    return exp.Cast(this=exp.Null(), to=data_type(type_.text))


def duckdb_sql(expression: exp.Expression) -> str:
    """The expression in DuckDB's dialect, for asking the reference.

    Subqueries become typed NULLs: only their type matters there.
    """

    def visit(node: exp.Expression) -> exp.Expression:
        if isinstance(node, exp.Exists):
            return exp.Cast(this=exp.Null(), to=data_type("BOOLEAN"))
        if isinstance(node, exp.In) and node.args.get("query") is not None:
            return exp.Cast(this=exp.Null(), to=data_type("BOOLEAN"))
        if isinstance(node, exp.Binary) and isinstance(node.expression, exp.Any | exp.All):
            return exp.Cast(this=exp.Null(), to=data_type("BOOLEAN"))
        if isinstance(node, PlanSubquery):
            return typed_null(node.plan.columns[0].type)
        return node

    if has_subquery(expression):
        expression = expression.copy().transform(visit, copy=False)
    return expression.sql(dialect="duckdb")


def equal(left: Any, right: Any) -> bool:
    """Structural equality, ignoring outer parentheses."""
    return bool(unparenthesized(left) == unparenthesized(right))


# Functions whose value may differ between two calls in one query: never duplicated, never pushed.
VOLATILE_FUNCTIONS = frozenset(
    {"random", "rand", "uuid", "gen_random_uuid", "uuidv4", "uuidv7", "nextval", "currval"}
    | {"setseed", "hash_volatile", "error"}
)


_SPELLED_BY_DUCKDB = {"logical_and": "bool_and", "logical_or": "bool_or"}


def function_name(node: exp.Expr) -> str | None:
    """The lower-case name of a function call, as DuckDB spells it; None for anything else."""
    if isinstance(node, exp.Anonymous | exp.AnonymousAggFunc):
        name = node.this
        return str(name.name if isinstance(name, exp.Expression) else name).lower()
    if isinstance(node, exp.Func):
        name = str(node.sql_name()).lower()
        return _SPELLED_BY_DUCKDB.get(name, name)
    return None


@_Remembered
def is_volatile(expression: exp.Expr) -> bool:
    """Whether evaluating the expression twice may give two values."""
    for node in expression.walk():
        name = function_name(node)
        if name in VOLATILE_FUNCTIONS:
            return True
        if isinstance(node, PlanSubquery) and any(
            is_volatile(e) for n in node.plan.walk() for e in node_expressions(n)
        ):
            return True
    return False
