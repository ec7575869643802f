"""The Entra ID stand-in against what uses it: azure-identity, BearerCheck and plain HTTP clients."""

import asyncio
import base64
import json
import os
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

import aiohttp
import azure.identity
import azure.identity.aio
import jwt
import pytest
from azure.core.exceptions import ClientAuthenticationError
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from local.entra.directory import Directory, Group, Person
from local.entra.tokens import MAX_GROUPS_IN_TOKEN, TokenRequest, claims_of_person
from local.tls import Certificates, issue

TENANT, CLIENT = (str(uuid5(NAMESPACE_DNS, name)) for name in ("tenant", "client"))
SALES, LEGAL = (str(uuid5(NAMESPACE_DNS, name)) for name in ("sales", "legal"))
ALICE, BOB = (str(uuid5(NAMESPACE_DNS, name)) for name in ("alice", "bob"))
GRAPH = "https://graph.microsoft.com"
DIRECTORY: dict[str, Any] = {
    "tenant_id": TENANT,
    "client_id": CLIENT,
    "groups": [{"id": SALES, "name": "Sales"}, {"id": LEGAL, "name": "Legal"}],
    "people": [
        {"name": "alice", "display_name": "Alice", "oid": ALICE, "groups": ["Sales"]},
        {"name": "bob", "display_name": "Bob", "oid": BOB, "groups": ["Legal"], "extra_groups": 250},
    ],
}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return issue(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def process(certificates: Certificates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The ready line of a running stand-in."""
    directory = tmp_path_factory.mktemp("entra") / "directory.json"
    directory.write_text(json.dumps(DIRECTORY))
    command = [sys.executable, "-m", "local.entra", "--directory", str(directory)]
    command += ["--tls", str(certificates.server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        yield json.loads(running.stdout.readline())
        running.terminate()
        assert running.wait(timeout=20) == 0


class Client:
    """The stand-in as a client sees it, and its control port."""

    def __init__(self, ready: dict[str, str], http: aiohttp.ClientSession) -> None:
        self.ready = ready
        self.http = http

    async def control(self, method: str, path: str, body: Any = None) -> Any:
        async with self.http.request(method, f"{self.ready['control']}/control/{path}", json=body) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_type == "application/json" else await answer.text()

    async def token(self, **how: Any) -> str:
        token: str = (await self.control("POST", "token", {"person": "alice"} | how))["access_token"]
        return token

    async def keys(self) -> dict[str, jwt.PyJWK]:
        async with self.http.get(f"{self.ready['authority']}/v2.0/.well-known/openid-configuration") as answer:
            metadata = await answer.json()
        assert metadata["issuer"] == f"{self.ready['authority']}/v2.0"
        async with self.http.get(metadata["jwks_uri"]) as answer:
            return {key.key_id or "": key for key in jwt.PyJWKSet.from_dict(await answer.json()).keys}

    async def claims(self, token: str) -> dict[str, Any]:
        """Checked as an API checks it: by published key, issuer and audience."""
        key = (await self.keys())[jwt.get_unverified_header(token)["kid"]]
        issuer = f"{self.ready['authority']}/v2.0"
        checked: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], audience=CLIENT, issuer=issuer)
        return checked

    async def managed_identity_token(self, resource: str, **query: str) -> str:
        query = {"api-version": "2019-08-01", "resource": resource} | query
        headers = {"X-IDENTITY-HEADER": self.ready["identity_header"]}
        async with self.http.get(self.ready["identity_endpoint"], params=query, headers=headers) as answer:
            answer.raise_for_status()
            token: str = (await answer.json())["access_token"]
            return token

    async def check_member_groups(self, oid: str, groups: list[str], token: str | None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{self.ready['url']}/v1.0/users/{oid}/checkMemberGroups"
        async with self.http.post(url, json={"groupIds": groups}, headers=headers) as answer:
            return answer.status, await answer.json()


@pytest.fixture
async def entra(process: dict[str, str], certificates: Certificates) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(ssl=ssl.create_default_context(cafile=certificates.ca))
    async with aiohttp.ClientSession(connector=connector) as http:
        client = Client(process, http)
        await client.control("PUT", "faults", [])
        await client.control("PUT", "people/alice/groups", ["Sales"])
        await client.control("POST", "drop-old-keys")
        await client.control("POST", "reset")
        yield client


@pytest.fixture
def in_app_service(process: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment that App Service gives an app with a managed identity."""
    monkeypatch.setenv("IDENTITY_ENDPOINT", process["identity_endpoint"])
    monkeypatch.setenv("IDENTITY_HEADER", process["identity_header"])


# People's tokens


async def test_when_a_person_has_a_token_then_it_holds_entras_claims_and_checks_out(entra: Client) -> None:
    now = time.time()
    claims = await entra.claims(await entra.token(lifetime_seconds=600))
    assert now + 590 < claims.pop("exp") < now + 610
    assert now - 10 < claims.pop("iat") == claims.pop("nbf") < now + 10
    assert claims.pop("sub") not in ("", ALICE)
    assert claims == {
        "iss": f"{entra.ready['authority']}/v2.0",
        "aud": CLIENT,
        "tid": TENANT,
        "oid": ALICE,
        "ver": "2.0",
        "azp": CLIENT,
        "scp": "access_as_user",
        "name": "Alice",
        "preferred_username": "alice@example.com",
        "groups": [SALES],
    }
    assert await entra.control("GET", "counts") == {"jwks": 1, "openid-configuration": 1, "token": 1}


async def test_when_claims_are_overridden_then_the_token_has_those_and_lacks_the_nulls(entra: Client) -> None:
    claims = await entra.claims(await entra.token(claims={"tid": "another", "roles": ["Owner"], "groups": None}))
    assert (claims["tid"], claims["roles"], "groups" in claims) == ("another", ["Owner"], False)


async def test_when_header_members_are_overridden_then_the_token_has_those_and_lacks_the_nulls(entra: Client) -> None:
    token = await entra.token(header={"typ": None, "jku": "https://example.com/keys"})
    header = jwt.get_unverified_header(token)
    assert header.keys() == {"alg", "kid", "jku"}
    assert await entra.claims(token)


async def test_when_members_are_asked_for_again_then_the_token_has_them_twice(entra: Client) -> None:
    token = await entra.token(claims_again={"oid": BOB}, header_again={"alg": "none"})
    written = [base64.urlsafe_b64decode(segment + "==").decode() for segment in token.split(".")[:2]]
    assert [written[0].count('"alg"'), written[1].count('"oid"')] == [2, 2]
    assert written[1].endswith(f'"oid": "{BOB}"}}')


async def test_when_a_persons_groups_change_then_the_next_token_has_the_new_ones(entra: Client) -> None:
    await entra.control("PUT", "people/alice/groups", ["Legal", "Sales"])
    assert (await entra.claims(await entra.token()))["groups"] == [LEGAL, SALES]
    await entra.control("PUT", "people/alice/groups", [])
    assert (await entra.claims(await entra.token()))["groups"] == []


async def test_when_a_person_is_in_too_many_groups_then_the_token_says_where_they_are_instead(entra: Client) -> None:
    claims = await entra.claims(await entra.token(person="bob"))
    assert "groups" not in claims
    assert claims["_claim_names"] == {"groups": "src1"}
    assert BOB in claims["_claim_sources"]["src1"]["endpoint"]


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"lifetime_seconds": -60}, jwt.ExpiredSignatureError),
        ({"claims": {"aud": GRAPH}}, jwt.InvalidAudienceError),
        ({"claims": {"iss": f"https://127.0.0.1/{LEGAL}/v2.0"}}, jwt.InvalidIssuerError),
        ({"claims": {"nbf": 4102444800}}, jwt.ImmatureSignatureError),
        ({"claims": {"exp": None}}, None),
        ({"signature": "wrong"}, jwt.InvalidSignatureError),
        ({"algorithm": "none"}, jwt.InvalidTokenError),
        ({"algorithm": "HS256"}, jwt.InvalidTokenError),
        ({"algorithm": "RS512"}, jwt.InvalidAlgorithmError),
        ({"key": "unknown"}, KeyError),
    ],
    ids=str,
)
async def test_when_a_wrong_token_is_asked_for_then_it_is_wrong_in_just_that_way(
    entra: Client, how: dict[str, Any], why: type[Exception] | None
) -> None:
    token = await entra.token(**how)
    if why is None:
        assert "exp" not in await entra.claims(token)
    else:
        with pytest.raises(why):
            await entra.claims(token)


