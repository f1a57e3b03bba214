"""Answers over a source whose rows are still coming: which plans can give them, and how.

A plan *streams* when its answer over all rows is the answers over batches of them, one after the
other: it distributes over UNION ALL in that source. Filters and projections do, and joins that
look each of its rows up in something else; a grouping, an order or a join of the source with itself
does not. Of ``s left join t`` the left side streams; a looser rule that also let the right side
stream would give a row of ``s`` once per batch.

What a streaming plan does not take from the stream is computed once, before the first batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from dovetail.execution.carried import carried
from dovetail.execution.work import Statement, Work
from dovetail.optimize.federated import FederatedPlan
from dovetail.plan import nodes
from dovetail.plan.expressions import has_subquery, node_expressions, subqueries
from dovetail.plan.shapes import definitions_read, fragments_in
from dovetail.planning.work import materialized, statement_of

_WHOLE: Mapping[type[nodes.Plan], str] = {
    nodes.Aggregate: "a grouping needs every row",
    nodes.Window: "a window needs every row",
    nodes.Sort: "order_by needs every row",
    nodes.Distinct: "distinct needs every row",
    nodes.Limit: "a limit inside the goal needs every row",
}
# Joins by the sides of which one may stream.
_STREAMED_LEFT = ("inner", "cross", "left", "semi", "anti")
_STREAMED_RIGHT = ("inner", "cross", "right")


class NeedsAllRows(Exception):
    """The plan has no answer before the last row of the stream; the text says why."""


class NotSettled(NeedsAllRows):
    """What has come of the stream so far does not tell how to read the rest."""


@dataclass(frozen=True)
class Cut:
    """The rows that are wanted of a result: ``most`` (None: all) after ``skip``."""

    skip: int = 0
    most: int | None = None

    def within(self, inner: Cut) -> Cut:
        """This cut of what ``inner`` leaves."""
        most = self.most
        if inner.most is not None:
            left = max(0, inner.most - self.skip)
            most = left if most is None else min(most, left)
        return Cut(inner.skip + self.skip, most)


def cut_off(plan: nodes.Plan) -> tuple[nodes.Plan, Cut]:
    """``plan`` without the limits that nothing but projections stands on, and these as one."""
    match plan:
        case nodes.Limit():
            inner, cut = cut_off(plan.input)
            return inner, Cut(plan.offset, plan.count).within(cut)
        case nodes.Project() if not any(has_subquery(i.expression) for i in plan.items):
            inner, cut = cut_off(plan.input)
            return plan.with_inputs([inner]), cut
        case nodes.With(step=None):
            body, cut = cut_off(plan.body)
            return plan.with_inputs([plan.definition, body]), cut
    return plan, Cut()


def streamed(
    work: Work, federated: FederatedPlan, source: str, names: Sequence[str], cut: Cut
) -> tuple[Work, str]:
    """``work`` changed to run batch by batch of ``source``; the statements to show.

    Raises:
        NeedsAllRows: the plan does not stream.
    """
    splitting = _Splitting(source, len(federated.fragments))
    plan = splitting.split(federated.plan)
    statement, text = statement_of(materialized(plan), names)
    output = list(zip(names, work.types, strict=True))
    once: list[tuple[int, Statement]] = []
    shown = []
    for constant in splitting.constants:
        columns = [c.name for c in constant.plan.columns]
        made, query = statement_of(materialized(constant.plan), columns)
        once.append((constant.number, made))
        shown.append(f"CREATE TABLE fragment_{constant.number} AS {query};")
    read = {f.number for f in fragments_in(plan) if f.source not in (source, _ONCE)}
    fed = {piece.number for piece in work.pieces if piece.source == source}
    return (
        replace(
            work,
            statement=lambda relations: carried(statement(relations), output),
            materialize=(work.materialize | read) - fed,
            once=once,
            skip=cut.skip,
            most=cut.most,
        ),
        "\n".join([*shown, carried(text, output)]),
    )


_ONCE = ""
"""The source of fragments that stand for what is computed once."""


@dataclass
class _Splitting:
    """Tells apart what streams and what is constant; ``last`` is the last fragment's number."""

    source: str
    last: int
    constants: list[nodes.Fragment] = field(default_factory=list)

    def split(
        self,
        plan: nodes.Plan,
        streaming: frozenset[str] = frozenset(),
        around: tuple[nodes.With, ...] = (),
    ) -> nodes.Plan:
        """``plan`` with its constant parts replaced.

        ``streaming`` are the definitions around it that stream, ``around`` the constant ones.
        """
        if not self._reads(plan, streaming):
            return self._once(plan, around)
        for expression in node_expressions(plan):
            if any(self._reads(s.plan, streaming) for s in subqueries(expression)):
                raise NeedsAllRows("a test over it needs every row")

        def inside(part: nodes.Plan) -> nodes.Plan:
            return self.split(part, streaming, around)

        match plan:
            case nodes.Fragment() | nodes.WithScan():
                return plan
            case nodes.Filter() | nodes.Project() | nodes.Unnest():
                return plan.with_inputs([inside(plan.input)])
            case nodes.Join():
                self._check_join(plan, streaming)
                return plan.with_inputs([inside(part) for part in plan.inputs])
            case nodes.SetOperation(kind="union", all=True):
                if not all(self._reads(part, streaming) for part in plan.inputs):
                    raise NeedsAllRows("some of the rows come from elsewhere")
                return plan.with_inputs([inside(part) for part in plan.inputs])
            case nodes.With(step=None):
                if self._reads(plan.definition, streaming):
                    body = self.split(plan.body, streaming | {plan.name}, around)
                    return plan.with_inputs([inside(plan.definition), body])
                return self._within(plan, streaming, around)
            case nodes.With() if not self._reads_definition(plan, streaming):
                return self._within(plan, streaming, around)
            case nodes.With():
                raise NeedsAllRows("a recursion needs every row")
        raise NeedsAllRows(_WHOLE.get(type(plan), "intersect and except need every row"))

    def _within(
        self, plan: nodes.With, streaming: frozenset[str], around: tuple[nodes.With, ...]
    ) -> nodes.Plan:
        """The body of a constant definition, which is kept where the body still reads it."""
        body = self.split(plan.body, streaming, (*around, plan))
        if plan.name not in definitions_read(body):
            return body
        return replace(plan, body=body)

    def _check_join(self, plan: nodes.Join, streaming: frozenset[str]) -> None:
        left, right = (self._reads(part, streaming) for part in plan.inputs)
        if left and right:
            raise NeedsAllRows("it is read twice and joined with itself")
        if plan.kind not in (_STREAMED_LEFT if left else _STREAMED_RIGHT):
            raise NeedsAllRows("a negation or outer join looks rows up in all of it")

    def _reads(self, plan: nodes.Plan, streaming: frozenset[str]) -> bool:
        if any(f.source == self.source for f in fragments_in(plan)):
            return True
        return bool(streaming) and not streaming.isdisjoint(definitions_read(plan))

    def _reads_definition(self, plan: nodes.With, streaming: frozenset[str]) -> bool:
        return any(self._reads(part, streaming) for part in plan.inputs[:-1])

    def _once(self, plan: nodes.Plan, around: tuple[nodes.With, ...]) -> nodes.Plan:
        if isinstance(plan, nodes.Fragment | nodes.Values):
            return plan
        for definition in reversed(around):
            if definition.name in definitions_read(plan):
                plan = replace(definition, body=plan)
        constant = nodes.Fragment(_ONCE, plan, self.last + len(self.constants) + 1)
        self.constants.append(constant)
        return constant
