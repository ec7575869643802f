"""A document into the index: read, cut into chunks, guarded, embedded, swapped in. An orchestration each version.

Every step may run twice, and a version that another upload has taken the place of is left where it is. Whatever goes
wrong for good ends the version as failed, with a reason in words; the one in use stays in use until the new one is
whole. The history holds ids and decisions, never text.
"""

import json
import logging
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, NotRequired, TypedDict

import azure.durable_functions as df
import azure.functions as func
import grpc
from durabletask.task import RetryPolicy, Task, TaskFailedError

from governance.changes import Journal
from governance.problems import ProblemError
from governance.reservations import attempts_of
from guardrails.check import check
from guardrails.policy import Policy
from guardrails.topics import Side
from pipeline.extraction import DocumentRefused, extracted
from pipeline.stage import StageFailed
from routing import chunk_index, library
from routing.calls import EmbeddingCall
from routing.chunk_index import Piece, VersionGone
from routing.collections import Collection, CollectionUnknown, find_configured
from routing.governed_call import CallUnderWay, NothingKept, governed_embeddings
from routing.library import DocumentUnknown, LibraryDocument
from routing.routes import find_route
from routing.worker import governor
from services.blobs import BlobMissing
from services.bus import DOCUMENTS
from services.clock import utc_text
from services.platform import Platform, platform

log = logging.getLogger(__name__)

bp = df.Blueprint()

TEXTS_A_CALL = 32
CALLS_AT_ONCE = 4
"""Of one document: its chunks are embedded side by side, and leave room for the questions that are asked meanwhile."""
RETRIES = RetryPolicy(first_retry_interval=timedelta(seconds=1), max_number_of_attempts=5, backoff_coefficient=2.0)

LOOKED_FOR = Policy(id="ingestion", version=1, pii={}, acceptable_use=[])
"""Orders to the model, and nothing else: they are counted for the publisher. What becomes of them, and of personal
data, is decided by the policy of the assistant that uses the document, whenever it does."""

FAILED = "It could not be indexed: a part of the platform did not work. Index it again."
NOT_THERE = "The file is gone: upload it again."
TWO_MODELS = "Its chunks were embedded by two models: every endpoint of a collection's route must have the same one."


class Version(TypedDict):
    """Which version of a document: ids only."""

    collection: str
    document: str
    version: str


class Batch(Version):
    start: int
    end: int


class Whole(Version):
    model: str
    """That made all of its vectors."""


class Broken(Version):
    reason: str
    """In words that quote nothing of the document."""


class Step(TypedDict):
    """What an activity tells the orchestrator."""

    next: Literal["proceed", "fail", "over", "wait"]
    until: NotRequired[str]
    """With ``wait``."""
    reason: NotRequired[str]
    """With ``fail``."""
    chunks: NotRequired[int]
    model: NotRequired[str]


@bp.service_bus_queue_trigger(arg_name="message", queue_name=DOCUMENTS, connection="SERVICEBUS")
@bp.durable_client_input(client_name="client")
async def start_indexing(message: func.ServiceBusMessage, client: df.DurableFunctionsClient) -> None:
    """Start the orchestration of a version, under the version's id, if it is still queued."""
    told = json.loads(message.get_body())
    version: Version = {name: told[name] for name in ("collection", "document", "version")}  # type: ignore[assignment]
    services = await platform()
    try:
        document = await library.find(services.store.chunks, version["collection"], version["document"])
    except DocumentUnknown:
        return
    if document.state != "queued" or document.incoming != version["version"]:
        return
    try:
        await client.schedule_new_orchestration("index_document", instance_id=version["version"], input=version)
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.ALREADY_EXISTS:
            raise


@bp.orchestration_trigger(context_name="context")  # type: ignore[arg-type] # its type says two arguments; one does
def index_document(context: df.DurableOrchestrationContext) -> Generator[Task[Any], Any]:
    version: Version = context.get_input()
    step: Step
    try:
        step = yield context.call_activity_with_retry("read_document", RETRIES, version)
        if step["next"] == "proceed":
            step = yield from _embedded(context, version, step["chunks"])
        if step["next"] == "proceed":
            whole: Whole = {**version, "model": step["model"]}
            step = yield context.call_activity_with_retry("swap_in_document", RETRIES, whole)
    except TaskFailedError:
        step = {"next": "fail", "reason": FAILED}
    if step["next"] == "fail":
        broken: Broken = {**version, "reason": step["reason"]}
        yield context.call_activity_with_retry("fail_document", RETRIES, broken)


