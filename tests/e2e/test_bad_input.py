"""What is not a question gets a problem that says so, is not stored, not queued, and reaches no model."""

import io
import json
from typing import Any

import pytest

from tests.e2e.asking import Asking

PATH = "/api/assistants/sales-helper/requests"
JSON = "application/json"
LIMIT = 100_000


def question(prompt: str, **members: object) -> bytes:
    return json.dumps({"prompt": prompt, **members}).encode()


async def send(asking: Asking, body: bytes, content_type: str | None = JSON, path: str = PATH) -> Any:
    headers = {"Content-Type": content_type} if content_type else {}
    options = {} if content_type else {"skip_auto_headers": ["Content-Type"]}
    token = asking.stack.token("alice")
    return await asking.call("POST", path, token=token, data=io.BytesIO(body), headers=headers, **options)


# -- assistants


async def test_when_an_assistant_is_not_for_the_caller_then_it_is_as_unknown_as_one_that_is_not_there(
    asking: Asking,
) -> None:
    async with asking.nothing_written():
        outside = await asking.ask("Hello", assistant="ledger")
        unknown = await asking.ask("Hello", assistant="no-such-assistant")
        nobodys = await asking.ask("Hello", assistant="sales-helper", person="bob")
    outside.is_problem(404, "not-found")
    assert outside.text == unknown.text == nobodys.text
    assert outside.headers.keys() == unknown.headers.keys()


@pytest.mark.parametrize("name", ["a%2Fb", "a%5Cb", "a%23b", "a%3Fb", "%F0%9F%98%80", "%00", "a%20b", "x" * 2000])
async def test_when_a_name_or_an_id_is_not_one_that_could_be_then_it_is_unknown(asking: Asking, name: str) -> None:
    async with asking.nothing_written():
        (await send(asking, question("Hello"), path=f"/api/assistants/{name}/requests")).is_problem(404, "not-found")
        (await asking.status(name)).is_problem(404, "not-found")


# -- bodies


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"Hello"',
        b"{}",
        b"[" * 10_000,
        b'{"prompt": null}',
        b'{"prompt": 5}',
        b'{"prompt": ["Hello"]}',
        b'{"prompt": ""}',
        question(" \t\r\n\u00a0\u2003"),
        question("Hello", model="another"),
        question("Hello", team=5),
        b'{"prompt": "\xff"}',
        b'{"prompt": "\\ud800"}',
        question("Hello").decode().encode("utf-16"),
    ],
)
async def test_when_the_body_is_not_a_question_then_400(asking: Asking, body: bytes) -> None:
    async with asking.nothing_written():
        problem = (await send(asking, body)).is_problem(400, "malformed")
    assert "Hello" not in problem["detail"]
    assert "another" not in problem["detail"]


