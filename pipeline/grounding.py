"""The stage that looks up what the customer's documents say on a question, for the one who asks."""

import asyncio
from collections.abc import Sequence
from datetime import datetime

import azure.durable_functions as df

from governance import requests
from governance.problems import ProblemError
from governance.request import Given, Request, Source
from governance.requests import KeptResults
from guardrails.check import check
from guardrails.topics import Side
from guardrails.verdict import Action, Verdict
from pipeline.history import room_for, tokens
from pipeline.rules import assistant_of, numbering_of, policy_of, without_remote
from pipeline.stage import PROCEED, Step, kept, ran, stage
from routing import chunk_index
from routing.assistants import Assistant
from routing.calls import EmbeddingCall
from routing.chunk_index import Passage
from routing.collections import Collection, readable_collections
from routing.governed_call import governed_embeddings
from routing.routes import find_route
from routing.worker import governor
from services.documents import put
from services.platform import Platform

bp = df.Blueprint()

MOST_FOUND = 12
"""Of a collection, to choose from."""
MOST_SOURCES = 6
SOURCE_TOKENS = 4_000
"""Of all sources together; never more than half of what the question leaves room for."""


class NoSources(ProblemError):
    """The assistant answers from its documents alone, and they say nothing on this that the caller may read."""

    type = "no-sources"
    detail = "The documents that this assistant answers from say nothing on this."


@bp.activity_trigger(input_name="job")
@stage
async def ground(services: Platform, request: Request, started_at: datetime) -> Step:
    """The sources of an answer: within the caller's groups, within a budget, as the guardrails leave them."""
    assistant = await assistant_of(services, request)
    passages = await _retrieved(services, request, assistant) if assistant.collections else []
    policy, numbering = without_remote(await policy_of(services, assistant)), numbering_of(services, request)
    room = await _room(services, request, assistant) if passages else 0
    sources: list[Source] = []
    given: list[Given] = []
    verdicts: dict[str, Verdict] = {}
    for passage in passages:
        title = await check(passage.title, policy, side=Side.DOCUMENT, numbering=numbering)
        checked = await check(passage.text, policy, side=Side.DOCUMENT, numbering=numbering)
        verdicts[passage.id] = verdict = Verdict.of([*title.verdict.findings, *checked.verdict.findings])
        if verdict.action is Action.BLOCK or tokens(checked.text) > room:
            continue
        room -= tokens(checked.text)
        given.append(Given(title=title.text, text=checked.text))
        sources.append(_source(len(given), title.text, passage))
        if len(given) == MOST_SOURCES:
            break
    if assistant.collections and not given and assistant.without_sources == "refuse":
        raise NoSources
    stage_ran = ran(started_at)
    if passages:
        found = [{"chunk": chunk, **kept(verdict)} for chunk, verdict in verdicts.items() if verdict.findings]
        stage_ran.verdict = {"action": Verdict.strictest(verdicts.values()), "sources": found}
    changes = [
        put("/sources", [source.model_dump() for source in sources]),
        put("/passages", [each.model_dump() for each in given]),
        put("/placeholders", numbering.known),
        put("/calls", {}),
    ]
    await requests.save_stage(services.store.requests, request, "ground", stage_ran, changes)
    return PROCEED


async def _retrieved(services: Platform, request: Request, assistant: Assistant) -> list[Passage]:
    """What is most like the question in the assistant's collections, of all that the caller may read; best first."""
    store, groups = services.store, request.person.groups
    collections = await readable_collections(store.config, assistant.collections, groups)
    embedded = {
        route: await _vector_of(services, request, assistant, route, collections) for route in _routes(collections)
    }

    async def found(collection: Collection) -> list[Passage]:
        model, vector = embedded[collection.embeddings]
        nearest = await chunk_index.search(
            store.chunks, collection.id, groups=groups, model=model, vector=vector, most=MOST_FOUND
        )
        return [each for each in nearest if each.score >= collection.least_similarity]

    of_each = await asyncio.gather(*(found(each) for each in collections))
    return sorted((passage for some in of_each for passage in some), key=lambda each: (-each.score, each.id))


def _routes(collections: Sequence[Collection]) -> list[str]:
    return sorted({each.embeddings for each in collections})


async def _vector_of(
    services: Platform, request: Request, assistant: Assistant, route_id: str, collections: Sequence[Collection]
) -> tuple[str, list[float]]:
    """The question's vector, and the model that made it; a follow-up stands with the question before it."""
    assert request.checked_prompt is not None
    before = [turn.content for turn in request.checked_turns if turn.role == "user"][-1:]
    required = [assistant.residency, *(each.residency for each in collections if each.embeddings == route_id)]
    call = EmbeddingCall(
        request_id=request.id,
        purpose=f"embed-{route_id}",
        team=request.team,
        person=request.person.oid,
        assistant=assistant.id,
        residency="azure" if "azure" in required else "any",
        endpoints=(await find_route(services.store.config, route_id)).endpoints,
        texts=["\n".join([*before, request.checked_prompt])],
    )
    made = await governed_embeddings(governor(services), call, KeptResults(services.store.requests, request.id))
    return made.model, made.embeddings.vectors[0]


async def _room(services: Platform, request: Request, assistant: Assistant) -> int:
    """Tokens for the sources."""
    assert request.checked_prompt is not None
    route = await find_route(services.store.config, assistant.route)
    room = await room_for(services.store.config, route.endpoints, assistant.max_output_tokens)
    return min(SOURCE_TOKENS, (room - tokens(assistant.system_prompt) - tokens(request.checked_prompt)) // 2)


def _source(number: int, title: str, passage: Passage) -> Source:
    return Source(
        number=number,
        title=title,
        link=passage.link,
        page=passage.page,
        last_page=passage.last_page,
        collection=passage.collection,
        document=passage.document,
        version=passage.version,
        chunk=passage.id,
        score=round(passage.score, 4),
    )
