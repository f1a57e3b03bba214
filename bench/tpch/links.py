"""Links between clients and servers: loopback, or a rate-limited wire between two namespaces.

Servers and the loopback's clients live in one network namespace, so nobody else's traffic is on its
``lo``; the other clients in a second one. A veth pair joins the two, a token bucket (``tc … tbf``)
limits each end. Bytes are read from the interface's own counters. Only root may make namespaces;
without, there is loopback alone, and its counter also sees what others send there.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RATES = {"1gbit": "1gbit", "100mbit": "100mbit"}
LINKS = ("loopback", *RATES)

_LOOPBACK = "127.0.0.1"
_SERVERS, _CLIENTS = "10.231.77.1", "10.231.77.2"
# A bucket holds what may go in one burst: about 10 ms at the rate, and never less than one of the
# kernel's 64 KiB segments.
_BURSTS = {"1gbit": "1mb", "100mbit": "128kb"}
_NAME = "dvbench"


class LinkError(Exception):
    """A link cannot be made here; the text says what is missing."""


@dataclass(frozen=True)
class Network:
    """Where servers and clients stand; empty names mean: no namespaces, loopback only."""

    servers: str = ""
    clients: str = ""

    @property
    def addresses(self) -> tuple[str, ...]:
        """What servers listen on."""
        return (_LOOPBACK, _SERVERS) if self.clients else (_LOOPBACK,)

    def at_servers(self) -> list[str]:
        """A command's beginning that puts it where the servers are."""
        return _inside(self.servers)

    def at_client(self, link: str) -> list[str]:
        """A command's beginning that puts it at the other end of ``link``."""
        return _inside(self.servers if link == "loopback" else self.clients)

    def host(self, link: str) -> str:
        """The servers' address as seen through ``link``."""
        return _LOOPBACK if link == "loopback" else _SERVERS

    def open(self, link: str) -> None:
        """Set the rate of the wire. Raises LinkError where there is none."""
        if link == "loopback":
            return
        if not self.clients:
            raise LinkError(f"link {link} needs root, and ip and tc of Debian's iproute2")
        for space in (self.servers, self.clients):
            _run(
                *("tc", "-n", space, "qdisc", "replace", "dev", "wire", "root", "tbf"),
                *("rate", RATES[link], "burst", _BURSTS[link], "latency", "50ms"),
            )

    def moved(self, link: str) -> int:
        """Bytes that went over ``link`` so far, both directions, headers included."""
        device = "lo" if link == "loopback" else "wire"
        space = ["-n", self.servers] if self.servers else []
        shown = _run("ip", *space, "-s", "-j", "link", "show", "dev", device)
        counted = json.loads(shown)[0]["stats64"]
        sent, received = int(counted["tx"]["bytes"]), int(counted["rx"]["bytes"])
        return sent if device == "lo" else sent + received  # lo receives what it sends


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Namespaces and a veth pair, removed at the end; without root, plain loopback."""
    _remove_left_over()
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        yield Network()
        return
    made = Network(f"{_NAME}-{os.getpid()}-s", f"{_NAME}-{os.getpid()}-c")
    try:
        for space in (made.servers, made.clients):
            _run("ip", "netns", "add", space)
            _run("ip", "-n", space, "link", "set", "lo", "up")
        _run(
            *("ip", "-n", made.servers, "link", "add", "wire", "type", "veth"),
            *("peer", "name", "wire", "netns", made.clients),
        )
        for space, address in ((made.servers, _SERVERS), (made.clients, _CLIENTS)):
            _run("ip", "-n", space, "address", "add", f"{address}/30", "dev", "wire")
            _run("ip", "-n", space, "link", "set", "wire", "up")
        yield made
    finally:
        for space in (made.servers, made.clients):
            subprocess.run(["ip", "netns", "del", space], check=False, capture_output=True)


def _remove_left_over() -> None:
    """Namespaces of runs that were killed; names hold the process number of the run."""
    folder = Path("/run/netns")
    for path in folder.glob(f"{_NAME}-*-[sc]") if folder.exists() else ():
        if not Path("/proc", path.name.split("-")[1]).exists():
            subprocess.run(["ip", "netns", "del", path.name], check=False, capture_output=True)


def _inside(space: str) -> list[str]:
    return ["nsenter", f"--net=/run/netns/{space}", "--"] if space else []


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LinkError(f"{' '.join(command)}: {done.stderr.strip()}")
    return done.stdout
