"""Goals with branches: disjunction and if-then-else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.language.rules.diagnostics import RulesError, fail
from dovetail.language.rules.scalars import Unbound
from dovetail.language.rules.state import (
    State,
    Table,
    computed,
    filtered,
    project,
    snake_case,
)
from dovetail.language.rules.terms import (
    Compound,
    Term,
    Var,
    branches,
    conjuncts,
    shown,
    variables,
)
from dovetail.language.rules.truth import truth
from dovetail.language.rules.values import Value, common_type, of_column, sql, stored
from dovetail.language.rules.visibility import visible
from dovetail.plan import nodes
from dovetail.plan.expressions import conjunction

if TYPE_CHECKING:
    from dovetail.language.rules.solver import Solver

Branch = Callable[[State], State]
Effect = tuple[list[exp.Expression], dict[str, Value]]


def disjunction(solver: Solver, goal: Compound, state: State, elsewhere: frozenset[str]) -> State:
    """Branches that bind: UNION ALL. Each either stands alone or goes on from the rows so far."""
    parts = branches(goal)

    def branch(part: Term) -> Branch:
        return lambda start: solver.solve(conjuncts(part), start, elsewhere)

    made = [branch(part) for part in parts]
    if state.plan is not None:
        alone = _alone(solver, goal, made, state, elsewhere)
        if alone is not None:
            return alone
    return _continued(solver, goal, parts, made, state, elsewhere)


def _alone(
    solver: Solver,
    goal: Compound,
    made: Sequence[Branch],
    state: State,
    elsewhere: frozenset[str],
) -> State | None:
    """The branches as one relation joined with the rows so far; None if one needs those rows.

    What the rows bind must be read from a relation in every branch: a test or a generator of such a
    variable means another thing where the variable is free (``member`` repeats, ``= null`` binds).
    """
    fixed = {n: v for n, v in state.bound.items() if v.constant is not None}
    for part in branches(goal):
        read = set[str]()
        for inner in conjuncts(part):
            if solver.is_relation(inner):
                read |= visible(inner)
        if any(n in state.bound and n not in fixed and n not in read for n in variables(part)):
            return None
    needed = [n for n in variables(goal) if n in elsewhere and n not in fixed]
    try:
        states = [branch(State(None, fixed)) for branch in made]
    except RulesError as error:
        if error.code in ("R002", "R010"):  # it may stand over the rows so far
            return None
        raise
    except Unbound:
        return None
    if any(n not in s.bound for s in states for n in needed):
        return None
    plan, values = unite(solver, states, needed, goal)
    patterns = tuple(Var(n, goal.span) for n in needed)
    return solver.attach(state, Table(plan, values), patterns, goal)


def _continued(
    solver: Solver,
    goal: Compound,
    parts: Sequence[Term],
    made: Sequence[Branch],
    state: State,
    elsewhere: frozenset[str],
) -> State:
    """Each branch over the rows so far, which are computed once."""
    starts, wrap = shared(solver, state, len(made))
    states = [branch(start) for branch, start in zip(made, starts, strict=True)]
    needed = [n for n in variables(goal) if n in elsewhere and n not in state.bound]
    for name in needed:
        for part, ended in zip(parts, states, strict=True):
            if name not in ended.bound:
                raise unbalanced(solver, name, part, goal)
    kept = [n for n, v in state.bound.items() if v.constant is None] if state.plan else []
    names = [*kept, *needed]
    plan, values = unite(solver, states, names, goal)
    rest = {n: v for n, v in state.bound.items() if n not in kept}
    return State(wrap(plan), {**rest, **dict(zip(names, values, strict=True))})


def shared(
    solver: Solver, state: State, count: int
) -> tuple[list[State], Callable[[nodes.Plan], nodes.Plan]]:
    """``count`` states over the same rows, and how to put their definition around a plan."""
    if state.plan is None:
        return [State(None, state.bound)] * count, lambda plan: plan
    own = {n: v for n, v in state.bound.items() if v.constant is None}
    names = list(own)
    bases = [snake_case(n) for n in names]
    definition = project(state.plan, [own[n] for n in names], solver.names, bases)
    if not names:  # rows without values still count
        definition = nodes.Project(
            state.plan,
            (nodes.Item(solver.names.column("row", one().type), one().expression),),
        )
    label = solver.names.definition("rows")
    starts = []
    for _ in range(count):
        outputs = tuple(solver.names.like(c) for c in definition.columns)
        bound = dict(state.bound)
        for name, made in zip(names, outputs, strict=False):
            bound[name] = of_column(made, own[name].origin)
        starts.append(State(nodes.WithScan(label, outputs), bound))
    return starts, lambda plan: nodes.With(label, definition, plan)


def one() -> Value:
    """The constant 1, for rows that carry nothing else."""
    from dovetail.types import INTEGER

    return Value(exp.Literal.number(1), INTEGER, "a row")


def unite(
    solver: Solver, states: Sequence[State], names: Sequence[str], goal: Term
) -> tuple[nodes.Plan, tuple[Value, ...]]:
    """UNION ALL of the states' values for ``names``."""
    columns = []
    for name in names:
        values = [s.bound[name] for s in states]
        type_ = common_type([v.type for v in values])
        if type_ is None:
            told = " and ".join(dict.fromkeys(v.described(name) for v in values))
            raise fail("R009", f"the branches disagree: {told}", goal.span)
        columns.append([cast_value(v, type_) for v in values])
    bases = [snake_case(n) for n in names]
    sides: list[nodes.Plan] = []
    for number, state in enumerate(states):
        values = [column[number] for column in columns] or [one()]
        sides.append(project(state.rows, values, solver.names, bases or ["row"]))
    plan = union_all(solver, sides)
    values = [of_column(c, f"branches of line {goal.span.line}") for c in plan.columns]
    return plan, tuple(values[: len(names)])