async def test_when_the_key_is_rolled_then_tokens_of_the_old_one_hold_until_it_is_dropped(entra: Client) -> None:
    before = await entra.token()
    kid = (await entra.control("POST", "roll-key"))["kid"]
    after = await entra.token()
    assert jwt.get_unverified_header(after)["kid"] == kid
    assert await entra.claims(before)
    assert await entra.claims(after)
    await entra.control("POST", "drop-old-keys")
    assert await entra.claims(after)
    with pytest.raises(KeyError):
        await entra.claims(before)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "token", {"person": "mallory"}, 404),
        ("POST", "token", {"person": "alice", "colour": "red"}, 400),
        ("PUT", "people/mallory/groups", [], 404),
        ("PUT", "people/alice/groups", ["Nowhere"], 400),
        ("PUT", "people/alice/groups", {"name": "Sales"}, 400),
    ],
)
async def test_when_the_control_port_is_asked_for_what_is_not_there_then_it_says_so(
    entra: Client, method: str, path: str, body: Any, status: int
) -> None:
    with pytest.raises(aiohttp.ClientResponseError) as refused:
        await entra.control(method, path, body)
    assert refused.value.status == status
    assert (await entra.claims(await entra.token()))["groups"] == [SALES]


# Microsoft Graph


async def test_when_graph_is_asked_for_member_groups_then_it_answers_those_that_are(entra: Client) -> None:
    token = await entra.managed_identity_token(GRAPH)
    status, answer = await entra.check_member_groups(BOB, [SALES, LEGAL, str(uuid4())], token)
    assert (status, answer["value"]) == (200, [LEGAL])
    assert (await entra.control("GET", "counts"))["checkMemberGroups"] == 1


