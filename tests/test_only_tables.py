"""``Session(only_tables=…)``: a query sees the tables it was given, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dovetail.config import Config, FilesSettings
from dovetail.errors import DovetailError, RefusedError, UnknownNameError
from dovetail.session import Session


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Session, Path]]:
    folder = tmp_path_factory.mktemp("closed")
    (folder / "shop").mkdir()
    for name in ("customers", "secrets"):
        (folder / "shop" / f"{name}.csv").write_text("id,name\n1,Ada\n2,Ben\n")
    config = Config(sources={"shop": FilesSettings(kind="files", path=folder / "shop")})
    private = folder / "private"
    private.mkdir()
    given = {"people": ("shop", "main", "customers"), "again": ("shop", None, "customers")}
    with Session(config, only_tables=given, temporary_directory=private) as session:
        yield session, folder


def test_names_are_tables_whatever_their_case(closed: tuple[Session, Path]) -> None:
    session, _ = closed
    rows = session.sql("SELECT p.name, a.name FROM People p JOIN again a USING (id) ORDER BY 1")
    assert rows.rows() == [("Ada", "Ada"), ("Ben", "Ben")]
    assert [c.column for c in session.describe("people")] == ["id", "name"]


@pytest.mark.parametrize(
    "text",
    [
        "FROM secrets",
        "FROM customers",
        "FROM shop.secrets",
        "FROM shop.main.customers",
        "FROM source_shop.main.secrets",
        "FROM people WHERE id IN (SELECT id FROM shop.secrets)",
        "WITH x AS (FROM secrets) FROM x",
        "FROM '{folder}/shop/secrets.csv'",
        'FROM "{folder}/shop/secrets.csv"',
        "FROM read_csv('{folder}/shop/secrets.csv')",
        "FROM glob('{folder}/*')",
        "FROM read_text('/etc/hostname')",
        "FROM stdin",
        "FROM information_schema.tables",
        "DESCRIBE secrets",
        "SUMMARIZE shop.secrets",
    ],
)
def test_nothing_else_is_there(closed: tuple[Session, Path], text: str) -> None:
    session, folder = closed
    with pytest.raises((UnknownNameError, RefusedError)) as caught:
        session.sql(text.format(folder=folder)).rows()
    said = str(caught.value.message).replace(text.format(folder=folder), "")
    assert str(folder) not in said.replace(f"{folder}/shop/secrets.csv", "")
    assert "secrets" not in " ".join(caught.value.suggestions)


def test_describe_does_not_look_elsewhere(closed: tuple[Session, Path]) -> None:
    session, folder = closed
    for name in ("secrets", "shop.secrets", f"'{folder}/shop/secrets.csv'"):
        with pytest.raises(DovetailError):
            session.describe(name)


def test_near_names_are_those_given(closed: tuple[Session, Path]) -> None:
    session, _ = closed
    with pytest.raises(UnknownNameError) as caught:
        session.sql("FROM peple")
    assert caught.value.suggestions == ("people",)
    assert caught.value.location is not None
    assert (caught.value.location.line, caught.value.location.column) == (1, 6)


def test_the_private_folder_is_where_it_was_asked_for(closed: tuple[Session, Path]) -> None:
    _, folder = closed
    assert len(list((folder / "private").iterdir())) == 1
