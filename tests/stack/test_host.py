"""The Functions host as processes: the test app of host_app/ on the real Durable and Service Bus stand-ins."""

import asyncio
import json
import signal
from collections import Counter
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from azure.servicebus import ServiceBusMessage

from local.control import ControlClient
from local.process import StartFailed
from tests.stack.host_kit import SECONDS, Stack

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with Stack.running(tmp_path_factory.mktemp("host")) as stack:
        yield stack


async def test_when_groups_are_ready_then_each_serves_its_own_functions(stack: Stack) -> None:
    assert stack.hosts["http"].ready["functions"] == ["echo", "fixed", "raises", "slow", "streams", "start"]
    assert stack.hosts["queues"].ready["functions"] == ["single", "batch", "tick", "yearly"]
    assert {"add_all", "add", "breaking"} <= set(stack.hosts["durable"].ready["functions"])
    assert (stack.hosts["queues"].ready["url"], stack.hosts["durable"].ready["url"]) == (None, None)


async def test_when_the_app_asks_for_what_is_not_served_then_the_host_says_so_and_ends(stack: Stack) -> None:
    with pytest.raises(StartFailed, match=r"refused: tick: .* six fields"):
        await stack.host("queues", HOST_APP_SCHEDULE="often")


# HTTP


async def test_when_a_request_comes_then_the_function_sees_all_of_it_and_its_answer_goes_back(stack: Stack) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"X-One": "1", "traceparent": trace, "Content-Type": "text/plain"}
    path = "/api/ECHO/a%2Fb/c%20%C3%A4?x=1&x=2&empty=&y=%26"
    async with stack.call("POST", path, headers=headers, data="grüß".encode()) as response:
        request = await response.json()
    assert (response.status, response.headers["X-Answer"], response.content_type) == (201, "yes", "application/json")
    assert (request["method"], request["body"]) == ("POST", "grüß")
    assert request["url"].startswith(stack.hosts["http"].url + "/api/ECHO/")
    assert request["route"] == {"first": "a%2Fb", "second": "c ä"}
    assert request["query"] == [["x", "1"], ["x", "2"], ["empty", ""], ["y", "&"]]
    assert request["headers"]["x-one"] == "1"
    assert request["traceparent"].split("-")[1] == trace.split("-")[1]
    assert request["traceparent"] != trace
    assert request["thread"] is True  # asynchronous functions run on the event loop


async def test_when_a_literal_matches_then_it_wins_over_a_parameter(stack: Stack) -> None:
    async with stack.call("POST", "/api/echo/fixed/b") as response:
        assert await response.text() == "fixed, main thread: False"  # synchronous functions run in the thread pool


@pytest.mark.parametrize(("size", "status"), [(30_000, 201), (40_000, 400)])
async def test_when_a_header_is_as_long_as_a_token_may_be_then_the_function_gets_it(
    stack: Stack, size: int, status: int
) -> None:
    async with stack.call("POST", "/api/echo/a/b", headers={"X-One": "1" * size}) as response:
        assert response.status == status
        if status == 201:
            assert (await response.json())["headers"]["x-one"] == "1" * size


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/nothing"), ("GET", "/raises"), ("GET", "/api/echo/a"), ("GET", "/api/echo/a/b"), ("GET", "/")],
)
async def test_when_no_function_has_that_path_and_method_then_404_without_a_body(
    stack: Stack, method: str, path: str
) -> None:
    async with stack.call(method, path) as response:
        assert (response.status, await response.read()) == (404, b"")


async def test_when_a_function_raises_then_500_without_a_body(stack: Stack) -> None:
    control = stack.control("http")
    await control.reset()
    async with stack.call("GET", "/api/raises") as response:
        assert (response.status, await response.read()) == (500, b"")
    assert await control.counts() == {"raises": 1, "raises:failed": 1}
    assert "ValueError: on purpose" in stack.hosts["http"].log.read_text()


