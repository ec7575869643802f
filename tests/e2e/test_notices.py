"""Notices: what platform admins tell everybody, on their own page and with every answer, until it ends."""

import asyncio
import functools
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI

from services.clock import utc_text
from tests.e2e.asking import Asking, Reply
from tests.e2e.support import granted, in_
from tests.e2e.test_openai_api import OFFER, settings
from tests.e2e.test_streaming import LONG, Stream, streamed

NOTICES = "/api/notices"


async def publish(asking: Asking, *, by: str = "adam", **members: Any) -> Reply:
    """In force for an hour, unless said otherwise; None leaves a member out."""
    usual = {"text": f"The provider is down. {secrets.token_hex(4)}", "severity": "warning", "ends_at": in_(hours=1)}
    body = {name: value for name, value in {**usual, "reason": "told so", **members}.items() if value is not None}
    return await asking.call("POST", NOTICES, token=asking.stack.token(by), json=body)


async def withdraw(asking: Asking, notice: str, *, by: str = "adam", reason: str = "it is up again") -> Reply:
    path = f"{NOTICES}/{notice}/withdraw"
    return await asking.call("POST", path, token=asking.stack.token(by), json={"reason": reason})


@asynccontextmanager
async def told(asking: Asking, **members: Any) -> AsyncIterator[dict[str, Any]]:
    """A notice that is in force meanwhile."""
    published = await publish(asking, **members)
    assert published.status == 201, published.text
    try:
        yield published.body
    finally:
        assert (await withdraw(asking, published.body["id"])).status == 200


async def me(asking: Asking, person: str = "alice") -> Any:
    return (await asking.call("GET", "/api/me", token=asking.stack.token(person))).body


async def streamed_by_the_sdk(asking: Asking) -> list[Any]:
    """The chunks of an answer, as the client's SDK has them."""
    async with AsyncOpenAI(**settings(asking)) as client:
        return [
            chunk
            async for chunk in await client.chat.completions.create(model="sales-helper", messages=OFFER, stream=True)
        ]


# -- who is told, and where


@pytest.mark.claim("P4")
async def test_when_a_notice_is_in_force_then_everybody_here_and_every_administrator_is_shown_it(
    asking: Asking,
) -> None:
    async with told(asking, severity="critical") as notice:
        assert notice.keys() == {"id", "text", "severity", "begins_at", "ends_at"}
        for person in ("alice", "carol", "adam", "ivan", "gus", "audrey", "paula"):
            assert (await me(asking, person))["notices"] == [notice], person
    assert (await me(asking))["notices"] == []


@pytest.mark.claim("P4")
async def test_when_a_notice_is_in_force_then_an_answer_carries_it_whole_streamed_and_by_openais_api(
    asking: Asking,
) -> None:
    async with told(asking) as notice, asking.scripted(LONG):
        whole = await asking.ask("What makes a good offer?")
        assert (whole.status, whole.body["notices"]) == (200, [notice])
        assert (await asking.status(whole.body["request_id"])).body["notices"] == [notice]

        in_windows = await streamed(asking)
        assert (in_windows.end, in_windows.body["notices"]) == ("answer", [notice])

        async with AsyncOpenAI(**settings(asking)) as client:
            completion = await client.chat.completions.create(model="sales-helper", messages=OFFER)
        assert (completion.model_extra or {})["notices"] == [notice]

        *before, last = await streamed_by_the_sdk(asking)
        assert (last.model_extra["notices"], last.choices[0].finish_reason) == ([notice], "stop")
        assert not any("notices" in (chunk.model_extra or {}) for chunk in before)
    assert (await asking.ask("What makes a good offer?")).body["notices"] == []
    assert not any("notices" in (chunk.model_extra or {}) for chunk in await streamed_by_the_sdk(asking))