@pytest.mark.parametrize("count", [20, 21])
async def test_when_graph_is_asked_for_more_than_20_groups_then_it_refuses(entra: Client, count: int) -> None:
    token = await entra.managed_identity_token(GRAPH)
    status, answer = await entra.check_member_groups(ALICE, [str(uuid4()) for _ in range(count)], token)
    assert status == (200 if count <= 20 else 400)
    assert count <= 20 or answer["error"]["code"] == "Request_BadRequest"


async def test_when_graph_gets_no_token_or_one_for_something_else_then_it_refuses(entra: Client) -> None:
    vault = await entra.managed_identity_token("https://vault.azure.net")
    expired = await entra.token(claims={"aud": GRAPH}, lifetime_seconds=-60)
    forged = await entra.token(claims={"aud": GRAPH}, signature="wrong")
    for token in (None, "nonsense", vault, expired, forged, await entra.token()):
        status, answer = await entra.check_member_groups(ALICE, [SALES], token)
        assert (status, answer["error"]["code"]) == (401, "InvalidAuthenticationToken")


async def test_when_graph_is_asked_for_somebody_unknown_then_there_is_no_such_resource(entra: Client) -> None:
    token = await entra.managed_identity_token(GRAPH)
    status, answer = await entra.check_member_groups(str(uuid4()), [SALES], token)
    assert (status, answer["error"]["code"]) == (404, "Request_ResourceNotFound")


async def test_when_a_fault_is_set_then_graph_throttles_drops_or_is_late(entra: Client) -> None:
    token = await entra.managed_identity_token(GRAPH)
    kinds: list[dict[str, Any]] = [
        {"kind": "status", "status": 429, "seconds": 7},
        {"kind": "drop"},
        {"kind": "delay", "seconds": 0.2},
    ]
    await entra.control("PUT", "faults", [{"operation": "checkMemberGroups", "times": 1} | kind for kind in kinds])
    headers = {"Authorization": f"Bearer {token}"}
    url = f"{entra.ready['url']}/v1.0/users/{ALICE}/checkMemberGroups"
    async with entra.http.post(url, json={"groupIds": [SALES]}, headers=headers) as answer:
        assert (answer.status, answer.headers["Retry-After"]) == (429, "7")
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await entra.check_member_groups(ALICE, [SALES], token)
    began = time.monotonic()
    status, _ = await entra.check_member_groups(ALICE, [SALES], token)
    assert status == 200
    assert time.monotonic() - began >= 0.2


async def test_when_something_else_is_asked_for_then_it_is_refused(entra: Client) -> None:
    for url in (f"{entra.ready['url']}/{uuid4()}/discovery/v2.0/keys", f"{entra.ready['url']}/v1.0/me"):
        async with entra.http.get(url) as answer:
            assert answer.status == 404


# The managed identity


@pytest.mark.parametrize(
    "credential", [azure.identity.ManagedIdentityCredential, azure.identity.DefaultAzureCredential]
)
async def test_when_azure_identity_asks_in_app_service_then_it_gets_a_token_for_the_resource(
    entra: Client, in_app_service: None, credential: type[azure.identity.ManagedIdentityCredential]
) -> None:
    with credential() as identity:
        token = await asyncio.to_thread(identity.get_token, "https://servicebus.azure.net/.default")
    claims = jwt.decode(token.token, options={"verify_signature": False})
    assert (claims["aud"], claims["idtyp"], claims["tid"]) == ("https://servicebus.azure.net", "app", TENANT)
    assert claims["exp"] == pytest.approx(token.expires_on, abs=2)
    assert (await entra.control("GET", "counts"))["msi-token"] == 1


