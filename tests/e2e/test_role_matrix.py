"""Every HTTP function x every role, bound without limit, for the team that it is about, and for another one."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from governance.access import Binding, Role, role_document
from governance.roles import read_role
from local.readback import query_logs
from local.stack import Stack
from services.clock import utc_now, utc_text
from tests.e2e.asking import KEPT, Asking, Reply
from tests.e2e.kit import ended_once, eventually, opened
from tests.e2e.role_matrix import CREATED, NO_TOKEN, OK, QUESTION, ROWS, STOPPED, SUPPORT_ONLY, WITHOUT_A_GATE, Row

SCOPES: dict[str, list[str] | None] = {"for every team": None, "for Finance": ["finance"], "for Sales": ["sales"]}
"""In the order of a row's outcomes: all targets belong to Finance."""
ANOTHER_TEAM = 2
UNTOLD = ("Date",)
"""Headers that tell nothing of what was asked for."""


@dataclass(frozen=True)
class Caller:
    """Somebody of Sales, who may hold one role."""

    name: str
    token: str | None
    role: Role | None = None
    scope: int = 0
    """Which of :data:`SCOPES` the role has."""

    def expects(self, row: Row) -> str:
        if self.token is None:
            return NO_TOKEN
        return row.outcomes[self.scope] if self.role in row.roles else row.without

    def knows_of_the_target(self, row: Row) -> bool:
        return self.role in row.roles and self.scope != ANOTHER_TEAM


