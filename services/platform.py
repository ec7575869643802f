"""The Azure services as one process holds them: opened at first use, once, and kept."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass

from azure.identity.aio import ManagedIdentityCredential
from azure.monitor.ingestion.aio import LogsIngestionClient
from azure.monitor.query.aio import LogsQueryClient

from services.bus import Bus, Replies, open_bus
from services.documents import Store, open_store
from services.logs import AuditLog
from services.settings import Settings, read_settings


@dataclass(frozen=True)
class Platform:
    settings: Settings
    store: Store
    bus: Bus
    replies: Replies
    audit_log: AuditLog


_opening = asyncio.Lock()
_platform: Platform | None = None


async def platform() -> Platform:
    """This process's services. Raises what opening them raises; the next call then tries again.

    Errors: :class:`services.settings.SettingsInvalid`, :class:`services.documents.StoreError`.
    """
    global _platform
    async with _opening:
        if _platform is None:
            _platform = await _open(read_settings())
    return _platform


async def _open(settings: Settings) -> Platform:
    async with AsyncExitStack() as stack:
        credential = await stack.enter_async_context(ManagedIdentityCredential(client_id=settings.identity_client_id))
        store = await stack.enter_async_context(
            open_store(settings.cosmos_endpoint, settings.cosmos_database, credential)
        )
        bus, replies = await stack.enter_async_context(
            open_bus(settings.servicebus_connection, settings.servicebus_namespace, credential)
        )
        audit_log = AuditLog(
            await stack.enter_async_context(LogsIngestionClient(settings.logs_ingestion_endpoint, credential)),
            await stack.enter_async_context(LogsQueryClient(credential, endpoint=settings.logs_query_endpoint)),
            settings.logs_rule_id,
            settings.logs_stream,
            settings.logs_workspace_id,
        )
        stack.pop_all()  # they live as long as the process
        return Platform(settings, store, bus, replies, audit_log)
    raise AssertionError("unreachable: nothing in the stack suppresses errors")