@pytest.mark.parametrize("content_type", [None, "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
async def test_when_the_body_is_not_json_by_its_content_type_then_415(asking: Asking, content_type: str | None) -> None:
    async with asking.nothing_written():
        (await send(asking, question("Hello"), content_type)).is_problem(415, "wrong-content-type")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_when_the_content_type_is_json_in_other_words_then_it_is_taken(asking: Asking, content_type: str) -> None:
    assert (await send(asking, question("Hello"), content_type)).status == 200


@pytest.mark.parametrize("team", ["finance", "no-such-team", ""])
async def test_when_the_team_is_not_one_of_the_callers_then_403(asking: Asking, team: str) -> None:
    async with asking.nothing_written():
        (await send(asking, question("Hello", team=team))).is_problem(403, "no-team")


async def test_when_the_caller_is_in_no_team_then_403(asking: Asking) -> None:
    async with asking.nothing_written():
        (await asking.ask("Hello", person="ivan", assistant="handbook")).is_problem(403, "no-team")


@pytest.mark.parametrize("character", ["x", "ß", "語", "😀"])
async def test_when_a_prompt_is_over_the_limit_in_characters_then_413(asking: Asking, character: str) -> None:
    too_long = character * (LIMIT + 1)
    for body in (question(too_long), json.dumps({"prompt": too_long}, ensure_ascii=False).encode()):
        async with asking.nothing_written():
            problem = (await send(asking, body)).is_problem(413, "too-large")
        assert "100,000" in problem["detail"]


async def test_when_a_body_is_far_over_the_limit_then_413(asking: Asking) -> None:
    async with asking.nothing_written():
        (await send(asking, question("x" * 20 * LIMIT))).is_problem(413, "too-large")


async def test_when_a_prompt_is_as_long_as_may_be_then_its_length_is_no_reason_to_refuse_it(asking: Asking) -> None:
    """Asked of an assistant that is stopped: that is looked at after the length, and spares the guardrails."""
    path = "/api/assistants/handbook/requests"
    async with asking.stopped("handbook", "closed for the day"):
        for character in ("x", "ß", "語", "😀"):
            (await send(asking, question(character * LIMIT), path=path)).is_problem(423, "stopped")


# -- tokens


@pytest.mark.claim("I1", "T3")
@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"lifetime_seconds": -120}, "expired"),
        ({"claims": {"nbf": 4_000_000_000}}, "not valid yet"),
        ({"claims": {"aud": "00000003-0000-0000-c000-000000000000"}}, "another application"),
        ({"claims": {"iss": "https://sts.example.com/"}}, "another issuer"),
        ({"claims": {"tid": "7e4a4700-0000-4000-8000-00000000000f"}}, "another tenant"),
        ({"claims": {"ver": "1.0"}}, "v2.0"),
        ({"claims": {"idtyp": "app", "scp": None}}, "application's"),
        ({"claims": {"idtyp": "app"}}, "application's"),
        ({"claims": {"scp": None}}, "application's"),
        ({"claims": {"oid": None}}, "lacks a claim"),
        ({"claims": {"tid": None}}, "lacks a claim"),
        ({"claims": {"exp": None}}, "lacks a claim"),
        ({"claims": {"groups": "everybody"}}, "groups"),
        ({"signature": "wrong"}, "signature"),
        ({"key": "unknown"}, "unknown key"),
        ({"algorithm": "none"}, "not"),
        ({"algorithm": "HS256"}, "not"),
        ({"algorithm": "RS512"}, "algorithm"),
    ],
)
async def test_when_a_token_is_not_this_tenants_for_this_app_and_a_person_then_401(
    asking: Asking, how: dict[str, Any], why: str
) -> None:
    token = await asking.token(**how)
    async with asking.nothing_written():
        for method, path, options in (
            ("POST", PATH, {"json": {"prompt": "Hello"}}),
            ("GET", "/api/requests/any", {}),
            ("GET", "/api/assistants", {}),
            ("PUT", "/api/switches/platform", {"json": {"stopped": True, "reason": "any"}}),
        ):
            reply = await asking.call(method, path, token=token, **options)
            problem = reply.is_problem(401, "token-refused")
            assert problem["detail"] == "Sign in again: the access token is missing, or it was refused.", why
            assert reply.headers["WWW-Authenticate"] == "Bearer"
            assert token not in reply.text


@pytest.mark.claim("I1")
@pytest.mark.parametrize(
    "header", [None, "", "Bearer", "Bearer ", "Basic YWxpY2U6YWxpY2U=", "Bearer a.b.c", "Bearer \u00e9", "Bearer x y"]
)
async def test_when_there_is_no_token_then_401(asking: Asking, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    async with asking.nothing_written():
        reply = await asking.call("POST", PATH, token=None, json={"prompt": "Hello"}, headers=headers)
    reply.is_problem(401, "token-refused")


@pytest.mark.claim("I1")
async def test_when_others_say_who_the_caller_is_then_nobody_listens(asking: Asking) -> None:
    """These headers are App Service's own, which it sets behind its authentication; anybody can send them."""
    oid = str(asking.stack.person("alice").oid)
    headers = {"X-MS-CLIENT-PRINCIPAL-ID": oid, "X-MS-CLIENT-PRINCIPAL": "e30=", "X-MS-TOKEN-AAD-ACCESS-TOKEN": "any"}
    async with asking.nothing_written():
        (await asking.call("POST", PATH, token=None, json={"prompt": "Hello"}, headers=headers)).is_problem(
            401, "token-refused"
        )


@pytest.mark.claim("I4")
@pytest.mark.parametrize(
    "overage",
    [{"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "any"}}}, {"hasgroups": True}],
)
async def test_when_a_token_does_not_list_the_callers_groups_and_graph_does_not_answer_then_403(
    asking: Asking, overage: dict[str, Any]
) -> None:
    token = await asking.token(claims={"groups": None, **overage})
    failing = {"operation": "checkMemberGroups", "kind": "status"}
    async with asking.going_wrong("entra", failing), asking.nothing_written():
        reply = await asking.call("POST", PATH, token=token, json={"prompt": "Hello"})
        reply.is_problem(403, "groups-unresolved")
        (await asking.call("GET", "/api/assistants", token=token)).is_problem(403, "groups-unresolved")


@pytest.mark.claim("I4")
async def test_when_a_token_does_not_list_the_callers_groups_then_graph_tells_those_that_count(asking: Asking) -> None:
    token = await asking.token(claims={"groups": None, "_claim_names": {"groups": "src1"}})
    reply = await asking.call("GET", "/api/assistants", token=token)
    assert [each["id"] for each in reply.body["assistants"]] == ["handbook", "sales-helper"]


async def test_when_a_token_says_that_the_caller_is_in_no_group_then_they_have_none(asking: Asking) -> None:
    token = await asking.token(claims={"groups": None})
    assert (await asking.call("GET", "/api/assistants", token=token)).body == {"assistants": []}
