"""Evasion: what is hidden in the way it is written is found all the same; and what is known not to be."""

import base64
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guardrails.check import check
from guardrails.disguises import undisguised
from guardrails.policy import Policy
from guardrails.reading import as_typed
from guardrails.readings import readings
from guardrails.topics import Side
from guardrails.verdict import Action

ADDRESS = "joe@example.com"
CARD = "4111111111111111"

POLICY = Policy.model_validate(
    {
        "id": "p",
        "version": 1,
        "pii": {"EMAIL_ADDRESS": "redact", "CREDIT_CARD": "redact"},
        "acceptable_use": [{"id": "heron", "category": "c", "phrases": ["project heron"], "action": "block"}],
    }
)


def encoded(text: str, times: int = 1) -> str:
    for _ in range(times):
        text = base64.b64encode(text.encode()).decode()
    return text


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    ("what", "hidden"),
    [
        ("zero-width characters", "jo\u200be@exam\u200dple.com"),
        ("soft hyphens", "jo\u00ade@exam\u00adple.com"),
        ("full-width characters", "\uff4aoe\uff20example\uff0ecom"),
        ("a Cyrillic letter", "j\u043ee@example.com"),
        ("percent-encoding", "joe%40example.com"),
        ("percent-encoding of all", "".join(f"%{byte:02x}" for byte in ADDRESS.encode())),
        ("HTML entities", "joe&#64;example&period;com"),
        ("base64", encoded(f"write to {ADDRESS} now")),
        ("base64 for URLs", encoded(f"??>>{ADDRESS}??").replace("+", "-").replace("/", "_")),
        ("base64 twice", encoded(f"write to {ADDRESS} now", 2)),
        ("hexadecimal", ADDRESS.encode().hex()),
        ("spaced characters", " ".join(ADDRESS)),
        ("words for the signs", "joe at example dot com"),
        ("words in brackets", "joe [at] example [dot] com"),
    ],
)
async def test_when_an_address_is_disguised_then_it_is_redacted(what: str, hidden: str) -> None:
    text = f"Please mail {hidden} today."
    checked = await check(text, POLICY)
    assert checked.text == "Please mail <EMAIL_ADDRESS_1> today."
    (finding,) = checked.verdict.findings
    assert text[finding.start : finding.end] == hidden


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    "hidden",
    [
        " ".join(CARD),
        "4111-1111-1111-1111",
        "-".join(CARD),
        "4111.1111.1111.1111",
        "\uff14111 1111 1111 1111",
        "4\u200b1\u200b1\u200b1 1111 1111 1111",
        "\u0664111111111111111",  # an Arabic-Indic four
        encoded(f"card {CARD} x"),
    ],
)
async def test_when_a_card_number_is_disguised_then_it_is_redacted(hidden: str) -> None:
    checked = await check(f"My card: {hidden}, thanks.", POLICY)
    assert checked.verdict.action is Action.REDACT
    assert not any(character.isdigit() for character in checked.text.replace("_1>", ">")), checked.text


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("offer_joe@example.com.pdf", "<EMAIL_ADDRESS_1>"),
        (f"card_{CARD}.pdf", "card_<CREDIT_CARD_1>.pdf"),
        (f"{CARD}_front.png", "<CREDIT_CARD_1>_front.png"),
        ("4111_1111_1111_1111.png", "<CREDIT_CARD_1>.png"),
        ("4111%201111%201111%201111.txt", "<CREDIT_CARD_1>.txt"),
    ],
)
async def test_when_a_value_is_in_a_file_name_then_it_is_redacted(name: str, left: str) -> None:
    assert (await check(name, POLICY, side=Side.DOCUMENT)).text == left


@pytest.mark.claim("G2")
@pytest.mark.parametrize("hidden", [ADDRESS, "jo\u200be@exam\u200dple.com", encoded(f"write to {ADDRESS} now")])
async def test_when_a_value_is_in_grounding_text_then_it_is_redacted(hidden: str) -> None:
    page = f"## Contacts\n\n| Who | Where |\n|---|---|\n| Help desk | {hidden} |\n\nOpen from nine to five."
    assert (await check(page, POLICY, side=Side.DOCUMENT)).text == page.replace(hidden, "<EMAIL_ADDRESS_1>")