@pytest.mark.claim("P4")
async def test_when_there_is_no_answer_then_the_notice_that_may_say_why_comes_with_the_problem(asking: Asking) -> None:
    down = {"operation": "chat*", "kind": "status", "status": 400}
    async with told(asking) as notice:
        async with asking.going_wrong("models", down):
            failed = (await asking.ask("What makes a good offer?")).is_problem(502, "model-failed")
            in_windows: Stream = await streamed(asking)
            with pytest.raises(openai.APIStatusError) as told_by_sdk:
                async with AsyncOpenAI(**settings(asking)) as client:
                    await client.chat.completions.create(model="sales-helper", messages=OFFER)
        assert failed["notices"] == in_windows.body["notices"] == [notice]
        assert isinstance(told_by_sdk.value.body, dict)
        assert told_by_sdk.value.body["notices"] == [notice]
        async with asking.stopped("sales-helper", "the provider is down"):
            stopped = await asking.ask("What makes a good offer?")
        assert stopped.is_problem(423, "stopped")["notices"] == [notice]
        refused = await asking.call("PUT", "/api/switches/platform", token=asking.stack.token("alice"), json={})
        assert "notices" not in refused.is_problem(403, "role-missing"), "whom the gate does not let in is told nothing"
    async with asking.stopped("sales-helper", "a drill"):
        assert "notices" not in (await asking.ask("What makes a good offer?")).body


@pytest.mark.claim("P4", "T2")
async def test_when_somebody_is_in_no_team_or_of_the_vendor_then_they_are_shown_no_notice(asking: Asking) -> None:
    async with told(asking) as notice:
        assert (await me(asking, "victor"))["notices"] == []
        async with granted(asking):
            shown = await asking.call("GET", "/api/me", token=asking.stack.token("victor"))
            assert shown.body["notices"] == []
            refused = await asking.call("GET", NOTICES, token=asking.stack.token("victor"))
            refused.is_problem(403, "support-only")
            assert notice["id"] not in shown.text + refused.text


@pytest.mark.claim("P4")
async def test_when_a_notice_is_shown_then_no_operation_more_is_made_of_the_store(asking: Asking) -> None:
    async def made_by_a_call() -> Counter[str]:
        control = asking.stack.control("cosmos")
        before = Counter(await control.counts())
        await me(asking)
        made = Counter(await control.counts()) - before
        return Counter({name: made[name] for name in ("query config", "read config")})

    async def fewest() -> Counter[str]:
        """What the call itself makes: other functions may do something meanwhile."""
        return functools.reduce(lambda one, other: one & other, [await made_by_a_call() for _ in range(5)])

    without = await fewest()
    assert without.total() > 0
    async with told(asking):
        assert await fewest() == without


# -- from when, until when


@pytest.mark.claim("P4")
async def test_when_a_notice_begins_later_then_it_is_shown_from_then_on_and_not_after_its_end(asking: Asking) -> None:
    now = datetime.now(UTC)
    begins, ends = now + timedelta(seconds=1.5), now + timedelta(seconds=3)
    notice = (await publish(asking, begins_at=utc_text(begins), ends_at=utc_text(ends))).body
    seen: list[tuple[datetime, datetime, bool]] = []
    while not seen or seen[-1][0] < ends:
        sent = datetime.now(UTC)
        shown = notice in (await me(asking))["notices"]
        seen.append((sent, datetime.now(UTC), shown))
    assert {shown for sent, answered, shown in seen if answered < begins or sent >= ends} == {False}
    assert {shown for sent, answered, shown in seen if begins <= sent and answered < ends} == {True}


@pytest.mark.claim("P4")
async def test_when_there_are_several_then_all_are_shown_the_latest_first(asking: Asking) -> None:
    async with told(asking) as first, told(asking, severity="info") as second:
        assert (await me(asking))["notices"] == [second, first]


