"""Random assistants and who may ask them: a model of groups and audiences, for the tests of the store's condition and
of the app. It knows of neither."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from routing.assistants import ASSISTANT, AssistantSettings
from routing.publishing import Managed, State, Version, managed_document, version_document
from services.clock import utc_now
from services.documents import Document, Items

EVERYONE = "everyone"

type Typed = str | tuple[str, ...]
"""An audience as a publisher types it: ids of groups in any case, or everyone."""


@dataclass(frozen=True)
class Made:
    """An assistant: what is published of it and what its draft says are two things."""

    id: str
    name: str
    state: State
    version: int
    """In use, or was; of a draft, none was ever."""
    later: int
    """Versions that were published after the one in use."""
    audience: Typed
    owner_team: str
    draft_audience: Typed
    draft_team: str

    def may_be_asked(self, groups: Collection[str]) -> bool:
        """By somebody in these groups, whose ids are in lower case."""
        if self.state != "published":
            return False
        return self.audience == EVERYONE or any(typed.lower() in groups for typed in self.audience)

    @property
    def card(self) -> dict[str, Any]:
        """What somebody is told who may ask it."""
        return {"id": self.id, "version": self.version, "name": self.name, "description": f"As it is: {self.name}"}

    def documents(self) -> list[Document]:
        """What the store has of it."""
        draft = _settings(self.name + " to be", self.draft_audience, self.draft_team)
        if self.state == "draft":
            return [managed_document(Managed(id=self.id, state="draft", draft=draft))]
        published, latest = _settings(self.name, self.audience, self.owner_team), self.version + self.later
        managed = Managed(
            id=self.id,
            state=self.state,
            version=self.version,
            latest_version=latest,
            draft=draft,
            published=published,
        )
        kept = [
            Version(assistant=self.id, version=each, settings=settings, published_at=utc_now(), published_by="any")
            for each in range(1, latest + 1)
            for settings in (published if each == self.version else draft,)
        ]
        return [managed_document(managed), *map(version_document, kept)]


def _settings(name: str, audience: Typed, owner_team: str) -> AssistantSettings:
    return AssistantSettings.model_validate(
        {
            "name": name,
            "description": f"As it is: {name}",
            "system_prompt": "Answer in two short sentences.",
            "route": "general",
            "temperature": 0,
            "max_output_tokens": 80,
            "audience": audience,
            "owner_team": owner_team,
            "policies": ["standard"],
            "residency": "any",
        }
    )


def assistants(groups: Sequence[str], teams: Sequence[str], most: int) -> st.SearchStrategy[list[Made]]:
    """Some, whose audiences are of these groups."""
    typed = st.sampled_from(groups).flatmap(lambda group: st.sampled_from((group, group.upper(), group.title())))
    audience: st.SearchStrategy[Typed] = st.just(EVERYONE) | st.lists(typed, max_size=3).map(tuple)
    made = st.builds(
        Made,
        id=st.integers(0, 10 * most).map("a-{:03}".format),
        name=st.sampled_from(("Atlas", "Ledger", "Zebra")),
        state=st.sampled_from(("draft", "published", "published", "published", "retired")),
        version=st.integers(1, 2),
        later=st.integers(0, 1),
        audience=audience,
        owner_team=st.sampled_from(teams),
        draft_audience=audience,
        draft_team=st.sampled_from(teams),
    )
    return st.lists(made, min_size=1, max_size=most, unique_by=lambda each: each.id)


def callers(groups: Sequence[str]) -> st.SearchStrategy[frozenset[str]]:
    """The groups that somebody is in."""
    return st.frozensets(st.sampled_from(groups))


async def put_in_place(config: Items, made: Collection[Made]) -> None:
    """These assistants, and no others."""
    there = [document["id"] async for document in config.query("SELECT c.id FROM c", partition=ASSISTANT)]
    if there:
        await config.batch(ASSISTANT, [("delete", (each,)) for each in there])
    await config.batch(ASSISTANT, [("create", (document,)) for each in made for document in each.documents()])


def cards(made: Collection[Made], groups: Collection[str]) -> list[dict[str, Any]]:
    """What somebody in these groups sees when they list assistants."""
    mine = [each.card for each in made if each.may_be_asked(groups)]
    return sorted(mine, key=lambda card: (card["name"], card["id"]))
