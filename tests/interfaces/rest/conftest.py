"""Services that all tests of a run share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.interfaces.rest.running import ADMIN, Client, Running, make_admin, running


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service in local mode, with one user."""
    folder = tmp_path_factory.mktemp("local") / "workspace"
    with running(folder, DOVETAIL_SECRET_KEY="a key for tests, long enough") as service:
        yield service


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A service with users; the first is :data:`ADMIN`."""
    folder: Path = tmp_path_factory.mktemp("shared") / "workspace"
    make_admin(folder)
    with running(folder, "--auth=users") as service:
        yield service


@pytest.fixture(scope="session")
def client(local: Running) -> Client:
    """The one user of the local service."""
    return local.client()


@pytest.fixture(scope="session")
def admin(shared: Running) -> Client:
    """The admin of the shared service."""
    return shared.login(*ADMIN)
