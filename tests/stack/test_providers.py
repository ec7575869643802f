"""One contract for every provider module: what comes of an answer, and of each way of not getting one."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import timedelta
from email.utils import format_datetime
from typing import Any, get_args

import pytest
import pytest_asyncio
from aiohttp import web

from governance.reservations import Usage
from local.standin import serving
from routing.credentials import Credentials
from routing.endpoints import Endpoint
from routing.messages import Asked, Completion, Message, Provider
from routing.providers import provider_at
from routing.providers.errors import (
    CONNECT_SECONDS,
    UNKNOWN,
    ContextTooLong,
    EmptyAnswer,
    ModelDeclined,
    ModelError,
    ModelOutcomeUnknown,
    ModelRefused,
    ModelUnreachable,
    NotOffered,
)
from services.clock import utc_now
from services.tokens import TokenUnavailable
from tests.stack.models_kit import CREDENTIALS, PLACES, Model, model

pytestmark = pytest.mark.asyncio(loop_scope="module")

MESSAGES: list[Message] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "What makes an offer?"},
    {"role": "assistant", "content": "A price."},
    {"role": "user", "content": "And a good one?"},
]
ASKED = Asked(MESSAGES, temperature=0.5, max_output_tokens=100, timeout_seconds=5)
HURRIED = Asked(MESSAGES, temperature=0.5, max_output_tokens=100, timeout_seconds=0.2)
ANSWER = "A discount, a date and a name."

CREDENTIAL_HEADERS = ("authorization", "api-key", "x-api-key")

every_provider = pytest.mark.parametrize("name", sorted(PLACES))
either_way = pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
by_openais_api = pytest.mark.parametrize("name", sorted(PLACES.keys() - {"anthropic"}))


@pytest_asyncio.fixture(loop_scope="module")
async def scripted() -> AsyncIterator[Model]:
    async with model(answer=ANSWER) as there:
        yield there


async def at(scripted: Model, name: str, **other: Any) -> Provider:
    return await provider_at(scripted.endpoint(name, **other), CREDENTIALS)


async def answered(provider: Provider, asked: Asked = ASKED, *, streamed: bool) -> Completion:
    if not streamed:
        return await provider.complete(asked)
    *pieces, last = [each async for each in provider.stream(asked)]
    assert isinstance(last, Completion)
    assert "".join(piece for piece in pieces if isinstance(piece, str)) == last.text
    assert len(pieces) > 3
    return last


# -- answers


@pytest.mark.claim("M1", "M2", "M3")
@every_provider
@either_way
async def test_when_a_model_answers_then_there_is_its_text_and_what_it_used(
    scripted: Model, name: str, streamed: bool
) -> None:
    completion = await answered(await at(scripted, name, model="large"), streamed=streamed)
    assert (completion.text, completion.model, completion.finish_reason) == (ANSWER, "large", "stop")
    assert (completion.input_tokens, completion.output_tokens) == (10, 5)
    (sent,) = await scripted.asked()
    assert sent["model"] == "large"
    asked = [{"role": "system", "content": sent["system"]}] if name == "anthropic" else []
    assert asked + sent["messages"] == MESSAGES


@every_provider
@either_way
async def test_when_an_answer_is_longer_than_allowed_then_it_is_cut_and_says_so(
    scripted: Model, name: str, streamed: bool
) -> None:
    provider = await at(scripted, name)
    completion = await answered(provider, Asked(MESSAGES, 0, 5, timeout_seconds=5), streamed=streamed)
    assert (completion.text, completion.finish_reason) == (ANSWER[:20], "length")


@pytest.mark.claim("C3")
@every_provider
@either_way
async def test_when_usage_is_missing_then_it_is_not_known(scripted: Model, name: str, streamed: bool) -> None:
    await scripted.script(answer=ANSWER, usage=None)
    completion = await answered(await at(scripted, name), streamed=streamed)
    assert (completion.text, completion.usage()) == (ANSWER, Usage())


@by_openais_api
async def test_when_input_was_in_the_cache_then_that_is_told(scripted: Model, name: str) -> None:
    await scripted.script(usage={"prompt_tokens": 10, "completion_tokens": 5, "cached_tokens": 8})
    assert (await (await at(scripted, name)).complete(ASKED)).cached_input_tokens == 8


@by_openais_api
async def test_when_a_model_takes_no_temperature_then_none_is_sent(scripted: Model, name: str) -> None:
    for takes in (True, False):
        await (await at(scripted, name, takes_temperature=takes)).complete(ASKED)
    assert [body.get("temperature") for body in await scripted.asked()] == [0.5, None]


@by_openais_api
async def test_when_an_answer_is_limited_then_by_the_name_that_the_server_knows(scripted: Model, name: str) -> None:
    await (await at(scripted, name)).complete(ASKED)
    known = "max_tokens" if name == "openai-compatible" else "max_completion_tokens"
    assert {word: n for word, n in (await scripted.asked())[0].items() if word.startswith("max_")} == {known: 100}


# -- refusals


@pytest.mark.claim("M4")
@every_provider
@either_way
@pytest.mark.parametrize("how", ["as an error", "as an end"])
async def test_when_the_content_is_refused_then_that_is_final(
    scripted: Model, name: str, streamed: bool, how: str
) -> None:
    await scripted.script(
        **({"refusal": "content_filter"} if how == "as an error" else {"finish_reason": "content_filter"})
    )
    with pytest.raises(ModelDeclined) as declined:
        await answered(await at(scripted, name), streamed=streamed)
    assert declined.value.then == "stop"
    assert declined.value.used is not None
    told = (declined.value.used.input_tokens, declined.value.used.output_tokens)
    assert told == ((None, None) if how == "as an error" else (10, 5))


@every_provider
@either_way
async def test_when_the_question_is_too_long_then_that_is_final(scripted: Model, name: str, streamed: bool) -> None:
    await scripted.script(refusal="context_length")
    with pytest.raises(ContextTooLong) as too_long:
        await answered(await at(scripted, name), streamed=streamed)
    assert too_long.value.then == "stop"


@every_provider
@either_way
@pytest.mark.parametrize("text", ["", " \n"])
async def test_when_the_answer_is_empty_then_it_is_none_but_was_used(
    scripted: Model, name: str, streamed: bool, text: str
) -> None:
    await scripted.script(answer=text)
    with pytest.raises(EmptyAnswer) as empty:
        await (await at(scripted, name)).complete(ASKED) if not streamed else [
            each async for each in (await at(scripted, name)).stream(ASKED)
        ]
    assert empty.value.then == "elsewhere"
    assert empty.value.used is not None
    assert (empty.value.used.input_tokens, empty.value.used.output_tokens) == (10, 5)


# -- failures


@every_provider
@either_way
@pytest.mark.parametrize(
    ("status", "then", "wait"),
    [
        *((429, "again", 7), (500, "again", None), (503, "again", 7), (529, "again", None)),
        *((401, "elsewhere", None), (404, "elsewhere", None), (400, "stop", None)),
    ],
)
async def test_when_the_provider_says_no_then_nothing_was_used_and_it_says_what_may_help(
    scripted: Model, name: str, streamed: bool, status: int, then: str, wait: float | None
) -> None:
    scripted.fault(kind="status", status=status, seconds=7)
    with pytest.raises(ModelRefused) as refused:
        await answered(await at(scripted, name), streamed=streamed)
    error = refused.value
    assert (error.then, error.used, error.retry_after_seconds) == (then, None, wait)
    assert scripted.calls == 1, "no SDK repeats it"


@every_provider
@either_way
@pytest.mark.parametrize("status", [408, 502, 504])
async def test_when_a_gateway_gives_up_then_the_model_may_have_run(
    scripted: Model, name: str, streamed: bool, status: int
) -> None:
    scripted.fault(kind="status", status=status)
    await unknown(await at(scripted, name), streamed=streamed)
    assert scripted.calls == 1


async def unknown(provider: Provider, asked: Asked = ASKED, *, streamed: bool) -> None:
    with pytest.raises(ModelOutcomeUnknown) as failed:
        await answered(provider, asked, streamed=streamed)
    assert (failed.value.then, failed.value.used) == ("again", UNKNOWN)


@every_provider
@either_way
async def test_when_the_answer_does_not_come_in_time_then_nobody_knows_what_was_used(
    scripted: Model, name: str, streamed: bool
) -> None:
    scripted.fault(kind="delay", seconds=3)
    await unknown(await at(scripted, name), HURRIED, streamed=streamed)
    assert scripted.calls == 1


@every_provider
@either_way
async def test_when_the_connection_is_cut_then_nobody_knows_what_was_used(
    scripted: Model, name: str, streamed: bool
) -> None:
    """A stream is cut in its middle."""
    scripted.fault(kind="drop")
    await unknown(await at(scripted, name), streamed=streamed)
    assert scripted.calls == 1


@every_provider
@either_way
async def test_when_the_answer_is_no_json_then_nobody_knows_what_was_used(
    scripted: Model, name: str, streamed: bool
) -> None:
    await scripted.script(malformed=True)
    await unknown(await at(scripted, name), streamed=streamed)


@every_provider
@either_way
@pytest.mark.parametrize("body", ["{}", "[]", "null", '"words"', '{"choices": [], "content": null}'])
async def test_when_the_answer_is_of_another_shape_then_nobody_knows_what_was_used(
    name: str, streamed: bool, body: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        text = f"event: message_start\ndata: {body}\n\n" if streamed else body
        return web.Response(text=text, content_type="text/event-stream" if streamed else "application/json")

    async with serving(everywhere(answer)) as url:
        await unknown(await at(elsewhere(url), name), streamed=streamed)


def everywhere(handler: Any) -> web.Application:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    return app


def elsewhere(url: str) -> Model:
    """What is no stand-in."""
    return Model(None, url, "")  # type: ignore[arg-type]


@every_provider
@either_way
async def test_when_there_is_nobody_then_nothing_was_used(name: str, streamed: bool) -> None:
    with socket.socket() as nobody:  # bound, and not listening
        nobody.bind(("127.0.0.1", 0))
        closed = elsewhere(f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(ModelUnreachable) as unreachable:
            await answered(await at(closed, name), streamed=streamed)
    assert (unreachable.value.then, unreachable.value.used) == ("again", None)


async def test_when_nobody_takes_the_connection_then_that_is_known_long_before_the_answer_is_due() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf, ExitStack() as waiting:
        for _ in range(3):  # what is not accepted fills the backlog; further ones are not even begun
            first = waiting.enter_context(socket.socket())
            first.setblocking(False)
            first.connect_ex(deaf.getsockname())
        there = elsewhere(f"http://127.0.0.1:{deaf.getsockname()[1]}")
        calls = [(await at(there, name)).complete(Asked(MESSAGES, 0, 100, timeout_seconds=60)) for name in PLACES]
        async with asyncio.timeout(CONNECT_SECONDS + 5):
            ended = await asyncio.gather(*calls, return_exceptions=True)
    assert [(type(each), str(each)) for each in ended] == [(ModelUnreachable, "ConnectTimeout")] * len(PLACES)


BEGUN = (
    'data: {"model": "m", "choices": [{"index": 0, "delta": {"content": "A dis"}, "finish_reason": null}]}\n\n',
    'event: message_start\ndata: {"type": "message_start", "message": {"model": "m", "content": []}}\n\n'
    'event: content_block_delta\ndata: {"type": "content_block_delta", "index": 0, '
    '"delta": {"type": "text_delta", "text": "A dis"}}\n\n',
)
WRONG = (
    'data: {"error": {"message": "overloaded"}}\n\n',
    'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n',
)
"""Of a stream in OpenAI's shape, and in Anthropic's."""


@every_provider
@pytest.mark.parametrize("end", ["nothing more", "an error"])
async def test_when_a_stream_ends_before_the_answer_does_then_there_is_no_answer(name: str, end: str) -> None:
    """Also if the connection is closed as if all were well."""
    api = name == "anthropic"
    text = BEGUN[api] + (WRONG[api] if end == "an error" else "")

    async def answer(_: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/event-stream")

    async with serving(everywhere(answer)) as url:
        stream = (await at(elsewhere(url), name)).stream(ASKED)
        assert await anext(stream) == "A dis"
        with pytest.raises(ModelOutcomeUnknown):
            await anext(stream)


@every_provider
async def test_when_who_reads_a_stream_stops_then_the_provider_is_told(scripted: Model, name: str) -> None:
    await scripted.script(answer="word " * 100_000)
    stream = (await at(scripted, name)).stream(Asked(MESSAGES, 0, 10**6, timeout_seconds=5))
    assert await anext(stream) == "word"
    await stream.aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(5):
        while not any(name.endswith(":cancelled") for name in scripted.control.counts):
            await asyncio.sleep(0.005)


# -- where it goes, and what is shown there


@pytest.mark.claim("T4", "M6")
@every_provider
@either_way
async def test_when_an_endpoint_redirects_then_nobody_follows(scripted: Model, name: str, streamed: bool) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=307, headers={"Location": f"{scripted.base_url}{PLACES[name]['path']}"})

    async with serving(everywhere(answer)) as url:
        with pytest.raises(ModelRefused, match="307") as refused:
            await answered(await at(elsewhere(url), name), streamed=streamed)
    assert refused.value.then == "elsewhere"
    assert scripted.calls == 0


@pytest.mark.claim("M1")
@every_provider
async def test_when_an_endpoint_is_called_then_it_is_shown_its_own_credential_and_no_other(name: str) -> None:
    shown = []

    async def look(request: web.Request) -> web.Response:
        shown.append([value for name, value in request.headers.items() if name.lower() in CREDENTIAL_HEADERS])
        return web.Response(status=401)

    async with serving(everywhere(look)) as url:
        for call in (
            (await at(elsewhere(url), name)).complete(ASKED),
            anext((await at(elsewhere(url), name)).stream(ASKED)),
        ):
            with pytest.raises(ModelRefused):
                await call
    expected = {
        "azure-openai": "Bearer of the app",
        "openai": "Bearer a key",
        "openai-compatible": "Bearer unused",
        "anthropic": "Bearer a key",
    }
    assert shown == [[expected[name]]] * 2


@every_provider
async def test_when_there_is_no_credential_then_the_endpoint_is_not_called(scripted: Model, name: str) -> None:
    async def no_token() -> str:
        raise TokenUnavailable("CredentialUnavailableError")

    secret = "MODEL_SECRET_LOCAL" if name == "openai-compatible" else PLACES[name].get("secret")
    with pytest.raises(ModelUnreachable, match=r"no token|no secret"):
        await provider_at(scripted.endpoint(name, secret=secret), Credentials({}, no_token))
    assert scripted.calls == 0


@every_provider
async def test_when_an_error_is_told_then_nothing_of_what_was_said_is_in_it(scripted: Model, name: str) -> None:
    for line in ({"refusal": "content_filter"}, {"refusal": "context_length"}, {"malformed": True}, {"answer": ""}):
        await scripted.script(**line)
        with pytest.raises(ModelError) as failed:
            await (await at(scripted, name)).complete(ASKED)
        assert failed.value.__cause__ is None
        assert len(str(failed.value)) < 40


@every_provider
@either_way
async def test_when_everything_is_logged_then_not_what_is_said(
    scripted: Model, name: str, streamed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await answered(await at(scripted, name), streamed=streamed)
    assert caplog.text
    for said in ("And a good one?", "A discount", "a key", "of the app"):
        assert said not in caplog.text


# -- how long to wait


@pytest.mark.parametrize("name", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "12"}, (12, 12)),
        ({"Retry-After": "12", "retry-after-ms": "250"}, (0.25, 0.25)),
        ({"Retry-After": "in an hour"}, (3500, 3600)),
        ({"Retry-After": "Mon, 01 Jan 2024 00:00:00 GMT"}, (0, 0)),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "-1"}, None),
        ({}, None),
    ],
    ids=str,
)
async def test_when_the_provider_says_when_to_come_again_then_that_is_known(
    name: str, headers: dict[str, str], seconds: tuple[float, float] | None
) -> None:
    said = dict(headers)
    if said.get("Retry-After") == "in an hour":
        said["Retry-After"] = format_datetime(utc_now() + timedelta(hours=1), usegmt=True)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=429, headers=said)

    async with serving(everywhere(answer)) as url:
        with pytest.raises(ModelRefused) as refused:
            await (await at(elsewhere(url), name)).complete(ASKED)
    wait = refused.value.retry_after_seconds
    assert (wait is None) == (seconds is None)
    if seconds is not None and wait is not None:
        assert seconds[0] <= wait <= seconds[1]


# -- embeddings


@by_openais_api
async def test_when_texts_are_embedded_then_each_has_its_vector_in_their_order(scripted: Model, name: str) -> None:
    provider = await at(scripted, name, model="small")
    texts = ["the price of coffee", "a holiday at the sea", "coffee and its price"]
    embedded = await provider.embed(texts, 5)
    again = await provider.embed(texts[::-1], 5)
    assert embedded.vectors == again.vectors[::-1]
    assert len({len(vector) for vector in embedded.vectors}) == 1
    near, far = (sum(map(float.__mul__, embedded.vectors[0], embedded.vectors[n])) for n in (2, 1))
    assert near > far
    assert embedded.input_tokens == sum(-(-len(text) // 4) for text in texts)
    assert embedded.model == "small"


@by_openais_api
@pytest.mark.parametrize("status", [429, 500])
async def test_when_texts_cannot_be_embedded_then_it_fails_as_an_answer_does(
    scripted: Model, name: str, status: int
) -> None:
    scripted.fault(kind="status", status=status, seconds=7)
    with pytest.raises(ModelRefused, match=str(status)) as refused:
        await (await at(scripted, name)).embed(["a text"], 5)
    assert refused.value.then == "again"


async def test_when_the_provider_has_no_embeddings_then_it_says_so(scripted: Model) -> None:
    with pytest.raises(NotOffered):
        await (await at(scripted, "anthropic")).embed(["a text"], 5)
    assert scripted.calls == 0


async def test_when_an_endpoint_is_configured_then_every_provider_is_in_this_contract() -> None:
    assert {*PLACES} == {*get_args(Endpoint.model_fields["provider"].annotation)}
