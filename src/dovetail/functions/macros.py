"""Reads ``macros.sql``: the macros with their families, descriptions and examples."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FILE = Path(__file__).with_name("macros.sql")
_MACRO = re.compile(
    r"^-- (?P<name>\w+): (?P<description>.+)\n(?P<examples>(?:-- > .*\n)+)"
    r"CREATE MACRO (?P<again>\w+)\((?P<parameters>[^)]*)\) AS\n(?P<body>(?:.|\n)+?);\n",
    re.MULTILINE,
)
_FAMILY = re.compile(r"^-- family: (?P<name>.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Macro:
    """One macro. ``parameters`` are ``(name, default as SQL or None)``; ``examples`` pairs of an
    expression and its value as text. ``body`` is one expression, in which no other macro is called.
    """

    name: str
    family: str
    description: str
    parameters: tuple[tuple[str, str | None], ...]
    body: str
    examples: tuple[tuple[str, str], ...]

    @property
    def signature(self) -> str:
        """``pmt(rate, nper, present, future := 0, due := 0)``."""
        shown = (
            name if default is None else f"{name} := {default}" for name, default in self.parameters
        )
        return f"{self.name}({', '.join(shown)})"

    @property
    def statement(self) -> str:
        """The statement that makes it in DuckDB."""
        return f"CREATE MACRO {self.signature} AS {self.body}"


@cache
def macros() -> dict[str, Macro]:
    """All macros by name, in the order of the file."""
    text = _FILE.read_text(encoding="utf-8")
    families = [(match.start(), match["name"]) for match in _FAMILY.finditer(text)]
    found = {}
    for match in _MACRO.finditer(text):
        assert match["name"] == match["again"], match["name"]
        family = [name for start, name in families if start < match.start()][-1]
        parameters = []
        for part in match["parameters"].split(","):
            name, _, default = part.partition(":=")
            parameters.append((name.strip(), default.strip() or None))
        examples = []
        for line in match["examples"].splitlines():
            call, _, value = line.removeprefix("-- > ").rpartition(" = ")
            examples.append((call, value))
        found[match["name"]] = Macro(
            match["name"],
            family,
            match["description"],
            tuple(parameters),
            match["body"].strip(),
            tuple(examples),
        )
    assert len(found) == text.count("\nCREATE MACRO "), "a macro without its comment"
    return found
