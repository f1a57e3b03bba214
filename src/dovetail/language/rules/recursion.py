"""Recursive predicates: least fixpoints as one recursive WITH.

A linear group (every rule calls the group at most once) is ``WITH RECURSIVE … UNION``. DuckDB's
recursive part sees only the rows found last, so with two calls in one rule that would lose answers
(17 of the 28 pairs of a chain of 8). Those groups use ``USING KEY``: for each call in turn, that
one reads the rows found last and the others all rows found so far, and rows that are known are
left out. The same form counts steps for groups that build new values, and stops them.

Predicates that call each other are computed together: one relation with a tag and the columns of
all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlglot import exp

from dovetail.errors import DATA_MARK
from dovetail.language.rules.choices import cast_value, union_all
from dovetail.language.rules.diagnostics import Span, fail
from dovetail.language.rules.kinds import NULL
from dovetail.language.rules.program import (
    Key,
    Predicate,
    clause_references,
    split_disjunction,
)
from dovetail.language.rules.relations import (
    Definition,
    Relations,
    Side,
    agreed_types,
    column_bases,
)
from dovetail.language.rules.state import Table, project
from dovetail.language.rules.terms import Clause, Compound, Term, branches, conjuncts, walk
from dovetail.language.rules.values import Value, common_type, of_column, sql
from dovetail.plan import nodes
from dovetail.plan.expressions import PlanSubquery, column, conjunction
from dovetail.types import BIGINT, INTEGER, Type

_ROUNDS = 12
_STEP = " step"  # no variable is called so
_BUILDERS = frozenset(
    [
        "is",
        "string_concat",
        "string_lower",
        "string_upper",
        "substring",
        "replace",
        "trim",
        "atom_number",
        "string_length",
        "sql_fn",
        "coalesce",
        "between",
    ]
)


@dataclass
class _Group:
    """A group while it is compiled: how its calls are read."""

    relations: Relations
    name: str
    predicates: Sequence[Predicate]
    types: dict[Key, list[Type]] = field(default_factory=dict)
    newest: Span | None = None  # the call that reads the rows found last; None: all do
    keyed: bool = False

    @property
    def tagged(self) -> bool:
        """Whether several predicates share the relation."""
        return len(self.predicates) > 1

    def layout(self) -> list[tuple[str, Type]]:
        """The columns of the relation."""
        result: list[tuple[str, Type]] = [("tag", INTEGER)] if self.tagged else []
        for predicate in self.predicates:
            result += list(zip(column_bases(predicate), self.types[predicate.key], strict=True))
        if not result:
            result.append(("row", INTEGER))
        if self.keyed:
            result.append(("step", BIGINT))
        return result

    def places(self, predicate: Predicate) -> tuple[int, ...]:
        """Where a predicate's arguments stand in the layout."""
        start = int(self.tagged)
        for other in self.predicates:
            if other is predicate:
                break
            start += other.arity
        return tuple(range(start, start + predicate.arity))

    def table(self, key: Key, goal: Term) -> Table | None:
        """The rows a call of the group reads; None for a call of anything else."""
        predicate = next((p for p in self.predicates if p.key == key), None)
        if predicate is None:
            return None
        names = self.relations.names
        outputs = tuple(names.column(base, type_) for base, type_ in self.layout())
        place = goal.name_span if isinstance(goal, Compound) else goal.span
        newest = self.newest is None or place == self.newest
        plan: nodes.Plan = nodes.WithScan(self.name, outputs, recurring=not newest)
        hidden = {}
        if self.keyed and newest:
            hidden[_STEP] = of_column(outputs[-1], "the step")
        if self.tagged:
            tag = exp.Literal.number(list(self.predicates).index(predicate))
            plan = nodes.Filter(plan, exp.EQ(this=column(outputs[0].name), expression=tag))
        origin = f"argument of {predicate.shown}"
        values = tuple(
            Value(column(outputs[place].name), type_, origin)
            for place, type_ in zip(self.places(predicate), self.types[key], strict=True)
        )
        return Table(plan, values, hidden)


@dataclass(frozen=True)
class _Rule:
    predicate: Predicate
    clause: Clause
    calls: tuple[Span, ...]


