"""``dovetail config``: check and show the configuration."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from dovetail.errors import UsageError
from dovetail.interfaces.cli.declare import Option
from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.runtime import Job, Run

_START = """\
# Dovetail: the sources that a query may name as source.table. Every key: docs/configuration.md
# Check this file with: dovetail config check

sources:
  # A folder of CSV, JSON, Parquet, Arrow and Excel files; each is a table named after its stem.
  files: {kind: files, path: .}

  # shop:
  #   kind: postgres
  #   host: localhost
  #   database: shop
  #   user: analyst                     # one that may only read is best
  #   password: "${env:SHOP_PASSWORD}"  # a reference, never the password itself

  # crm: {kind: mysql, url: "mysql://analyst@localhost/crm", password: "${keyring:crm/analyst}"}
  # old: {kind: sqlite, path: legacy.db}
  # lake: {kind: duckdb, path: lake.duckdb}

# limits: {memory: 4GB, threads: 2, timeout: 60s}

# profiles:              # chosen with --profile NAME; their keys replace those above
#   prod:
#     limits: {timeout: 10m}
"""


def check(where: ConfigFlags, messages: MessageFlags) -> Job:
    """Check the configuration: every problem with file, key and line, in one run.

    dovetail config check --config dovetail.yaml
    """

    def work(run: Run) -> None:
        config = run.configuration(where)
        count = len(config.sources)
        place = config.path or "no configuration file"
        write_text(f"{place}: ok, {count} source{'' if count == 1 else 's'}")

    return Job(messages, work)


def path(where: ConfigFlags, messages: MessageFlags) -> Job:
    """Print which configuration file is used; stderr says why."""

    def work(run: Run) -> None:
        from dovetail.config_load import find

        found, reason = find(where.config)
        if found is None:
            run.diagnostics.note(f"no configuration: {reason}; files can still be queried")
            return
        write_text(str(found.absolute()))
        run.diagnostics.note(reason if found.is_file() else f"{reason}, but it does not exist")

    return Job(messages, work)


def show(where: ConfigFlags, messages: MessageFlags) -> Job:
    """Print the configuration as it is understood, with every secret masked."""

    def work(run: Run) -> None:
        import yaml

        config = run.configuration(where)
        write_text(f"# {config.path or 'no configuration file'}")
        data = {}
        if config.path is not None:
            data = config.model_dump(mode="json", exclude_defaults=True)
        for name, source in config.sources.items():  # the kind is a default, and worth seeing
            shown = data.setdefault("sources", {}).setdefault(name, {})
            data["sources"][name] = {"kind": source.kind, **shown}
        write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True) if data else "{}")

    return Job(messages, work)


def init(
    messages: MessageFlags,
    output: Annotated[
        str, Option("--output", "-o", metavar="PATH", help="The file to write; - is stdout.")
    ] = "dovetail.yaml",
) -> Job:
    """Write a commented configuration to begin with. A file that exists is never touched.

    dovetail config init
    """

    def work(run: Run) -> None:
        if output == "-":
            write_text(_START)
            return
        try:
            with Path(output).expanduser().open("x", encoding="utf-8") as file:
                file.write(_START)
        except FileExistsError:
            raise UsageError(f"{output} exists, and stays as it is; use -o for another") from None
        except OSError as error:
            raise UsageError(f"cannot write {output}: {error.strerror}") from None
        run.diagnostics.note(f"wrote {output}; edit it, then: dovetail config check")

    return Job(messages, work)


def schema(messages: MessageFlags) -> Job:
    """Print the JSON Schema of the configuration, for editors.

    dovetail config schema > dovetail.schema.json
    """

    def work(run: Run) -> None:
        from dovetail.config_load import json_schema

        write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False))

    return Job(messages, work)


COMMANDS = {"check": check, "path": path, "show": show, "init": init, "schema": schema}
