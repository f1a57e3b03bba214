"""``docs/cli.md``: the help texts of all commands as one page. A test keeps it up to date."""

from __future__ import annotations

from collections.abc import Iterator

import click

_HEAD = """\
# Command line

This page is the output of `dovetail COMMAND --help`, written by `make regen`; a test fails when it
is out of date. Data goes to stdout, everything else to stderr. Examples with `crm`, `shop` and
`exports` run in the folder that `dovetail demo` makes; other files in them are yours.

| exit code | meaning |
|---|---|
| 0 | done, also with an empty result |
| 1 | the query or its data failed: syntax, unknown name, type, conversion, read-only refusal |
| 2 | usage or configuration: flag, parameter, profile, file that cannot be read or written |
| 3 | a source could not be reached or refused the login |
| 4 | a limit stopped it: timeout, memory, temporary space, rows, bytes |
| 5 | `--expect` was not met |
| 70 | a fault of Dovetail; a report file is named, without data or secrets |
| 130, 143, 141 | Ctrl-C, SIGTERM, closed pipe |

A flag that every command has may also stand before the command. The configuration is the file that
`--config` names, else `DOVETAIL_CONFIG`, else `./dovetail.yaml`, else `dovetail.yaml` in the user's
configuration folder; the first that is found is used alone. `NO_COLOR`, `FORCE_COLOR`, `TERM=dumb`
and `DOVETAIL_FORMAT` are respected; a flag beats them all. What `query` runs is kept, without
values of parameters, in the history that `dovetail history` lists and the shell searches with
Ctrl-R: that of the configuration in use, or of the working folder without one. `DOVETAIL_HISTORY`
names another file, and `off` keeps nothing.

The formats:

| format | file | NULL | what to know |
|---|---|---|---|
| `table` (default) | `.txt` | `NULL` | for eyes; control characters are shown as `\\n`, `\\x1b` |
| `markdown`, `md` | `.md` | `NULL` | for pages and issues |
| `vertical` | | `NULL` | one block per row |
| `csv`, `tsv` | `.csv`, `.tsv` | nothing | the empty string is `""`; minimal quotes; UTF-8 |
| `json` | `.json` | `null` | one array; whole numbers beyond 2^53 and decimals of more than 15 \
digits are strings unless `--numbers exact` |
| `jsonl`, `ndjson` | `.jsonl`, `.ndjson` | `null` | one object per line |
| `parquet` | `.parquet` | null | `HUGEINT`, the type of sums, becomes `DECIMAL(38,0)` |
| `arrow` | `.arrow`, `.feather` | null | the stream form on stdout, the file form in these files |
| `xlsx` | `.xlsx` | empty | numbers, dates and booleans are typed; whole numbers of more than 15 \
digits are text; a sheet per result; needs the extra `excel` |
| `html` | `.html` | empty | one `<table>`, all text escaped, numbers with the class `n` |
| `insert` | `.sql` | `NULL` | 1,000 rows per statement; `--table`, `--insert-dialect` |
| `none` | | | runs the query and writes nothing |

## Scripts

`-f FILE` and `-c SQL` may be repeated and run in the order given, in one session. Statements end
with `;`, or with `GO` alone on a line. A script may hold queries, EXPLAIN, and `create [or replace]
temp table|view NAME as select …`: these live to the end of the script and never touch a source. All
statements are parsed and bound before the first one runs. `-o 'out-{n}.csv'` writes a file for each
result; table, markdown, vertical, jsonl and xlsx hold several results, the other formats one, which
`--result last` or `--result N` chooses. `--statement N` and `--result` run only what is needed.

## Formats in detail

Text formats are also written compressed, as `.csv.gz` or `.jsonl.zst`. In CSV and the formats for
eyes a list, struct or map is JSON and a blob is `\\x` and hex digits. In JSON a blob is
`{"$base64": "…"}` and a map a list of `[key, value]` pairs, since keys need not be text.
"""


def markdown() -> str:
    """The whole page."""
    from dovetail.interfaces.cli.app import make_app

    root = make_app()
    parts = [_HEAD]
    for path, command in _commands(root, "dovetail"):
        # Help depends on the width of the terminal; a page has one width.
        context = command.context_class(
            command, info_name=path, terminal_width=100, max_content_width=100
        )
        parts.append(f"## {path}\n\n```text\n{command.get_help(context).rstrip()}\n```\n")
    return "\n".join(parts)


def _commands(command: click.Command, path: str) -> Iterator[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        yield path, command
        return
    context = click.Context(command, info_name=path)
    for name in command.list_commands(context):
        member = command.get_command(context, name)
        assert member is not None
        yield from _commands(member, f"{path} {name}")