def define_group(relations: Relations, predicates: Sequence[Predicate]) -> None:
    """Compile a recursive group and note its definitions.

    Raises:
        RulesError: a clause has a mistake, or the types of the group never settle.
    """
    members = {p.key for p in predicates}
    rules = [
        _Rule(p, clause, _calls(clause, members))
        for p in predicates
        for whole in p.clauses
        for clause in _expanded(whole, members)
    ]
    name = relations.names.definition(predicates[0].name)
    group = _Group(relations, name, predicates)
    for predicate in predicates:
        group.types[predicate.key] = [NULL] * predicate.arity
    relations.recursive = group
    try:
        _settle(relations, group, rules)
        linear = all(len(rule.calls) <= 1 for rule in rules)
        builds = any(_builds(rule.clause) for rule in rules if rule.calls)
        group.keyed = not linear or builds
        bases = [r for r in rules if not r.calls]
        steps = [r for r in rules if r.calls]
        start = _start(relations, group, bases)
        step = _step(relations, group, steps)
    finally:
        relations.recursive = None
    keys = tuple(c.name for c in start.columns[:-1]) if group.keyed else ()
    for number, predicate in enumerate(predicates):
        relations.definitions[predicate.key] = Definition(
            name,
            start,
            group.places(predicate),
            tuple(group.types[predicate.key]),
            number if group.tagged else None,
            step,
            keys,
        )


def _calls(clause: Clause, members: set[Key]) -> tuple[Span, ...]:
    found = []
    for reference in clause_references(clause):
        if reference.key in members:
            found.append(reference.span)
    return tuple(found)


def _expanded(clause: Clause, members: set[Key]) -> list[Clause]:
    """One clause per combination of the branches that call the group: a set either way."""
    if clause.kind != "rule" or clause.body is None:
        return [clause]
    parts = split_disjunction(clause)
    if len(parts) > 1:
        return [c for part in parts for c in _expanded(part, members)]
    goals = conjuncts(clause.body)
    for place, goal in enumerate(goals):
        options = branches(goal)
        plain = not any(isinstance(o, Compound) and o.called("->", 2) for o in options)
        inside = _calls(Clause("rule", None, goal, goal.span), members)
        if len(options) > 1 and plain and inside:
            return [
                c
                for option in options
                for c in _expanded(
                    Clause(
                        "rule",
                        clause.head,
                        _conjunction([*goals[:place], option, *goals[place + 1 :]]),
                        clause.span,
                    ),
                    members,
                )
            ]
    return [clause]


def _conjunction(goals: Sequence[Term]) -> Term:
    result = goals[-1]
    for goal in reversed(goals[:-1]):
        result = Compound(",", (goal, result), goal.span, goal.span)
    return result


def _builds(clause: Clause) -> bool:
    """Whether a rule may make values that were not there before."""
    assert clause.body is not None
    return any(isinstance(t, Compound) and t.name in _BUILDERS for t in walk(clause.body))


def _settle(relations: Relations, group: _Group, rules: Sequence[_Rule]) -> None:
    """Find the types of all arguments: from nothing known, until nothing changes."""
    for _ in range(_ROUNDS):
        made: dict[Key, list[Type]] = {}
        for predicate in group.predicates:
            own = [r.clause for r in rules if r.predicate is predicate]
            found = agreed_types(predicate, relations.sides(predicate, own))
            merged = [
                common_type([a, b]) or b
                for a, b in zip(group.types[predicate.key], found, strict=True)
            ]
            made[predicate.key] = merged
        if made == group.types:
            return
        group.types = made
    names = ", ".join(p.shown for p in group.predicates)
    raise fail(
        "R009",
        f"the types of {names} grow with every step of the recursion",
        rules[0].clause.span,
        "float(X) or integer(X) fixes the type",
    )


def _row(group: _Group, side: Side, predicate: Predicate, step: exp.Expression) -> nodes.Plan:
    """The rows of a clause in the group's layout."""
    layout = group.layout()
    values: list[Value] = []
    places = group.places(predicate)
    for place, (_, type_) in enumerate(layout):
        if place in places:
            values.append(cast_value(side.values[place - places[0]], type_))
        elif group.keyed and place == len(layout) - 1:
            values.append(Value(step, BIGINT, "the step"))
        elif group.tagged and place == 0:
            tag = exp.Literal.number(list(group.predicates).index(predicate))
            values.append(Value(sql("CAST(_0 AS INTEGER)", tag), INTEGER, "the tag"))
        elif not predicate.arity and not group.tagged:
            values.append(Value(exp.Literal.number(1), INTEGER, "a row"))
        else:
            values.append(Value(_typed_null(type_), type_, "no value"))
    return project(side.state.rows, values, group.relations.names, [b for b, _ in layout])


