"""The Azure services as one process holds them: opened at first use, once, and kept."""

import asyncio
import gc
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

from azure.identity.aio import ManagedIdentityCredential
from azure.monitor.ingestion.aio import LogsIngestionClient
from azure.monitor.query.aio import LogsQueryClient

from services.blobs import Blobs
from services.bus import Bus, bus_client
from services.content_safety import ContentSafety
from services.documents import Store, cosmos_client, require_strong
from services.graph import Graph
from services.logs import AuditLog
from services.replies import Replies
from services.settings import Settings, read_settings
from services.tokens import model_tokens
from services.webhook import Webhook

# At INFO, Microsoft's clients log every request's and answer's headers.
logging.getLogger("azure").setLevel(logging.WARNING)

LOGS_QUERY_AUDIENCE = "https://api.loganalytics.io"
"""Whom the query API's tokens are for, whatever its endpoint."""


@dataclass(frozen=True)
class Platform:
    settings: Settings
    store: Store
    bus: Bus
    replies: Replies
    audit_log: AuditLog
    graph: Graph
    content_safety: ContentSafety | None
    """None where no endpoint is configured."""
    blobs: Blobs | None
    """The documents as they were uploaded; None where no endpoint is configured."""
    webhook: Webhook
    """Of the escalation rules."""
    model_token: Callable[[], Awaitable[str]]
    """The app's own, for Azure's models. Raises :class:`services.tokens.TokenUnavailable`."""


_opening = asyncio.Lock()
_kept = AsyncExitStack()
_platform: Platform | None = None


async def platform() -> Platform:
    """This process's services, kept as long as it lives. If opening them fails, the next call tries again.

    Raises :class:`services.settings.SettingsInvalid`, :class:`services.documents.StoreError`.
    """
    global _platform
    async with _opening:
        if _platform is None:
            async with AsyncExitStack() as stack:
                _platform = await open_platform(read_settings(), stack)
                await _kept.enter_async_context(stack.pop_all())
            # What is loaded by now stays: the collector need not look through it again and again (200,000 objects).
            gc.collect()
            gc.freeze()
    return _platform


async def open_platform(settings: Settings, stack: AsyncExitStack) -> Platform:
    """The services, open until ``stack`` is closed. Raises :class:`services.documents.StoreError`."""
    credential = await stack.enter_async_context(ManagedIdentityCredential(client_id=settings.identity_client_id))
    cosmos = await stack.enter_async_context(cosmos_client(settings.cosmos_endpoint, credential))
    await require_strong(cosmos)
    client = await stack.enter_async_context(
        bus_client(settings.servicebus_connection, settings.servicebus_namespace, credential)
    )
    bus = Bus(client)
    replies = Replies(client)
    stack.push_async_callback(replies.close)
    audit_log = AuditLog(
        await stack.enter_async_context(
            LogsIngestionClient(settings.logs_ingestion_endpoint, credential, retry_total=0)
        ),
        await stack.enter_async_context(
            LogsQueryClient(credential, endpoint=settings.logs_query_endpoint, audience=LOGS_QUERY_AUDIENCE)
        ),
        settings.logs_rule_id,
        settings.logs_stream,
        settings.logs_workspace_id,
    )
    graph = await stack.enter_async_context(Graph(settings.graph_endpoint, credential))
    content_safety = None
    if settings.content_safety_endpoint:
        content_safety = await stack.enter_async_context(ContentSafety(settings.content_safety_endpoint, credential))
    blobs = None
    if settings.blobs_endpoint:
        blobs = await stack.enter_async_context(Blobs(settings.blobs_endpoint, settings.blobs_container, credential))
    store = Store(cosmos, settings.cosmos_database)
    tokens = model_tokens(credential)
    secret = settings.webhook_secret.get_secret_value() if settings.webhook_secret else None
    webhook = Webhook(settings.webhook_hosts, secret)
    return Platform(settings, store, bus, replies, audit_log, graph, content_safety, blobs, webhook, tokens)
