"""Questions in words: the interface that a language model, or a table of answers, stands behind.

The service only knows :class:`Translator`. Until one is configured, ``/api/v1/queries/nl`` answers
503 ``llm-not-configured``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from dovetail.workspace.access import Actor
from dovetail.workspace.shapes import Target


@dataclass(frozen=True)
class Translation:
    """SQL for a question, with what was assumed and tried on the way."""

    sql: str
    explanation: str
    model: str
    assumptions: tuple[str, ...] = ()
    attempts: int = 1


@dataclass(frozen=True)
class FailedAttempt:
    """SQL that a model gave and why it would not run."""

    sql: str
    error: str


class TranslationError(Exception):
    """No SQL came of a question.

    ``code`` is ``sql-generation-failed`` or ``llm-unavailable``.
    """

    def __init__(self, code: str, detail: str, attempts: Sequence[FailedAttempt] = ()) -> None:
        super().__init__(detail)
        self.code = code
        self.attempts = tuple(attempts)


class Translator(Protocol):
    """Turns a question into SQL over a target. Blocking; may be called from several threads."""

    def translate(
        self,
        actor: Actor,
        question: str,
        target: Target,
        *,
        conversation_id: str | None = None,
    ) -> Translation:
        """SQL for ``question``; raises :class:`TranslationError`."""


class StubTranslator:
    """Answers from a table, question → SQL: for tests and demonstrations."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        self._answers = {_plain(question): sql for question, sql in answers.items()}

    def translate(
        self,
        actor: Actor,
        question: str,
        target: Target,
        *,
        conversation_id: str | None = None,
    ) -> Translation:
        """The SQL kept for ``question``."""
        sql = self._answers.get(_plain(question))
        if sql is None:
            raise TranslationError(
                "sql-generation-failed", "the stub has no answer to this question"
            )
        return Translation(sql, "from the table of answers", "stub")


def _plain(question: str) -> str:
    return " ".join(question.lower().split()).rstrip("?.! ")
