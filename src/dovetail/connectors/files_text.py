"""What is wrong with a text file: encoding, NUL bytes, ragged rows, with line and column.

A wrong byte must be found before DuckDB reads the file: DuckDB 1.5.5 answers invalid UTF-8 in a
projected CSV column with an internal error that closes the whole database instance.
"""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterator

from dovetail.connectors.files_formats import open_unpacked
from dovetail.errors import DataError, DovetailError
from dovetail.quoting import sql_string

_CHUNK = 1 << 20
_DELIMITERS = (",", ";", "\t", "|")


def check_utf8(path: str, packing: str | None, shown: str, most: int) -> None:
    """Raise :class:`DataError` if the file's first ``most`` bytes, unpacked and rounded up to
    chunks, are not UTF-8 or hold a NUL byte. Names file, line, column and the option to try.
    """
    decoder = codecs.getincrementaldecoder("utf-8")()
    line, start = 1, 0  # line number, and bytes of the current line before this chunk
    try:
        with open_unpacked(path, packing) as file:
            head = True
            for _ in range(0, most, _CHUNK):
                chunk = file.read(_CHUNK)
                if not chunk:
                    break
                if head and chunk.startswith((b"\xff\xfe", b"\xfe\xff")):
                    raise DataError(
                        f"{path}, line 1, column 1: this is UTF-16, not UTF-8; "
                        f"read_csv({sql_string(shown)}, encoding = 'utf-16') would read it"
                    )
                head = False
                pending = len(decoder.getstate()[0])
                wrong = chunk.find(b"\0")
                what = "a NUL byte"
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError as error:
                    at = error.start - pending
                    if wrong < 0 or at < wrong:
                        wrong, what = max(at, 0), "a byte that is not UTF-8"
                        what += f" (0x{error.object[error.start]:02x})"
                if wrong >= 0:
                    raise _wrong_byte(path, chunk, wrong, line, start, what, shown)
                newlines = chunk.count(b"\n")
                line += newlines
                start = len(chunk) - chunk.rfind(b"\n") - 1 if newlines else start + len(chunk)
            half = len(decoder.getstate()[0])
            if half and not file.read(1):
                what = "half a UTF-8 character"
                raise _wrong_byte(path, b"", 0, line, start - half, what, shown)
    except (OSError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{path} cannot be unpacked: {error}") from None


def _wrong_byte(
    path: str, chunk: bytes, at: int, line: int, start: int, what: str, shown: str
) -> DataError:
    before = chunk[:at]
    line += before.count(b"\n")
    newline = before.rfind(b"\n")
    column = len(before) - newline if newline >= 0 else start + len(before) + 1
    encoding = "utf-16" if what.startswith("a NUL") else "latin-1"
    return DataError(
        f"{path}, line {line}, column {column}: {what}; if the file is not UTF-8, "
        f"read_csv({sql_string(shown)}, encoding = '{encoding}') would read it"
    )


def ragged(
    path: str, packing: str | None, shown: str, delimiter: str | None, skip: int = 0
) -> DovetailError | None:
    """The error for the first row whose number of fields differs from the first row's, or None.

    Without a ``delimiter`` the one of ``, ; tab |`` that the first row has most of is taken.
    """
    with open_unpacked(path, packing) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline="")
        rows = _rows(text, delimiter, skip)
        try:
            first = next(rows, None)
            if first is None:
                return None
            wanted = first[1]
            for line, fields in rows:
                if fields != wanted:
                    some = f"{fields} field{'s' if fields != 1 else ''}"
                    return DataError(
                        f"{path}, line {line}, column {min(fields, wanted) + 1}: {some} where the "
                        f"first row has {wanted}; read_csv({sql_string(shown)}, "
                        "null_padding = true, strict_mode = false) reads such rows, "
                        "ignore_errors = true leaves them out"
                    )
        except csv.Error as error:
            return DataError(f"{path}: {error}")
    return None


def looks_delimited(line: str) -> bool:
    """Whether a header line has more than one field for a common delimiter."""
    return any(len(next(csv.reader([line], delimiter=d), [])) > 1 for d in _DELIMITERS)


def first_lines(path: str, packing: str | None, count: int) -> list[str]:
    """The first lines of a text file, without line ends and byte order mark."""
    with open_unpacked(path, packing) as file:
        text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="replace", newline=None)
        return [text.readline(65_536).rstrip("\n") for _ in range(count)]


def _rows(text: io.TextIOWrapper, delimiter: str | None, skip: int) -> Iterator[tuple[int, int]]:
    """``(line of the row's end, number of fields)`` of every row that is not blank."""
    for _ in range(skip):
        text.readline()
    if delimiter is None:
        place = text.readline()
        delimiter = max(_DELIMITERS, key=place.count)
        yield skip + 1, len(next(csv.reader([place], delimiter=delimiter), []))
        skip += 1
    reader = csv.reader(text, delimiter=delimiter)
    for row in reader:
        if row:
            yield skip + reader.line_num, len(row)
