"""Secrets are references; their values live in :class:`Secret` and are shown to nobody.

A configuration says ``${env:NAME}``, ``${file:PATH}``, ``${keyring:SERVICE/USER}``, or names a
scheme that a package offers under the entry point ``dovetail.secrets`` (a callable that takes the
text after the colon and returns the value). References may stand inside a longer text; ``$${`` is
a literal ``${``. A value is looked up when a connector first needs it, not when the configuration
is read, so one missing variable does not keep the other sources from being used.

Every value that was ever revealed is remembered, and :func:`redact` takes it out of any text, in
plain and in the encodings in which drivers repeat it.
"""

from __future__ import annotations

import logging
import os
import re
import stat
import threading
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from dovetail.errors import ConfigError

MASK = "***"

_REFERENCE = re.compile(r"(\$?)\$\{([^{}]*)\}?")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9_-]*):(.+)", re.DOTALL)
_MOUNTED = ("/run/secrets/", "/var/run/secrets/")  # container mounts: readable there by design


class Secret:
    """A value that ``str``, ``repr``, pickling, JSON and model dumps never show.

    ``reference`` is what the configuration says when it says nothing secret (``${env:NAME}``), else
    empty. ``resolve`` looks the value up on first use; without it ``value`` is the value.
    """

    __slots__ = ("_resolve", "_value", "reference")

    def __init__(
        self,
        value: str | None = None,
        reference: str = "",
        *,
        resolve: Callable[[], str] | None = None,
    ) -> None:
        self.reference = reference
        self._resolve = resolve
        self._value = value if resolve is None else None
        if resolve is None:
            self._value = value or ""
            remember(self._value)

    def reveal(self) -> str:
        """The value itself. Only connectors call this, at the moment they connect.

        Raises :class:`ConfigError`, naming the reference, when it cannot be looked up.
        """
        if self._value is None:
            assert self._resolve is not None
            value = self._resolve()
            remember(value)
            self._value = value
        return self._value

    def forget(self) -> None:
        """Look the value up again on next use: a refused login may mean that it was rotated."""
        if self._resolve is not None:
            self._value = None

    def __repr__(self) -> str:
        return f"Secret({self.reference or MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        if self.reference or other.reference:
            return self.reference == other.reference
        return self._resolve is None and other._resolve is None and self._value == other._value

    def __hash__(self) -> int:
        return hash((Secret, self.reference))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Secret:
        return self

    def __reduce_ex__(self, protocol: object) -> Any:
        raise TypeError("a Secret cannot be pickled; pass its reference on instead")

    def __getstate__(self) -> object:
        raise TypeError("a Secret has no state to copy; pass its reference on instead")

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        def build(value: Any, info: Any) -> Secret:
            if isinstance(value, Secret):
                return value
            if not isinstance(value, str):
                raise ValueError("a secret is a text; put it in quotes")
            resolver = (info.context or {}).get("resolver") if info.context else None
            return (resolver or Resolver()).secret(value)

        return core_schema.with_info_plain_validator_function(
            build,
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda secret: secret.reference or MASK
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: Any, handler: Any) -> dict[str, Any]:
        return {
            "type": "string",
            "writeOnly": True,
            "description": "A reference: ${env:NAME}, ${file:PATH} or ${keyring:SERVICE/USER}.",
        }


