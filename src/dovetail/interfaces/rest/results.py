"""Runs and rows as answers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from dovetail.interfaces.rest.bodies import stored_problem, timestamp
from dovetail.interfaces.rest.values import encode_rows
from dovetail.workspace.shapes import (
    Column,
    FragmentRun,
    QueryAnswer,
    QueryRun,
    Rows,
    TableProfile,
)

_DATABASES = {"postgres": "postgresql"}


def columns(of: Sequence[Column]) -> list[dict[str, str]]:
    """Columns in order."""
    return [{"name": c.name, "label": c.label or c.name, "type": c.type} for c in of]


def rows(of: Rows, *, shape: str = "objects", numbers: str = "native") -> list[Any]:
    """The rows of a page as plain data."""
    return encode_rows(
        of.table,
        [c.name for c in of.columns],
        [c.type for c in of.columns],
        numbers_as_text=numbers == "string",
        as_arrays=shape == "arrays",
    )


def query_result(answer: QueryAnswer, *, shape: str, numbers: str) -> dict[str, Any]:
    """The answer to ``POST /queries/sql``."""
    run = answer.run
    started = time.perf_counter()
    encoded = rows(answer.rows, shape=shape, numbers=numbers)
    encode_ms = (time.perf_counter() - started) * 1e3
    return {
        "query_id": run.id,
        "status": run.status,
        "sql": run.sql,
        "columns": columns(answer.rows.columns),
        "rows": encoded,
        "row_count": len(encoded),
        "total_rows": run.total_rows,
        "truncated": run.truncated,
        "limit_applied": run.limit_applied,
        "execution_time_ms": _whole(run.execution_ms) or 0,
        "executed_at": timestamp(run.started_at or run.created_at),
        "retrieved_columns": [c.name for c in answer.rows.columns],
        "warnings": list(run.warnings),
        "sub_queries": [sub_query(fragment) for fragment in run.fragments],
        "stats": stats(run, encode_ms),
    }


def cross_database(answer: QueryAnswer, *, shape: str, numbers: str) -> dict[str, Any]:
    """The answer to ``POST /api/cross-database/query``: the seed's names at the top level."""
    whole = query_result(answer, shape=shape, numbers=numbers)
    kept = (
        "query_id",
        "sub_queries",
        "columns",
        "row_count",
        "execution_time_ms",
        "limit_applied",
        "truncated",
        "executed_at",
        "warnings",
    )
    return {
        "original_query": whole["sql"],
        "results": whole["rows"],
        **{name: whole[name] for name in kept},
    }


def sub_query(fragment: FragmentRun) -> dict[str, Any]:
    """One fragment."""
    return {
        "connection_id": fragment.connection_id,
        "connection_name": fragment.connection_name or fragment.source,
        "dataset_id": fragment.dataset_id,
        "database_type": _DATABASES.get(fragment.kind, fragment.kind),
        "query": fragment.sql,
        "row_count": fragment.rows,
        "bytes": fragment.bytes,
        "execution_time_ms": _whole(fragment.milliseconds),
        "started_ms": _whole(fragment.started_ms),
        "pushed": list(getattr(fragment, "pushed", ())),
        "status": fragment.status,
        "cache": fragment.cache,
        "error": fragment.error,
    }


def stats(run: QueryRun, encode_ms: float | None = None) -> dict[str, Any]:
    """Where the time of a run went."""
    return {
        "plan_ms": _tenth(run.plan_ms),
        "sources_ms": _tenth(run.sources_ms),
        "finish_ms": _tenth(run.finish_ms),
        "encode_ms": _tenth(encode_ms),
        "bytes_moved": run.bytes_moved,
        "rows_moved": run.rows_moved,
        "peak_memory_bytes": run.peak_memory,
        "engine": run.engine,
        "cache": run.cache,
    }


def run_of(run: QueryRun) -> dict[str, Any]:
    """A run as the history and a poll show it."""
    total, done = run.total_rows, run.progress_rows
    fraction = 1.0 if run.status == "SUCCESS" else None
    if fraction is None and total:
        fraction = min(1.0, done / total)
    return {
        "query_id": run.id,
        "user_id": run.user_id,
        "user_name": run.user_name,
        "sql": run.sql,
        "target": dict(run.target),
        "origin": run.origin,
        "question": run.question,
        "mode": run.mode,
        "status": run.status,
        "error": stored_problem(run.problem),
        "columns": columns(run.columns),
        "row_count": run.row_count,
        "total_rows": run.total_rows,
        "truncated": run.truncated,
        "limit_applied": run.limit_applied,
        "created_at": timestamp(run.created_at),
        "started_at": timestamp(run.started_at) if run.started_at else None,
        "finished_at": timestamp(run.finished_at) if run.finished_at else None,
        "execution_time_ms": _whole(run.execution_ms),
        "stats": stats(run),
        "progress": {
            "rows": run.progress_rows,
            "bytes": run.progress_bytes,
            "fraction": fraction,
        },
        "result": run.result,
        "result_bytes": run.result_bytes,
        "expires_at": timestamp(run.expires_at) if run.expires_at else None,
        "favourite": run.favourite,
        "shared": run.shared,
        "warnings": list(run.warnings),
        "sub_queries": [sub_query(fragment) for fragment in run.fragments],
    }


def page_of(page: Rows, *, shape: str, numbers: str) -> dict[str, Any]:
    """A page of a stored result, or a preview."""
    encoded = rows(page, shape=shape, numbers=numbers)
    return {
        "columns": columns(page.columns),
        "rows": encoded,
        "offset": page.offset,
        "row_count": len(encoded),
        "total_rows": page.total_rows,
    }


def dump(data: Mapping[str, Any] | Sequence[Any]) -> bytes:
    """Plain data as JSON; what cannot be written fails here, before a byte is sent."""
    return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def _whole(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds)


def _tenth(milliseconds: float | None) -> float | None:
    return None if milliseconds is None else round(milliseconds, 1)


def profile(found: TableProfile) -> dict[str, Any]:
    """Figures per column."""
    return {
        "columns": [
            {
                "name": c.name,
                "type": c.type,
                "count": c.count,
                "nulls": c.nulls,
                "distinct": c.distinct,
                "approximate": c.approximate,
                "min": plain(c.min),
                "max": plain(c.max),
                "mean": plain(c.mean),
                "stddev": plain(c.stddev),
                "median": plain(c.median),
                "unique_share": plain(c.unique_share),
                "top": [[plain(value), count] for value, count in c.top],
                "histogram": [[plain(low), plain(high), count] for low, high, count in c.histogram],
            }
            for c in found.columns
        ],
        "total_rows": found.total_rows,
        "sampled_rows": found.sampled_rows,
        "computed_at": timestamp(found.computed_at),
    }


def plain(value: Any) -> Any:
    """A figure as JSON: what JSON has no form for becomes text."""
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)
