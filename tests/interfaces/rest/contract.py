"""Schemathesis over a running service: no server error, no undocumented answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.interfaces.rest.running import Running

# What a correct service does although the checks call it wrong: an id that is well formed need not
# exist, and the JSON schema of a string cannot say that it holds SQL, or an id.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "ignored_auth",
)
# Without a language model a question is answered 503; logging out ends the run's own session, and
# what waits or streams has tests of its own.
LEFT_OUT = "/queries/nl$|/auth/logout$|/events$"


def check(service: Running, folder: Path, *, examples: int, seed: int, phases: str) -> str:
    """Run it; what it found wrong, empty if nothing."""
    # The document is made when it is first asked for; schemathesis waits ten seconds at most.
    assert service.client().get("/openapi.json").status_code == 200
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{service.url}/openapi.json",
            f"--header=Authorization: Bearer {service.token}",
            f"--checks={','.join(CHECKS)}",
            f"--phases={phases}",
            f"--max-examples={examples}",
            f"--seed={seed}",
            f"--exclude-path-regex={LEFT_OUT}",
            "--continue-on-failure",
            "--generation-database=none",
            "--warnings=off",
            "--no-color",
            "--suppress-health-check=all",
            "--request-timeout=60",
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    traces = "Traceback" in service.log.read_text()
    if done.returncode == 0 and not traces:
        return ""
    return f"seed {seed}\n{done.stdout}\n{done.stderr}\n{service.log.read_text()[-4000:]}"
