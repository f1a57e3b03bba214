"""Bodies → plans: which goal goes next, and what each does to the rows so far.

Goal order never changes an answer: a goal waits until what it reads is bound. Tests and bindings
run as soon as they can, then relations are joined, then goals that look at other rows (negation,
aggregation, choices), and last the generators, so that ``member(X, L)`` is a test wherever
another goal binds ``X``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.language.rules import scalars as scalar
from dovetail.language.rules.aggregates import aggregate_all, group_by
from dovetail.language.rules.builtins import BUILT_INS, REFUSED, is_built_in
from dovetail.language.rules.choices import disjunction, if_then_else
from dovetail.language.rules.diagnostics import RulesError, fail
from dovetail.language.rules.generators import elements, integers
from dovetail.language.rules.scalars import Scalars, Unbound
from dovetail.language.rules.sequences import SEQUENCES, is_sequence, sequence
from dovetail.language.rules.state import State, Table, computed, filtered, joined
from dovetail.language.rules.terms import (
    Clause,
    Compound,
    ListTerm,
    Number,
    Term,
    Text,
    Var,
    conjuncts,
    shown,
    variables,
)
from dovetail.language.rules.truth import negation, only_filters, only_tests, truth
from dovetail.language.rules.unbound import not_bound
from dovetail.language.rules.values import Value, constant, sql
from dovetail.language.rules.visibility import bindable, visible
from dovetail.language.sql.scope import Names

if TYPE_CHECKING:
    from dovetail.language.rules.relations import Relations


@dataclass
class Solver:
    """Compiles the bodies of one clause. ``relations`` finds what atoms read."""

    relations: Relations
    names: Names
    scalars: Scalars
    clause: Clause
    where: str

    # -- conjunctions ---------------------------------------------------------------------------

    def solve(self, goals: Sequence[Term], state: State, outside: frozenset[str]) -> State:
        """All ``goals`` over ``state``; ``outside`` are variables that others look at.

        Raises:
            RulesError: a goal is refused, or a variable that it needs is never bound.
        """
        pending = list(goals)
        while pending:
            for step in (self._simple, self._read, self._delayed, self._generate):
                done = step(pending, state, goals, outside)
                if done is not None:
                    goal, state = done
                    # By place in the list: the same goal may be written twice.
                    pending = [p for p in pending if p is not goal]
                    break
            else:
                self._stuck(pending, state, goals, outside)
        return state

    _Done = tuple[Term, State] | None

    def _simple(
        self, pending: list[Term], state: State, goals: Sequence[Term], outside: frozenset[str]
    ) -> _Done:
        for goal in pending:
            try:
                solved = self.simple(goal, state)
            except Unbound:
                continue
            if solved is not None:
                return goal, solved
        return None

    def _read(
        self, pending: list[Term], state: State, goals: Sequence[Term], outside: frozenset[str]
    ) -> _Done:
        """The next relation: one that shares a variable with what is there, else the first."""
        reads = [g for g in pending if self.is_relation(g)]
        if not reads:
            return None
        near = [g for g in reads if visible(g) & state.bound.keys()]
        goal = (near or reads)[0]
        others = self._elsewhere(goal, goals, outside)
        return goal, self._relation(goal, state, others)

    def _delayed(
        self, pending: list[Term], state: State, goals: Sequence[Term], outside: frozenset[str]
    ) -> _Done:
        for goal in pending:
            if not isinstance(goal, Compound):
                continue
            kind = _delayed_kind(goal)
            if kind is None:
                continue
            elsewhere = self._elsewhere(goal, goals, outside)
            inputs = set(variables(goal)) & (elsewhere | state.bound.keys())
            if kind == "aggregate":
                inputs -= variables(goal.args[-1]).keys()
            if kind == "choice":
                inputs = set(variables(_conditions(goal)))
            expected = set[str]()
            for other in pending:
                if other is not goal:
                    expected |= bindable(other)
            if any(v not in state.bound and v in expected for v in inputs):
                continue
            if kind == "negation":
                return goal, negation(self, goal, state, inputs)
            if kind == "aggregate":
                return goal, aggregate_all(self, goal, state, frozenset(elsewhere))
            missing = [v for v in inputs if v not in state.bound]
            if missing and any(v in expected for v in missing):
                continue
            try:
                return goal, if_then_else(self, goal, state, frozenset(elsewhere))
            except Unbound as unbound:
                if unbound.variable.name in expected:
                    continue
                raise not_bound(self, unbound, state, goals) from None
        return None

    def _generate(
        self, pending: list[Term], state: State, goals: Sequence[Term], outside: frozenset[str]
    ) -> _Done:
        for goal in pending:
            if isinstance(goal, Compound) and goal.called("member", 2):
                try:
                    return goal, elements(self, goal, state)
                except Unbound:
                    continue
            if isinstance(goal, Compound) and goal.called("between", 3):
                try:
                    return goal, integers(self, goal, state)
                except Unbound:
                    continue
        for goal in pending:
            if isinstance(goal, Compound) and goal.called(";", 2):
                elsewhere = self._elsewhere(goal, goals, outside)
                if only_filters(goal, state, elsewhere):
                    return goal, filtered(state, truth(self, goal, state))
                return goal, disjunction(self, goal, state, frozenset(elsewhere))
        return None

    def _elsewhere(self, goal: Term, goals: Sequence[Term], outside: frozenset[str]) -> set[str]:
        """Variables that anything but ``goal`` looks at."""
        result = set(outside)
        for other in goals:
            if other is not goal:
                result |= visible(other)
        return result

    def _stuck(
        self, pending: list[Term], state: State, goals: Sequence[Term], outside: frozenset[str]
    ) -> None:
        for goal in pending:
            try:
                if self.simple(goal, state) is None and isinstance(goal, Compound):
                    if goal.called("member", 2):
                        elements(self, goal, state)
                    elif goal.called("between", 3):
                        integers(self, goal, state)
            except Unbound as unbound:
                raise not_bound(self, unbound, state, goals) from None
        goal = pending[0]
        raise fail("R010", f"{shown(goal)} is not supported here", goal.span)

    # -- goals over bound values ------------------------------------------------------------------

    def simple(self, goal: Term, state: State) -> State | None:
        """A test or a binding over bound values; None when ``goal`` is something else.

        Raises:
            Unbound: it must wait.
        """
        made = self.effect(goal, state)
        if made is None:
            return None
        tests, values = made
        return (
            computed(filtered(state, *tests), self.names, values)
            if values
            else (filtered(state, *tests))
        )

    def effect(
        self, goal: Term, state: State
    ) -> tuple[list[exp.Expression], dict[str, Value]] | None:
        """The tests and bindings of a simple goal."""
        bound = state.bound
        if isinstance(goal, Text):
            if goal.bare("true"):
                return [], {}
            if goal.bare("false", "fail"):
                return [exp.false()], {}
            return None
        if isinstance(goal, Var):
            raise fail(
                "R010",
                f"the variable {goal.name} is not a goal",
                goal.span,
                "write the goal itself",
            )
        if isinstance(goal, Number | ListTerm):
            raise fail("R010", f"{shown(goal)} is not a goal", goal.span)
        if not isinstance(goal, Compound):
            return None
        name, arity = goal.name, len(goal.args)
        if name == "=" and arity == 2:
            return self._unify(goal, state)
        if name == "is" and arity == 2:
            value = self.scalars.evaluated(goal.args[1], bound, "is")
            return self._result(goal.args[0], value, state, goal)
        if name in scalar.COMPARISONS and arity == 2:
            return [self.scalars.comparison(goal, bound)], {}
        if name in scalar.TEXT_TESTS and arity == 2:
            return [self.scalars.text_test(goal, bound)], {}
        if name in scalar.NULL_TESTS and arity == 1:
            return [self.scalars.null_test(goal, bound)], {}
        if name == "member" and arity == 2:
            return [self.scalars.member_test(goal, bound)], {}
        if name == "between" and arity == 3:
            return [self.scalars.between_test(goal, bound)], {}
        if name == "param" and arity == 2:
            return self._result(goal.args[1], self.relations.parameter(goal), state, goal)
        if arity in BUILT_INS.get(name, ()) and name not in SEQUENCES:
            value_ = self.scalars.function(goal, bound)
            if value_ is not None:
                return self._result(goal.args[-1], value_, state, goal)
        if name in (",", ";", "\\+") or name == "->":
            missing = [v for n, v in variables(goal).items() if n not in bound]
            if only_tests(goal):
                if missing:
                    raise Unbound(missing[0], "comparison")
                return [truth(self, goal, state)], {}
        return None

    def _unify(self, goal: Compound, state: State) -> tuple[list[exp.Expression], dict[str, Value]]:
        left, right = goal.args
        for side, other in ((left, right), (right, left)):
            if scalar.is_arithmetic(side):
                target = other.name if isinstance(other, Var) else "T"
                raise fail(
                    "R010",
                    f'"=" does not evaluate {shown(side)}',
                    side.span,
                    f"write {target} is {shown(side)}",
                )
        values: list[Value | None] = []
        for side in goal.args:
            if isinstance(side, Var):
                values.append(state.bound.get(side.name))
            else:
                values.append(self.scalars.plain(side, state.bound, "comparison"))
        first, second = values
        if first is not None and second is not None:
            return [self.scalars.equality(first, second, goal)], {}
        if first is None and second is None:
            assert isinstance(left, Var)
            raise Unbound(left, "comparison")
        variable = left if first is None else right
        value = second if first is None else first
        assert isinstance(variable, Var)
        assert value is not None
        return [], {} if variable.is_wildcard else {variable.name: value}

    def _result(
        self, target: Term, value: Value, state: State, goal: Compound
    ) -> tuple[list[exp.Expression], dict[str, Value]]:
        """A built-in's result: it binds its variable, or is compared with it."""
        tests = []
        if goal.name == "atom_number":
            tests.append(sql("NOT _0 IS NULL", value.expression))
        if isinstance(target, Var):
            if target.is_wildcard:
                return tests, {}
            known = state.bound.get(target.name)
            if known is None:
                return tests, {target.name: value}
        else:
            known = self.scalars.plain(target, state.bound, "comparison")
        return [*tests, self.scalars.equality(known, value, goal, shown(target))], {}

    # -- relations --------------------------------------------------------------------------------

    def is_relation(self, goal: Term) -> bool:
        """Whether a goal reads rows: an atom, a record, a group, a sequence."""
        if isinstance(goal, Text):
            return not goal.bare("true", "false", "fail")
        if not isinstance(goal, Compound):
            return True
        name, arity = goal.name, len(goal.args)
        if name in ("json_record", "group_by") and arity in BUILT_INS[name]:
            return True
        return is_sequence(goal) or name in REFUSED or not is_built_in(name, arity)

    def _relation(self, goal: Term, state: State, elsewhere: set[str]) -> State:
        """Join the relation that ``goal`` reads."""
        if isinstance(goal, Compound):
            name, arity = goal.name, len(goal.args)
            if name in REFUSED and is_built_in(name, arity):
                raise refused(goal)
            if goal.called("json_record", 1) or goal.called("json_record", 2):
                table, patterns = self.relations.records(goal)
                return self.attach(state, table, patterns, goal)
            if name == "group_by":
                table, patterns = group_by(self, goal, frozenset(elsewhere))
                return self.attach(state, table, patterns, goal)
            if is_sequence(goal):
                return self._sequence(goal, state, elsewhere)
        elif isinstance(goal, Text) and goal.bare("!"):
            raise refused(goal)
        table = self.relations.atom(goal)
        patterns = goal.args if isinstance(goal, Compound) else ()
        return self.attach(state, table, patterns, goal)

    def _sequence(self, goal: Compound, state: State, elsewhere: set[str]) -> State:
        shared = sorted(visible(goal) & (elsewhere | state.bound.keys()))
        inside = sequence(self, goal, frozenset(shared))
        others = [n for n in shared if n in state.bound or self._in_other_goal(n, goal)]
        limited = _limiting(goal)
        if limited is not None and others:
            name = others[0]
            raise fail(
                "R010",
                f"{limited.name} shares the variable {name} with another goal, where Prolog would "
                f"{limited.name} once per {name}",
                limited.span,
                f"the first N per {name}: group_by({name}, Goal, row_number(Order, R)), R =< N",
            )
        names = list(inside.bound)
        table = Table(inside.rows, tuple(inside.bound[n] for n in names))
        patterns = tuple(Var(n, goal.span) for n in names)
        attached = self.attach(state, table, patterns, goal)
        return replace(attached, order=inside.order) if state.plan is None else attached

    def _in_other_goal(self, name: str, goal: Term) -> bool:
        body = self.clause.body
        return body is not None and any(
            name in visible(other) for other in conjuncts(body) if other is not goal
        )

    def attach(self, state: State, table: Table, patterns: Sequence[Term], goal: Term) -> State:
        """Join ``table``, its values matched with ``patterns``: new variables are bound, known
        ones and constants compared.
        """
        bound = {**state.bound, **table.hidden}
        conditions: list[exp.Expression] = []
        for pattern, value in zip(patterns, table.values, strict=True):
            if isinstance(pattern, Var):
                if pattern.is_wildcard:
                    continue
                known = bound.get(pattern.name)
                if known is None:
                    bound[pattern.name] = value
                else:
                    conditions.append(self.scalars.equality(known, value, pattern, pattern.name))
                    if known.constant is not None:
                        bound[pattern.name] = value
            else:
                fixed = constant(pattern)
                if fixed is None:
                    raise self.scalars.no_value(pattern)
                conditions.append(self.scalars.equality(value, fixed, pattern, "this place"))
        return State(joined(state, table.plan, conditions), bound)