async def test_when_a_notice_says_no_beginning_or_a_past_one_then_it_begins_now(asking: Asking) -> None:
    for begins_at in (None, "1999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
        before = utc_text(datetime.now(UTC))
        async with told(asking, begins_at=begins_at) as notice:
            assert before <= notice["begins_at"] <= utc_text(datetime.now(UTC))


@pytest.mark.parametrize(
    "times",
    [
        {"ends_at": "2020-01-01T00:00:00Z"},
        {"begins_at": "2120-01-01T00:00:00Z"},
        {"ends_at": "2120-01-01T00:00:00Z"},
        {"begins_at": "9999-12-31T23:59:59-14:00", "ends_at": "9999-12-31T23:59:59.9-14:00"},
    ],
    ids=["over already", "ends before it begins", "too long", "the end of time"],
)
async def test_when_the_times_of_a_notice_cannot_be_then_409(asking: Asking, times: dict[str, str]) -> None:
    (await publish(asking, **times)).is_problem(409, "conflict")


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": None},
        {"text": ""},
        {"text": "x" * 1001},
        {"severity": "fatal"},
        {"severity": None},
        {"ends_at": None},
        {"ends_at": "2026-11-23T09:30:00"},
        {"reason": None},
        {"audience": "everyone"},
    ],
    ids=lambda wrong: ", ".join(f"{name}: {str(value)[:20]}" for name, value in wrong.items()),
)
async def test_when_a_notice_is_published_in_a_wrong_way_then_400(asking: Asking, wrong: dict[str, Any]) -> None:
    (await publish(asking, **wrong)).is_problem(400, "malformed")


# -- who publishes, and what the trail says


@pytest.mark.claim("P4", "A3")
async def test_when_a_notice_is_published_and_withdrawn_then_the_trail_says_by_whom_why_and_what_it_said(
    asking: Asking,
) -> None:
    notice = (await publish(asking, reason="the status page says so")).body
    withdrawn = (await withdraw(asking, notice["id"], reason="it is green again")).body
    target = f"notice:{notice['id']}"
    first = await asking.trail(f"EventType == 'notice.publish' and Target == '{target}'")
    last = await asking.trail(f"EventType == 'notice.withdraw' and Target == '{target}'")
    adam = str(asking.stack.person("adam").oid)
    assert (first["Actor"], first["Reason"]) == (adam, "the status page says so")
    assert (last["Actor"], last["Reason"]) == (adam, "it is green again")
    assert json.loads(first["After"]) == json.loads(last["Before"]) == notice
    assert json.loads(last["After"]) == withdrawn == {**notice, "ends_at": withdrawn["ends_at"]}


@pytest.mark.claim("A3")
async def test_when_a_notice_is_withdrawn_by_many_and_again_then_it_ends_once(asking: Asking) -> None:
    notice = (await publish(asking)).body
    replies = await asyncio.gather(*(withdraw(asking, notice["id"], reason=f"by {n}") for n in range(5)))
    again = await withdraw(asking, notice["id"], reason="once more")
    assert {(reply.status, reply.text) for reply in (*replies, again)} == {(200, again.text)}
    event = await asking.trail(f"EventType == 'notice.withdraw' and Target == 'notice:{notice['id']}'")
    assert event["Reason"].startswith("by ")


@pytest.mark.claim("I5")
async def test_when_somebody_is_no_platform_admin_then_they_publish_and_withdraw_nothing(asking: Asking) -> None:
    async with told(asking) as notice:
        for person in ("alice", "ivan", "gus", "audrey", "paula"):
            (await publish(asking, by=person)).is_problem(403, "role-missing")
            (await withdraw(asking, notice["id"], by=person)).is_problem(403, "role-missing")
        assert (await me(asking))["notices"] == [notice]


async def test_when_notices_are_listed_then_those_that_ended_are_there_too(asking: Asking) -> None:
    over = (await withdraw(asking, (await publish(asking)).body["id"])).body
    async with told(asking) as notice:
        for person in ("adam", "audrey", "ivan"):
            listed = (await asking.call("GET", NOTICES, token=asking.stack.token(person))).body["notices"]
            assert listed[0] == notice
            assert over in listed


async def test_when_a_notice_is_not_there_then_404(asking: Asking) -> None:
    for notice in ("none", "team:sales", "019ab000-0000-7000-8000-000000000000", "a%2Fb"):
        (await withdraw(asking, notice)).is_problem(404, "not-found")