async def test_when_a_value_is_split_over_turns_then_it_is_known_not_to_be_found() -> None:
    """Each turn is checked as it comes: half a number is a number like any other."""
    for turn in ("My card begins with 4111 1111", "and goes on with 1111 1111."):
        assert (await check(turn, POLICY)).verdict.action is Action.ALLOW
    whole = await check("My card begins with 4111 1111\nand goes on with 1111 1111.", POLICY)
    assert whole.verdict.action is Action.ALLOW


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    "hidden",
    [
        "PROJECT  HERON",
        "pro\u200bject heron",
        "pr\u043eject her\u043en",
        "p r o j e c t   h e r o n",
        "project%20heron",
        "project&nbsp;heron",
        encoded("about project heron"),
        "\U0001d429roject heron",  # a mathematical bold p
    ],
)
async def test_when_a_topic_is_disguised_then_it_is_blocked(hidden: str) -> None:
    assert (await check(f"Tell me of {hidden} please", POLICY)).verdict.action is Action.BLOCK


@pytest.mark.parametrize(
    "hidden",
    [
        "prject heron",  # a letter is missing
        "projekt heron",  # another language
        "noreh tcejorp",  # backwards
        "pr0ject h3ron",  # digits for letters
        "cebwrpg ureba",  # every letter moved by thirteen
        "project-heron",  # as one word with a hyphen: the phrase has a space
        "\u0440\u0433\u043e\u0458\u0435\u0441\u0442 heron",  # a word of lookalikes only
    ],
)
async def test_when_a_topic_is_disguised_in_these_ways_then_it_is_known_not_to_be_found(hidden: str) -> None:
    """The list of what patterns can't see; a topic that matters has a pattern for it, or a judge."""
    assert (await check(f"Tell me of {hidden} please", POLICY)).verdict.action is Action.ALLOW


@pytest.mark.parametrize(
    "text",
    [
        "A plain sentence, with 3 numbers: 1, 2 and 30.",
        "100% of 50% is 50%.",
        "Look at the door. Dot your i's.",
        "Meet at ten at the office",
        "commit 4f2a9c81d7e3b5064f2a9c81d7e3b5064f2a9c81",
        "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789",
        "Привет, как дела?",
        "a b c d",
        "R&D; AT&T",
        "Tel. 020 7946 0958",
    ],
)
def test_when_a_text_is_not_disguised_then_it_is_read_as_it_is(text: str) -> None:
    assert undisguised(as_typed(text)).text == text


@given(st.text())
def test_when_any_text_is_read_then_every_reading_leads_back_into_it(text: str) -> None:
    for reading in readings(text):
        assert len(reading.text) == len(reading.starts) == len(reading.ends)
        for start, end in zip(reading.starts, reading.ends, strict=True):
            assert 0 <= start < end <= len(text)


@given(
    st.lists(
        st.sampled_from(
            ["%41", "&#65;", "QUFBQUFBQUFBQUFBQUE=", "4141414141414141414141", "a ", "1-", "é", " at ", "x dot com"]
        )
    )
)
def test_when_disguises_are_mixed_then_every_reading_leads_back_in_order(parts: list[str]) -> None:
    text = "".join(parts)
    reading = undisguised(as_typed(text))
    assert list(reading.starts) == sorted(reading.starts)
    assert all(0 <= start < end <= len(text) for start, end in zip(reading.starts, reading.ends, strict=True))


@pytest.mark.parametrize(
    "unit",
    ["%41", "&#65;", "QUFB", "41", "a ", "1 ", "1-", "&", "%", " at ", "a at b dot ", "dot ", "\u043e", "a\u043e"],
)
def test_when_a_text_is_nothing_but_disguise_then_it_is_read_in_no_time(unit: str) -> None:
    """Twice the text takes about twice the time: ten times as long would be quadratic."""
    undisguised(as_typed(unit * 10))

    def seconds(length: int) -> float:
        text, best = unit * (length // len(unit)), 10.0
        for _ in range(3):
            started = time.process_time()
            undisguised(as_typed(text))
            best = min(best, time.process_time() - started)
        return best

    assert seconds(40_000) < 40 * max(seconds(4_000), 0.0005)