async def test_when_the_client_leaves_then_the_invocation_goes_on(stack: Stack) -> None:
    async def leave() -> None:
        async with stack.call("POST", "/api/slow?seconds=0.3"):
            pytest.fail("it should have been too slow")

    leaving = asyncio.create_task(leave())
    assert await stack.seen.next("slow") == "began"
    leaving.cancel()
    assert await stack.seen.next("slow") == "ended"


async def test_when_connections_to_the_worker_have_idled_then_no_request_on_them_is_lost(stack: Stack) -> None:
    async def ask(after: float) -> int:
        await asyncio.sleep(after)
        async with stack.call("POST", "/api/echo/a/b", data=b"text") as response:
            return response.status

    await asyncio.gather(*(ask(0) for _ in range(50)))
    # The worker's server closes what has idled for five seconds: the next requests come just before, while and after.
    async with asyncio.timeout(SECONDS):
        assert await asyncio.gather(*(ask(4.9 + number * 0.004) for number in range(50))) == [201] * 50


async def test_when_an_answer_streams_then_each_piece_comes_as_it_is_made(stack: Stack) -> None:
    async with stack.call("GET", "/api/streams/one,waits") as response:
        assert response.headers["Content-Type"].startswith("text/plain")
        assert await response.content.readline() == b"one\n"
        assert await response.content.readline() == b"waits\n"
    assert [await stack.seen.next("stream") for _ in range(3)] == ["one", "waits", "cancelled"]  # the client has left


async def test_when_a_stream_breaks_then_the_client_does_not_take_it_for_the_end(stack: Stack) -> None:
    async with stack.call("GET", "/api/streams/one,broken") as response:
        with pytest.raises(aiohttp.ClientError):
            await response.read()
    assert await stack.seen.next("stream") == "one"


async def test_when_faults_are_set_then_the_invocation_fails_or_waits(stack: Stack) -> None:
    control = stack.control("http")
    await control.faults(
        [
            {"operation": "fixed", "kind": "status", "times": 1},
            {"operation": "fixed:done", "kind": "delay", "seconds": 0.3, "times": 1},
        ]
    )
    clock = asyncio.get_running_loop().time
    began = clock()
    statuses = []
    for _ in range(3):
        async with stack.call("GET", "/api/echo/fixed/b") as response:
            statuses.append(response.status)
    assert statuses == [500, 200, 200]
    assert clock() - began >= 0.3


# Durable


async def test_when_an_orchestration_calls_activities_then_it_gets_their_results(stack: Stack) -> None:
    ended = await stack.orchestrate("add_all", [1, 2, 3, 4])
    assert (ended["status"], ended["output"]) == ("COMPLETED", "10")


async def test_when_activities_are_started_together_then_they_run_side_by_side(stack: Stack) -> None:
    ended = await stack.orchestrate("together", 5)
    assert (ended["status"], json.loads(ended["output"])) == ("COMPLETED", ["met"] * 3)


async def test_when_an_activity_raises_then_the_orchestration_learns_class_text_and_trace(stack: Stack) -> None:
    ended = await stack.orchestrate("tells_what_broke", 0)
    kind, text, trace = json.loads(ended["output"])
    assert (kind, text) == ("LookupError", "no such thing")
    assert 'raise LookupError("no such thing")' in trace


async def test_when_the_app_has_no_such_orchestrator_then_it_fails(stack: Stack) -> None:
    ended = await stack.orchestrate("nothing_like_it", 0)
    assert (ended["status"], ended["error"][0]) == ("FAILED", "FunctionNotFound")


async def test_when_an_instance_dies_between_activity_and_report_then_another_does_it_again(stack: Stack) -> None:
    doomed = await stack.host("durable")
    await ControlClient(doomed.control).faults([{"operation": "add:done", "kind": "drop"}])
    ended = await asyncio.gather(*(stack.orchestrate("add_all", list(range(10))) for _ in range(4)))
    assert [one["output"] for one in ended] == ["45"] * 4
    async with asyncio.timeout(SECONDS):
        assert await doomed.wait() == -signal.SIGKILL


# Service Bus


