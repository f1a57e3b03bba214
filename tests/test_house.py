"""The house rules that a machine can check: imports, start-up, and what may stand in the repo."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Drivers, data frames, screens, servers: each is loaded by what uses it and by nothing else.
HEAVY = {
    "IPython", "connectorx", "fastapi", "httpx", "keyring", "openpyxl", "pandas", "polars",
    "psycopg", "pymysql", "pyspark", "python_calamine", "sqlalchemy", "textual", "uvicorn",
}  # fmt: skip
ENGINE = {"duckdb", "pyarrow"}
PLANNING = {"sqlglot"}
SETTINGS = {"pydantic", "yaml"}
SCREEN = {"rich", "click", "tabulate"}


def loaded(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running ``code``."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"{code}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("code", "unwanted"),
    [
        ("import dovetail", HEAVY | ENGINE | PLANNING | SETTINGS | SCREEN),
        ("import dovetail.errors", HEAVY | ENGINE | PLANNING | SETTINGS | SCREEN),
        ("import dovetail.types", HEAVY | ENGINE | PLANNING | SETTINGS | SCREEN),
        ("import dovetail.catalog.model", HEAVY | ENGINE | PLANNING | SETTINGS | SCREEN),
        ("import dovetail.secrets", HEAVY | ENGINE | PLANNING | SETTINGS | SCREEN),
        ("import dovetail.config_load", HEAVY | ENGINE | PLANNING | SETTINGS | SCREEN),
        ("import dovetail.config", HEAVY | ENGINE | PLANNING | SCREEN),
        (
            "from dovetail.config_load import load; load({'sources': {'a': {'kind': 'mysql',"
            " 'password': '${keyring:a/b}'}}})",
            HEAVY | ENGINE | PLANNING | SCREEN,
        ),
        ("import dovetail.plan.nodes", HEAVY | ENGINE | SETTINGS | SCREEN),
        ("import dovetail.connectors.base", HEAVY | ENGINE | SETTINGS | SCREEN),
        ("import dovetail.connectors.registry", HEAVY),
        ("import dovetail.session", HEAVY | SCREEN),
        ("import dovetail.interfaces.cli.main", HEAVY | ENGINE | PLANNING),
    ],
)
def test_heavy_libraries_load_on_use(code: str, unwanted: set[str]) -> None:
    assert loaded(code) & unwanted == set()


def test_import_contracts() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [str(program), "--no-cache"], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stdout


def repository_files() -> list[Path]:
    """Every text file that is, or is about to be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
        cwd=ROOT,
        check=False,
    )
    if listed.returncode == 0:
        paths = [ROOT / name for name in listed.stdout.decode().split("\0") if name]
    else:  # a copy without its history
        skipped = {".venv", "build", "dist", "__pycache__", ".git"}
        paths = [p for p in ROOT.rglob("*") if not skipped & set(p.relative_to(ROOT).parts)]
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:4096]]


# Written in halves, so that this file does not find itself.
_FORBIDDEN = {
    "the address of a package registry": re.compile(
        "|".join(
            [
                "https?://[^ \"'>)]*" + "(?:py" + r"pi\.org|pythonhosted\.org|/simp" + r"le/)",
                "https?://[^ \"'>)]*" + r"(?:npm" + r"js\.|crates\.io|proxy\.gol" + r"ang\.org)",
                "--(?:extra-)?ind" + r"ex-url\b",
                r"--find-l" + r"inks\b",
            ]
        )
    ),
    "a path of the machine it was written on": re.compile(
        r"(?<![\w.$~)}-])/(?:wo" + r"rk|ro" + r"ot|opt/wh" + r"eels|tmp/sr" + r"v)/[\w.]"
    ),
    "a merge left unfinished": re.compile("^(?:<{7}|>{7}) ", re.MULTILINE),
    "a private key": re.compile("-----BEGIN [A-Z ]*PRIVATE " + "KEY-----"),
}


def test_nothing_in_the_repository_names_a_registry_or_a_workplace() -> None:
    files = repository_files()
    assert len(files) > 50
    found = []
    for path in files:
        text = path.read_text(encoding="utf-8", errors="replace")
        for what, pattern in _FORBIDDEN.items():
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{path.relative_to(ROOT)}:{line}: {what}: {match[0]}")
    assert found == []


def test_the_search_for_forbidden_text_finds_it() -> None:
    samples = {
        "the address of a package registry": "url https://files.python" + "hosted.org/packages/x",
        "a path of the machine it was written on": "see /wo" + "rk/main/x",
        "a merge left unfinished": "<" * 7 + " HEAD",
        "a private key": "-----BEGIN RSA PRIVATE " + "KEY-----",
    }
    assert samples.keys() == _FORBIDDEN.keys()
    for what, text in samples.items():
        assert _FORBIDDEN[what].search(text), what
    for harmless in ("https://example.org/net" + "work/", "a/wo" + "rk/b", "pip install x"):
        assert not any(pattern.search(harmless) for pattern in _FORBIDDEN.values())


def test_constraints_pin_versions_without_addresses() -> None:
    lines = [x for x in (ROOT / "constraints.txt").read_text().splitlines() if x[:1] not in "#"]
    assert len(lines) > 30
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line), line
    pinned = {re.sub(r"[-_.]+", "-", line.split("==")[0]).lower() for line in lines}
    project = PROJECT["project"]
    wanted = [*project["dependencies"], *PROJECT["dependency-groups"]["dev"]]
    for extra in ("postgres", "mysql", "excel", "keyring"):
        wanted += project["optional-dependencies"][extra]
    names = {re.split(r"[\[<>=~! ]", w, maxsplit=1)[0] for w in wanted}
    missing = {re.sub(r"[-_.]+", "-", name).lower() for name in names} - pinned
    assert missing == set(), "run: make constraints"


def test_a_plain_install_stays_small() -> None:
    names = {re.split(r"[\[<>=~! ]", d, maxsplit=1)[0] for d in PROJECT["project"]["dependencies"]}
    assert not {name.replace("-", "_") for name in names} & HEAVY


def test_make_says_what_there_is() -> None:
    done = subprocess.run(["make"], capture_output=True, text=True, cwd=ROOT, check=True)
    for target in ("demo", "test", "check", "regen", "fuzz", "bench"):
        assert re.search(rf"^  make {target} +\w", done.stdout, re.MULTILINE), target


def test_pre_commit_mirrors_check() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text()
    check = re.search(r"^check:.*?\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert check is not None
    commands = re.findall(r"\$\(BIN\)/([\w-]+(?: [a-z]+)?)", check[1])
    assert len(commands) == 4
    for command in commands:
        assert f"entry: .venv/bin/{command}" in hooks
    assert "repo: local" in hooks
    assert "http" not in hooks


def test_the_version_is_that_of_the_package() -> None:
    import dovetail

    assert dovetail.__version__ == PROJECT["project"]["version"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dovetail.nonsense  # noqa: B018