def cast_value(value: Value, type_: object) -> Value:
    """``value`` with exactly that type."""
    from dovetail.language.rules.kinds import NULL
    from dovetail.language.rules.values import cast_to
    from dovetail.types import Type

    assert isinstance(type_, Type)
    if value.type == type_ or type_ == NULL:
        return value
    return Value(cast_to(value.expression, type_), type_, value.origin)


def union_all(solver: Solver, sides: Sequence[nodes.Plan]) -> nodes.Plan:
    """UNION ALL of plans with equal column types, balanced so that it stays shallow."""
    if len(sides) == 1:
        return sides[0]
    half = len(sides) // 2
    left, right = union_all(solver, sides[:half]), union_all(solver, sides[half:])
    types = [
        common_type([a.type, b.type]) or a.type
        for a, b in zip(left.columns, right.columns, strict=True)
    ]
    outputs = tuple(
        solver.names.column(c.name, t) for c, t in zip(left.columns, types, strict=True)
    )
    return nodes.SetOperation("union", True, left, right, outputs)


def unbalanced(solver: Solver, name: str, part: Term, goal: Compound) -> RulesError:
    """R002: a branch leaves a variable without value that others look at."""
    return fail(
        "R002",
        f"{name} is not bound in the branch {shown(part)} of {solver.where}",
        part.span,
        f"bind {name} in every branch, for example {name} = null",
    )


def if_then_else(solver: Solver, goal: Compound, state: State, elsewhere: frozenset[str]) -> State:
    """``( C -> T ; E )`` and chains of it.

    Raises:
        Unbound: a branch reads a variable without a value.
    """
    chain, otherwise = _chain(goal)
    for condition, _ in chain:
        for name, variable in variables(condition).items():
            if name not in state.bound:
                raise fail(
                    "R010",
                    f"the condition {shown(condition)} would bind {name}: a condition only tests",
                    variable.span,
                    f"bind {name} before: write ( {shown(condition)}, … ; \\+ … ), or aggregate",
                )
    tests = [truth(solver, condition, state) for condition, _ in chain]
    parts = [then for _, then in chain] + ([otherwise] if otherwise is not None else [])
    effects = [_symbolic(solver, part, state) for part in parts]
    if all(effect is not None for effect in effects):
        return _as_case(solver, goal, state, elsewhere, tests, parts, effects)
    return _as_branches(solver, goal, state, elsewhere, chain, parts)