class Matrix:
    """A stack with a group for every role and scope, and somebody in each."""

    def __init__(self, asking: Asking) -> None:
        self.asking = asking
        self.stack = asking.stack
        self.callers: list[Caller] = []
        self.names: dict[str, str] = {}
        """What is to be filled into a row."""
        self.unknown: dict[str, str] = {}
        """The same, of things that don't exist."""

    async def prepare(self) -> None:
        everybody = [self.stack.group("All Employees"), self.stack.group("Sales")]
        nobody = Caller("without a role", await self._token(everybody))
        self.callers = [nobody, Caller("without a token", None)]
        for role in Role:
            for number, scope in enumerate(SCOPES):
                token = await self._token([*everybody, group_of(role, scope)])
                # Nobody is platform admin for a team: such a binding, which no route makes, is worth nothing.
                held = None if role is Role.PLATFORM_ADMIN and SCOPES[scope] else role
                self.callers.append(Caller(f"{role} {scope}", token, held, number))
            await self._bind(role)
        ledger = await self.asking.kit.store.config.read("ledger", "assistant")
        assert ledger is not None
        self.names = {
            "ledger": "ledger",
            "etag": ledger["_etag"],
            "their_own": await self._ask(nobody.token),
            "of_alice": await self._ask(self.stack.token("alice")),
        }
        # Ids of the same form, which nothing has.
        self.unknown = {**self.names, "ledger": "legder", "of_alice": str(uuid.UUID(int=0))}
        await ended_once(self.asking.kit)

    async def _token(self, groups: Iterable[str]) -> str:
        return await self.asking.token(person="bob", claims={"groups": list(groups)})

    async def _bind(self, role: Role) -> None:
        """Beside the groups that hold the role already."""
        config = self.asking.kit.store.config
        bound, _ = await read_role(config, role, self.stack.group("Platform Admins"))
        more = [Binding(group=group_of(role, scope), teams=teams) for scope, teams in SCOPES.items()]
        await config.upsert(role_document(role, [*bound, *more]))

    async def _ask(self, token: str | None) -> str:
        question = {**QUESTION, "conversation": "new"}
        reply = await self.asking.call("POST", "/api/assistants/handbook/requests", token=token, json=question)
        assert reply.status in (200, 202), reply.text
        return str(reply.body["request_id"])

    async def support_holders(self) -> list[Caller]:
        """Somebody of the vendor; and one who is also in every other group that there is."""
        vendor = self.stack.group("Vendor Support")
        every = [str(group.id) for group in self.stack.directory.groups]
        every += [group_of(role, scope) for role in Role for scope in SCOPES]
        return [
            Caller("of the vendor", await self._token([vendor])),
            Caller("of the vendor, with every role", await self._token(every)),
        ]

    async def call(self, row: Row, caller: Caller, names: dict[str, str]) -> Reply:
        method, path = row.call.format_map(names).split()
        options: dict[str, Any] = {} if row.body is None else {"json": row.body}
        if row.if_match is not None:
            options["headers"] = {"If-Match": row.if_match.format_map(names)}
        return await self.asking.call(method, path, token=caller.token, **options)

    async def outcomes(self, row: Row, callers: Iterable[Caller]) -> dict[str, str]:
        """What comes of the call, by the name of who makes it."""

        async def outcome(caller: Caller) -> tuple[str, str]:
            return caller.name, outcome_of(row, await self.call(row, caller, self.names))

        return dict(await asyncio.gather(*map(outcome, callers)))

    async def unlike_unknown(self, row: Row, callers: Iterable[Caller]) -> list[str]:
        """Who is told anything else about the target than about one that doesn't exist."""

        async def tells(caller: Caller) -> bool:
            there, nowhere = [await self.call(row, caller, names) for names in (self.names, self.unknown)]
            return _told(there) != _told(nowhere)

        asked = list(callers)
        return [
            caller.name for caller, told in zip(asked, await asyncio.gather(*map(tells, asked)), strict=True) if told
        ]

    async def written(self) -> dict[str, int]:
        """How often something was made, changed or removed, queued, or sent to a model, so far; but for what is told of
        refusals, and of what is configured how much there is of it."""
        cosmos = await self.stack.control("cosmos").counts()
        bus = await self.stack.control("servicebus").counts()
        containers = ("control", "requests", "budgets")
        wanted = {f"{kind} {container}" for kind in (*KEPT, "patch", "patches") for container in containers}
        stored = {name: count for name, count in cosmos.items() if name in wanted}
        sent = {name: count for name, count in bus.items() if name.startswith("send ") and name != "send audit"}
        configured = await self.asking.configured()
        return stored | sent | {"model calls": await self.asking.kit.model_calls(), "config": len(configured)}

    async def settled(self) -> None:
        """Waits until every change so far is in the trail, and marked so."""
        store = self.asking.kit.store

        async def nothing_is_pending() -> None:
            query = "SELECT c.id FROM c WHERE c.audit.status = 'pending'"
            for items in (store.config, store.control, store.requests):
                assert [document async for document in items.query(query)] == []

        await eventually(nothing_is_pending)

    @asynccontextmanager
    async def unchanged(self) -> AsyncIterator[None]:
        """Fails if anything is written meanwhile."""
        await self.settled()
        before, configured = await self.written(), await self.asking.configured()
        yield
        assert await self.written() == before
        assert await self.asking.configured() == configured

    async def called(self) -> dict[str, int]:
        """How often each HTTP function was called, so far."""
        return await self.stack.control(self.stack.http[0]).counts()


