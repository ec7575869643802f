"""Hostile tokens over HTTP: every client is told the same, whatever is wrong, and the log says what it is."""

from collections.abc import AsyncIterator

import aiohttp
import pytest
import pytest_asyncio

from local.process import Process
from tests.e2e.asking import Asking, Reply
from tests.e2e.kit import eventually
from tests.hostile_tokens import HOSTILE


@pytest_asyncio.fixture(loop_scope="session")
async def instance(asking: Asking) -> AsyncIterator[Process]:
    """An instance of the app with a log of its own, that has never looked for an unknown key."""
    instance = await asking.stack.start_instance("http")
    yield instance
    await asking.stack.kill(instance)


async def call(instance: Process, authorization: str) -> Reply:
    headers = {"Authorization": authorization}
    async with aiohttp.ClientSession() as http, http.get(f"{instance.url}/api/assistants", headers=headers) as answer:
        return Reply(answer.status, dict(answer.headers), await answer.text())


@pytest.mark.claim("I1", "T3")
async def test_when_tokens_are_hostile_then_the_answers_are_the_same_to_the_byte_and_the_log_has_the_reasons(
    asking: Asking, instance: Process
) -> None:
    tokens = [await asking.token(**hostile.how) for hostile in HOSTILE]
    assert (await call(instance, f"Bearer {asking.stack.token('alice')}")).status == 200
    replies = [await call(instance, ""), await call(instance, "Bearer any")]
    async with asking.nothing_written():
        for hostile, token in zip(HOSTILE, tokens, strict=True):
            before = instance.log.stat().st_size
            replies.append(await call(instance, f"Bearer {token}"))

            async def logged(before: int = before, reason: str = hostile.reason) -> None:
                assert f"token refused: {reason}\n" in instance.log.read_bytes()[before:].decode()

            await eventually(logged)
    for reply in replies:
        reply.is_problem(401, "token-refused")
        assert reply.text == replies[0].text
        assert dict(reply.headers) | {"Date": ""} == dict(replies[0].headers) | {"Date": ""}
    log = instance.log.read_text()
    parts = {part for token in tokens for part in token.split(".")} - {""}
    assert [part for part in parts if part in log] == []
    assert str(asking.stack.person("alice").oid) not in log
