"""What a person needs to repeat a failure: the shrunken case, its rows, how to run its seed."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.oracle import Failure
from tests.fuzz.shrink import shrink
from tests.servers import Server


def report(failure: Failure, server: Callable[[str], Server]) -> str:
    """The failure as found and as small as it could be made."""
    small, guilty = shrink(failure, server)
    how = {True: "all rules", False: "no pushdown"}.get(  # type: ignore[call-overload]
        failure.rules if isinstance(failure.rules, bool) else None, f"without {failure.rules}"
    )
    how += ", forced" if failure.forced else ""
    return "\n".join(
        [
            f"seed {failure.world.seed}, query {failure.number}, {how}; again with "
            f"DOVETAIL_FUZZ_SEED={failure.world.seed} make fuzz",
            f"problem: {small.problem}",
            f"passes without any one of: {', '.join(guilty) or 'no single rule'}",
            f"collations: {dict(small.world.collations)}, indexes: {small.world.indexes}",
            "",
            small.query.text,
            "",
            small.world.shown(),
            "",
            f"as found ({failure.problem}):",
            failure.query.text,
        ]
    )