@pytest.mark.parametrize(
    "credential", [azure.identity.aio.ManagedIdentityCredential, azure.identity.aio.DefaultAzureCredential]
)
async def test_when_azure_identity_asks_asynchronously_then_a_doubled_slash_stays_in_the_audience(
    entra: Client, in_app_service: None, credential: type[azure.identity.aio.ManagedIdentityCredential]
) -> None:
    async with credential() as identity:
        token = await identity.get_token("https://monitor.azure.com//.default")
    assert jwt.decode(token.token, options={"verify_signature": False})["aud"] == "https://monitor.azure.com/"


async def test_when_a_user_assigned_identity_is_named_then_the_token_is_that_ones(
    entra: Client, in_app_service: None
) -> None:
    client_id = str(uuid4())
    claims = []
    for identity in (
        azure.identity.aio.ManagedIdentityCredential(client_id=client_id),
        azure.identity.aio.ManagedIdentityCredential(),
    ):
        async with identity:
            token = await identity.get_token(f"{GRAPH}/.default")
        claims.append(jwt.decode(token.token, options={"verify_signature": False}))
    assert claims[0]["azp"] == client_id
    assert claims[0]["oid"] != claims[1]["oid"]


async def test_when_the_identity_header_is_wrong_then_azure_identity_fails(
    in_app_service: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_HEADER", "wrong")
    async with azure.identity.aio.ManagedIdentityCredential() as identity:
        with pytest.raises(ClientAuthenticationError):
            await identity.get_token(f"{GRAPH}/.default")


@pytest.mark.parametrize("query", [{"api-version": "2017-09-01"}, {"client_id": "me"}, {"object_id": ALICE}], ids=str)
async def test_when_the_managed_identity_is_asked_in_another_way_then_it_refuses(
    entra: Client, query: dict[str, str]
) -> None:
    with pytest.raises(aiohttp.ClientResponseError, match="400"):
        await entra.managed_identity_token(GRAPH, **query)


# The other stand-ins' check


CHECK = """
import asyncio, sys
from local.tokens import BearerCheck, Unauthorized

async def main() -> None:
    check = BearerCheck(sys.argv[1], (sys.argv[2],))
    for token in sys.argv[3:]:
        try:
            print((await check.check(token))["oid"])
        except Unauthorized as error:
            print(type(error).__name__)

asyncio.run(main())
"""


async def test_when_ssl_cert_file_names_the_ca_then_bearer_check_reads_the_keys_over_tls(
    entra: Client, certificates: Certificates
) -> None:
    good = await entra.managed_identity_token("https://servicebus.azure.net")
    other = await entra.managed_identity_token("https://vault.azure.net")
    forged = await entra.token(claims={"aud": "https://servicebus.azure.net"}, signature="wrong")
    arguments = [entra.ready["authority"], "https://servicebus.azure.net", good, other, forged]
    environment = {**os.environ, "SSL_CERT_FILE": str(certificates.ca)}
    checking = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHECK, *arguments, env=environment, cwd=Path.cwd(), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await checking.communicate()
    oid = jwt.decode(good, options={"verify_signature": False})["oid"]
    assert printed.decode().split() == [oid, "Unauthorized", "Unauthorized"]


# The directory file


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"groups": [*DIRECTORY["groups"], {"id": SALES, "name": "Third"}]}, "group id is there twice"),
        ({"people": DIRECTORY["people"] * 2}, "person's name is there twice"),
        ({"people": [{**DIRECTORY["people"][0], "groups": ["Nowhere"]}]}, "alice: no such group: Nowhere"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_when_the_directory_contradicts_itself_then_it_is_refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Directory.model_validate(DIRECTORY | change)


@given(named=st.booleans(), extra=st.integers(0, 2 * MAX_GROUPS_IN_TOKEN))
def test_when_people_are_in_any_number_of_groups_then_the_token_has_all_or_the_overage(named: bool, extra: int) -> None:
    group = Group(id=uuid4(), name="Sales")
    person = Person(name="a", display_name="A", oid=uuid4(), groups=["Sales"] * named, extra_groups=extra)
    directory = Directory(tenant_id=uuid4(), client_id=uuid4(), groups=[group], people=[person])
    claims = claims_of_person(directory, person, issuer="https://entra", how=TokenRequest(person="a"))
    if named + extra > MAX_GROUPS_IN_TOKEN:
        assert "groups" not in claims
        assert "_claim_sources" in claims
    else:
        assert len(set(claims["groups"])) == len(claims["groups"]) == named + extra
        assert "_claim_sources" not in claims
