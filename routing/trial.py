"""A call that tries an endpoint: it goes through every gate, is charged, and is in the trail whatever comes of it."""

import time
from collections.abc import Sequence

from pydantic import BaseModel

from governance.changes import Journal, change_event
from governance.problems import Problem, ProblemError
from governance.reservations import Reservation, attempts_of
from routing.calls import ModelCall
from routing.endpoints import ENDPOINT, Endpoint
from routing.governed_call import Governed, Governor, NothingKept, governed_call
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


class TrialFailed(ProblemError):
    """What any call would be told, and what became of each attempt."""

    def __init__(self, problem: Problem, attempts: Sequence[Reservation]) -> None:
        super().__init__(problem.type)
        self._problem = problem.model_copy(
            update={"extra": {**problem.extra, "attempts": [each.outcome for each in attempts]}}
        )

    def problem(self) -> Problem:
        return self._problem


async def try_endpoint(
    journal: Journal, governor: Governor, endpoint: Endpoint, *, team: str, actor: str, reason: str
) -> EndpointTried:
    """When it is in the trail. Raises :class:`TrialFailed`, and :class:`services.documents.StoreError`."""
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
    ended: Governed | Problem
    try:
        ended = await governed_call(governor, call, NothingKept())
    except ProblemError as error:
        ended = error.problem()
    attempts = await attempts_of(journal.store.budgets, team, trial_id)
    failed = ended if isinstance(ended, Problem) else None
    event = change_event(
        "endpoint.test",
        actor=actor,
        target=f"endpoint:{endpoint.id}",
        reason=reason,
        Outcome=failed.kind.outcome if failed else "done",
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
        After={"problem": failed.type} if failed else {},
    )
    await journal.note("config", ENDPOINT, event)
    if isinstance(ended, Problem):
        raise TrialFailed(ended, attempts)
    return EndpointTried(
        endpoint=endpoint.id,
        model=ended.completion.model,
        finish_reason=ended.completion.finish_reason,
        input_tokens=ended.completion.input_tokens,
        output_tokens=ended.completion.output_tokens,
        cost_micro=ended.cost_micro,
        currency=ended.currency,
        milliseconds=round((time.monotonic() - began) * 1000),
    )
