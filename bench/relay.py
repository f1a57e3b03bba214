"""A relay on loopback that notes waits for sources and counts bytes: ``python -m bench.relay``.

What a query costs beyond its sources cannot be seen from outside or from one thread: drivers wait
in C, several at a time. So the bench puts this relay between client and servers. A server is being
waited for from the first bytes of a request until the last bytes of its answer. A query's own time
is its time less the union of these waits over all connections; the relay's own hops (some tens of
microseconds per round trip) fall into the query's own time, so the figure is never flattering.

Orders come as lines on standard input: first a JSON list of ``[host, port]`` targets, answered by
the list of local ports; then each line ``take`` is answered by the ``bytes`` of both directions
and the ``waits`` since the last one, these as ``[target number, start, end]`` in seconds of the
monotonic clock, which all processes share.
"""

from __future__ import annotations

import json
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

Wait = tuple[int, float, float]


@dataclass(eq=False)
class _Connection:
    """One relayed connection; ``asked`` is when the request under way began."""

    target: int
    client: socket.socket
    server: socket.socket
    asked: float | None = None
    answered: float | None = None


@dataclass
class _Relay:
    targets: Sequence[tuple[str, int]]
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)
    waits: list[Wait] = field(default_factory=list)
    connections: list[_Connection] = field(default_factory=list)
    moved: int = 0

    def listen(self) -> list[int]:
        ports = []
        for number in range(len(self.targets)):
            listening = socket.create_server(("127.0.0.1", 0))
            self.selector.register(listening, selectors.EVENT_READ, number)
            ports.append(listening.getsockname()[1])
        return ports

    def serve(self, orders: IO[str]) -> None:
        self.selector.register(orders, selectors.EVENT_READ, "orders")
        while True:
            for key, _ in self.selector.select():
                if key.data == "orders":
                    if not orders.readline():
                        return
                    self._report()
                elif isinstance(key.data, int):
                    self._accept(cast(socket.socket, key.fileobj), key.data)
                else:
                    self._pass_on(cast(socket.socket, key.fileobj), key.data)

    def _accept(self, listening: socket.socket, number: int) -> None:
        client = listening.accept()[0]
        server = socket.create_connection(self.targets[number])
        connection = _Connection(number, client, server)
        self.connections.append(connection)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.selector.register(end, selectors.EVENT_READ, connection)

    def _pass_on(self, end: socket.socket, connection: _Connection) -> None:
        now = time.monotonic()
        from_client = end is connection.client
        try:
            data = end.recv(1 << 20)
            if data:
                if from_client and (connection.asked is None or connection.answered is not None):
                    self._settle(connection)
                    connection.asked = now
                (connection.server if from_client else connection.client).sendall(data)
                self.moved += len(data)
                if not from_client:
                    connection.answered = time.monotonic()
                return
        except OSError:
            pass
        self._settle(connection)
        if connection not in self.connections:
            return  # both ends were ready in one round, and the other one has closed it
        self.connections.remove(connection)
        for each in (connection.client, connection.server):
            self.selector.unregister(each)
            each.close()

    def _settle(self, connection: _Connection) -> None:
        if connection.asked is not None and connection.answered is not None:
            self.waits.append((connection.target, connection.asked, connection.answered))
        connection.asked = connection.answered = None

    def _report(self) -> None:
        for connection in self.connections:
            if connection.answered is not None:
                self._settle(connection)
        print(json.dumps({"waits": self.waits, "bytes": self.moved}), flush=True)
        self.waits.clear()
        self.moved = 0


class Relay:
    """The bench's side: starts the relay in a process of its own.

    ``moved`` are the bytes that came by in both directions before the last :meth:`take`.
    """

    moved = 0

    def __init__(self, targets: Sequence[tuple[str, int]]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.relay"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[1],
        )
        self.ports: list[int] = self._ask(json.dumps(list(targets)))

    def take(self) -> list[Wait]:
        """The waits since the last call."""
        found = self._ask("take")
        self.moved = found["bytes"]
        return [tuple(wait) for wait in found["waits"]]

    def _ask(self, line: str) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def __enter__(self) -> Relay:
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()


def waited(waits: Sequence[Wait], start: float, end: float) -> float:
    """Seconds between ``start`` and ``end`` in which at least one source was being waited for."""
    total, reached = 0.0, start
    for _, begin, finish in sorted(waits, key=lambda wait: wait[1]):
        begin, finish = max(begin, reached), min(finish, end)
        if finish > begin:
            total += finish - begin
            reached = finish
    return total


def main() -> None:
    """Serve until standard input ends."""
    relay = _Relay([(host, port) for host, port in json.loads(sys.stdin.readline())])
    print(json.dumps(relay.listen()), flush=True)
    relay.serve(sys.stdin)


if __name__ == "__main__":
    main()