def _chain(goal: Compound) -> tuple[list[tuple[Term, Term]], Term | None]:
    chain: list[tuple[Term, Term]] = []
    rest: Term | None = goal
    while rest is not None:
        if isinstance(rest, Compound) and rest.called("->", 2):
            chain.append((rest.args[0], rest.args[1]))
            rest = None
        elif (
            isinstance(rest, Compound)
            and rest.called(";", 2)
            and isinstance(rest.args[0], Compound)
            and rest.args[0].called("->", 2)
        ):
            chain.append((rest.args[0].args[0], rest.args[0].args[1]))
            rest = rest.args[1]
        else:
            break
    return chain, rest


def _symbolic(solver: Solver, part: Term, state: State) -> Effect | None:
    """What a branch tests and binds when it does nothing else; None when it does more."""
    tests: list[exp.Expression] = []
    values: dict[str, Value] = {}
    pending = conjuncts(part)
    while pending:
        waiting: Unbound | None = None
        for goal in pending:
            try:
                made = solver.effect(goal, State(None, {**state.bound, **values}))
            except Unbound as unbound:
                waiting = waiting or unbound
                continue
            if made is None:
                return None
            tests += made[0]
            values.update(made[1])
            pending = [p for p in pending if p is not goal]
            waiting = None
            break
        else:
            assert waiting is not None
            raise waiting
    return tests, values


def _as_case(
    solver: Solver,
    goal: Compound,
    state: State,
    elsewhere: frozenset[str],
    conditions: Sequence[exp.Expression],
    parts: Sequence[Term],
    effects: Sequence[Effect | None],
) -> State:
    known = [e for e in effects if e is not None]
    complete = len(parts) > len(conditions)
    names = list(dict.fromkeys(n for _, values in known for n in values))
    needed = [n for n in names if n in elsewhere]
    values: dict[str, Value] = {}
    for name in needed:
        for part, (_, bound) in zip(parts, known, strict=True):
            if name not in bound:
                raise unbalanced(solver, name, part, goal)
        found = [bound[name] for _, bound in known]
        type_ = common_type([v.type for v in found])
        if type_ is None:
            told = " and ".join(dict.fromkeys(v.described(name) for v in found))
            raise fail("R009", f"the branches disagree: {told}", goal.span)
        cases = [stored(cast_value(v, type_)) for v in found]
        expression = _case(conditions, cases, None)
        values[name] = Value(
            expression, solver.scalars.typing.of(expression, goal.span), "if-then-else"
        )
    if any(tests for tests, _ in known) or not complete:
        outcomes = [conjunction(tests) or exp.true() for tests, _ in known]
        state = filtered(state, _case(conditions, outcomes, exp.false()))
    return computed(state, solver.names, values)


def _case(
    conditions: Sequence[exp.Expression],
    outcomes: Sequence[exp.Expression],
    default: exp.Expression | None,
) -> exp.Expression:
    if len(outcomes) > len(conditions):
        default = outcomes[-1]
    ifs = [exp.If(this=c.copy(), true=o.copy()) for c, o in zip(conditions, outcomes, strict=False)]
    return exp.Case(ifs=ifs, default=None if default is None else default.copy())


def _as_branches(
    solver: Solver,
    goal: Compound,
    state: State,
    elsewhere: frozenset[str],
    chain: Sequence[tuple[Term, Term]],
    parts: Sequence[Term],
) -> State:
    def branch(number: int, part: Term) -> Branch:
        def run(start: State) -> State:
            for condition, _ in chain[:number]:
                start = filtered(start, sql("_0 IS NOT TRUE", truth(solver, condition, start)))
            if number < len(chain):
                start = filtered(start, truth(solver, chain[number][0], start))
            return solver.solve(conjuncts(part), start, elsewhere)

        return run

    made = [branch(number, part) for number, part in enumerate(parts)]
    return _continued(solver, goal, parts, made, state, elsewhere)
