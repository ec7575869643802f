"""The directory's signing keys: they change, and they may be out of reach."""

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
