"""Predicates of loaded programs as tables of SQL: ``select * from rules.city_stats``."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dovetail.catalog.catalogs import near_names
from dovetail.catalog.model import ColumnInfo, TableInfo
from dovetail.errors import BindError, UnknownNameError
from dovetail.language.sql.scope import Names
from dovetail.plan import nodes
from dovetail.plan.expressions import column, transform_plan
from dovetail.planning.rules import RulesPlanner, RulesText

if TYPE_CHECKING:
    from dovetail.language.rules.compiler import Compiled
    from dovetail.language.rules.relations import RuleLimits
    from dovetail.planning.planner import Planner

SOURCE = "rules"
_LOADS = itertools.count(1)


@dataclass(frozen=True)
class LoadedRules:
    """A program that SQL may read; it is compiled anew into each query that does."""

    program: RulesText
    parameters: Mapping[str, Any] | None
    limits: RuleLimits | None
    tables: Mapping[str, TableInfo]


class RuleTables:
    """The loaded programs of a session, by name."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._loaded: dict[str, LoadedRules] = {}

    def load(
        self,
        name: str,
        program: RulesText,
        parameters: Mapping[str, Any] | None,
        limits: RuleLimits | None,
    ) -> list[str]:
        """Check a program and offer its predicates; the names of its tables.

        Raises:
            RulesError: every mistake in it.
        """
        rules = RulesPlanner(self._planner, program, parameters, limits)
        predicates = list(rules.compiler.program.predicates)
        tables = {}
        number = next(_LOADS)
        for predicate, arity in predicates:
            if not arity:
                continue
            several = sum(other == predicate for other, _ in predicates) > 1
            called = f"{predicate}_{arity}" if several else predicate
            compiled = rules.compiler.compile(rules.compiler.whole(predicate, arity))
            columns = tuple(
                ColumnInfo(made, c.type, c.type.text)
                for made, c in zip(compiled.names, compiled.plan.columns, strict=True)
            )
            # The number makes a program that is loaded again another table.
            tables[called] = TableInfo(
                SOURCE,
                name,
                called,
                columns,
                kind="rule",
                source_name=f"{predicate}/{arity}#{number}",
                details={"predicate": (predicate, arity)},
            )
        self._loaded[name] = LoadedRules(program, parameters, limits, tables)
        return list(tables)

    def find(self, parts: tuple[str, ...]) -> TableInfo | None:
        """The table of ``rules.predicate`` or ``rules.program.predicate``; None for other names.

        Raises:
            UnknownNameError: the program or predicate is not loaded.
            BindError: several programs have that predicate.
        """
        if not self._loaded or len(parts) < 2 or parts[0].lower() != SOURCE:
            return None
        found = [
            table
            for name, loaded in self._loaded.items()
            for called, table in loaded.tables.items()
            if called == parts[-1] and (len(parts) == 2 or name == parts[1])
        ]
        if len(found) == 1:
            return found[0]
        listed = [t.qualified_name for p in self._loaded.values() for t in p.tables.values()]
        if found:
            raise BindError(
                f"{'.'.join(parts)} is in several programs: "
                f"{', '.join(t.qualified_name for t in found)}; say which"
            )
        near = near_names(".".join(parts), listed)
        raise UnknownNameError(
            f"no rule {'.'.join(parts)}; there is {', '.join(listed[:5])}", suggestions=near
        )

    def expanded(self, plan: nodes.Plan, names: Names) -> nodes.Plan:
        """``plan`` with the scans of rules replaced by what they mean."""

        def visit(node: nodes.Plan) -> nodes.Plan:
            if not isinstance(node, nodes.Scan) or node.table.kind != "rule":
                return node
            loaded = self._loaded[node.table.schema]
            rules = RulesPlanner(
                self._planner, loaded.program, loaded.parameters, loaded.limits, names
            )
            predicate, arity = node.table.details["predicate"]
            compiled: Compiled = rules.compiler.compile(rules.compiler.whole(predicate, arity))
            rows, _ = rules.checked(compiled)
            places = dict(zip(compiled.names, rows.columns, strict=True))
            return nodes.Project(
                rows,
                tuple(nodes.Item(r.column, column(places[r.source_name].name)) for r in node.read),
            )

        return transform_plan(plan, visit)
