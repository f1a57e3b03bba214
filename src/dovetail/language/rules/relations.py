"""What atoms read: the predicates of a program as definitions, and its sources.

Every predicate becomes a WITH definition; the optimizer puts those that are read once in their
place. What a goal does not need is compiled all the same, so that its mistakes are reported, and
then left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlglot import exp

from dovetail.catalog.catalogs import near_names
from dovetail.catalog.model import distinct_names
from dovetail.language.rules.builtins import BUILT_INS
from dovetail.language.rules.diagnostics import (
    Diagnostic,
    RulesError,
    Span,
    did_you_mean,
    fail,
)
from dovetail.language.rules.kinds import NULL
from dovetail.language.rules.parameters import parameter_value
from dovetail.language.rules.program import (
    Key,
    Predicate,
    Program,
    head_args,
    recursive_groups,
    split_disjunction,
)
from dovetail.language.rules.scalars import Scalars, Unbound
from dovetail.language.rules.solver import Solver
from dovetail.language.rules.sources import Sources
from dovetail.language.rules.state import State, Table, project, snake_case
from dovetail.language.rules.terms import (
    Clause,
    Compound,
    Term,
    Text,
    Var,
    conjuncts,
    occurrences,
    shown,
    variables,
)
from dovetail.language.rules.unbound import not_bound
from dovetail.language.rules.values import (
    Value,
    cast_to,
    common_type,
    constant,
)
from dovetail.language.rules.warnings import bound_to_the_right
from dovetail.language.sql.scope import Names
from dovetail.plan import nodes
from dovetail.plan.expressions import column
from dovetail.plan.shapes import definitions_read
from dovetail.types import INTEGER, Type


@dataclass(frozen=True)
class RuleLimits:
    """Where recursion stops (``limits.rules``)."""

    max_iterations: int = 10_000
    max_recursive_rows: int = 50_000_000


@dataclass(frozen=True)
class Definition:
    """A compiled predicate: what it is called in the plan, and its columns.

    ``step`` and ``keys`` are those of a recursive :class:`~dovetail.plan.nodes.With`. ``places``
    are the columns of this predicate among those of a group that is computed together, and
    ``tag`` its number there.
    """

    name: str
    plan: nodes.Plan
    places: tuple[int, ...]
    types: tuple[Type, ...]
    tag: int | None = None
    step: nodes.Plan | None = None
    keys: tuple[str, ...] = ()


class Failed(Exception):
    """The predicate that is read has mistakes of its own, which are reported there."""


@dataclass
class Relations:
    """What atoms read: predicates of the program, and its sources."""

    program: Program
    sources: Sources
    names: Names
    scalars: Scalars
    limits: RuleLimits
    given: Mapping[str, Any]
    warnings: list[Diagnostic]
    definitions: dict[Key, Definition] = field(default_factory=dict)
    failed: set[Key] = field(default_factory=set)
    # While a recursive group is compiled: how a call of its predicates reads it, by place.
    recursive: Any = None

    def warn(self, warning: Diagnostic) -> None:
        """Note a warning, once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def solver(self, clause: Clause, where: str) -> Solver:
        """The solver of one clause; ``where`` names it in messages."""
        return Solver(self, self.names, self.scalars, clause, where)

    # -- what goals read ------------------------------------------------------------------------

    def atom(self, goal: Term) -> Table:
        """The table of an atom.

        Raises:
            RulesError: R003 or R005 when nothing is called so.
        """
        if isinstance(goal, Compound):
            name, arity, span = goal.name, len(goal.args), goal.name_span
            if goal.path:
                return self.sources.configured(goal)
        elif isinstance(goal, Text):
            name, arity, span = goal.value, 0, goal.span
        else:
            raise fail("R010", f"{shown(goal)} is not a goal", goal.span)
        key = (name, arity)
        if key in self.failed:
            raise Failed
        if self.recursive is not None:
            table = self.recursive.table(key, goal)
            if table is not None:
                return table  # type: ignore[no-any-return]
        definition = self.definitions.get(key)
        if definition is not None:
            return self.read(key, definition)
        declared = self.sources.declared(name)
        if declared is not None:
            return self.sources.positional(goal, declared)
        raise self._unknown(name, arity, span)

    def read(self, key: Key, definition: Definition) -> Table:
        """The rows of a predicate that is defined."""
        origin = f"argument of {key[0]}/{key[1]}"
        outputs = tuple(self.names.like(c) for c in definition.plan.columns)
        plan: nodes.Plan = nodes.WithScan(definition.name, outputs)
        if definition.tag is not None:
            plan = nodes.Filter(
                plan,
                exp.EQ(this=column(outputs[0].name), expression=exp.Literal.number(definition.tag)),
            )
        values = tuple(
            Value(column(outputs[place].name), type_, origin)
            for place, type_ in zip(definition.places, definition.types, strict=True)
        )
        return Table(plan, values)

    def records(self, goal: Compound) -> tuple[Table, tuple[Term, ...]]:
        """The table of ``json_record`` and the patterns of its fields."""
        return self.sources.records(goal)

    def _unknown(self, name: str, arity: int, span: Span) -> RulesError:
        predicates = self.program.predicates
        same = [p for p in predicates.values() if p.name == name]
        if same:
            arities = " or ".join(str(p.arity) for p in same)
            line = same[0].clauses[0].span.line
            return fail(
                "R005",
                f"{name} takes {arities} argument{'' if arities == '1' else 's'}, {arity} given",
                span,
                f"{same[0].shown} is defined on line {line}",
            )
        if name in BUILT_INS:
            arities = " or ".join(f"{name}/{n}" for n in BUILT_INS[name])
            return fail("R005", f"{name}/{arity} does not exist; there is {arities}", span)
        pool = [p.shown for p in predicates.values()]
        pool += list(self.program.directives.sources)
        pool += [f"{n}/{a}" for n, arities_ in BUILT_INS.items() for a in arities_]
        near = near_names(f"{name}/{arity}", pool)
        return fail(
            "R003",
            f"no predicate, source or built-in {name}/{arity}{did_you_mean(near)}",
            span,
            near=near,
        )

    def parameter(self, goal: Compound) -> Value:
        """The value of ``param(Name, V)``."""
        return parameter_value(goal, self.program.directives.parameters, self.given)

    def local_in_negation(self, inside: Mapping[str, Var], state: State, clause: Clause) -> None:
        """W103: a named variable that occurs only inside ``\\+``."""
        for name, variable in inside.items():
            if name not in state.bound and not name.startswith("_"):
                self.warn(
                    Diagnostic(
                        "W103",
                        f'{name} occurs only inside \\+: it means "for no value of {name}"',
                        variable.span,
                        "_ says the same without a warning",
                    )
                )

    # -- definitions ----------------------------------------------------------------------------

    def define(self) -> None:
        """Compile every predicate.

        Raises:
            RulesError: all mistakes, in file order.
        """
        from dovetail.language.rules.recursion import define_group

        order, recursive = recursive_groups(self.program)
        errors: list[Diagnostic] = []
        for group in order:
            try:
                if group[0] in recursive:
                    define_group(self, [self.program.predicates[key] for key in group])
                else:
                    self._define(self.program.predicates[group[0]])
            except RulesError as error:
                errors.extend(error.diagnostics)
                self.failed.update(group)
            except Failed:
                self.failed.update(group)
        if errors:
            raise RulesError(sorted(errors, key=_in_file_order))

    def _define(self, predicate: Predicate) -> None:
        bases = column_bases(predicate)
        sides = self.sides(predicate, predicate.clauses)
        types = agreed_types(predicate, sides)
        plan = self.united(sides, types, bases)
        name = self.names.definition(predicate.name)
        self.definitions[predicate.key] = Definition(
            name, plan, tuple(range(predicate.arity)), tuple(types)
        )

    def sides(self, predicate: Predicate, clauses: Sequence[Clause]) -> list[Side]:
        """The rows of each clause; facts that stand together are one."""
        made: list[Side] = []
        facts: list[Clause] = []
        for clause in clauses:
            if clause.kind == "fact":
                facts.append(clause)
                continue
            if facts:
                made.append(self._facts(predicate, facts))
                facts = []
            made += [self.rule(predicate, part) for part in split_disjunction(clause)]
        if facts:
            made.append(self._facts(predicate, facts))
        return made

    def rule(self, predicate: Predicate, clause: Clause) -> Side:
        """The rows of one rule: its body, cut to the arguments of its head."""
        assert clause.body is not None
        solver = self.solver(clause, predicate.shown)
        args = head_args(clause)
        needed = frozenset(variables(*args))
        for warning in bound_to_the_right(clause):
            self.warn(warning)
        state = solver.solve(conjuncts(clause.body), State(), needed)
        values = []
        for argument in args:
            try:
                values.append(solver.scalars.plain(argument, state.bound, "head"))
            except Unbound as unbound:
                raise not_bound(solver, unbound, state) from None
        return Side(clause, state, tuple(values))

    def _facts(self, predicate: Predicate, clauses: Sequence[Clause]) -> Side:
        rows: list[list[Value]] = []
        for clause in clauses:
            row = []
            for argument in head_args(clause):
                for variable in occurrences(argument):
                    raise fail(
                        "R002",
                        f"the variable {variable.name} in the fact {predicate.shown} is not bound",
                        variable.span,
                        "a fact holds constants only; write a rule with :-",
                    )
                if isinstance(argument, Var):
                    raise fail("R002", "a fact holds constants only, not _", argument.span)
                value = constant(argument)
                if value is None:
                    raise self.scalars.no_value(argument)
                row.append(value)
            rows.append(row)
        if not predicate.arity:
            plan: nodes.Plan = nodes.Values(
                (self.names.column("row", INTEGER),),
                tuple((exp.Literal.number(1),) for _ in rows),
            )
            return Side(clauses[0], State(plan), ())
        types = []
        for place in range(predicate.arity):
            found = [row[place] for row in rows]
            types.append(
                _agreed(predicate, place, [(v, c) for v, c in zip(found, clauses, strict=True)])
            )
        cells = tuple(
            tuple(
                v.expression if v.type != NULL else _null(t)
                for v, t in zip(row, types, strict=True)
            )
            for row in rows
        )
        raw = tuple(self.names.column("fact", t) for t in types)
        values = nodes.Values(raw, cells)
        origin = f"fact of {predicate.shown}, line {clauses[0].span.line}"
        return Side(
            clauses[0],
            State(values),
            tuple(
                Value(column(c.name) if t == NULL else cast_to(column(c.name), t), t, origin)
                for c, t in zip(raw, types, strict=True)
            ),
        )

    def united(
        self, sides: Sequence[Side], types: Sequence[Type], bases: Sequence[str]
    ) -> nodes.Plan:
        """UNION ALL of the sides with these column types."""
        from dovetail.language.rules.choices import cast_value, one, union_all

        plans: list[nodes.Plan] = []
        for side in sides:
            values = [cast_value(v, t) for v, t in zip(side.values, types, strict=True)]
            plans.append(project(side.state.rows, values or [one()], self.names, bases or ["row"]))
        return union_all(self.solver(sides[0].clause, ""), plans)

    def wrapped(self, plan: nodes.Plan) -> nodes.Plan:
        """``plan`` with the definitions that it reads, directly or not."""
        needed = definitions_read(plan)
        chosen: dict[str, Definition] = {}
        for definition in reversed(list(self.definitions.values())):
            if definition.name in needed and definition.name not in chosen:
                chosen[definition.name] = definition
                needed |= definitions_read(definition.plan)
                if definition.step is not None:
                    needed |= definitions_read(definition.step)
        for definition in chosen.values():
            plan = nodes.With(
                definition.name,
                definition.plan,
                plan,
                definition.step,
                union_all=definition.step is None,
                keys=definition.keys,
            )
        return plan


