"""A call that tries an endpoint: it goes through every gate, is charged, and is in the trail whatever comes of it."""

import time
from typing import Any

from pydantic import BaseModel

from governance.changes import Journal, change_event
from governance.problems import ProblemError
from governance.reservations import attempts_of
from routing.endpoints import ENDPOINT, Endpoint
from routing.governed_call import Governed, Governor, ModelCall, governed_call
from routing.messages import Message
from services.clock import uuid7

ASSISTANT = "endpoint-test"
"""Under what the costs of such calls are found, and the switch that stops them besides the platform's."""
PROMPT: list[Message] = [{"role": "user", "content": "Say in one word that you are ready."}]
"""Nothing of anybody's."""
MOST_TOKENS = 256
"""Enough for a model that reasons first."""


class EndpointTried(BaseModel):
    """How an endpoint answered; what it said is shown to nobody."""

    endpoint: str
    model: str
    """As the provider names it."""
    finish_reason: str
    input_tokens: int | None
    output_tokens: int | None
    cost_micro: int
    currency: str
    milliseconds: int


class _Nowhere:
    """Nobody asks for it again."""

    async def kept(self, reservation: str) -> dict[str, Any] | None:  # noqa: ARG002
        return None

    async def keep(self, reservation: str, completion: dict[str, Any]) -> None: ...


async def try_endpoint(
    journal: Journal, governor: Governor, endpoint: Endpoint, *, team: str, actor: str, reason: str
) -> EndpointTried:
    """Raises what :func:`routing.governed_call.governed_call` raises, when that is in the trail."""
    trial_id, began = uuid7(), time.monotonic()
    call = ModelCall(
        request_id=trial_id,
        purpose="test",
        team=team,
        person=actor,
        assistant=ASSISTANT,
        residency="any",
        endpoints=[endpoint.id],
        messages=PROMPT,
        temperature=0,
        max_output_tokens=MOST_TOKENS,
    )
    governed: Governed | None = None
    outcome, why = "failed", ""
    try:
        governed = await governed_call(governor, call, _Nowhere())
        outcome = "done"
    except ProblemError as error:
        problem = error.problem()
        outcome, why = problem.kind.outcome, problem.type
        raise
    finally:
        attempts = await attempts_of(journal.store.budgets, team, trial_id)
        event = change_event(
            "endpoint.test",
            actor=actor,
            target=f"endpoint:{endpoint.id}",
            reason=reason,
            Outcome=outcome,
            Team=team,
            RequestId=trial_id,
            Endpoint=endpoint.id,
            Provider=endpoint.provider,
            Model=endpoint.model,
            Region=endpoint.region,
            Residency=endpoint.residency,
            Attempts=[each.as_told() for each in attempts],
            CostMicro=sum(each.charged_micro for each in attempts),
            Currency=attempts[-1].currency if attempts else "",
            After={"problem": why} if why else {},
        )
        await journal.note("config", ENDPOINT, event)
    return EndpointTried(
        endpoint=endpoint.id,
        model=governed.completion.model,
        finish_reason=governed.completion.finish_reason,
        input_tokens=governed.completion.input_tokens,
        output_tokens=governed.completion.output_tokens,
        cost_micro=governed.cost_micro,
        currency=governed.currency,
        milliseconds=round((time.monotonic() - began) * 1000),
    )
