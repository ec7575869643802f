"""Whom the app believes to be calling: tokens of the Entra ID stand-in, as it makes them and as an attacker would."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from aiohttp import web
from hypothesis import given, settings
from hypothesis import strategies as st

from governance.identity import SignedIn, TokenChecker, TokenRefused
from governance.signing_keys import KEPT_SECONDS, READING_SECONDS, READINGS, KeysUnavailable
from local.standin import serving
from tests.hostile_tokens import HOSTILE, UNKNOWN_KEY, Hostile
from tests.stack.entra_kit import ALICE, BOB, CLIENT, LEGAL, SALES, TENANT, Authority, authority

pytestmark = pytest.mark.asyncio(loop_scope="module")


class Clock:
    """The checker's time, which passes when a test says so."""

    def __init__(self) -> None:
        self.now = 5_000.0

    def __call__(self) -> float:
        return self.now


def checker(at: str, clock: Clock | None = None) -> TokenChecker:
    return TokenChecker(at, CLIENT, TENANT, clock or Clock())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running() -> AsyncIterator[Authority]:
    async with authority() as entra:
        yield entra


@pytest_asyncio.fixture(loop_scope="module")
async def entra(running: Authority) -> Authority:
    """Nothing goes wrong, nothing is counted, one key is published."""
    running.control.faults.clear()
    await running.drop_old_keys()
    running.control.counts.clear()
    return running


async def refused(check: TokenChecker, token: str) -> TokenRefused:
    with pytest.raises(TokenRefused) as error:
        await check.check(token)
    return error.value


# -- who it is


@pytest.mark.claim("I1")
async def test_when_a_token_is_the_tenants_for_this_app_then_it_says_who_is_calling(entra: Authority) -> None:
    signed_in = await checker(entra.authority).check(await entra.token())
    assert signed_in == SignedIn(oid=ALICE, tenant_id=TENANT, groups=frozenset({SALES}))


async def test_when_ids_are_written_in_upper_case_then_they_are_the_same_ids(entra: Authority) -> None:
    upper = {"oid": ALICE.upper(), "tid": TENANT.upper(), "groups": [SALES.upper()]}
    for check in (checker(entra.authority), TokenChecker(entra.authority, CLIENT, TENANT.upper())):
        signed_in = await check.check(await entra.token(claims=upper))
        assert signed_in == SignedIn(oid=ALICE, tenant_id=TENANT, groups=frozenset({SALES}))


@pytest.mark.parametrize("scope", ["access_as_user", "profile access_as_user email"])
async def test_when_the_scope_is_among_others_then_the_token_is_taken(entra: Authority, scope: str) -> None:
    assert (await checker(entra.authority).check(await entra.token(claims={"scp": scope}))).oid == ALICE


@pytest.mark.claim("I1")
@pytest.mark.parametrize(("seconds", "taken"), [(-30, True), (-90, False)])
async def test_when_clocks_differ_a_little_then_a_token_is_taken_and_no_later(
    entra: Authority, seconds: int, taken: bool
) -> None:
    check, token = checker(entra.authority), await entra.token(lifetime_seconds=seconds)
    if taken:
        assert (await check.check(token)).oid == ALICE
    else:
        assert str(await refused(check, token)) == "it has expired"


async def test_when_a_token_lists_200_groups_then_it_is_not_too_long(entra: Authority) -> None:
    groups = [str(uuid4()) for _ in range(200)]
    token = await entra.token(claims={"groups": groups})
    assert (await checker(entra.authority).check(token)).groups == frozenset(groups)


# -- its groups


async def test_when_a_token_has_no_groups_then_the_person_is_in_none(entra: Authority) -> None:
    absent: list[list[str] | None] = [None, []]
    for groups in absent:
        signed_in = await checker(entra.authority).check(await entra.token(claims={"groups": groups}))
        assert signed_in.groups == frozenset()


@pytest.mark.claim("I4")
async def test_when_somebody_is_in_too_many_groups_then_none_are_known(entra: Authority) -> None:
    signed_in = await checker(entra.authority).check(await entra.token(person="bob"))
    assert (signed_in.oid, signed_in.groups) == (BOB, None)


