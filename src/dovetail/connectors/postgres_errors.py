"""What PostgreSQL, libpq, psycopg and DuckDB's scanner say when they fail, as our errors.

psycopg gives an SQLSTATE. DuckDB's scanner gives only text, in which the server's message follows
the SQL it was about, so the text is searched from the place where the server begins to speak.
"""

from __future__ import annotations

import re

from dovetail.connectors.base import connection_lost
from dovetail.errors import (
    DATA_MARK,
    AuthenticationError,
    DataError,
    SourceError,
    SourceQueryError,
    SourceUnavailableError,
    StaleCatalogError,
)

# SQLSTATE → what it means to us; the longest prefix wins
_STATES = {
    "28": "login",
    "3D000": "database",
    "53300": "full",
    "57P03": "starting",
    "57P01": "gone",
    "57P02": "gone",
    "57014": "cancelled",
    "42P01": "stale",
    "42703": "stale",
    "3F000": "stale",
    "42501": "refused",
    "40001": "conflict",
    "40P01": "conflict",
    "08": "unreachable",
}

# The same by text, for errors that come without a state; the first match wins
_TEXTS = (
    (r"password authentication failed|no password supplied|fe_sendauth", "login"),
    (r"role \"[^\"]*\" does not exist|is not permitted to log in|Peer authentication", "login"),
    (r"no pg_hba\.conf entry|SCRAM authentication|SASL authentication", "login"),
    (r"database \"[^\"]*\" does not exist", "database"),
    (r"too many (?:clients|connections)|remaining connection slots", "full"),
    (r"the database system is (?:starting up|shutting down|in recovery)", "starting"),
    (r"terminating connection|administrator command", "gone"),
    (r"server closed the connection|connection to server was lost|no connection to the", "gone"),
    (r"SSL connection has been closed|could not receive data|Connection reset|SSL SYSCALL", "gone"),
    (r"canceling statement due to (?P<why>[^\n]+)", "cancelled"),
    (r"(?:relation|column|schema) [^\n]* does not exist", "stale"),
    (r"Table with name [^\n]* does not exist|does not have a column named", "stale"),
    (r"permission denied", "refused"),
    (r"could not serialize access|deadlock detected", "conflict"),
    (r"Unable to connect|Connection refused|could not translate host name", "unreachable"),
    (r"timeout expired|Connection timed out|No route to host|could not connect", "unreachable"),
    (r"connection to server (?:at|on)", "unreachable"),
)

# The outcomes that a retry may cure while a connection is being opened
TRANSIENT = frozenset({"full", "starting", "unreachable", "gone"})


def server_message(error: BaseException) -> str:
    """The first lines of what the server or driver said, without the SQL and without secrets."""
    from dovetail.secrets import redact

    return redact(_spoken(str(error)))


def _spoken(text: str) -> str:
    """Cut a scanner's message down to what the server or libpq said."""
    found = None
    for found in re.finditer(r"(?:^|[\s:\"])(?:ERROR|FATAL|PANIC):\s+", text):  # noqa: B007
        pass
    if found is not None:
        text = text[found.end() :]
    elif '": ' in text:
        text = text.rsplit('": ', 1)[1] or text
    lines = []
    for line in text.strip().splitlines():
        if line.startswith(("LINE ", "CONTEXT:", "QUERY:", "STATEMENT:")):
            break
        if line.strip():
            lines.append(line.strip())
    return " ".join(lines[:3]) or "no message"


def classify(error: BaseException) -> str:
    """One of login, database, full, starting, gone, cancelled, stale, refused, conflict,
    unreachable, or "" for any other failure.
    """
    state = getattr(error, "sqlstate", None)
    if state:
        for length in (5, 2):
            if state[:length] in _STATES:
                return _STATES[state[:length]]
        return ""
    text = str(error)
    start = max(text.rfind("ERROR:"), text.rfind("FATAL:"), text.rfind('": '), 0)
    for part in (text[start:], text) if "Unable to connect" in text else (text[start:],):
        for pattern, outcome in _TEXTS:
            if re.search(pattern, part):
                return outcome
    return ""


def data_error(error: BaseException, source: str) -> DataError | None:
    """The error that a guard in a fragment raised (see postgres_types), or None."""
    text = str(error)
    # In the SQL the mark follows a single quote; in the server's answer another kind of quote.
    found = re.search(rf"[^']{DATA_MARK}([^\n]*)", " " + text)
    if found is None:
        return None
    said = found[1].rstrip()
    if not text.startswith(("Invalid Input Error", DATA_MARK)):
        said = said.rstrip("\"'»“”«")
    return DataError(said, source=source)


def source_error(error: BaseException, source: str, where: str) -> SourceError | DataError:
    """Our error for one of a driver's. ``where`` is the address as the configuration has it."""
    data = data_error(error, source)
    if data is not None:
        return data
    said = server_message(error)
    outcome = classify(error)
    if outcome == "login":
        if "no password supplied" in said:
            from dovetail.secrets import without_password

            said += f"; {without_password(source)}"
        return AuthenticationError(
            f"source {source}: PostgreSQL at {where} refused the login: {said}", source=source
        )
    if outcome == "database":
        return AuthenticationError(
            f"source {source}: PostgreSQL at {where} has no such database: {said}", source=source
        )
    if outcome == "full":
        return SourceUnavailableError(
            f"source {source}: PostgreSQL at {where} has no connection left ({said}); try again "
            f"later, or lower max_connections of the source",
            source=source,
            retryable=True,
        )
    if outcome in ("starting", "unreachable"):
        return SourceUnavailableError(
            f"source {source}: cannot reach PostgreSQL at {where}: {said}",
            source=source,
            retryable=True,
        )
    if outcome == "gone":
        return connection_lost(f"source {source}: PostgreSQL at {where}", source, said)
    if outcome == "cancelled":
        return SourceQueryError(
            f"source {source}: PostgreSQL at {where} cancelled the statement: {said}",
            source=source,
        )
    if outcome == "stale":
        return StaleCatalogError(
            f"source {source}: the tables changed since its catalog was read: {said}",
            source=source,
            retryable=True,
        )
    return SourceQueryError(
        f"source {source}: PostgreSQL at {where} refused a query: {said}",
        source=source,
        retryable=outcome == "conflict",
    )


def is_ours(error: BaseException) -> bool:
    """Whether an error of the engine came from PostgreSQL's scanner, by its text."""
    if getattr(error, "sqlstate", None) is not None:
        return True
    text = str(error)
    return bool(
        re.search(
            r"[Pp]ostgres|libpq|Failed to (?:prepare|describe|execute|fetch|connect|read)|COPY|"
            r"server closed the connection|PQ[a-z]+",
            text,
        )
    )
