"""Bodies → plans: which goal goes next, and what each does to the rows so far.

Goal order never changes an answer: a goal waits until what it reads is bound. Tests and bindings
run as soon as they can, then relations are joined, then goals that look at other rows (negation,
aggregation, choices), and last the generators, so that ``member(X, L)`` is a test wherever
another goal binds ``X``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from dovetail.catalog.catalogs import near_names
from dovetail.language.rules import scalars as scalar
from dovetail.language.rules.aggregates import aggregate_all, group_by
from dovetail.language.rules.builtins import BUILT_INS, REFUSED, is_built_in
from dovetail.language.rules.choices import disjunction, if_then_else
from dovetail.language.rules.diagnostics import RulesError, did_you_mean, fail
from dovetail.language.rules.kinds import element_type
from dovetail.language.rules.scalars import Scalars, Unbound
from dovetail.language.rules.sequences import SEQUENCES, is_sequence, sequence
from dovetail.language.rules.state import State, Table, bound_to, computed, filtered, joined
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
from dovetail.language.rules.values import Value, constant, of_column, sql
from dovetail.language.rules.visibility import bindable, visible
from dovetail.language.sql.scope import Names
from dovetail.plan import nodes
from dovetail.plan.expressions import PlanSubquery
from dovetail.types import BIGINT

if TYPE_CHECKING:
    from dovetail.language.rules.compiler import Relations

_MOST_GENERATED = 10_000_000


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
                return goal, self._negation(goal, state, inputs)
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
                raise self.unbound(unbound, state, goals) from None
        return None

    def _generate(
        self, pending: list[Term], state: State, goals: Sequence[Term], outside: frozenset[str]
    ) -> _Done:
        for goal in pending:
            if isinstance(goal, Compound) and goal.called("member", 2):
                try:
                    return goal, self._elements(goal, state)
                except Unbound:
                    continue
            if isinstance(goal, Compound) and goal.called("between", 3):
                try:
                    return goal, self._integers(goal, state)
                except Unbound:
                    continue
        for goal in pending:
            if isinstance(goal, Compound) and goal.called(";", 2):
                elsewhere = self._elsewhere(goal, goals, outside)
                if self._filters(goal, state, elsewhere):
                    return goal, filtered(state, self.truth(goal, state))
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
                        self._elements(goal, state)
                    elif goal.called("between", 3):
                        self._integers(goal, state)
            except Unbound as unbound:
                raise self.unbound(unbound, state, goals) from None
        goal = pending[0]
        raise fail("R010", f"{shown(goal)} is not supported here", goal.span)

    def unbound(self, error: Unbound, state: State, goals: Sequence[Term] = ()) -> RulesError:
        """R002 for a variable that nothing binds; R008 when a group hides it."""
        variable, role = error.variable, error.role
        from dovetail.language.rules.visibility import hidden_by

        group = hidden_by(variable.name, goals or conjuncts(self.clause.body or variable))
        if group is not None and role != "group key":
            return self.not_grouped(variable, group)
        bound = sorted(name for name in state.bound if not name.startswith(" "))
        near = near_names(variable.name, bound)
        listed = f"bound here: {', '.join(bound)}" if bound else "nothing is bound here"
        if role.startswith("head"):
            where = f" in the head of {self.where}"
        elif role == "is":
            where = f" on the right side of is in {self.where}"
        else:
            where = f" in {'an' if role[0] in 'aeiou' else 'a'} {role} of {self.where}"
        extra = ""
        for goal in goals or conjuncts(self.clause.body or variable):
            if (
                isinstance(goal, Compound)
                and goal.name in ("aggregate_all", "findall")
                and variable.name in variables(*goal.args[:-1])
            ):
                extra = (
                    f"{variable.name} is local to {goal.name}; "
                    f"group_by({variable.name}, Goal, Op, R) gives one row per {variable.name}"
                )
        return fail(
            "R002",
            f"the variable {variable.name}{where} is not bound by any goal{did_you_mean(near)}",
            variable.span,
            f"{extra}; {listed}" if extra else listed,
            near,
        )

    def not_grouped(self, variable: Var, group: Compound) -> RulesError:
        """R008: a variable of a group's goal that is neither key nor result."""
        from dovetail.language.rules.aggregates import keys_and_results

        keys, results = keys_and_results(group)
        return fail(
            "R008",
            f"{variable.name} is neither a key nor a result of the group_by on line "
            f"{group.span.line} (keys: {', '.join(keys) or 'none'}; "
            f"results: {', '.join(results) or 'none'})",
            variable.span,
            f"add {variable.name} to the keys, or aggregate it: max({variable.name}, R), "
            f"collect_list({variable.name}, R)",
        )

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
            if self._only_tests(goal):
                if missing:
                    raise Unbound(missing[0], "comparison")
                return [self.truth(goal, state)], {}
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

    # -- truth ------------------------------------------------------------------------------------

    def _only_tests(self, goal: Term) -> bool:
        """Whether a goal looks at nothing but values that others bind."""
        if isinstance(goal, Text):
            return goal.bare("true", "false", "fail")
        if not isinstance(goal, Compound):
            return False
        name, arity = goal.name, len(goal.args)
        if name in (",", ";", "\\+", "->"):
            return all(self._only_tests(a) for a in goal.args)
        if (name == "=" or name == "is" or name in scalar.COMPARISONS) and arity == 2:
            return True
        return (name, arity) in (("member", 2), ("between", 3)) or (
            name in (*scalar.TEXT_TESTS, *scalar.NULL_TESTS) and arity in BUILT_INS[name]
        )

    def _filters(self, goal: Term, state: State, elsewhere: set[str]) -> bool:
        """Whether a goal only tests, with negations among its tests, and all it reads is bound.

        Such a disjunction is OR, which keeps a row once: UNION ALL would count it twice.
        """
        if isinstance(goal, Compound):
            if goal.called("\\+", 1) or goal.called("forall", 2):
                return all(n in state.bound for n in variables(goal) if n in elsewhere)
            if goal.name in (",", ";", "->") and len(goal.args) == 2:
                return all(self._filters(part, state, elsewhere) for part in goal.args)
        return self._only_tests(goal) and variables(goal).keys() <= state.bound.keys()

    def truth(self, goal: Term, state: State) -> exp.Expression:
        """Whether ``goal`` has a solution for the row, as a boolean expression.

        Raises:
            Unbound: a test reads a variable without a value.
        """
        if isinstance(goal, Compound):
            if goal.called(";", 2):
                if isinstance(goal.args[0], Compound) and goal.args[0].called("->", 2):
                    condition, then = goal.args[0].args
                    return sql(
                        "CASE WHEN _0 THEN _1 ELSE _2 END",
                        self.truth(condition, state),
                        self.truth(then, state),
                        self.truth(goal.args[1], state),
                    )
                return sql("_0 OR _1", *(self.truth(a, state) for a in goal.args))
            if goal.called("->", 2) or (goal.called(",", 2) and self._all_bound_tests(goal, state)):
                return sql("_0 AND _1", *(self.truth(a, state) for a in goal.args))
            if goal.called("\\+", 1) or goal.called("forall", 2):
                return sql("_0 IS NOT TRUE", self.truth(_negated(goal), state))
        if self._all_bound_tests(goal, state):
            made = self.effect(goal, state)
            if made is not None and not made[1]:
                return made[0][0] if made[0] else exp.true()
        solved = self.solve(conjuncts(goal), State(None, state.bound), frozenset())
        return exp.Exists(this=PlanSubquery(plan=solved.rows))

    def _all_bound_tests(self, goal: Term, state: State) -> bool:
        return self._only_tests(goal) and variables(goal).keys() <= state.bound.keys()

    def _negation(self, goal: Compound, state: State, inputs: Iterable[str]) -> State:
        found = variables(goal)
        for name in found:
            if name in inputs and name not in state.bound:
                raise self.unbound(Unbound(found[name], "negation"), state)
        if goal.called("\\+", 1):
            self.relations.local_in_negation(found, state, self.clause)
        try:
            return filtered(state, self._absent(_negated(goal), state))
        except Unbound as unbound:
            raise self.unbound(unbound, state) from None

    def _absent(self, body: Term, state: State) -> exp.Expression:
        truth = self.truth(body, state)
        if isinstance(truth, exp.Exists):
            return exp.Not(this=truth)
        return sql("_0 IS NOT TRUE", truth)

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

    # -- generators -------------------------------------------------------------------------------

    def _elements(self, goal: Compound, state: State) -> State:
        """``member(X, L)``: one row per element."""
        target, written = goal.args
        value = self.scalars.list_value(written, state.bound)
        if not isinstance(target, Var):
            return filtered(state, self.scalars.member_test(goal, state.bound))
        if isinstance(written, ListTerm) and not written.items:
            return bound_to(filtered(state, exp.false()), target.name, value)
        made = self.names.column("element", element_type(value.type))
        item = nodes.Item(made, value.expression)
        return self._unnested(state, target, item, f"element of {shown(written)}")

    @staticmethod
    def _unnested(state: State, target: Var, item: nodes.Item, origin: str) -> State:
        inner = State(nodes.Unnest(state.rows, item), state.bound)
        if target.is_wildcard:
            return inner
        return bound_to(inner, target.name, of_column(item.column, origin))

    def _integers(self, goal: Compound, state: State) -> State:
        """``between(L, H, X)``: one row per integer."""
        low, high = (self.scalars.evaluated(a, state.bound, "comparison") for a in goal.args[:2])
        target = goal.args[2]
        if not isinstance(target, Var):
            return filtered(state, self.scalars.between_test(goal, state.bound))
        for part, written in ((low, goal.args[0]), (high, goal.args[1])):
            if part.type.family not in ("integer", "null"):
                raise fail(
                    "R009",
                    f"between generates integers, but {part.described(shown(written))}",
                    written.span,
                )
        limits = [part.constant for part in (low, high)]
        if all(isinstance(c, Number) for c in limits):
            count = int(limits[1].text) - int(limits[0].text) + 1  # type: ignore[union-attr]
            if count > _MOST_GENERATED:
                raise fail(
                    "R017",
                    f"between would generate {count} integers; at most {_MOST_GENERATED}",
                    goal.span,
                )
        made = self.names.column("integer", BIGINT)
        spread = sql(
            # A bound that is NULL gives a NULL list, which has no elements.
            "generate_series(_0, CASE WHEN _1 - _0 >= 10000000 THEN "
            "error('dovetail-data:between generates at most 10000000 integers') ELSE _1 END)",
            low.expression,
            high.expression,
        )
        return self._unnested(state, target, nodes.Item(made, spread), "integer of between")


def refused(goal: Compound | Text) -> RulesError:
    """R010 for what Prolog has and rules do not, with the replacement."""
    name = goal.name if isinstance(goal, Compound) else goal.value
    arity = len(goal.args) if isinstance(goal, Compound) else 0
    span = goal.name_span if isinstance(goal, Compound) else goal.span
    shown_ = name if name in ("!", "*->", "{}") else f"{name}/{arity}"
    return fail("R010", f"{shown_} is not supported", span, REFUSED[name][1])


def _negated(goal: Compound) -> Term:
    """What must have no solution: G of ``\\+ G``; ``A, \\+ B`` of ``forall(A, B)``."""
    if goal.called("\\+", 1):
        return goal.args[0]
    first, second = goal.args
    inner = Compound("\\+", (second,), second.span, goal.name_span)
    return Compound(",", (first, inner), goal.span, goal.name_span)


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


Effect = Callable[[Term, State], State | None]
