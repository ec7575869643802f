"""Assistants and their audience: a caller sees the ones that their groups grant, and can't tell that others exist."""

from typing import Any, Literal

from pydantic import BaseModel

from governance.identity import Caller
from governance.problems import ProblemError
from services.documents import Items

EVERYONE = "everyone"


class AssistantUnknown(ProblemError):
    """There is no such assistant, or the caller is not in its audience: which of the two, nobody is told."""

    type = "not-found"
    detail = "There is no such assistant."


class Assistant(BaseModel):
    id: str
    version: int
    name: str
    description: str
    system_prompt: str
    endpoint: str
    """Id of the model endpoint that answers."""
    temperature: float
    max_output_tokens: int
    audience: list[str]
    """Object ids of directory groups, or ``everyone``; an empty one is nobody."""
    policy: str
    """Id of the guardrail policy."""
    residency: Literal["any", "azure"]
    """``azure``: never answered by an endpoint outside Azure."""
    state: Literal["draft", "published", "retired"]

    def admits(self, caller: Caller) -> bool:
        granted = EVERYONE in self.audience or not caller.groups.isdisjoint(self.audience)
        return self.state == "published" and granted


async def find_assistant(config: Items, assistant_id: str, caller: Caller) -> Assistant:
    """Raises :class:`AssistantUnknown`, the same whether it doesn't exist or isn't the caller's."""
    document = await config.read(assistant_id, "assistant")
    assistant = None if document is None else Assistant.model_validate(document)
    if assistant is None or not assistant.admits(caller):
        raise AssistantUnknown
    return assistant


async def list_assistants(config: Items, caller: Caller) -> list[Assistant]:
    """The caller's assistants, by name."""
    query = "SELECT * FROM c WHERE c.kind = 'assistant' AND c.state = 'published'"
    published = [Assistant.model_validate(document) async for document in config.query(query, partition="assistant")]
    return sorted((each for each in published if each.admits(caller)), key=lambda each: each.name)


async def assistant_in_use(config: Items, assistant_id: str) -> Assistant:
    """For a request that was accepted already. Raises :class:`AssistantUnknown` if it is not published any more."""
    document: dict[str, Any] | None = await config.read(assistant_id, "assistant")
    if document is None or document["state"] != "published":
        raise AssistantUnknown
    return Assistant.model_validate(document)
