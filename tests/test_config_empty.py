"""The configuration without pydantic is the one that pydantic makes."""

from __future__ import annotations

from dataclasses import fields

from dovetail.config import CacheSettings, Config, Limits
from dovetail.config_empty import EmptyCache, EmptyConfig, EmptyLimits, empty_config

PROPERTIES = {"warnings", "path", "profile"}  # of a model, not fields


def test_it_has_the_fields_and_defaults_of_the_models() -> None:
    assert {f.name for f in fields(EmptyLimits)} == set(Limits.model_fields)
    assert {f.name for f in fields(EmptyCache)} == set(CacheSettings.model_fields)
    assert {f.name for f in fields(EmptyConfig)} == set(Config.model_fields) | PROPERTIES
    empty, model = empty_config(), Config()
    for name in (*Config.model_fields, *PROPERTIES):
        if name not in ("limits", "cache"):
            assert getattr(empty, name) == getattr(model, name), name
    for name in Limits.model_fields:
        assert getattr(empty.limits, name) == getattr(model.limits, name), name
    for name in CacheSettings.model_fields:
        assert getattr(empty.cache, name) == getattr(model.cache, name), name


def test_copies() -> None:
    empty = empty_config()
    limits = empty.limits.model_copy(update={"max_rows": 3})
    assert empty.model_copy(update={"limits": limits}).limits.max_rows == 3
    assert empty.limits.max_rows is None
