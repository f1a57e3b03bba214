"""Results on disk: Arrow IPC files, written to a temporary name and moved when whole."""

from __future__ import annotations

from typing import Any


def open_result(path: str) -> Any:
    """A ``pyarrow.RecordBatchReader`` over the rows of a result file."""
    import pyarrow as pa

    file = pa.ipc.open_file(pa.memory_map(path, "r"))
    batches = (file.get_batch(number) for number in range(file.num_record_batches))
    return pa.RecordBatchReader.from_batches(file.schema, batches)