def _embedded(
    context: df.DurableOrchestrationContext, version: Version, chunks: int
) -> Generator[Task[Any], Any, Step]:
    """All chunks, a few calls at once; the model that made the vectors, or the first step that says not to go on."""
    batches: list[Batch] = [
        {**version, "start": start, "end": min(start + TEXTS_A_CALL, chunks)}
        for start in range(0, chunks, TEXTS_A_CALL)
    ]
    models: set[str] = set()
    step: Step
    for first in range(0, len(batches), CALLS_AT_ONCE):
        some = batches[first : first + CALLS_AT_ONCE]
        steps = yield context.task_all(
            [context.call_activity_with_retry("embed_chunks", RETRIES, each) for each in some]
        )
        for batch, step in zip(some, steps, strict=True):
            while step["next"] == "wait":
                yield context.create_timer(datetime.fromisoformat(step["until"]))
                step = yield context.call_activity_with_retry("embed_chunks", RETRIES, batch)
            if step["next"] != "proceed":
                return step
            models.add(step["model"])
    if len(models) > 1:
        return {"next": "fail", "reason": TWO_MODELS}
    return {"next": "proceed", "model": models.pop()}


type Work = Callable[[Platform, LibraryDocument, Collection, Any], Awaitable[Step]]


def activity(work: Work) -> Callable[[Version], Awaitable[Step]]:
    """What the activities have in common: what they are given is looked up, and what goes wrong is named."""

    async def run(job: Version) -> Step:
        try:
            services = await platform()
            document = await library.find(services.store.chunks, job["collection"], job["document"])
            if document.incoming != job["version"]:
                return {"next": "over"}
            collection = await find_configured(services.store.config, job["collection"])
            return await work(services, document, collection, job)
        except (VersionGone, DocumentUnknown, CollectionUnknown):
            return {"next": "over"}
        except CallUnderWay as under_way:
            return {"next": "wait", "until": utc_text(under_way.until)}
        except DocumentRefused as refused:
            return {"next": "fail", "reason": str(refused)}
        except BlobMissing:
            return {"next": "fail", "reason": NOT_THERE}
        except ProblemError as error:
            problem = error.problem()
            return {"next": "fail", "reason": f"{problem.kind.title}: {problem.detail}"}
        except Exception as error:
            log.warning("document %s: %s failed: %s", job["document"], work.__name__, type(error).__name__)
            raise StageFailed(type(error).__name__) from None

    run.__name__ = work.__name__
    run.__doc__ = work.__doc__
    return run


@bp.activity_trigger(input_name="job")
@activity
async def read_document(services: Platform, document: LibraryDocument, collection: Collection, job: Version) -> Step:
    """The file into chunks, which are kept without vectors; orders to a model in them are counted."""
    chunks, version = services.store.chunks, job["version"]
    await library.advance(chunks, collection.id, document.id, version, state="extracting")
    assert services.blobs is not None, "a file was uploaded"
    data = await services.blobs.read(library.file_of(document, version))
    pieces = await extracted(data, collection.chunking)
    await chunk_index.keep_pieces(chunks, collection.id, document.id, version, pieces)
    found = {"incoming_chunks": len(pieces), "incoming_orders": await _giving_orders(pieces)}
    await library.advance(chunks, collection.id, document.id, version, state="embedding", **found)
    return {"next": "proceed", "chunks": len(pieces)}


async def _giving_orders(pieces: Sequence[Piece]) -> int:
    return sum([bool((await check(each.text, LOOKED_FOR, side=Side.DOCUMENT)).verdict.findings) for each in pieces])