@pytest.mark.claim("I4")
@pytest.mark.parametrize("groups", [None, [], [LEGAL]])
@pytest.mark.parametrize(
    "marker",
    [
        {"_claim_names": {"groups": "src1"}},
        {"_claim_names": {"groups": None}},
        {"hasgroups": True},
        {"hasgroups": "true"},
        {"hasgroups": 0},
    ],
    ids=str,
)
async def test_when_a_token_says_in_any_way_that_there_are_more_groups_then_none_are_known(
    entra: Authority, marker: dict[str, Any], groups: list[str] | None
) -> None:
    token = await entra.token(claims={"groups": groups, **marker})
    assert (await checker(entra.authority).check(token)).groups is None


@pytest.mark.parametrize("marker", [{"_claim_names": {"address": "src1"}}, {"hasgroups": False}], ids=str)
async def test_when_something_else_is_elsewhere_then_the_groups_are_those_listed(
    entra: Authority, marker: dict[str, Any]
) -> None:
    assert (await checker(entra.authority).check(await entra.token(claims=marker))).groups == frozenset({SALES})


# -- hostile tokens


@pytest.mark.claim("I1", "T3")
@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
async def test_when_a_token_is_hostile_then_it_is_refused_for_its_own_reason_and_the_client_is_not_told(
    entra: Authority, hostile: Hostile
) -> None:
    error = await refused(checker(entra.authority), await entra.token(**hostile.how))
    assert str(error) == hostile.reason
    assert error.problem() == TokenRefused("any other reason").problem()
    assert error.__cause__ is None


def segments(*parts: str) -> str:
    return ".".join(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts)


HEADER = '{"alg": "RS256", "kid": "any"}'
CLAIMS = '{"ver": "2.0"}'


@pytest.mark.claim("I1")
@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "it is malformed"),
        ("a", "it is malformed"),
        ("..", "it is malformed"),
        ("a.b", "it is malformed"),
        ("a.b.c.d", "it is malformed"),
        ("a.b.c.d.e", "it is malformed"),  # as an encrypted one has them
        ("ä.ö.ü", "it is malformed"),
        ("\ud800.b.c", "it is malformed"),
        ("a b.c.d", "it is malformed"),
        (segments(HEADER, CLAIMS, "") + "\n", "it is malformed"),
        (segments(HEADER, CLAIMS, "") + "=", "it is malformed"),
        (segments("null", CLAIMS, "any"), "it is malformed"),
        (segments("[]", CLAIMS, "any"), "it is malformed"),
        (segments(HEADER, '"claims"', "any"), "it is malformed"),
        (segments(HEADER, "", "any"), "it is malformed"),
        (segments(HEADER, segments(HEADER, CLAIMS, "any"), "any"), "it is malformed"),  # a token in a token
        (segments(HEADER, "[" * 10_000, "any"), "it is malformed"),
        (segments(HEADER, '{"exp": ' + "9" * 5_000 + "}", "any"), "it is malformed"),
        (segments("\ufeff" + HEADER, CLAIMS, "any"), "it is malformed"),
        (segments('{"alg": "none", "alg": "RS256"}', CLAIMS, "any"), "it has a member twice"),
        (segments(HEADER, r'{"oid": 1, "\u006fid": 2}', "any"), "it has a member twice"),
        (segments(HEADER, '{"_claim_names": {"groups": 1, "groups": 2}}', "any"), "it has a member twice"),
        ("x" * 16_385, "it is too long"),
    ],
)
async def test_when_a_token_is_none_then_it_is_refused_at_sight(entra: Authority, token: str, reason: str) -> None:
    assert str(await refused(checker(entra.authority), token)) == reason
    assert not entra.control.counts


@pytest.mark.claim("I1", "T1")
@pytest.mark.parametrize("member", ["jku", "x5u", "kid"])
async def test_when_a_header_says_where_a_key_is_then_nobody_goes_there(entra: Authority, member: str) -> None:
    visits = []

    async def keys(request: web.Request) -> web.Response:
        visits.append(request.path)
        return web.json_response({"keys": []})

    app = web.Application()
    app.router.add_get("/{any:.*}", keys)
    async with serving(app) as elsewhere:
        await refused(checker(entra.authority), await entra.token(header={member: f"{elsewhere}/keys"}))
    assert not visits
    assert not entra.count("jwks")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
CLAIM_NAMES = ["iss", "aud", "tid", "oid", "ver", "exp", "nbf", "iat", "scp", "idtyp", "sub", "jti", "groups"]
MEMBER_NAMES = ["alg", "kid", "typ", "cty", "crit", "b64", "zip", "enc", "jku"]


