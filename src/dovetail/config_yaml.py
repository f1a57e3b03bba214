"""YAML for people: every key's line, duplicate keys and syntax errors as problems with a place.

No message repeats a piece of the text, because it may be part of a password.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from dovetail.errors import ConfigProblem

KeyPath = tuple[str | int, ...]
MAX_NODES = 100_000  # aliases can make a small file explode


def dotted(path: Iterable[str | int]) -> str:
    """``sources.shop.schemas[0]``, as problems show it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


def read(text: str) -> tuple[Any, dict[KeyPath, int], list[ConfigProblem]]:
    """The data, the line of every key and list item (from 1), and what is wrong."""
    reader = _Reader()
    try:
        loader = yaml.SafeLoader(text)
    except yaml.reader.ReaderError as error:
        message = f"not valid YAML: the character U+{int(error.character):04X} is forbidden"
        at = text.count("\n", 0, error.position) + 1
        return None, {}, [ConfigProblem("", message, "", at)]
    try:
        node = loader.get_single_node()
        data = None if node is None else reader.value(loader, node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = None if mark is None else mark.line + 1
        column = "" if mark is None else f", column {mark.column + 1}"
        message = f"not valid YAML{column}: {_harmless(error.problem or error.context or '')}"
        return None, {}, [ConfigProblem("", message, _HINT, line)]
    finally:
        loader.dispose()
    return data, reader.lines, reader.problems


_HINT = "values with : # * & % @ ! or quotes in them belong in quotes"


def _harmless(problem: str) -> str:
    """PyYAML's own words without the names it quotes from the text."""
    if problem.startswith("found undefined alias"):
        return "`*` begins an alias, and there is none of that name"
    if problem.startswith("found duplicate anchor"):
        return "`&` begins an anchor, and its name is given twice"
    if "tag" in problem:
        return "`!` begins a tag, and there are none here"
    return re.sub(r"'[^']{3,}'", "something else", problem) if "<" not in problem else problem


class _Reader:
    def __init__(self) -> None:
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[ConfigProblem] = []
        self._nodes = 0
        self._open: set[int] = set()

    def value(self, loader: yaml.SafeLoader, node: yaml.Node, path: KeyPath) -> Any:
        self._nodes += 1
        if self._nodes > MAX_NODES or id(node) in self._open:
            raise yaml.MarkedYAMLError(
                problem="aliases that contain themselves, or far too many values",
                problem_mark=node.start_mark,
            )
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(loader, node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self.value(loader, n, (*path, i)) for i, n in enumerate(node.value)]
            try:
                return loader.construct_object(node)
            except (ValueError, OverflowError):  # 2026-13-45 looks like a date
                return node.value
        finally:
            self._open.discard(id(node))

    def _mapping(self, loader: yaml.SafeLoader, node: yaml.MappingNode, path: KeyPath) -> Any:
        own = {k.value for k, _ in node.value if isinstance(k, yaml.ScalarNode)}
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == "tag:yaml.org,2002:merge":
                self._merge(loader, value_node, path, result, own)
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self.problems.append(
                    ConfigProblem(dotted(path), "a key must be a plain text", "", line)
                )
                continue
            key = str(key_node.value)
            if key_node.tag != "tag:yaml.org,2002:str" and key_node.tag.endswith(("null", "bool")):
                message = f"YAML reads the key `{key}` as {key_node.tag.rsplit(':', 1)[1]}"
                self.problems.append(ConfigProblem(dotted(path), message, "quote it", line))
                continue
            here = (*path, key)
            if here in self.lines and key in result:
                message = f"given twice, first on line {self.lines[here]}"
                self.problems.append(ConfigProblem(dotted(here), message, "keep one", line))
                continue
            self.lines[here] = line
            result[key] = self.value(loader, value_node, here)
        return result

    def _merge(
        self,
        loader: yaml.SafeLoader,
        node: yaml.Node,
        path: KeyPath,
        result: dict[str, Any],
        own: set[str],
    ) -> None:
        """``<<: *defaults``: what is laid under the mapping's own keys."""
        parts = node.value if isinstance(node, yaml.SequenceNode) else [node]
        for part in parts:
            if not isinstance(part, yaml.MappingNode):
                raise yaml.MarkedYAMLError(
                    problem="`<<` takes a mapping", problem_mark=node.start_mark
                )
            merged = self._mapping(loader, part, (*path, "<<"))
            for key, value in merged.items():
                if key not in own and key not in result:
                    result[key] = value
