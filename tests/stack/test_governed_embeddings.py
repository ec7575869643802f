"""Vectors of texts on the one way to a model: metered, capped, residency-checked, stopped and recorded as any call."""

import asyncio
from dataclasses import dataclass, fields
from typing import Any

import pytest

from governance.reservations import CapReached
from governance.switches import Stopped
from routing.calls import Call, EmbeddingCall
from routing.endpoints import Endpoint, EndpointUnknown, PriceUnknown, ResidencyRefused
from routing.governed_call import GovernedEmbeddings, ModelFailed, NothingKept, governed_embeddings
from services.clock import uuid7
from tests.stack.calls_kit import LIMIT, World
from tests.stack.calls_kit import cosmos as cosmos
from tests.stack.calls_kit import world as world
from tests.stack.caps_kit import open_cap
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.models_kit import endpoint

pytestmark = pytest.mark.asyncio(loop_scope="module")

TEXTS = ["What makes a good offer?", "Überschüsse"]
USED = 6 + 3
"""The stand-in's tokens of them: a quarter of their characters each. A micro-unit each."""
AT_MOST = sum(len(text.encode()) + 4 for text in TEXTS)
"""What is reserved: their bytes, and what a model adds; nothing for an output."""


@dataclass
class Embedding:
    """A call in a world, to be changed."""

    world: World

    async def __call__(self, *endpoints: Endpoint, results: Any = None, **other: Any) -> GovernedEmbeddings:
        ids = [await self.world.configured(each) for each in endpoints] or self.world.call.endpoints
        asks = {each.name: getattr(self.world.call, each.name) for each in fields(Call)}
        call = EmbeddingCall(**{**asks, "purpose": "embed", "texts": TEXTS, "endpoints": ids, **other})
        return await governed_embeddings(self.world.governor, call, results or NothingKept())


@pytest.fixture
def embed(world: World) -> Embedding:
    return Embedding(world)


@pytest.mark.claim("C3")
async def test_when_texts_are_embedded_then_the_call_is_settled_at_what_was_reported(
    world: World, embed: Embedding
) -> None:
    made = await embed()

    assert [len(vector) for vector in made.embeddings.vectors] == [384, 384]
    assert (made.cost_micro, made.currency, made.endpoint) == (USED, "EUR", world.call.endpoints[0])
    (reservation,) = await world.reservations()
    assert (reservation.state, reservation.actual_micro, reservation.amount_micro) == ("settled", USED, AT_MOST)
    assert (reservation.input_tokens, reservation.output_tokens, reservation.outcome) == (USED, 0, "answered")
    assert reservation.id == f"{world.call.request_id}:embed:1"
    assert await world.cap() == (USED, 0)


@pytest.mark.claim("C1")
async def test_when_the_cap_does_not_cover_the_texts_then_they_are_not_sent(world: World, embed: Embedding) -> None:
    team = uuid7()
    await open_cap(world.store.budgets, team, AT_MOST - 1)

    with pytest.raises(CapReached):
        await embed(team=team)
    assert world.model.calls == 0

    world.call = world.call.__class__(**{**vars(world.call), "team": team})
    assert await world.cap() == (0, 0)


@pytest.mark.claim("C1")
async def test_when_many_embed_at_once_then_the_cap_holds(world: World, embed: Embedding) -> None:
    team = uuid7()
    await open_cap(world.store.budgets, team, 3 * AT_MOST)

    made = await asyncio.gather(
        *(embed(team=team, purpose=f"embed-{number}") for number in range(12)), return_exceptions=True
    )

    world.call = world.call.__class__(**{**vars(world.call), "team": team})
    spent, reserved = await world.cap()
    done = [each for each in made if isinstance(each, GovernedEmbeddings)]
    assert (len(done) >= 3, spent, reserved) == (True, len(done) * USED, 0)
    assert {type(each) for each in made} <= {GovernedEmbeddings, CapReached}
    assert spent <= 3 * AT_MOST


@pytest.mark.claim("M6")
async def test_when_azure_is_required_then_no_text_is_sent_elsewhere(world: World, embed: Embedding) -> None:
    with pytest.raises(ResidencyRefused):
        await embed(residency="azure")
    assert world.model.calls == 0

    made = await embed(endpoint(world.model.url), world.model.endpoint("azure-openai"), residency="azure")
    assert (made.cost_micro, world.model.control.counts["azure-embeddings"], world.model.calls) == (USED, 1, 1)


@pytest.mark.claim("K3")
async def test_when_the_switch_is_pulled_then_no_text_is_sent(world: World, embed: Embedding) -> None:
    await world.switch()

    with pytest.raises(Stopped):
        await embed()
    assert (world.model.calls, await world.reservations()) == (0, [])


@pytest.mark.claim("K3")
async def test_when_the_switch_is_pulled_while_texts_are_embedded_then_the_call_ends_and_is_charged(
    world: World, embed: Embedding
) -> None:
    world.model.fault(operation="embeddings", kind="delay", seconds=30)
    asking = asyncio.create_task(embed())
    await world.when(lambda: world.model.calls)

    await world.switch()

    with pytest.raises(Stopped):
        await asking
    assert await world.states() == ["settled"]
    assert await world.cap() == (AT_MOST, 0)


async def test_when_there_is_no_price_or_no_endpoint_then_no_text_is_sent(world: World, embed: Embedding) -> None:
    with pytest.raises(PriceUnknown):
        await embed(endpoint(world.model.url, prices=[]))
    with pytest.raises(EndpointUnknown):
        await embed(endpoints=["nowhere"])
    assert world.model.calls == 0


async def test_when_an_endpoint_fails_once_then_it_is_asked_again_and_charged_once(
    world: World, embed: Embedding
) -> None:
    world.model.fault(operation="embeddings", kind="status", status=500, times=1)

    assert (await embed()).cost_micro == USED
    assert await world.states() == ["released", "settled"]
    assert await world.cap() == (USED, 0)


async def test_when_a_provider_offers_no_embeddings_then_the_call_fails_and_nothing_is_charged(
    world: World, embed: Embedding
) -> None:
    """And its endpoint, which answers questions well, is not taken for broken."""
    anthropic = world.model.endpoint("anthropic")

    for number in range(4):
        with pytest.raises(ModelFailed, match="no embeddings"):
            await embed(anthropic, purpose=f"embed-{number}")

    assert not world.governor.breaker.rests(anthropic.id)
    assert (await world.cap(), world.model.calls) == ((0, 0), 0)
    assert {each.outcome for each in await world.reservations()} == {"no embeddings"}


async def test_when_a_call_is_repeated_then_what_was_kept_is_given_and_what_was_not_is_made_anew(
    world: World, embed: Embedding
) -> None:
    first = await embed(results=world.results)
    assert await embed(results=world.results) == first
    assert (world.model.calls, await world.cap()) == (1, (USED, 0))

    assert (await embed()).embeddings == first.embeddings
    assert (world.model.calls, await world.cap()) == (2, (2 * USED, 0))
    assert LIMIT > 2 * USED