class Resolver:
    """Looks references up: in ``environment``, and in files relative to ``folder``."""

    def __init__(
        self, environment: Mapping[str, str] | None = None, folder: Path | None = None
    ) -> None:
        self._environment = environment
        self._folder = folder

    def has_reference(self, text: str) -> bool:
        """Whether ``text`` holds at least one reference (``$${`` is none)."""
        return any(not match[1] for match in _REFERENCE.finditer(text))

    def problems(self, text: str) -> list[str]:
        """What is wrong with the references as written; nothing is looked up."""
        found = []
        for match in _REFERENCE.finditer(text):
            if not match[1]:
                problem = self._problem(match[0], match[2])
                if problem:
                    found.append(problem)
        return found

    def file_warnings(self, text: str) -> list[str]:
        """Warnings for files named by ``${file:…}`` that others on this machine may read."""
        warnings = []
        for match in _REFERENCE.finditer(text):
            scheme = _SCHEME.fullmatch(match[2])
            if match[1] or scheme is None or scheme[1] != "file":
                continue
            path = self._path(scheme[2])
            if str(path).startswith(_MOUNTED):
                continue
            warning = readable_by_others(path)
            if warning:
                warnings.append(warning)
        return warnings

    def text(self, text: str) -> str:
        """``text`` with every reference replaced by its value; raises :class:`ConfigError`."""

        def value(match: re.Match[str]) -> str:
            if match[1]:  # $${ stands for itself
                return match[0][1:]
            problem = self._problem(match[0], match[2])
            if problem:
                raise ConfigError(problem)
            return self._look_up(match[0], match[2])

        return _REFERENCE.sub(value, text)

    def secret(self, text: str) -> Secret:
        """A :class:`Secret` for a text that may hold references; looks nothing up yet."""
        if not self.has_reference(text):
            return Secret(self.text(text))
        whole = _REFERENCE.fullmatch(text)
        reference = text if whole and not whole[1] else ""
        return Secret(reference=reference, resolve=lambda: self.text(text))

    def _problem(self, reference: str, body: str) -> str | None:
        match = _SCHEME.fullmatch(body)
        if not reference.endswith("}") or match is None:
            return (
                "`${` begins a reference such as ${env:NAME}, and this one is not complete; "
                "write $${ for a literal ${"
            )
        scheme = match[1]
        if scheme not in schemes():
            return (
                f"{reference} has the unknown scheme `{scheme}`; installed are "
                f"{', '.join(schemes())}, and others come from packages with the entry point "
                "`dovetail.secrets`"
            )
        return None

    def _look_up(self, reference: str, body: str) -> str:
        scheme, _, argument = body.partition(":")
        if scheme == "env":
            environment = os.environ if self._environment is None else self._environment
            if argument not in environment:
                raise ConfigError(f"{reference}: the environment variable {argument} is not set")
            return environment[argument]
        if scheme == "file":
            return self._read(reference, argument)
        if scheme == "keyring":
            return _from_keyring(reference, argument)
        try:
            value = _plugins()[scheme](argument)
        except ConfigError:
            raise
        except Exception as error:
            raise ConfigError(
                f"{reference} could not be looked up: {type(error).__name__}: {redact(str(error))}"
            ) from None
        if not isinstance(value, str):
            raise ConfigError(f"{reference}: the plug-in for `{scheme}` did not return a text")
        return value

    def _path(self, argument: str) -> Path:
        path = Path(argument).expanduser()
        return path if self._folder is None else self._folder / path

    def _read(self, reference: str, argument: str) -> str:
        path = self._path(argument)
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            raise ConfigError(f"{reference}: {path} is not UTF-8 text") from None
        except OSError as error:
            reason = (error.strerror or type(error).__name__).lower()
            raise ConfigError(f"{reference}: {path} cannot be read: {reason}") from None
        for ending in ("\r\n", "\n"):  # editors add one; more would be part of the secret
            if text.endswith(ending):
                return text[: -len(ending)]
        return text


def without_password(source: str) -> str:
    """What to do when a source refused a login that had no password."""
    return f"it wants a password: write a reference, such as ${{env:{source.upper()}_PASSWORD}}"