@settings(deadline=None)
@given(token=st.text() | st.text(alphabet="ab.-_=e30") | st.from_regex(r"\A[\w-]*\.[\w-]*\.[\w-]*\Z"))
async def test_when_a_token_is_any_text_then_it_is_refused_and_nothing_else_happens(
    entra_with_keys: TokenChecker, token: str
) -> None:
    await refused(entra_with_keys, token)


@settings(deadline=None)
@given(
    claims=st.dictionaries(st.sampled_from([*CLAIM_NAMES, "hasgroups", "_claim_names"]), JSON, max_size=3),
    header=st.dictionaries(st.sampled_from(MEMBER_NAMES), JSON, max_size=2),
)
async def test_when_a_signed_token_says_anything_then_it_is_refused_or_shows_a_person_of_the_tenant(
    running: Authority, entra_with_keys: TokenChecker, claims: dict[str, Any], header: dict[str, Any]
) -> None:
    try:
        signed_in = await entra_with_keys.check(await running.token(claims=claims, header=header))
    except TokenRefused:
        return
    assert (signed_in.oid, signed_in.tenant_id) == (ALICE, TENANT)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def entra_with_keys(running: Authority) -> TokenChecker:
    """A checker that has read the keys, and whose time stands still."""
    check = checker(running.authority)
    await check.check(await running.token())
    return check


@pytest.mark.claim("I1")
async def test_when_a_token_is_for_this_app_among_others_then_it_is_refused(entra: Authority) -> None:
    for audience in ([CLIENT], [CLIENT, TENANT]):
        token = await entra.token(claims={"aud": audience})
        assert str(await refused(checker(entra.authority), token)) == "it is for another application"


# -- the signing keys


@pytest.mark.claim("I1")
async def test_when_many_call_with_a_new_key_then_it_is_read_once_and_all_are_taken(entra: Authority) -> None:
    check = checker(entra.authority)
    before = await entra.token()
    await asyncio.gather(*(check.check(before) for _ in range(20)))
    assert entra.count("jwks") == 1
    await entra.roll_key()
    after = await entra.token()
    await asyncio.gather(*(check.check(token) for token in [before, after] * 20))
    assert entra.count("jwks") == 2
    await asyncio.gather(*(check.check(token) for token in (before, after)))
    assert entra.count("jwks") == 2


@pytest.mark.claim("I1")
@pytest.mark.parametrize("because", ["an hour has passed", "somebody has a token of the new key"])
async def test_when_the_authority_withdraws_a_key_then_it_is_trusted_no_longer_than_an_hour(
    entra: Authority, because: str
) -> None:
    clock = Clock()
    check = checker(entra.authority, clock)
    token = await entra.token()
    await check.check(token)
    await entra.roll_key()
    await entra.drop_old_keys()
    clock.now += KEPT_SECONDS - 1
    assert (await check.check(token)).oid == ALICE
    if because == "an hour has passed":
        clock.now += 1
    else:
        await check.check(await entra.token())
    assert str(await refused(check, token)) == UNKNOWN_KEY


async def test_when_keys_are_made_up_then_the_authority_is_asked_so_often_and_no_more(entra: Authority) -> None:
    clock = Clock()
    check = checker(entra.authority, clock)
    good = await entra.token()
    await check.check(good)
    made_up = [await entra.token(header={"kid": f"made-up-{n}"}) for n in range(3 * READINGS)]
    for token in made_up:
        assert str(await refused(check, token)) == UNKNOWN_KEY
        await check.check(good)
    assert entra.count("openid-configuration") == entra.count("jwks") == READINGS
    clock.now += READING_SECONDS
    await asyncio.gather(*(refused(check, token) for token in made_up))
    assert entra.count("jwks") == READINGS + 1
    clock.now += READING_SECONDS
    await entra.roll_key()
    await check.check(await entra.token())
    assert entra.count("jwks") == READINGS + 2


async def test_when_the_keys_are_read_for_one_caller_then_those_with_known_keys_do_not_wait(entra: Authority) -> None:
    check = checker(entra.authority)
    good, stranger = await entra.token(), await entra.token(key="unknown")
    await check.check(good)
    entra.fault("jwks", kind="delay", seconds=0.5)
    waiting = asyncio.create_task(refused(check, stranger))
    while entra.count("jwks") < 2:
        await asyncio.sleep(0)
    for _ in range(10):
        await check.check(good)
    assert not waiting.done()
    assert str(await waiting) == UNKNOWN_KEY