def group_of(role: Role, scope: str) -> str:
    """The directory group that the matrix binds to a role in a scope."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{role} {scope}"))


def outcome_of(row: Row, reply: Reply) -> str:
    if reply.status >= 400 and "error" in reply.body:  # in OpenAI's shape
        code = str(reply.body["error"]["code"])
        return f"{reply.status} {code.replace('invalid_api_key', 'token-refused')}"
    if reply.status >= 400:
        type_ = str(reply.body["type"]).removeprefix("/problems/")
        reply.is_problem(reply.status, type_)
        return f"{reply.status} {type_}"
    return " ".join([str(reply.status), *(sorted(set(row.shows(reply.body))) if row.shows else ())])


def _told(reply: Reply) -> tuple[int, dict[str, str], str]:
    return reply.status, {name: value for name, value in reply.headers.items() if name not in UNTOLD}, reply.text


def _grown(before: dict[str, int], after: dict[str, int]) -> dict[str, int]:
    return {name: count - before.get(name, 0) for name, count in after.items() if count != before.get(name, 0)}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def matrix(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Matrix]:
    async with Stack(tmp_path_factory.mktemp("matrix")) as stack, opened(stack) as kit:
        matrix = Matrix(Asking(kit))
        await matrix.prepare()
        yield matrix


@pytest.mark.claim("I5")
async def test_when_an_http_function_is_registered_then_the_table_says_who_may_call_it(matrix: Matrix) -> None:
    # As the host found them in function_app.app.
    assert {row.function for row in ROWS} | WITHOUT_A_GATE.keys() == set(matrix.stack.http[0].ready["functions"])


@pytest.mark.claim("I5")
@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
async def test_when_a_function_is_called_then_the_role_and_its_teams_decide(matrix: Matrix, row: Row) -> None:
    expected = {caller.name: caller.expects(row) for caller in matrix.callers}
    changing = [caller for caller in matrix.callers if expected[caller.name] == CREATED]
    others = [caller for caller in matrix.callers if caller not in changing]
    before = await matrix.called()
    async with matrix.unchanged():
        outcomes = await matrix.outcomes(row, others)
    outcomes |= await matrix.outcomes(row, changing)
    assert outcomes == expected
    assert _grown(before, await matrix.called()) == {row.function: len(matrix.callers)}


@pytest.mark.claim("I5")
@pytest.mark.parametrize(
    "row", [row for row in ROWS if "{ledger}" in row.call or "{of_alice}" in row.call], ids=lambda row: row.id
)
async def test_when_something_is_not_the_callers_then_they_are_told_to_the_byte_what_is_said_of_nothing(
    matrix: Matrix, row: Row
) -> None:
    async with matrix.unchanged():
        callers = [caller for caller in matrix.callers if not caller.knows_of_the_target(row)]
        assert await matrix.unlike_unknown(row, callers) == []


@pytest.mark.claim("T2", "I5")
async def test_when_a_support_grant_is_open_then_its_holder_reads_what_support_may_and_nothing_else(
    matrix: Matrix,
) -> None:
    adam, stack = matrix.stack.token("adam"), matrix.stack
    asked = {
        "group": stack.group("Vendor Support"),
        "until": utc_text(utc_now() + timedelta(hours=1)),
        "reason": "the matrix",
    }
    reply = await matrix.asking.call("POST", "/api/support-grants", token=adam, json=asked)
    assert reply.status == 201
    grant = reply.body["id"]
    holders = await matrix.support_holders()
    await matrix.settled()
    before = await matrix.written()
    outcomes = {row.id: await matrix.outcomes(row, holders) for row in ROWS}
    written = _grown(before, await matrix.written())
    reply = await matrix.asking.call("POST", f"/api/support-grants/{grant}/close", token=adam, json={"reason": "done"})
    assert reply.status == 200

    expected = {row.id: {holder.name: OK if row.support else SUPPORT_ONLY for holder in holders} for row in ROWS}
    assert outcomes == expected
    # Nothing but what is noted of each call.
    calls = len(ROWS) * len(holders)
    assert written == {"config": calls}

    noted = {(row.function, "support.read" if row.support else "support.refuse") for row in ROWS}

    async def in_the_trail() -> None:
        kql = (
            f"AuditEvents_CL | where Grant == '{grant}' and EventType in ('support.read', 'support.refuse')"
            " | summarize arg_max(Revision, EventType, Target) by EventId"
        )
        events = await query_logs(stack, kql)
        assert len(events) == calls
        assert {(event["Target"], event["EventType"]) for event in events} == noted

    await eventually(in_the_trail)


@pytest.mark.claim("K3", "I5")
async def test_when_the_platform_is_stopped_then_no_role_is_exempt(matrix: Matrix) -> None:
    row = Row("ingest", "POST /api/assistants/handbook/requests", frozenset(), ("", "", ""), STOPPED, QUESTION)
    expected = {caller.name: caller.expects(row) for caller in matrix.callers}
    async with matrix.asking.no_model_call(), matrix.asking.stopped("platform", "a drill"):
        assert await matrix.outcomes(row, matrix.callers) == expected
