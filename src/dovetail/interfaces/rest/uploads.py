"""Multipart uploads, straight to disk: no more than a megabyte of a file is in memory."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from dovetail.interfaces.rest.call import Call
from dovetail.interfaces.rest.problems import ProblemError
from dovetail.workspace.datasets import Upload
from dovetail.workspace.shapes import Dataset

_FLUSH = 1 << 20
_FIELD_BYTES = 64 << 10
_PARTS = 10


@dataclass
class Received:
    """A file that is on disk, with the form's other fields, not yet a dataset."""

    upload: Upload
    filename: str
    digest: str
    fields: dict[str, str] = field(default_factory=dict)

    async def finish(self, call: Call, *, wait: float = 10.0) -> Dataset:
        """Make the dataset of it."""
        return await call.service.pools.upload(
            self.upload.finish,
            name=self.fields.get("name") or None,
            description=self.fields.get("description") or None,
            options=_options(self.fields.get("options")),
            wait=wait,
        )

    async def abort(self, call: Call) -> None:
        """Leave nothing of it."""
        await call.service.pools.upload(self.upload.abort)

    @property
    def fingerprint(self) -> str:
        """What makes two uploads the same."""
        parts = [self.filename, self.digest, json.dumps(self.fields, sort_keys=True)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()


async def receive(
    call: Call, begin: Callable[[str], Upload], fields: tuple[str, ...] = ()
) -> Received:
    """Read the form of ``call``; ``begin`` gets the file's name. ``fields`` may come besides it.

    Raises:
        ProblemError: ``unsupported-media-type``, ``too-large``, ``validation``.
        WorkspaceError: as :meth:`Upload.write` and ``begin`` do.
    """
    form = _Form(fields)
    limit = call.service.settings.workspace.upload_bytes
    length = call.request.headers.get("content-length", "")
    # What the form adds to the file is small; the exact count is the workspace's.
    if length.isdigit() and int(length) > limit + _PARTS * _FIELD_BYTES:
        raise ProblemError("too-large", f"an upload may have {limit:,} bytes (limit upload_bytes)")
    parser = MultipartParser(_boundary(call), form.callbacks())
    upload: Upload | None = None
    hashed = hashlib.sha256()

    def write(data: bytes) -> None:
        assert upload is not None
        hashed.update(data)
        upload.write(data)

    pools = call.service.pools
    try:
        async for chunk in call.request.stream():
            try:
                parser.write(chunk)
            except MultipartParseError as error:
                raise ProblemError("validation", f"the form cannot be read: {error}") from None
            form.check()
            if form.filename is not None and upload is None:
                upload = await pools.upload(begin, form.filename)
            if len(form.data) >= _FLUSH:
                await pools.upload(write, form.take())
        if upload is None:
            raise _invalid("file", "the form has no file; send it as the field `file`")
        if not form.ended:
            raise ProblemError("validation", "the form ends before its last boundary")
        if form.data:
            await pools.upload(write, form.take())
    except BaseException:
        if upload is not None:
            await pools.upload(upload.abort)
        raise
    assert form.filename is not None
    return Received(upload, form.filename, hashed.hexdigest(), form.texts())


def _boundary(call: Call) -> bytes:
    type_, options = parse_options_header(call.request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if type_ != b"multipart/form-data" or not boundary:
        raise ProblemError(
            "unsupported-media-type",
            "send the file as multipart/form-data, in the field `file`",
            valid=["multipart/form-data"],
        )
    if not 1 <= len(boundary) <= 256:
        raise ProblemError("validation", "the boundary of the form has 1 to 256 characters")
    return boundary


def _invalid(name: str, message: str) -> ProblemError:
    return ProblemError(
        "validation",
        f"{name}: {message}",
        errors=[{"loc": name, "msg": message, "type": "value_error"}],
    )


def _options(text: str | None) -> dict[str, Any] | None:
    if text is None or not text.strip():
        return None
    try:
        options = json.loads(text)
    except ValueError as error:
        raise _invalid("options", f"not JSON: {error}") from None
    if not isinstance(options, dict):
        raise _invalid("options", 'an object, such as {"delimiter": ";"}')
    return options


class _Form:
    """What the parser calls back with."""

    def __init__(self, fields: tuple[str, ...]) -> None:
        self._allowed = fields
        self._headers: dict[str, bytes] = {}
        self._header = b""
        self._value = b""
        self._parts = 0
        self._current: str | None = None
        self._fields: dict[str, bytearray] = {}
        self._problem: ProblemError | None = None
        self.filename: str | None = None
        self.data = bytearray()
        self.ended = False

    def callbacks(self) -> Any:
        """The functions by the parser's names for them."""
        return {
            "on_part_begin": self._part_begin,
            "on_header_field": self._header_field,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_end": self._end,
        }

    def check(self) -> None:
        """Raise what was found wrong."""
        if self._problem is not None:
            raise self._problem

    def take(self) -> bytes:
        """The file's bytes that have come since the last call."""
        data = bytes(self.data)
        self.data.clear()
        return data

    def texts(self) -> dict[str, str]:
        """The other fields."""
        try:
            return {name: value.decode() for name, value in self._fields.items()}
        except UnicodeDecodeError:
            raise ProblemError("validation", "a field of the form is not UTF-8") from None

    def _refuse(self, problem: ProblemError) -> None:
        self._problem = self._problem or problem

    def _part_begin(self) -> None:
        self._headers, self._header, self._value = {}, b"", b""
        self._parts += 1
        if self._parts > _PARTS:
            self._refuse(ProblemError("validation", f"the form has more than {_PARTS} parts"))

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _header_end(self) -> None:
        self._headers[self._header.decode("latin-1").lower()] = self._value
        self._header, self._value = b"", b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        self._current = name
        if name == "file":
            if self.filename is not None:
                self._refuse(_invalid("file", "one file at a time"))
            given = options.get(b"filename")
            if given is None:
                self._refuse(_invalid("file", "must be a file, with a file name"))
            self.filename = (given or b"").decode("utf-8", "replace") or "upload"
            return
        if name not in self._allowed:
            names = ", ".join(("file", *self._allowed))
            self._refuse(_invalid(name or "form", f"no such field; the fields are {names}"))
        elif name in self._fields:
            self._refuse(_invalid(name, "given twice"))
        self._fields[name] = bytearray()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._current == "file":
            self.data += data[start:end]
            return
        held = self._fields[self._current or ""]
        held += data[start:end]
        if len(held) > _FIELD_BYTES:
            self._refuse(_invalid(self._current or "", f"longer than {_FIELD_BYTES:,} bytes"))
            held.clear()

    def _end(self) -> None:
        self.ended = True