@dataclass(frozen=True)
class Side:
    """The rows of one clause, and the values of its head's arguments."""

    clause: Clause
    state: State
    values: tuple[Value, ...]


def _null(type_: Type) -> exp.Expression:
    return exp.Null() if type_ == NULL else cast_to(exp.Null(), type_)


def _in_file_order(diagnostic: Diagnostic) -> tuple[str, int]:
    span = diagnostic.span
    return (span.source.name, span.start) if span is not None else ("", -1)


def column_bases(predicate: Predicate) -> list[str]:
    """What the columns of a predicate are called: after the head of its first clause."""
    names = []
    for number, argument in enumerate(head_args(predicate.clauses[0]), start=1):
        named = isinstance(argument, Var) and not argument.is_wildcard
        names.append(snake_case(argument.name) if named else f"arg{number}")  # type: ignore[union-attr]
    return distinct_names(names)


def agreed_types(predicate: Predicate, sides: Sequence[Side]) -> list[Type]:
    """The type of each argument over all clauses. Raises R009 when they disagree."""
    return [
        _agreed(predicate, place, [(s.values[place], s.clause) for s in sides])
        for place in range(predicate.arity)
    ]


def _agreed(predicate: Predicate, place: int, found: Sequence[tuple[Value, Clause]]) -> Type:
    type_ = common_type([value.type for value, _ in found])
    if type_ is not None:
        return type_
    known = [(v, c) for v, c in found if v.kind != "null"]
    first, first_clause = known[0]
    other, clause = next((v, c) for v, c in known if v.kind != first.kind)
    raise fail(
        "R009",
        f"argument {place + 1} of {predicate.shown} is {first.kind} on line "
        f"{first_clause.span.line} and {other.kind} on line {clause.span.line}",
        head_args(clause)[place].span,
        "all clauses of a predicate agree on the kind of each argument",
    )
