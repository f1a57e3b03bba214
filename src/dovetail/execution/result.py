"""What a query gives back: a stream of Arrow batches plus a profile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from dovetail.errors import UsageError
from dovetail.execution.profile import Profile

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Result:
    """Rows of one query, to be read once.

    The query works a little ahead of whoever reads; its errors come out of the reading. Close the
    result or read it to the end to give back what it holds. A result that is dropped unread, with
    every reader taken from it, ends by itself.
    """

    def __init__(
        self,
        schema: pa.Schema,
        types: list[str],
        batches: Iterator[pa.RecordBatch],
        profile: Profile,
        cancel: Callable[[], None],
        close: Callable[[], None],
        warnings: Callable[[], list[str]],
    ) -> None:
        self._schema = schema
        self._types = types
        self._batches = batches
        self._profile = profile
        self._cancel = cancel
        self._close = close
        self._warnings = warnings
        self._taken = False

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the rows."""
        return self._schema

    @property
    def columns(self) -> list[tuple[str, str]]:
        """``(name, DuckDB type)`` of each column."""
        return list(zip(self._schema.names, self._types, strict=True))

    @property
    def profile(self) -> Profile:
        """What the query cost; complete once the result has been read or closed."""
        return self._profile

    @property
    def warnings(self) -> list[str]:
        """Documented conversions that happened and similar notes for people."""
        return self._warnings()

    def reader(self) -> pa.RecordBatchReader:
        """The rows as a stream of record batches.

        Raises:
            UsageError: the rows have been taken already.
        """
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self._schema, self.batches())

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as Python iterator of record batches; errors of ours come out unwrapped."""
        if self._taken:
            raise UsageError("this result has been read; run the query again")
        self._taken = True
        return self._batches

    def arrow(self) -> pa.Table:
        """All rows as one table."""
        import pyarrow as pa

        return pa.Table.from_batches(list(self.batches()), schema=self._schema)

    def rows(self) -> list[tuple[Any, ...]]:
        """All rows as Python tuples; whole numbers of any width are int."""
        rows: list[tuple[Any, ...]] = []
        # Arrow has no integer of 128 bits: a HUGEINT travels as DECIMAL(38, 0).
        wide = [type_ in ("HUGEINT", "UHUGEINT") for type_ in self._types]
        for batch in self.batches():
            columns = [column.to_pylist() for column in batch.columns]
            for index, is_wide in enumerate(wide):
                if is_wide:
                    columns[index] = [None if v is None else int(v) for v in columns[index]]
            rows.extend(zip(*columns, strict=True) if columns else [()] * batch.num_rows)
        return rows

    def df(self) -> pd.DataFrame:
        """All rows as a pandas data frame (pandas must be installed)."""
        return self.arrow().to_pandas()

    def polars(self) -> pl.DataFrame:
        """All rows as a Polars data frame (polars must be installed)."""
        import polars

        frame = polars.from_arrow(self.arrow())
        assert isinstance(frame, polars.DataFrame)
        return frame

    def cancel(self) -> None:
        """Stop the query here and at the sources; callable from any thread."""
        self._cancel()

    def close(self) -> None:
        """End the query and give back everything it holds. Idempotent."""
        self._taken = True
        self._close()

    def __enter__(self) -> Result:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