@bp.activity_trigger(input_name="job")
@activity
async def embed_chunks(services: Platform, document: LibraryDocument, collection: Collection, job: Batch) -> Step:
    """Vectors for some chunks: a call of a model like any other, under every lever, at the owner team's cost."""
    chunks, version = services.store.chunks, job["version"]
    texts = await chunk_index.texts_of(chunks, collection.id, version, job["start"], job["end"])
    if len(texts) < job["end"] - job["start"]:
        return {"next": "over"}
    route = await find_route(services.store.config, collection.embeddings)
    call = EmbeddingCall(
        request_id=version,
        purpose=f"embed-{job['start']}",
        team=collection.owner_team,
        person=document.uploaded_by,
        assistant="",
        residency=collection.residency,
        endpoints=route.endpoints,
        texts=texts,
    )
    made = await governed_embeddings(governor(services), call, NothingKept())
    await chunk_index.set_vectors(chunks, collection.id, version, job["start"], made.embeddings.vectors)
    await library.count_done(chunks, collection.id, document.id, version, job["end"])
    return {"next": "proceed", "model": made.model}


@bp.activity_trigger(input_name="job")
@activity
async def swap_in_document(services: Platform, document: LibraryDocument, collection: Collection, job: Whole) -> Step:
    """The version is whole: from here on it is the one in use. Then what was before it is cleared away."""
    journal = Journal(services.store, services.bus)
    told = await _told(services, document, collection)
    await library.swap_in(journal, document, job["version"], job["model"], told)
    await _clear_away(services, document)
    return {"next": "proceed"}


@bp.activity_trigger(input_name="job")
@activity
async def fail_document(services: Platform, document: LibraryDocument, collection: Collection, job: Broken) -> Step:
    """The version will not be used, and whoever uploaded it reads why."""
    journal = Journal(services.store, services.bus)
    told = await _told(services, document, collection, reason=job["reason"], outcome="failed")
    await library.fail(journal, document, job["version"], job["reason"], told)
    await _clear_away(services, document)
    return {"next": "over"}


async def _told(
    services: Platform, document: LibraryDocument, collection: Collection, reason: str = "", outcome: str = "done"
) -> library.Told:
    """The event of how a version ended, with what its embeddings cost."""
    assert document.incoming is not None
    attempts = await attempts_of(services.store.budgets, collection.owner_team, document.incoming)
    return library.told(
        "document.index",
        actor="",
        team=collection.owner_team,
        reason=reason,
        outcome=outcome,
        RequestId=document.incoming,
        CostMicro=sum(each.charged_micro for each in attempts),
        Currency=attempts[-1].currency if attempts else "",
    )


async def take_up(services: Platform, queued_before: datetime, stuck_before: datetime) -> int:
    """The sweep: what was queued and not started is queued again; what no step has brought further for long has failed;
    uploads that broke off are dropped; and what should have been cleared away is."""
    taken = 0
    query = """SELECT * FROM c WHERE c.type = 'document' AND c.changed_at < @before
        AND (c.state NOT IN ('ready', 'failed') OR (c.state = 'ready' AND ARRAY_LENGTH(c.stored) > 1))"""
    async for found in services.store.chunks.query(query, {"@before": utc_text(queued_before)}):
        document = LibraryDocument.model_validate(found)
        if document.state == "queued":
            await library.announce_version(services.bus, document)
        elif document.changed_at >= stuck_before:
            continue
        else:
            await _put_right(services, document)
        taken += 1
    return taken


async def _put_right(services: Platform, document: LibraryDocument) -> None:
    store = services.store
    with suppress(VersionGone, DocumentUnknown, CollectionUnknown):
        if document.state in library.UNDER_WAY:
            assert document.incoming is not None
            collection = await find_configured(store.config, document.collection)
            told = await _told(services, document, collection, reason=FAILED, outcome="failed")
            await library.fail(Journal(store, services.bus), document, document.incoming, FAILED, told)
        elif document.state == "uploading":
            assert services.blobs is not None, "a file was to come"
            await library.drop_upload(store.chunks, services.blobs, document)
    await _clear_away(services, document)


async def _clear_away(services: Platform, document: LibraryDocument) -> None:
    assert services.blobs is not None, "a file was uploaded"
    await library.clear_away(services.store.chunks, services.blobs, document.collection, document.id)
