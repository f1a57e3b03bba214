"""Processes of the contenders, at the far end of a link from the servers."""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.tpch.contenders import ALIASES, Answer, Order
from bench.tpch.site import Site

ROOT = Path(__file__).parents[2]
_OPEN_SECONDS = 300.0  # of Spark on a busy machine


class Clients:
    """One process per contender, started when first needed and again after it was killed."""

    def __init__(self, site: Site, link: str) -> None:
        self._site, self._link = site, link
        self.addresses = {kind: site.address(kind, link) for kind in ALIASES}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, order: Order, cap: float) -> tuple[Answer | None, int]:
        """The answer, None when it took longer than ``cap`` seconds; and the bytes that moved."""
        name = order.contender
        process = self._process(name)
        _send(process, order)
        ready = _receive(process, _OPEN_SECONDS)
        if ready != "ready":
            self._end(name)
            return ready or Answer(error="it did not open"), 0
        before = self._site.network.moved(self._link)
        _send(process, "go")
        answer = _receive(process, cap)
        moved = self._site.network.moved(self._link) - before
        if answer is None or _receive(process, _OPEN_SECONDS) != "closed":
            died = answer is None and process.poll() is not None
            self._end(name)
            if died:
                answer = Answer(error=f"its process ended with {process.returncode}")
        return answer, moved

    def close(self) -> None:
        """End all."""
        for name in list(self._processes):
            self._end(name)

    def _process(self, name: str) -> subprocess.Popen[bytes]:
        found = self._processes.get(name)
        if found is None or found.poll() is not None:
            command = [sys.executable, "-m", "bench.tpch.contenders"]
            found = self._processes[name] = subprocess.Popen(
                [*self._site.network.at_client(self._link), *command],
                cwd=ROOT, bufsize=0,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        return found

    def _end(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.communicate()
        self._site.end_queries()


def _send(process: subprocess.Popen[bytes], what: Any) -> None:
    assert process.stdin is not None
    packed = pickle.dumps(what)
    while packed:
        packed = packed[process.stdin.write(packed) :]


def _receive(process: subprocess.Popen[bytes], seconds: float) -> Any:
    """What the process says next; None when it says nothing for so long, or ends."""
    assert process.stdout is not None
    deadline = time.monotonic() + seconds
    number = process.stdout.fileno()

    def exactly(count: int) -> bytes:
        block = b""
        while len(block) < count:
            left = max(0.0, deadline - time.monotonic())
            if not select.select([number], [], [], left)[0]:
                return b""
            got = os.read(number, count - len(block))
            if not got:
                return b""
            block += got
        return block

    length = exactly(8)
    packed = exactly(int.from_bytes(length, "big")) if length else b""
    return pickle.loads(packed) if packed else None
