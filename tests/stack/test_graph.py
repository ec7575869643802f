"""Whose token does not list their groups: Microsoft Graph is asked, with the app's managed identity, by Microsoft's
own client; and where it does not answer, nobody gets in."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from azure.identity.aio import ManagedIdentityCredential

from governance.identity import Caller, GroupsUnresolved, SignedIn, TokenChecker, with_groups
from local.standin import serving
from local.tls import Certificates, server_context
from services.graph import TIMEOUT_SECONDS, Graph, GraphUnavailable
from tests.stack.cosmos_kit import Credential
from tests.stack.cosmos_kit import certificates as certificates
from tests.stack.entra_kit import ALICE, BOARD, BOB, CLIENT, LEGAL, SALES, TENANT, Authority, authority


@asynccontextmanager
async def opened(entra: Authority, certificates: Certificates) -> AsyncIterator[Graph]:
    """Graph as the app asks it in Azure."""
    async with AsyncExitStack() as exits:
        environment = exits.enter_context(pytest.MonkeyPatch.context())
        for name, value in entra.managed_identity.items():
            environment.setenv(name, value)
        identity = await exits.enter_async_context(ManagedIdentityCredential())
        yield await exits.enter_async_context(Graph(entra.url, identity, connection_verify=str(certificates.ca)))


@pytest.fixture
async def entra(certificates: Certificates) -> AsyncIterator[Authority]:
    async with authority(certificates) as entra:
        yield entra


@pytest.fixture
async def graph(entra: Authority, certificates: Certificates) -> AsyncIterator[Graph]:
    async with opened(entra, certificates) as graph:
        yield graph


def somebody(groups: Collection[str] | None, oid: str = BOB) -> SignedIn:
    return SignedIn(oid=oid, tenant_id=TENANT, groups=None if groups is None else frozenset(groups))


async def named() -> list[str]:
    """The groups that the configuration names."""
    return [SALES, LEGAL, BOARD]


async def unresolved(graph: Graph, oid: str = BOB) -> None:
    with pytest.raises(GroupsUnresolved):
        await with_groups(somebody(None, oid), named, graph)


# -- what it says


@pytest.mark.claim("I4")
async def test_when_a_token_does_not_list_the_groups_then_they_are_those_of_the_configuration_that_graph_confirms(
    entra: Authority, graph: Graph
) -> None:
    async with authority() as plain:  # the same directory, with keys that can be read without the certificate
        signed_in = await TokenChecker(plain.authority, CLIENT, TENANT).check(await plain.token(person="bob"))
    caller = await with_groups(signed_in, named, graph)
    assert caller == Caller(oid=BOB, tenant_id=TENANT, groups=frozenset({LEGAL, BOARD}))
    assert entra.count("checkMemberGroups") == 1


@pytest.mark.parametrize(("others", "calls"), [(17, 1), (18, 2), (58, 4)])
async def test_when_the_configuration_names_many_groups_then_graph_is_asked_about_20_at_a_time(
    entra: Authority, graph: Graph, others: int, calls: int
) -> None:
    ids = [SALES, LEGAL, BOARD, *(str(uuid4()) for _ in range(others))]
    assert await graph.member_groups(BOB, ids) == {LEGAL, BOARD}
    assert (entra.count("checkMemberGroups"), entra.count("msi-token")) == (calls, 1)


async def test_when_somebody_is_in_none_of_the_groups_then_they_have_none(graph: Graph) -> None:
    assert await graph.member_groups(ALICE, [LEGAL, BOARD]) == frozenset()


async def test_when_ids_are_written_in_upper_case_then_they_are_the_same_groups(graph: Graph) -> None:
    assert await graph.member_groups(BOB.upper(), [LEGAL.upper(), SALES.upper()]) == {LEGAL}


async def test_when_no_group_is_named_then_graph_is_not_asked(entra: Authority, graph: Graph) -> None:
    assert await graph.member_groups(BOB, []) == frozenset()
    assert not entra.control.counts


async def test_when_a_token_lists_the_groups_then_neither_the_configuration_nor_graph_is_asked(
    entra: Authority, graph: Graph
) -> None:
    async def nobody_asks() -> list[str]:
        pytest.fail("the configuration was read")

    for groups in ([SALES], []):
        assert (await with_groups(somebody(groups), nobody_asks, graph)).groups == frozenset(groups)
    assert not entra.control.counts


# -- when it does not


@pytest.mark.claim("I4")
@pytest.mark.parametrize(
    "fault", [{"status": 403}, {"status": 429}, {"status": 503}, {"status": 302}, {"kind": "drop"}], ids=str
)
async def test_when_graph_fails_then_nobodys_groups_are_guessed_and_there_is_one_try(
    entra: Authority, graph: Graph, fault: dict[str, Any]
) -> None:
    entra.fault("checkMemberGroups", **fault)
    await unresolved(graph)
    assert entra.count("checkMemberGroups") == 1
    entra.control.faults.clear()
    assert (await with_groups(somebody(None), named, graph)).groups == {LEGAL, BOARD}


@pytest.mark.claim("I4")
async def test_when_one_of_several_calls_fails_then_what_the_others_say_is_not_enough(
    entra: Authority, graph: Graph
) -> None:
    entra.fault("checkMemberGroups", times=1)
    with pytest.raises(GraphUnavailable):
        await graph.member_groups(BOB, [LEGAL, *(str(uuid4()) for _ in range(45))])


@pytest.mark.claim("I4")
async def test_when_graph_or_the_identity_is_late_then_the_caller_is_told_in_time(certificates: Certificates) -> None:
    clock = asyncio.get_running_loop().time

    async def late(operation: str) -> float:
        async with authority(certificates) as entra, opened(entra, certificates) as graph:
            entra.fault(operation, kind="delay", seconds=TIMEOUT_SECONDS + 1)
            began = clock()
            await unresolved(graph)
            return clock() - began

    for took in await asyncio.gather(late("checkMemberGroups"), late("msi-token")):
        assert TIMEOUT_SECONDS - 0.1 < took < TIMEOUT_SECONDS + 1


@pytest.mark.claim("I4")
async def test_when_the_app_is_given_no_token_then_nobodys_groups_are_guessed(
    entra: Authority, certificates: Certificates
) -> None:
    entra.managed_identity["IDENTITY_HEADER"] = "wrong"
    async with opened(entra, certificates) as graph:
        await unresolved(graph)
    assert entra.count("checkMemberGroups") == 0 < entra.count("msi-token")


@pytest.mark.claim("I4")
async def test_when_somebody_was_deleted_from_the_directory_then_they_are_in_no_group_by_way_of_graph(
    graph: Graph,
) -> None:
    await unresolved(graph, str(uuid4()))


@pytest.mark.claim("I4")
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, ""),
        (200, "null"),
        (200, "[]"),
        (200, "{}"),
        (200, '{"value": null}'),
        (200, '{"value": "any"}'),
        (200, f'{{"value": ["{CLIENT}"]}}'),
        (200, "<html></html>"),
        (200, "not gzip"),
        (202, '{"value": []}'),
        (302, '{"value": []}'),
        (500, '{"value": []}'),
    ],
)
async def test_when_what_graph_says_is_not_an_answer_then_it_is_none(
    certificates: Certificates, status: int, body: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        headers = {"Content-Type": "application/json", **({"Content-Encoding": "gzip"} if body == "not gzip" else {})}
        return web.Response(status=status, text=body, headers=headers)

    app = web.Application()
    app.router.add_post("/v1.0/users/{oid}/checkMemberGroups", answer)
    async with (
        serving(app, ssl_context=server_context(certificates.server)) as url,
        Graph(url, Credential(), connection_verify=str(certificates.ca)) as graph,
    ):
        await unresolved(graph)
