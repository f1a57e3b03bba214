"""Source addresses written as URLs: ``postgresql://ana@db:5432/shop?sslmode=require``.

A URL may hold references (``mysql://ana:${env:PW}@db/crm``); they are kept as they are. Literal
parts are percent-decoded. No message repeats a part of the URL, because it may hold a password.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, unquote

from dovetail.secrets import Resolver

SCHEMES = {
    "postgres": "postgres",
    "postgresql": "postgres",
    "mysql": "mysql",
    "mariadb": "mysql",
    "sqlite": "sqlite",
    "duckdb": "duckdb",
    "files": "files",
}
"""URL scheme → kind of source."""

_ENCODE = "special characters in user and password must be percent-encoded (@ is %40, / is %2F)"
_REFERENCE = re.compile(r"\$?\$\{[^{}]*\}")
_ALIASES = {
    "postgres": {"dbname": "database"},
    "mysql": {"ssl-mode": "ssl", "ssl_mode": "ssl", "ssl-ca": "ssl_ca", "unix_socket": "socket"},
}
_MYSQL_MODES = {
    "disabled": "disable",
    "preferred": "prefer",
    "required": "require",
    "verify_ca": "verify-ca",
    "verify_identity": "verify-full",
}


class UrlError(ValueError):
    """What is wrong with a URL, without any part of it."""


def kind_of(url: str) -> str | None:
    """The kind of source that a URL's scheme names, or None."""
    return SCHEMES.get(url.partition(":")[0].lower())


def expand(url: str, *, literal: bool = False) -> tuple[str, dict[str, str]]:
    """Split a URL into its kind and settings, as texts that may hold references.

    ``literal``: the text was itself looked up, so ``${`` in it means nothing.
    """
    kept: list[str] = []

    def keep(match: re.Match[str]) -> str:
        kept.append(match[0])
        return f"\x00{len(kept) - 1}\x00"

    text = url if literal else _REFERENCE.sub(keep, url)

    def plain(part: str) -> str:
        decoded = unquote(part).replace("${", "$${")
        return re.sub("\x00(\\d+)\x00", lambda match: kept[int(match[1])], decoded)

    scheme, separator, rest = text.partition("://")
    kind = SCHEMES.get(scheme.lower())
    if not separator or kind is None:
        raise UrlError(f"a source's URL begins with one of {', '.join(f'{s}://' for s in SCHEMES)}")
    rest, hash_mark, _ = rest.partition("#")
    if hash_mark:
        raise UrlError(f"a `#` in a URL ends it; write %23; {_ENCODE}")
    rest, _, query = rest.partition("?")
    if kind not in _ALIASES:
        if query:
            raise UrlError("the URL of a file takes no options after `?`")
        return kind, {"path": plain(rest)}  # sqlite:///a is /a, sqlite://a is a
    authority, _, database = rest.partition("/")
    found = _authority(authority)
    if "/" in database:
        raise UrlError(f"a URL has one `/` after the host, before the database; {_ENCODE}")
    found["database"] = database
    settings = {name: plain(value) for name, value in found.items() if value}
    for option in filter(None, query.split("&")):
        name, _, value = option.partition("=")
        name = _ALIASES[kind].get(unquote(name), unquote(name))
        value = plain(value)
        if kind == "mysql" and name == "ssl":
            value = _MYSQL_MODES.get(value.lower(), value)
        if name in settings:
            raise UrlError(f"the URL gives `{name}` twice")
        settings[name] = value
    return kind, settings


def compose(kind: str, settings: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """The URL of a source without its password, and the settings that are no part of the URL.

    What :func:`expand` makes of the URL are the settings that are in it.
    """
    options = {name: value for name, value in settings.items() if name != "password"}
    scheme = "postgresql" if kind == "postgres" else kind
    if kind not in _ALIASES:
        return f"{scheme}://{quote(str(options.pop('path', '')))}", options
    user, host, port, database = (
        quote(str(options.pop(name, "") or ""), safe="")
        for name in ("user", "host", "port", "database")
    )
    address = f"{user}@" if user else ""
    address += f"[{unquote(host)}]" if "%3A" in host else host
    address += f":{port}" if port else ""
    return f"{scheme}://{address}/{database}", options


def _authority(authority: str) -> dict[str, str]:
    userinfo, _, address = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    match = re.fullmatch(r"(\[[^\]]*\]|[^:,\[\]]*)(?::([^:,]*))?", address)
    if match is None:
        raise UrlError(f"a URL names one host, as host:port or [v6-address]:port; {_ENCODE}")
    port = match[2] or ""
    if port and not re.fullmatch("[0-9]+|\x00[0-9]+\x00", port):
        raise UrlError(f"the URL's port is not a number; {_ENCODE}")
    return {"user": user, "password": password, "host": match[1].strip("[]"), "port": port}


def holds_password(url: str) -> bool:
    """Whether a URL holds a password in plain words, for callers that refuse them."""
    try:
        _, settings = expand(url)
    except UrlError:
        return bool(re.search(r"://[^/@]*:[^@]*@", url))
    return "password" in settings and not Resolver().has_reference(settings["password"])
