"""Where the SQL comes from: the argument, ``-c``, ``-f``, or standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dovetail.errors import UsageError


@dataclass(frozen=True)
class Text:
    """One piece of SQL; ``origin`` is its file, for messages, or empty."""

    sql: str
    origin: str = ""
    from_stdin: bool = False


def read_texts(
    sql: str | None,
    commands: Sequence[str] = (),
    files: Sequence[str] = (),
    order: Sequence[str] = (),
) -> list[Text]:
    """The pieces of SQL in the order in which they were given.

    ``order`` holds ``command`` or ``file`` for each occurrence of ``-c`` and ``-f``. Raises
    :class:`UsageError` when there is none, when it is given in two ways, and for a file that
    cannot be read.
    """
    if sql is not None and (commands or files):
        flag = "-c" if commands else "--file"
        raise UsageError(f"the SQL is given twice: as an argument and with {flag}")
    if sql is not None:
        texts = [_of_stdin() if sql == "-" else Text(sql)]
    elif commands or files:
        left = {"command": list(commands), "file": list(files)}
        names = list(order) or ["command"] * len(commands) + ["file"] * len(files)
        texts = []
        for name in names:
            value = left[name].pop(0)
            texts.append(Text(value) if name == "command" else _of_file(value, len(names) > 1))
        if sum(text.from_stdin for text in texts) > 1:
            raise UsageError("standard input can be read once: -f - is given twice")
    elif not sys.stdin.isatty():
        texts = [_of_stdin()]
    else:
        raise UsageError("no query; for example: dovetail query \"select * from 'file.csv'\"")
    if not any(text.sql.strip() for text in texts):
        raise UsageError("the query is empty")
    return texts


def read_sql(sql: str | None, file: str | None) -> str:
    """One piece of SQL, see :func:`read_texts`."""
    return read_texts(sql, (), () if file is None else (file,))[0].sql


def _of_stdin() -> Text:
    try:
        return Text(sys.stdin.read(), from_stdin=True)
    except UnicodeDecodeError:
        raise UsageError("the SQL on standard input is not UTF-8 text") from None


def _of_file(path: str, several: bool) -> Text:
    if path == "-":
        return _of_stdin()
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise UsageError(f"cannot read {path}: {reason}") from None
    return Text(text, path if several else "")