async def test_when_a_message_comes_then_the_function_sees_its_metadata_and_it_is_completed(stack: Stack) -> None:
    await stack.send(
        "singles",
        ServiceBusMessage(
            "grüß",
            message_id="m-1",
            correlation_id="c-1",
            reply_to_session_id="r-1",
            subject="s-1",
            content_type="text/plain",
            application_properties={"text": "x", "number": 2, "flag": True},
        ),
    )
    message = await stack.seen.next("single")
    enqueued = datetime.fromisoformat(message.pop("enqueued"))
    assert enqueued.tzinfo is None  # as in Azure: UTC, and it does not say so
    assert message.pop("sequence_number") > 0
    properties = {"text": "x", "number": 2, "flag": True}
    assert message == {
        "body": "grüß",
        "message_id": "m-1",
        "delivery_count": 1,
        "correlation_id": "c-1",
        "reply_to_session_id": "r-1",
        "subject": "s-1",
        "content_type": "text/plain",
        "application_properties": properties,
        "user_properties": properties,
    }
    await empty(stack, "singles")


async def test_when_messages_wait_for_each_other_then_two_run_at_a_time(stack: Stack) -> None:
    await stack.send("singles", *(ServiceBusMessage("pair") for _ in range(4)))  # maxConcurrentCalls is 2
    for _ in range(4):
        assert (await stack.seen.next("single"))["body"] == "pair"
    await empty(stack, "singles")


async def test_when_a_function_raises_then_its_message_comes_again_until_it_is_dead_lettered(stack: Stack) -> None:
    await stack.send("singles", ServiceBusMessage("poison"))
    assert [(await stack.seen.next("single"))["delivery_count"] for _ in range(3)] == [1, 2, 3]
    await empty(stack, "singles")
    assert (await stack.queue("singles"))["dead_lettered"] == 1


async def test_when_messages_are_there_then_a_batch_takes_them_with_arrays_of_metadata(stack: Stack) -> None:
    messages = [
        ServiceBusMessage(f"b-{n}", message_id=f"m-{n}", correlation_id="c" if n == 1 else None) for n in range(3)
    ]
    await stack.send("batches", *messages)
    batch = await stack.seen.next("batch")  # maxMessageBatchSize is 3
    assert [message["body"] for message in batch] == ["b-0", "b-1", "b-2"]
    assert [message["message_id"] for message in batch] == ["m-0", "m-1", "m-2"]
    assert [message["delivery_count"] for message in batch] == [1, 1, 1]
    assert [message["application_properties"] for message in batch] == [{}, {}, {}]
    assert [message["correlation_id"] for message in batch] == ["c", None, None]  # moved up, as in Azure
    await empty(stack, "batches")


async def test_when_a_batch_fails_then_all_of_it_comes_again(stack: Stack) -> None:
    control = stack.control("queues")
    await control.faults([{"operation": "batch:done", "kind": "status", "times": 1}])
    await stack.send("batches", *(ServiceBusMessage(f"b-{n}") for n in range(5)))
    counts: Counter[str] = Counter()
    while counts.total() < 8:
        counts.update(message["body"] for message in await stack.seen.next("batch"))
    assert set(counts) == {f"b-{n}" for n in range(5)}
    await empty(stack, "batches")


# Timers, and several instances


async def test_when_a_timer_is_run_by_hand_then_the_answer_comes_when_it_has_finished(stack: Stack) -> None:
    control = stack.control("queues")
    stack.seen.so_far("yearly")
    await control.call("POST", "/control/run/yearly")
    following = await stack.seen.next("yearly")
    assert following.endswith("-01-01T00:00:00+00:00")
    await control.faults([{"operation": "yearly", "kind": "status", "times": 1}])
    with pytest.raises(aiohttp.ClientResponseError, match="500"):
        await control.call("POST", "/control/run/yearly")
    with pytest.raises(aiohttp.ClientResponseError, match="404"):
        await control.call("POST", "/control/run/single")


