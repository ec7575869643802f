"""Assistants and their audience: a caller sees the ones that their groups grant, and can't tell that others exist.

Whether somebody is in an assistant's audience is decided by the store, in the one condition that finding and listing
share: what is outside it is not found, by the same reads and the same answer as what does not exist (claim I3).
"""

from collections.abc import Collection
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from governance.access import GroupId, TeamId
from governance.problems import ProblemError
from services.documents import Document, Items

ASSISTANT = "assistant"
"""The partition of ``config``: every assistant, and every version of it that was ever published."""

type ConfigId = Annotated[str, StringConstraints(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]
"""Of a policy, a route, a collection."""
type Audience = Literal["everyone"] | Annotated[list[GroupId], Field(max_length=100)]
"""Directory groups, or everyone in the directory; an empty list is nobody."""


class AssistantUnknown(ProblemError):
    """There is no such assistant, or the caller is not in its audience: which of the two, nobody is told."""

    type = "not-found"
    detail = "There is no such assistant."


class AssistantSettings(BaseModel):
    """What a publisher decides about an assistant."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=100)
    description: str = Field(max_length=1000)
    system_prompt: str = Field(max_length=12_000)
    route: ConfigId
    """The model workload, such as ``general``: which endpoints serve it is configured elsewhere."""
    temperature: float = Field(ge=0, le=2)
    max_output_tokens: int = Field(ge=1, le=100_000)
    audience: Audience
    owner_team: TeamId
    policies: Annotated[list[ConfigId], Field(min_length=1, max_length=10)]
    """Ids of the guardrail policies; of each rule the strictest holds."""
    pii: Annotated[dict[str, Literal["warn", "redact", "block"]], Field(max_length=100)] = {}
    """For some categories of personal data a stricter action than the policies have; a milder one changes nothing."""
    collections: Annotated[list[ConfigId], Field(max_length=20)] = []
    """Ids of the collections of documents that answers are grounded in."""
    without_sources: Literal["answer", "warn", "refuse"] = "answer"
    """What becomes of a question on which the collections have nothing: it is answered from what the model knows, the
    answer says that it stands on no document, or there is none."""
    residency: Literal["any", "azure"]
    """``azure``: never answered by an endpoint outside Azure."""


class Assistant(AssistantSettings):
    """One published version, as it is used."""

    id: str
    version: int


_USABLE = """c.type = 'assistant' AND c.state = 'published' AND (c.published.audience = 'everyone'
    OR EXISTS(SELECT VALUE g FROM g IN c.published.audience WHERE ARRAY_CONTAINS(@groups, g)))"""


_LIST = f"SELECT * FROM c WHERE {_USABLE}"  # noqa: S608 - constants; the values are parameters
_FIND = f"{_LIST} AND c.id = @id"


async def find_assistant(config: Items, assistant_id: str, groups: Collection[str]) -> Assistant:
    """For somebody of these groups. Raises :class:`AssistantUnknown`, the same whether it exists and isn't theirs."""
    parameters = {"@id": assistant_id, "@groups": sorted(groups)}
    found = [published_in(document) async for document in config.query(_FIND, parameters, partition=ASSISTANT)]
    if not found:
        raise AssistantUnknown
    return found[0]


async def list_assistants(config: Items, groups: Collection[str]) -> list[Assistant]:
    """The assistants of somebody of these groups, by name."""
    parameters = {"@groups": sorted(groups)}
    usable = [published_in(document) async for document in config.query(_LIST, parameters, partition=ASSISTANT)]
    return sorted(usable, key=lambda assistant: (assistant.name, assistant.id))


async def assistant_in_use(config: Items, assistant_id: str, version: int, groups: Collection[str]) -> Assistant:
    """For a request that was accepted already: the version that was asked, as long as the asker may ask it.

    What has been published since is another assistant to the one that was asked: its prompt was not checked by these
    policies. Who may ask is decided by what is published now. Raises :class:`AssistantUnknown`.
    """
    now = await find_assistant(config, assistant_id, groups)
    if now.version == version:
        return now
    document = await config.read(version_id(assistant_id, version), ASSISTANT)
    if document is None:
        raise AssistantUnknown
    return Assistant.model_validate({**document["settings"], "id": assistant_id, "version": version})


def version_id(assistant_id: str, version: int) -> str:
    """Of the document that keeps a version."""
    return f"{assistant_id}:{version}"


def published_in(document: Document) -> Assistant:
    published: dict[str, Any] = document["published"]
    return Assistant.model_validate({**published, "id": document["id"], "version": document["version"]})