def readable_by_others(path: Path) -> str | None:
    """A warning when group or others may read ``path``, else None (also when it is not there)."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return None
    if not stat.S_ISREG(mode) or not mode & (stat.S_IRGRP | stat.S_IROTH):
        return None
    return f"{path} holds a secret and other users may read it; run: chmod 600 {path}"


def schemes() -> tuple[str, ...]:
    """The schemes that references may use here, built-in ones first."""
    return ("env", "file", "keyring", *sorted(_plugins()))


@cache
def _plugins() -> Mapping[str, Callable[[str], str]]:
    """Resolvers that installed packages offer; each is loaded when it is first called."""
    from importlib.metadata import EntryPoint, entry_points

    def lazily(point: EntryPoint) -> Callable[[str], str]:
        return lambda argument: point.load()(argument)

    found = entry_points(group="dovetail.secrets")
    return {p.name: lazily(p) for p in found if p.name not in ("env", "file", "keyring")}


def _from_keyring(reference: str, argument: str) -> str:
    service, slash, user = argument.rpartition("/")
    if not slash or not service or not user:
        raise ConfigError(f"{reference} is not complete; write ${{keyring:SERVICE/USER}}")
    try:
        import keyring
        import keyring.errors
    except ImportError:
        raise ConfigError(
            f"{reference} needs the keyring package; install it with: pip install dovetail[keyring]"
        ) from None
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        raise ConfigError(
            f"{reference}: there is no keyring here; use ${{env:…}} or ${{file:…}}"
        ) from None
    except keyring.errors.KeyringError as error:
        raise ConfigError(f"{reference}: the keyring refused: {type(error).__name__}") from None
    if value is None:
        raise ConfigError(
            f"{reference}: the keyring holds no such entry; add it with: "
            f"keyring set {service} {user}"
        )
    return str(value)


# --- keeping secrets out of texts --------------------------------------------------------------

_lock = threading.Lock()
_known: set[str] = set()
_pattern: re.Pattern[str] | None = None


def remember(value: str) -> None:
    """Have :func:`redact` take ``value`` out of every text from now on.

    Values of one or two characters are not remembered: they would blot out ordinary words. Values
    below six characters are only taken out where they stand alone.
    """
    global _pattern
    if len(value) < 3:
        return
    with _lock:
        if value not in _known:
            _known.add(value)
            _pattern = None


def _forms(value: str) -> set[str]:
    """A value as drivers, SQL texts, URLs, JSON and Python's repr write it."""
    import base64
    import json
    from urllib.parse import quote, quote_plus

    data = value.encode("utf-8", "surrogateescape")
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    forms |= {repr(value)[1:-1], ascii(value)[1:-1], repr(repr(value))[2:-2]}
    escaped = {value, value.replace("\\", "\\\\")}
    for text in set(escaped):
        for mark in ("'", '"', "`"):
            escaped |= {text.replace(mark, mark * 2), text.replace(mark, "\\" + mark)}
        escaped.add(re.sub(r"(['\"])", r"\\\1", text))
    forms |= escaped
    for safe in ("", "/", "~", "!*'()"):
        encoded = quote(data, safe=safe)
        forms |= {encoded, re.sub("%..", lambda code: code[0].lower(), encoded)}
    forms.add(quote_plus(data))
    if len(value) >= 6:
        # whole groups only, so that it is also found in the encoding of a text it begins
        groups = data[: len(data) // 3 * 3]
        forms |= {base64.b64encode(groups).decode(), base64.urlsafe_b64encode(groups).decode()}
    return {form for form in forms if len(form) >= 3}


def _known_pattern() -> re.Pattern[str] | None:
    global _pattern
    with _lock:
        if not _known:
            return None
        if _pattern is None:
            whole = sorted({f for v in _known if len(v) >= 6 for f in _forms(v)}, key=len)
            alone = sorted({f for v in _known if len(v) < 6 for f in _forms(v)}, key=len)
            parts = [re.escape(form) for form in reversed(whole)]
            parts += [rf"(?<!\w){re.escape(form)}(?!\w)" for form in reversed(alone)]
            _pattern = re.compile("|".join(parts))
        return _pattern


_QUOTED = r"'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\""
_KEY = r"(?:pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key)"
_PATTERNS = (
    # scheme://user:password@host; a port before a slash is no password
    (re.compile(r"(://[^\s:/@'\"<>]*):(?!\d{1,5}/)[^\s'\"<>]*@"), rf"\1:{MASK}@"),
    # password=…, also in a URL's query or a DSN
    (
        re.compile(
            rf"(?i)(?<![a-z]){_KEY}[\"']?\s*=\s*(?!\$\{{)(?:{_QUOTED}|[^\s,;&)\]}}\"']+)",
        ),
        None,
    ),
    # "password": "…", PASSWORD '…' and IDENTIFIED BY '…'
    (
        re.compile(
            rf"(?i)(?:(?<![a-z]){_KEY}[\"']?\s*:\s*|(?<![a-z])(?:password|identified\s+by)\s+)"
            rf"(?!['\"]\$\{{)(?:{_QUOTED})",
        ),
        None,
    ),
    # password: … as all that is left of a line
    (re.compile(rf"(?im)(?<![a-z]){_KEY}\s*:\s+(?!\$\{{|(?:yes|no)\)?$)\S+$"), None),
    (re.compile(r"(?i)authorization\s*[:=]\s*(?:(?:bearer|basic|token)\s+)?[^\s,;'\"]+"), None),
    (re.compile(r"(?i)\b(?:bearer|basic)\s+[a-z0-9+/._~-]{16,}=*"), None),
)
_HEAD = re.compile(
    r"(?i)^(?:authorization\s*[:=]\s*(?:(?:bearer|basic|token)\s+)?|(?:bearer|basic)\s+"
    r"|identified\s+by\s+|[a-z_-]+[\"']?(?:\s*[:=]\s*|\s+))"
)


def _masked(match: re.Match[str]) -> str:
    head = _HEAD.match(match[0])
    return (head[0] if head else "") + MASK


def redact(text: str) -> str:
    """``text`` without secrets: every value revealed so far, and whatever looks like a password.

    Found in plain and in percent-encoded, quote-escaped and base64 form; also passwords in URLs,
    after ``password=`` and its kin, and in CREATE SECRET or IDENTIFIED BY clauses, whether known or
    not. References (``${env:NAME}``) stay: they are not secret and say where to look.
    """
    known = _known_pattern()
    if known is not None:
        text = known.sub(MASK, text)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(_masked if replacement is None else replacement, text)
    return text


class RedactingFilter(logging.Filter):
    """Takes secrets out of log records, their arguments and their tracebacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record in place; never drops one."""
        record.msg = redact(record.getMessage())
        record.args = None
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        if record.exc_text:
            # handlers print exc_text when it is set, and never format exc_info again
            record.exc_text = redact(record.exc_text)
        if record.stack_info:
            record.stack_info = redact(record.stack_info)
        return True