async def test_when_an_instance_dies_then_another_takes_over_its_timers_and_messages(stack: Stack) -> None:
    await asyncio.gather(*(stack.host("queues", "pair", HOST_APP_SINGLES="alone") for _ in range(2)))
    pair = {process.pid: process for process in stack.processes[-2:]}
    instances = set(pair)

    ticks: list[int] = []

    async def next_tick() -> int:
        while (pid := (await stack.seen.next_with_pid("tick"))[0]) not in instances:
            pass  # those of the other run directory
        ticks.append(pid)
        return pid

    first = await next_tick()
    doomed = pair.pop(first)
    ((second, survivor),) = pair.items()

    # It dies after a function has run and before the message is settled. The other one gets it when its lock is over.
    await ControlClient(doomed.control).faults([{"operation": "single:done", "kind": "drop"}])
    await stack.send("alone", *(ServiceBusMessage(f"x-{n}") for n in range(4)))
    lost: set[str] = set()
    deliveries: dict[str, int] = {}
    while len(deliveries) < 4:
        pid, message = await stack.seen.next_with_pid("single")
        if pid == first:
            lost.add(message["body"])
        else:
            deliveries[message["body"]] = message["delivery_count"]
    assert lost
    assert {body for body, count in deliveries.items() if count == 2} >= lost
    assert set(deliveries.values()) <= {1, 2}
    assert await doomed.wait() == -signal.SIGKILL
    while await next_tick() != second:
        pass
    assert ticks == [*[first] * (len(ticks) - 1), second]  # never both
    assert {pid for pid, _ in stack.seen.so_far("yearly")} >= {first, second}  # run on start-up, by whoever takes over
    await empty(stack, "alone")
    await survivor.kill()


async def test_when_the_broker_was_away_then_the_pumps_come_back(stack: Stack) -> None:
    before = stack.standins["servicebus"]
    port = before.url.rpartition(":")[2]
    await stack.hang_up()
    await before.kill()
    entities, data = stack.folder / "entities.json", stack.folder / "bus"
    await stack.standin("servicebus", "--entities", entities, "--data", data, "--port", port)
    await asyncio.gather(*(stack.send(queue, ServiceBusMessage("after")) for queue in ("singles", "batches")))
    assert (await stack.seen.next("single"))["body"] == "after"
    assert [message["body"] for message in await stack.seen.next("batch")] == ["after"]
    await empty(stack, "singles")


async def test_when_the_durable_backend_was_away_then_the_durable_group_comes_back(stack: Stack) -> None:
    before = stack.standins["durable"]
    await before.kill()
    await stack.standin("durable", "--port", before.url.rpartition(":")[2])
    ended = await stack.orchestrate("add_all", [1, 2])
    assert ended["output"] == "3"


async def test_when_the_queues_group_is_told_to_stop_then_it_finishes_what_it_runs(stack: Stack) -> None:
    await stack.send("singles", ServiceBusMessage("slow"))
    assert (await stack.seen.next("single"))["body"] == "slow"
    await stack.hosts["queues"].stop(grace=SECONDS)
    assert await stack.seen.next("slow") == "ended"
    assert await stack.hosts["queues"].wait() == 0
    assert (await stack.queue("singles"))["locked"] == 0


async def test_when_the_http_group_is_told_to_stop_then_requests_under_way_are_answered(stack: Stack) -> None:
    async def ask() -> tuple[int, str]:
        async with stack.call("POST", "/api/slow?seconds=0.3") as response:
            return response.status, await response.text()

    asking = asyncio.create_task(ask())
    assert await stack.seen.next("slow") == "began"
    await stack.hosts["http"].stop(grace=SECONDS)
    assert await asking == (200, "done")
    assert await stack.hosts["http"].wait() == 0


async def empty(stack: Stack, queue: str) -> None:
    """Wait until nothing is left to deliver: settling ends a moment after the function."""
    counts: dict[str, Any] = {}
    async with asyncio.timeout(SECONDS):
        while counts.get("active") != 0 or counts.get("locked") != 0:
            counts = await stack.queue(queue)
