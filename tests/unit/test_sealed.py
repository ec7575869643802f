"""What a request keeps sealed is read with its own key, and with no other."""

import pytest

from governance.sealed import SealBroken, hashing_key, seal, unseal

SECRET = b"a secret of a test, 32 bytes long"
VALUES = {"<PERSON_1>": "Zoë O'Neill 👍🏽"}


def test_when_values_are_sealed_then_they_are_read_again_and_not_seen() -> None:
    sealed = seal(SECRET, "r1", VALUES)
    assert unseal(SECRET, "r1", sealed) == VALUES
    assert "Neill" not in sealed
    assert seal(SECRET, "r1", VALUES) != sealed, "the same nonce twice"


@pytest.mark.parametrize(
    ("secret", "request_id", "change"),
    [
        (b"another secret of 32 bytes or mor", "r1", ""),
        (SECRET, "r2", ""),
        (SECRET, "r1", "A"),
        (SECRET, "r1", "not base64"),
    ],
)
def test_when_the_key_or_the_seal_is_another_then_nothing_is_read(secret: bytes, request_id: str, change: str) -> None:
    sealed = seal(SECRET, "r1", VALUES)
    with pytest.raises(SealBroken):
        unseal(secret, request_id, sealed if not change else change + sealed[len(change) :])


def test_when_two_requests_hash_a_value_then_the_hashes_can_not_be_compared() -> None:
    assert hashing_key(SECRET, "r1") != hashing_key(SECRET, "r2")
