"""``dovetail config``: check and show the configuration."""

from __future__ import annotations

from dovetail.interfaces.cli.options import ConfigFlags, MessageFlags
from dovetail.interfaces.cli.output import write_text
from dovetail.interfaces.cli.runtime import Job, Run


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
        data = config.model_dump(mode="json", exclude_defaults=True)
        for name, source in config.sources.items():  # the kind is a default, and worth seeing
            shown = data.setdefault("sources", {}).setdefault(name, {})
            data["sources"][name] = {"kind": source.kind, **shown}
        write_text(yaml.safe_dump(data, sort_keys=False, allow_unicode=True) if data else "{}")

    return Job(messages, work)


COMMANDS = {"check": check, "path": path, "show": show}
