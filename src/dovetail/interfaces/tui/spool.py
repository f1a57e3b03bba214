"""Rows that are more than memory should hold: written to a file and looked at from there."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from typing import TYPE_CHECKING

from dovetail.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    import pyarrow as pa


class Spool:
    """Batches in a private file of Arrow's stream format, mapped into memory at the end.

    The operating system keeps what is looked at and drops the rest. The file has no name any more
    once it is mapped, so nothing is left behind.
    """

    def __init__(self, schema: pa.Schema, folder: Path | None = None) -> None:
        """``folder`` is where the file is made, the system's folder for such otherwise.

        Raises:
            DataError: it cannot be made.
        """
        import pyarrow as pa

        self._path = ""
        try:
            handle, self._path = tempfile.mkstemp(prefix="dovetail-rows-", dir=folder)
            os.close(handle)
            self._writer = pa.ipc.new_stream(self._path, schema)
        except OSError as error:
            raise self._failed(error) from None

    def add(self, batch: pa.RecordBatch) -> None:
        """Write a batch. Raises :class:`DataError` when there is no room."""
        try:
            self._writer.write_batch(batch)
        except OSError as error:
            raise self._failed(error) from None

    def finish(self) -> list[pa.RecordBatch]:
        """All batches, whose memory is the file."""
        import pyarrow as pa

        try:
            self._writer.close()
            batches = list(pa.ipc.open_stream(pa.memory_map(self._path)))
        except OSError as error:
            raise self._failed(error) from None
        finally:
            self.discard()
        return batches

    def discard(self) -> None:
        """Remove the file's name."""
        with suppress(OSError):
            os.unlink(self._path)

    def _failed(self, error: OSError) -> DataError:
        self.discard()
        where = os.path.dirname(self._path) or tempfile.gettempdir()
        return DataError(
            f"cannot write the rows to {where}: {error.strerror or error}; free some room, or set "
            "limits.temp_directory to another folder"
        )
