"""The directory is the only one who knows people; its signing keys change, and they may be out of reach."""

from uuid import uuid4

import pytest

from tests.e2e.asking import Asking

PATH = "/api/assistants"


@pytest.mark.claim("I1")
async def test_when_the_directory_signs_with_a_new_key_then_old_and_new_tokens_are_taken(asking: Asking) -> None:
    await asking.stack.control("entra").call("POST", "/control/roll-key")
    for token in (await asking.token(), asking.stack.token("alice")):
        assert (await asking.call("GET", PATH, token=token)).status == 200


@pytest.mark.claim("I1")
@pytest.mark.parametrize("operation", ["openid-configuration", "jwks"])
async def test_when_the_keys_cannot_be_read_then_a_token_of_an_unknown_one_is_not_taken(
    asking: Asking, operation: str
) -> None:
    stranger = await asking.token(key="unknown")
    async with asking.nothing_written():
        async with asking.going_wrong("entra", {"operation": operation, "kind": "status"}):
            (await asking.call("GET", PATH, token=stranger)).is_problem(503, "not-available")
            assert (await asking.call("GET", PATH, token=asking.stack.token("alice"))).status == 200
        (await asking.call("GET", PATH, token=stranger)).is_problem(401, "token-refused")


@pytest.mark.claim("I2")
async def test_when_somebody_comes_whom_nobody_entered_then_they_are_served_and_only_what_they_did_is_kept(
    asking: Asking,
) -> None:
    """Whoever the directory vouches for is known by their token alone: before they come there is nothing of them, and
    afterwards no document that would have to follow the directory, only those of what they asked and what it cost."""
    oid, name = str(uuid4()), "Nora Newcomer"
    token = await asking.token(claims={"oid": oid, "sub": oid, "name": name, "preferred_username": "nora@example.com"})
    me = await asking.call("GET", "/api/me", token=token)
    assert me.status == 200, me.text
    assert [team["id"] for team in me.body["teams"]] == ["sales"]
    path = "/api/assistants/sales-helper/requests"
    answer = await asking.call("POST", path, token=token, json={"prompt": "What makes a good offer?"})
    assert answer.status == 200, answer.text
    dump = (await asking.stack.control("cosmos").dump()).splitlines()
    assert {line.partition("\t")[0] for line in dump if oid in line} == {"requests", "budgets"}
    assert not [line for line in dump if name in line or "nora@example.com" in line]
