"""A plan as a drawing: Graphviz's DOT and Mermaid's flowchart text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from dovetail.plan import nodes
from dovetail.plan.explain import describe

_MOST_CHARACTERS = 120


@dataclass
class _Box:
    """A node of the drawing; ``fragment`` is the number of the fragment it lies in, 0 for none."""

    number: int
    text: str
    fragment: int
    source: str
    below: list[int] = field(default_factory=list)


def _boxes(plan: nodes.Plan) -> list[_Box]:
    found: list[_Box] = []

    def visit(node: nodes.Plan, fragment: int, source: str) -> int:
        if isinstance(node, nodes.Fragment):
            return visit(node.plan, node.number, node.source)
        nested: list[nodes.Plan] = []
        text = describe(node, nested)
        box = _Box(len(found), _shortened(text), fragment, source)
        found.append(box)
        box.below += [visit(child, fragment, source) for child in (*node.inputs, *nested)]
        return box.number

    visit(plan, 0, "")
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else text[: _MOST_CHARACTERS - 1] + "…"


def _fragments(boxes: list[_Box]) -> Iterator[tuple[int, str, list[_Box]]]:
    for number in sorted({box.fragment for box in boxes} - {0}):
        inside = [box for box in boxes if box.fragment == number]
        yield number, inside[0].source, inside


def dot(plan: nodes.Plan) -> str:
    """The plan for Graphviz: data flows upwards, fragments are boxes around their nodes."""
    boxes = _boxes(plan)

    def quoted(text: str) -> str:
        return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'

    lines = ["digraph plan {", "  rankdir=BT;", "  node [shape=box, fontname=monospace];"]
    lines += [f"  n{box.number} [label={quoted(box.text)}];" for box in boxes if not box.fragment]
    for number, source, inside in _fragments(boxes):
        lines += [f"  subgraph cluster_{number} {{", f"    label={quoted(_title(number, source))};"]
        lines += [f"    n{box.number} [label={quoted(box.text)}];" for box in inside]
        lines.append("  }")
    lines += [f"  n{child} -> n{box.number};" for box in boxes for child in box.below]
    return "\n".join([*lines, "}"])


def mermaid(plan: nodes.Plan) -> str:
    """The plan as a Mermaid flowchart, to paste into Markdown."""
    boxes = _boxes(plan)

    def quoted(text: str) -> str:
        escaped = text.replace("&", "&amp;").replace('"', "&quot;")
        return '"' + escaped.replace("<", "&lt;").replace(">", "&gt;") + '"'

    lines = ["flowchart BT"]
    lines += [f"  n{box.number}[{quoted(box.text)}]" for box in boxes if not box.fragment]
    for number, source, inside in _fragments(boxes):
        lines.append(f"  subgraph f{number} [{quoted(_title(number, source))}]")
        lines += [f"    n{box.number}[{quoted(box.text)}]" for box in inside]
        lines.append("  end")
    lines += [f"  n{child} --> n{box.number}" for box in boxes for child in box.below]
    return "\n".join(lines)


def _title(number: int, source: str) -> str:
    return f"Fragment {number} on {source}"