def _typed_null(type_: Type) -> exp.Expression:
    from dovetail.plan.expressions import typed_null

    return exp.Null() if type_ == NULL else typed_null(type_)


def _start(relations: Relations, group: _Group, rules: Sequence[_Rule]) -> nodes.Plan:
    """The rows that need no recursion; without any, the group is empty."""
    zero = sql("CAST(0 AS BIGINT)")
    plans = []
    for predicate in group.predicates:
        own = [r.clause for r in rules if r.predicate is predicate]
        plans += [_row(group, s, predicate, zero) for s in relations.sides(predicate, own)]
    if not plans:
        columns = [
            nodes.Item(relations.names.column(base, type_), _typed_null(type_))
            for base, type_ in group.layout()
        ]
        nothing = nodes.Filter(nodes.Values((), ((),)), exp.false())
        return nodes.Project(nothing, tuple(columns))
    return union_all(relations.solver(rules[0].clause, ""), plans)


def _step(relations: Relations, group: _Group, rules: Sequence[_Rule]) -> nodes.Plan:
    plans = []
    for rule in rules:
        for call in rule.calls:
            group.newest = call if group.keyed else None
            side = relations.rule(rule.predicate, rule.clause)
            following = _next_step(rule, side) if group.keyed else sql("CAST(0 AS BIGINT)")
            plans.append(_row(group, side, rule.predicate, following))
            if not group.keyed:
                break
    group.newest = None
    plan = union_all(relations.solver(rules[0].clause, ""), plans)
    return _new_only(relations, group, plan) if group.keyed else plan


def _next_step(rule: _Rule, side: Side) -> exp.Expression:
    step = side.state.bound.get(_STEP)
    if step is None:
        raise fail(
            "R010",
            f"{rule.predicate.shown} calls itself inside a goal that hides which step it is in",
            rule.calls[0],
            "write the recursive call as a goal of its own",
        )
    return sql("_0 + 1", step.expression)


def _new_only(relations: Relations, group: _Group, plan: nodes.Plan) -> nodes.Plan:
    """Rows that are not known yet; too many steps or rows stop the query."""
    names = relations.names
    outputs = tuple(names.column(base, type_) for base, type_ in group.layout())
    known: nodes.Plan = nodes.WithScan(group.name, outputs, recurring=True)
    same = conjunction(
        sql("_0 IS NOT DISTINCT FROM _1", column(new.name), column(old.name))
        for new, old in zip(plan.columns[:-1], outputs[:-1], strict=True)
    )
    assert same is not None
    exists = exp.Exists(this=PlanSubquery(plan=nodes.Filter(known, same)))
    fresh = nodes.Filter(plan, exp.Not(this=exists))
    counted = tuple(names.column(base, type_) for base, type_ in group.layout())
    rows = names.column("rows", BIGINT)
    count = PlanSubquery(
        plan=nodes.Aggregate(
            nodes.WithScan(group.name, counted, recurring=True),
            (),
            (nodes.Item(rows, sql("count(*)")),),
        )
    )
    step = plan.columns[-1]
    limits = relations.limits
    shown = ", ".join(p.shown for p in group.predicates)
    message = exp.Literal.string(f"{DATA_MARK}recursion|{shown}|")
    guard = sql(
        f"CASE WHEN _0 > {limits.max_iterations} OR _1 > {limits.max_recursive_rows} "
        "THEN error(_2 || _0 || '|' || _1) ELSE _0 END",
        column(step.name),
        count,
        message,
    )
    guard = sql("CAST(_0 AS BIGINT)", guard)
    items = [nodes.Item(names.like(c), column(c.name)) for c in plan.columns[:-1]]
    items.append(nodes.Item(names.column("step", BIGINT), guard))
    return nodes.Project(fresh, tuple(items))
