"""Questions, once a translator is configured; the service runs in this process to be given one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.interfaces.rest.running import CUSTOMERS

from dovetail.interfaces.rest.app import make_app
from dovetail.interfaces.rest.service import Service
from dovetail.interfaces.rest.settings import ServiceSettings
from dovetail.interfaces.rest.translator import StubTranslator
from dovetail.workspace import Workspace, WorkspaceSettings

ANSWERS = {
    "How many customers are there?": "SELECT count(*) AS n FROM dataset",
    "Drop them": "DROP TABLE dataset",
}


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """``asked(question, …)``: the status and body of the answer."""
    folder: Path = tmp_path_factory.mktemp("nl") / "workspace"
    with Workspace.open(WorkspaceSettings(folder)) as workspace:
        actor = workspace.users.local_actor()
        with workspace.datasets.begin_upload(actor, "customers.csv") as upload:
            upload.write(CUSTOMERS.encode())
            dataset = upload.finish(wait=120)
        settings = ServiceSettings(auth="none")
        service = Service(workspace, settings, translator=StubTranslator(ANSWERS))
        app = make_app(service)

        async def send(body: dict[str, Any]) -> tuple[int, Any]:
            transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
            async with httpx.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=120
            ) as client:
                done = await client.post("/api/v1/queries/nl", json=body)
            return done.status_code, done.json()

        def ask(question: str, **more: Any) -> tuple[int, Any]:
            return asyncio.run(send({"query": question, "dataset_id": dataset.id, **more}))

        yield ask
        service.pools.close()


def test_an_answer(asked: Any) -> None:
    status, answer = asked("how many  customers are there")
    assert (status, answer["rows"]) == (200, [{"n": 4}]), answer
    assert answer["sql"] == ANSWERS["How many customers are there?"]
    assert (answer["model"], answer["attempts"]) == ("stub", 1)


def test_only_the_sql(asked: Any) -> None:
    status, answer = asked("How many customers are there?", execute=False)
    assert (status, "rows" in answer) == (200, False)
    assert answer["sql"].startswith("SELECT count")


def test_generated_sql_passes_the_same_checks(asked: Any) -> None:
    status, problem = asked("Drop them!")
    assert (status, problem["code"]) == (400, "sql-not-read-only")


def test_no_sql_came_of_it(asked: Any) -> None:
    status, problem = asked("What is the meaning of all this?")
    assert (status, problem["code"]) == (422, "sql-generation-failed")
    assert (problem["title"], problem["attempts"]) == ("Failed to generate SQL", [])
