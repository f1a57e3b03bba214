"""A program and a goal → a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from dovetail.catalog.model import distinct_names
from dovetail.language.rules.builtins import BUILT_INS
from dovetail.language.rules.diagnostics import Diagnostic, SourceText, Span, fail
from dovetail.language.rules.parameters import check_given
from dovetail.language.rules.program import (
    Include,
    Predicate,
    Program,
    head_args,
    read_program,
)
from dovetail.language.rules.relations import Relations, RuleLimits, column_bases
from dovetail.language.rules.scalars import Scalars, Unbound
from dovetail.language.rules.sequences import is_sequence
from dovetail.language.rules.solver import Solver
from dovetail.language.rules.sources import Resolver, Sources, Used
from dovetail.language.rules.state import State, project, snake_case
from dovetail.language.rules.syntax import parse_goal
from dovetail.language.rules.terms import (
    Clause,
    Compound,
    Term,
    Text,
    Var,
    conjuncts,
    shown,
    variables,
    walk,
)
from dovetail.language.rules.unbound import not_bound
from dovetail.language.rules.values import Typing
from dovetail.language.sql.scope import Names
from dovetail.plan import nodes
from dovetail.plan.expressions import PlanSubquery, transform_plan
from dovetail.plan.reference import Reference
from dovetail.types import BOOLEAN


@dataclass(frozen=True)
class Compiled:
    """One goal as a plan. ``names`` are its result columns; ``functor`` names its rows as facts.

    ``ordered`` tells that the rows come in the order the goal asks for; ``used`` are the declared
    sources with the fields that are read.
    """

    plan: nodes.Plan
    names: tuple[str, ...]
    goal: Clause
    functor: str
    ordered: bool
    warnings: tuple[Diagnostic, ...]
    used: Mapping[str, Used]


@dataclass
class Compiler:
    """One program, ready for goals."""

    program: Program
    relations: Relations

    def compile(self, goal: Clause) -> Compiled:
        """The plan of a goal."""
        relations = self.relations
        body = goal.body
        assert body is not None
        before = len(relations.warnings)
        solver = relations.solver(goal, "the goal")
        solver.clause = goal
        state = self._solved(solver, body)
        columns = [n for n in _shown_variables(body) if n in state.bound and not n.startswith("_")]
        hidden = [
            v
            for n, v in variables(body).items()
            if n not in state.bound and n in _shown_variables(body)
        ]
        if (
            hidden
            and not columns
            and not any(
                isinstance(t, Compound) and t.name in ("\\+", "aggregate_all", "forall")
                for t in walk(body)
            )
        ):
            raise not_bound(solver, Unbound(hidden[0], "goal"), state)
        if columns:
            values = [state.bound[n] for n in columns]
            names = distinct_names([snake_case(n) for n in columns])
            plan: nodes.Plan = project(state.rows, values, relations.names, names)
        else:
            names = ["answer"]
            exists = exp.Exists(this=PlanSubquery(plan=state.rows))
            made = relations.names.column("answer", BOOLEAN)
            plan = nodes.Project(nodes.Values((), ((),)), (nodes.Item(made, exists),))
        plan = relations.wrapped(plan)
        read = _tables(plan)
        return Compiled(
            plan,
            tuple(names),
            goal,
            _functor(body),
            bool(state.order),
            tuple(relations.warnings[:before] + relations.warnings[before:]),
            {n: u for n, u in relations.sources.used.items() if id(u.table) in read},
        )

    def whole(self, name: str, arity: int) -> Clause:
        """The goal for all rows of a predicate."""
        return _head_goal(self.program.predicates[name, arity])

    def _solved(self, solver: Solver, body: Term) -> State:
        inlined = self._ordered_clause(body)
        if inlined is not None:
            return inlined
        return solver.solve(conjuncts(body), State(), frozenset(_shown_variables(body)))

    def _ordered_clause(self, body: Term) -> State | None:
        """A call of one clause that is a sequence: put in place, so that its order stays."""
        if not isinstance(body, Compound):
            return None
        predicate = self.program.predicates.get((body.name, len(body.args)))
        if (
            predicate is None
            or len(predicate.clauses) != 1
            or predicate.key in (self.relations.failed)
        ):
            return None
        clause = predicate.clauses[0]
        named = [a.name for a in body.args if isinstance(a, Var) and not a.is_wildcard]
        plain = all(isinstance(a, Var) for a in (*body.args, *head_args(clause)))
        if clause.body is None or not is_sequence(clause.body) or not plain:
            return None
        if len(set(named)) != len(named):
            return None
        side = self.relations.rule(predicate, clause)
        bound = {
            a.name: value
            for a, value in zip(body.args, side.values, strict=True)
            if isinstance(a, Var) and not a.is_wildcard
        }
        return State(side.state.plan, bound, side.state.order)


def _shown_variables(body: Term) -> dict[str, Var]:
    """Variables that may be result columns: sort keys and witnesses do not count."""
    if is_sequence(body) and isinstance(body, Compound):
        return _shown_variables(body.args[-1])
    if isinstance(body, Compound) and body.name in (",", ";", "->"):
        found: dict[str, Var] = {}
        for part in body.args:
            for name, variable in _shown_variables(part).items():
                found.setdefault(name, variable)
        return found
    if isinstance(body, Compound) and body.name in ("\\+", "forall"):
        return {}
    return variables(body)


def _functor(body: Term) -> str:
    if isinstance(body, Compound) and is_sequence(body):
        return _functor(body.args[-1])
    if isinstance(body, Compound) and body.name[:1].islower() and not body.path:
        return body.name if body.name not in BUILT_INS else "answer"
    return "answer"


def compile_program(
    text: str,
    reference: Reference,
    resolver: Resolver,
    *,
    name: str = "rules.pl",
    include: Include | None = None,
    parameters: Mapping[str, Any] | None = None,
    limits: RuleLimits | None = None,
    names: Names | None = None,
) -> Compiler:
    """Parse and compile a program; goals are compiled from the result.

    ``names`` are those of the plan that the goals become part of, if they do.

    Raises:
        RulesError: every mistake found, in file order.
    """

    def no_include(path: str, span: Span) -> SourceText:
        raise fail("R012", "include is not possible here", span)

    program = read_program(SourceText(name, text), include or no_include)
    check_given(program.directives.parameters, parameters or {})
    names = names or Names()
    typing = Typing(reference, lambda column_name: names.columns[column_name].type)
    warnings = list(program.warnings)
    sources = Sources(program.directives, resolver, names, typing, warnings)
    relations = Relations(
        program,
        sources,
        names,
        Scalars(typing),
        limits or RuleLimits(),
        parameters or {},
        warnings,
    )
    relations.define()
    return Compiler(program, relations)


def choose_goal(
    program: Program, goal: str | None, number: int | None = None, name: str = "<goal>"
) -> Clause:
    """The goal to run: given as text, the one of the file, or the file's only predicate.

    Raises:
        RulesError: R016 when there is no choice or too much of it.
    """
    if goal is not None:
        return parse_goal(goal, name)
    if program.goals:
        if number is not None:
            if not 1 <= number <= len(program.goals):
                raise fail("R016", f"there are {len(program.goals)} goals; no number {number}")
            return program.goals[number - 1]
        if len(program.goals) == 1:
            return program.goals[0]
        listed = "; ".join(
            f"{i}: {shown(g.body)}" for i, g in enumerate(program.goals, 1) if g.body is not None
        )
        raise fail("R016", f"the file has several goals, choose one with --result N: {listed}")
    if len(program.predicates) == 1:
        return _head_goal(next(iter(program.predicates.values())))
    if not program.predicates:
        raise fail("R016", "the file has no goal and defines no predicate")
    listed = ", ".join(p.shown for p in program.predicates.values())
    example = next(iter(program.predicates.values())).name
    raise fail(
        "R016",
        f"the file has no goal; its predicates are {listed}",
        None,
        f"give a goal: for example {example}(…)",
    )


def _head_goal(predicate: Predicate) -> Clause:
    clause = predicate.clauses[0]
    span = clause.span
    args: list[Term] = []
    names = column_bases(predicate)
    for argument, name in zip(head_args(clause), names, strict=True):
        named = isinstance(argument, Var) and not argument.name.startswith("_")
        args.append(argument if named else Var(name[:1].upper() + name[1:], argument.span))
    if len({a.name for a in args if isinstance(a, Var)}) < len(args):
        args = [Var(n[:1].upper() + n[1:], span) for n in names]
    body = (
        Compound(predicate.name, tuple(args), span, span) if args else (Text(predicate.name, span))
    )
    return Clause("goal", None, body, span)


def _tables(plan: nodes.Plan) -> set[int]:
    """Identities of the tables that a plan scans."""
    found: set[int] = set()

    def visit(node: nodes.Plan) -> nodes.Plan:
        if isinstance(node, nodes.Scan):
            found.add(id(node.table))
        return node

    transform_plan(plan, visit)
    return found
