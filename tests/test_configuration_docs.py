"""``docs/configuration.md`` documents every setting: its tables are made from the models."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from dovetail.config import (
    KINDS,
    CacheSettings,
    Config,
    FileTableSettings,
    Limits,
    MacroSettings,
    TuiSettings,
    parse_duration,
    parse_size,
)
from dovetail.config_load import load
from dovetail.secrets import Secret, schemes

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"
MODELS: dict[str, type[BaseModel]] = {
    "top": Config,
    **KINDS,
    "table": FileTableSettings,
    "limits": Limits,
    "macro": MacroSettings,
    "cache": CacheSettings,
    "tui": TuiSettings,
}


def _type(annotation: Any, metadata: list[Any]) -> str:
    functions = [getattr(item, "func", None) for item in metadata]
    if parse_size in functions:
        return "size"
    if parse_duration in functions:
        return "duration"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal:
        return ", ".join(f"`{choice}`" for choice in arguments)
    if origin in (Union, UnionType):
        return " or ".join(_type(part, metadata) for part in arguments if part is not NoneType)
    if hasattr(annotation, "__metadata__"):
        return _type(arguments[0], list(annotation.__metadata__))
    if origin is tuple:
        return f"list of {_type(arguments[0], [])}s"
    names = {str: "text", int: "whole number", float: "number", bool: "true or false"}
    names |= {Path: "path", Secret: "secret"}  # type: ignore[dict-item]
    return names.get(annotation, "mapping")


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    default = field.default
    if default in (None, "", ()) or default is PydanticUndefined or isinstance(default, BaseModel):
        return ""
    if isinstance(default, bool):
        return f"`{str(default).lower()}`"
    number = isinstance(default, float) and default == int(default)
    return f"`{int(default)}`" if number else f"`{default}`"


def table(model: type[BaseModel]) -> str:
    """The settings of a model as a Markdown table."""
    lines = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for name, field in model.model_fields.items():
        kind = _type(field.annotation, field.metadata)
        lines.append(f"| `{name}` | {kind} | {_default(field)} | {field.description} |")
    return "\n".join(lines)


def expected(page: str) -> str:
    """The page with every table as the models would have it."""

    def fill(match: re.Match[str]) -> str:
        return f"<!-- settings: {match[1]} -->\n{table(MODELS[match[1]])}\n<!-- end -->"

    return re.sub(r"<!-- settings: (\w+) -->\n.*?<!-- end -->", fill, page, flags=re.DOTALL)


@pytest.mark.regen
def test_the_tables_are_those_of_the_models(check_file: Callable[[Path, str], None]) -> None:
    page = PAGE.read_text()
    assert re.findall(r"<!-- settings: (\w+) -->", page) == [*MODELS]
    check_file(PAGE, expected(page))


def test_every_setting_says_what_it_is() -> None:
    for model in MODELS.values():
        for name, field in model.model_fields.items():
            assert field.description, f"{model.__name__}.{name} has no description"


def test_every_scheme_is_documented() -> None:
    page = PAGE.read_text()
    for scheme in schemes()[:3]:
        assert f"`${{{scheme}:" in page


def test_the_examples_load(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    assert len(blocks) >= 4
    environment = {"DATABASE_URL": "postgresql://a:b@h/d"}
    for block in blocks:
        data = yaml.safe_load(textwrap.dedent(block))
        if not {"sources", "profiles", "limits"} & set(data):
            block = "sources:\n" + textwrap.indent(block, "  ")
        path = tmp_path / "dovetail.yaml"
        path.write_text(block)
        for profile in (None, *(data.get("profiles") or {})):
            assert load(path, profile=profile, environment=environment).sources