def refused(goal: Compound | Text) -> RulesError:
    """R010 for what Prolog has and rules do not, with the replacement."""
    name = goal.name if isinstance(goal, Compound) else goal.value
    arity = len(goal.args) if isinstance(goal, Compound) else 0
    span = goal.name_span if isinstance(goal, Compound) else goal.span
    shown_ = name if name in ("!", "*->", "{}") else f"{name}/{arity}"
    return fail("R010", f"{shown_} is not supported", span, REFUSED[name][1])


def _delayed_kind(goal: Compound) -> str | None:
    if goal.called("\\+", 1) or goal.called("forall", 2):
        return "negation"
    if goal.name == "aggregate_all" or goal.called("findall", 3):
        return "aggregate"
    if goal.called("->", 2):
        return "choice"
    if goal.called(";", 2) and isinstance(goal.args[0], Compound) and goal.args[0].called("->", 2):
        return "choice"
    return None


def _conditions(goal: Term) -> Term:
    """The conditions of an if-then-else chain, as one term."""
    if isinstance(goal, Compound) and goal.called("->", 2):
        return goal.args[0]
    if isinstance(goal, Compound) and goal.called(";", 2):
        first, rest = goal.args
        if isinstance(first, Compound) and first.called("->", 2):
            chained = isinstance(rest, Compound) and (
                rest.called("->", 2)
                or (
                    rest.called(";", 2)
                    and isinstance(rest.args[0], Compound)
                    and rest.args[0].called("->", 2)
                )
            )
            if not chained:
                return first.args[0]
            return Compound(",", (first.args[0], _conditions(rest)), goal.span, goal.name_span)
    return goal


def _limiting(goal: Term) -> Compound | None:
    if isinstance(goal, Compound) and is_sequence(goal):
        if goal.name in ("limit", "offset"):
            return goal
        return _limiting(goal.args[-1])
    return None