async def test_when_the_caller_for_whom_keys_are_read_leaves_then_the_others_get_them(entra: Authority) -> None:
    check, token = checker(entra.authority), await entra.token()
    entra.fault("jwks", kind="delay", seconds=0.2)
    first, second = (asyncio.create_task(check.check(token)) for _ in range(2))
    while entra.count("jwks") < 1:
        await asyncio.sleep(0)
    first.cancel()
    assert (await second).oid == ALICE
    assert entra.count("jwks") == 1


@pytest.mark.claim("I1")
@pytest.mark.parametrize("operation", ["openid-configuration", "jwks"])
@pytest.mark.parametrize("kind", ["status", "drop"])
async def test_when_the_keys_cannot_be_read_then_no_token_that_needs_them_is_taken(
    entra: Authority, operation: str, kind: str
) -> None:
    clock = Clock()
    check = checker(entra.authority, clock)
    good, stranger = await entra.token(), await entra.token(key="unknown")
    entra.fault(operation, kind=kind)
    with pytest.raises(KeysUnavailable):
        await check.check(good)
    entra.control.faults.clear()
    await check.check(good)
    entra.fault(operation, kind=kind)
    with pytest.raises(KeysUnavailable):
        await check.check(stranger)
    assert (await check.check(good)).oid == ALICE
    clock.now += KEPT_SECONDS
    with pytest.raises(KeysUnavailable):
        await check.check(good)
    entra.control.faults.clear()
    assert (await check.check(good)).oid == ALICE


async def test_when_the_authority_stays_away_then_it_is_not_asked_at_every_call(entra: Authority) -> None:
    clock = Clock()
    check, token = checker(entra.authority, clock), await entra.token()
    entra.fault("openid-configuration")
    for _ in range(3 * READINGS):
        with pytest.raises(KeysUnavailable):
            await check.check(token)
    assert entra.count("openid-configuration") == READINGS
    entra.control.faults.clear()
    clock.now += READING_SECONDS
    assert (await check.check(token)).oid == ALICE


@pytest.mark.claim("I1", "T1")
@pytest.mark.parametrize("by", ["the metadata", "a redirect"])
async def test_when_the_authority_sends_to_another_host_for_its_keys_then_nobody_goes_there(
    entra: Authority, by: str
) -> None:
    elsewhere = f"{entra.authority}/discovery/v2.0/keys"

    async def metadata(_: web.Request) -> web.Response:
        keys = elsewhere if by == "the metadata" else f"{url}/keys"
        return web.json_response({"issuer": f"{entra.authority}/v2.0", "jwks_uri": keys})

    async def redirect(_: web.Request) -> web.Response:
        raise web.HTTPFound(elsewhere)

    app = web.Application()
    app.add_routes([web.get("/v2.0/.well-known/openid-configuration", metadata), web.get("/keys", redirect)])
    async with serving(app) as url:
        with pytest.raises(KeysUnavailable):
            await checker(url).check(await entra.token())
    assert not entra.count("jwks")


KEY: dict[str, Any] = {"kty": "RSA", "kid": "any", "n": "AQAB", "e": "AQAB"}


@pytest.mark.claim("I1", "T1")
@pytest.mark.parametrize(
    ("metadata", "keys"),
    [
        ({"issuer": "any", "jwks_uri": "not an address"}, {"keys": [KEY]}),
        ({"issuer": 5}, {"keys": [KEY]}),
        ({}, {"keys": [KEY]}),
        ([], {"keys": [KEY]}),
        (None, {"keys": []}),
        (None, {"keys": [{"kty": "RSA"}, "any", {"kty": ["RSA"], "alg": []}]}),
        (None, []),
        (None, "any"),
    ],
    ids=str,
)
async def test_when_what_the_authority_publishes_makes_no_sense_then_no_token_is_taken(
    metadata: Any, keys: Any
) -> None:
    published: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(published[request.path])

    app = web.Application()
    app.router.add_get("/{any:.*}", answer)
    async with serving(app) as url:
        right = {"issuer": "any", "jwks_uri": f"{url}/keys"}
        published["/v2.0/.well-known/openid-configuration"] = right if metadata is None else metadata
        published["/keys"] = keys
        with pytest.raises(KeysUnavailable):
            await checker(url).check(segments(HEADER, CLAIMS, "any"))
