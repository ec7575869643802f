"""Azure AI Content Safety: how harmful a text is, and whether a prompt or a document is an attack (Prompt Shields).

Microsoft's own package (``azure-ai-contentsafety``, at 1.0.0) has no Prompt Shields. So both are asked for by the REST
API: https://learn.microsoft.com/rest/api/contentsafety/text-operations. Its limits are Microsoft's:
https://learn.microsoft.com/azure/ai-services/content-safety/overview#input-requirements.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, Self

from azure.core.credentials_async import AsyncTokenCredential
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.rest import RestApi

SCOPE = "https://cognitiveservices.azure.com/.default"
"""Whom Content Safety's tokens are for, whatever its endpoint."""
TIMEOUT_SECONDS = 5.0
"""For all that one text needs, the app's own token too: somebody waits for it."""
CHARACTERS_A_CALL = 10_000
"""Code points: of a text, of a prompt, and of a call's documents together."""
DOCUMENTS_A_CALL = 5
OVERLAP = 1_000
"""Characters. What is so long at most is seen whole, wherever a text had to be cut."""
CATEGORIES = ("Hate", "SelfHarm", "Sexual", "Violence")

_ANALYZE = "/contentsafety/text:analyze?api-version=2024-09-01"
_SHIELD_PROMPT = "/contentsafety/text:shieldPrompt?api-version=2024-09-01"


class ContentSafetyUnavailable(Exception):
    """Content Safety did not say. The message says why; there is nothing of a text in it."""


@dataclass(frozen=True)
class Shielded:
    """Where Prompt Shields see an attack: in the prompt, in which of the documents, in their order."""

    prompt: bool
    documents: list[bool]


class _Answered(BaseModel):
    model_config = ConfigDict(strict=True)


class _Category(_Answered):
    category: str
    severity: Literal[0, 2, 4, 6]


class _Analysis(_Answered):
    categories: list[_Category] = Field(alias="categoriesAnalysis")

    @model_validator(mode="after")
    def _says_all(self) -> Self:
        if {each.category for each in self.categories} != set(CATEGORIES):
            raise ValueError("these are not the categories that were asked about")
        return self


class _Attack(_Answered):
    detected: bool = Field(alias="attackDetected")


class _Attacks(_Answered):
    prompt: _Attack | None = Field(None, alias="userPromptAnalysis")
    documents: list[_Attack] | None = Field(None, alias="documentsAnalysis")


class ContentSafety(RestApi):
    """Asks with the app's identity, which needs the role Cognitive Services User.

    Texts that are longer than the service takes are cut into overlapping pieces. Of an empty one it is not asked.
    """

    def __init__(self, endpoint: str, credential: AsyncTokenCredential, **transport: Any) -> None:
        super().__init__(
            endpoint,
            credential,
            scope=SCOPE,
            seconds=TIMEOUT_SECONDS,
            unavailable=ContentSafetyUnavailable,
            **transport,
        )

    async def severities(self, text: str) -> dict[str, int]:
        """How harmful the text is in each of :data:`CATEGORIES`: 0 (safe), 2 (low), 4 (medium) or 6 (high).

        Of several pieces the worst counts. Raises :class:`ContentSafetyUnavailable`.
        """
        bodies = [
            {"text": piece, "categories": CATEGORIES, "outputType": "FourSeverityLevels"} for piece in _pieces(text)
        ]
        found = [each for answer in await self._post(_ANALYZE, bodies, _Analysis) for each in answer.categories]
        return {
            category: max((each.severity for each in found if each.category == category), default=0)
            for category in CATEGORIES
        }

    async def shield(self, prompt: str, documents: Sequence[str] = ()) -> Shielded:
        """Where there is an attack on the model. What is in a piece of a text is in the text.

        Raises :class:`ContentSafetyUnavailable`.
        """
        pieces = ((number, piece) for number, document in enumerate(documents) for piece in _pieces(document))
        calls = [
            (prompt_piece or "", batch or []) for prompt_piece, batch in zip_longest(_pieces(prompt), _batches(pieces))
        ]
        bodies = [{"userPrompt": piece, "documents": [document for _, document in batch]} for piece, batch in calls]
        prompts, attackers = [], set()
        for (piece, batch), answer in zip(calls, await self._post(_SHIELD_PROMPT, bodies, _Attacks), strict=True):
            analyses = answer.documents or []
            if len(analyses) != len(batch) or (piece and answer.prompt is None):
                raise ContentSafetyUnavailable("it did not answer all that it was asked")
            prompts.append(answer.prompt is not None and answer.prompt.detected)
            attackers |= {number for (number, _), found in zip(batch, analyses, strict=True) if found.detected}
        return Shielded(any(prompts), [number in attackers for number in range(len(documents))])


def _pieces(text: str) -> list[str]:
    """As few as can be, each but the first beginning with the end of the one before; none of an empty text."""
    starts = range(0, max(len(text) - OVERLAP, 1), CHARACTERS_A_CALL - OVERLAP)
    return [text[start : start + CHARACTERS_A_CALL] for start in starts] if text else []


def _batches(documents: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    """As many in each, in their order, as one call takes."""
    batch: list[tuple[int, str]] = []
    size = 0
    for number, document in documents:
        if len(batch) == DOCUMENTS_A_CALL or size + len(document) > CHARACTERS_A_CALL:
            yield batch
            batch, size = [], 0
        batch.append((number, document))
        size += len(document)
    if batch:
        yield batch
