"""The guardrails as they are used: recognisers and model in process, and what happens when anything fails."""

import asyncio
import threading
import time
from collections.abc import Callable

import phonenumbers
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from guardrails import detector
from guardrails.check import Checked, check
from guardrails.detection import Detection
from guardrails.errors import GuardrailFailed, GuardrailTimeout
from guardrails.policy import Policy
from guardrails.topics import Topic
from guardrails.verdict import Action

DEFAULT = Policy(id="default", version=1)
SECRET = "a-word-of-the-prompt"  # a value to look for, not a credential


def denies(pattern: str, action: str = "block") -> Policy:
    rule = Topic.model_validate({"id": "rule-1", "category": "weapons", "patterns": [pattern], "action": action})
    return Policy(id="deny", version=1, pii={}, acceptable_use=[rule])


def places(checked: Checked) -> list[tuple[str, int, int]]:
    return [(found.rule, found.start, found.end) for found in checked.verdict.findings]


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Write to john.smith@example.com today.", "Write to <EMAIL_ADDRESS_1> today."),
        ("Write to john@build.corp.local today.", "Write to <EMAIL_ADDRESS_1> today."),
        ("Write to joe\N{FULLWIDTH COMMERCIAL AT}example\N{FULLWIDTH FULL STOP}com.", "Write to <EMAIL_ADDRESS_1>."),
        ("Write to jo\u200bhn@exam\u00adple.com today.", "Write to <EMAIL_ADDRESS_1> today."),
        ("Write to joe@пример.рф today.", "Write to <EMAIL_ADDRESS_1> today."),
        ("👩‍👩‍👧🏽 john@example.com 👍🏽", "👩‍👩‍👧🏽 <EMAIL_ADDRESS_1> 👍🏽"),
        ("Call (212) 555-0123 now.", "Call <PHONE_NUMBER_1> now."),
        ("Call 212-555-0123² now.", "Call <PHONE_NUMBER_1>² now."),
        ("Call +44 20 7946 0958 now.", "Call <PHONE_NUMBER_1> now."),
        ("Call +81 90-1234-5678 now.", "Call <PHONE_NUMBER_1> now."),
        ("Call +358 41 2345678 now.", "Call <PHONE_NUMBER_1> now."),
        ("My card is 4111 1111 1111 1111.", "My card is <CREDIT_CARD_1>."),
        ("Pay to GB82 WEST 1234 5698 7654 32 please.", "Pay to <IBAN_CODE_1> please."),
        ("The host 10.20.30.40 is down.", "The host <IP_ADDRESS_1> is down."),
        ("Please ask John Smith about it.", "Please ask <PERSON_1> about it."),
        ("He lives at 14 Cromwell Road, Leeds LS6 2AB now.", "He lives at <STREET_ADDRESS_1> now."),
        ("My NI number is AB 12 34 56 C.", "My NI number is <UK_NINO_1>."),
        ("Sort code 20-00-00, account 55779911.", "Sort code <UK_BANK_ACCOUNT_1>."),
        ("My NHS number is 943 476 5919.", "My NHS number is <UK_NHS_1>."),
        ("Her licence is MORGA657054SM9IJ.", "Her licence is <UK_DRIVING_LICENCE_1>."),
        ("Is it raining in Paris on Monday?", "Is it raining in Paris on Monday?"),
        ("npm install react@18.2.0", "npm install react@18.2.0"),
        ("", ""),
        ("👍", "👍"),
    ],
)
async def test_when_a_text_has_personal_data_then_it_is_redacted_by_default(text: str, expected: str) -> None:
    checked = await check(text, DEFAULT)
    assert checked.text == expected
    assert checked.verdict.action is (Action.ALLOW if text == expected else Action.REDACT)
    assert all(0 <= found.start < found.end <= len(text) for found in checked.verdict.findings)


async def test_when_a_url_holds_an_e_mail_address_then_nothing_of_either_is_left() -> None:
    policy = Policy.model_validate({"id": "p", "version": 1, "pii": {"URL": "redact", "EMAIL_ADDRESS": "redact"}})
    checked = await check("see https://intra.example.com/joe@example.com?a=b today", policy)
    assert checked.text == "see <URL_1> today"


async def test_when_the_text_is_very_long_then_all_of_it_is_checked() -> None:
    checked = await check("It is about joe@example.com today. " * 400, DEFAULT)
    assert checked.text == "It is about <EMAIL_ADDRESS_1> today. " * 400


SENTENCES = st.sampled_from(["Write to {} today.", "({})", "tel:{},", "<{}>", "{}\n", "cc {}; thanks", "“{}”", "{}"])


@pytest.mark.claim("G2")
@settings(max_examples=25, deadline=None)
@given(st.emails(), SENTENCES)
async def test_when_any_e_mail_address_is_in_a_sentence_then_it_is_gone_for_good(email: str, sentence: str) -> None:
    checked = await check(sentence.format(email), DEFAULT)
    assert email not in checked.text
    assert await check(checked.text, DEFAULT) == Checked(checked.text, (await check("", DEFAULT)).verdict)


HOME_REGIONS = ("US", "GB", "DE", "FR", "IL", "IN", "CA", "BR")  # where a number without a country code is known


@st.composite
def phone_numbers(draw: st.DrawFn) -> str:
    """A valid number of any country as it is written abroad, or of a home region as it is written there."""
    region = draw(st.sampled_from(sorted(phonenumbers.SUPPORTED_REGIONS)))
    example = phonenumbers.example_number(region)
    assert example is not None
    digits = draw(st.integers(0, 999))
    number = phonenumbers.parse(f"+{example.country_code}{str(example.national_number)[:-3]}{digits:03}")
    assume(phonenumbers.is_valid_number(number))
    styles = [phonenumbers.PhoneNumberFormat.INTERNATIONAL, phonenumbers.PhoneNumberFormat.E164]
    if region in HOME_REGIONS:
        styles.append(phonenumbers.PhoneNumberFormat.NATIONAL)
    return phonenumbers.format_number(number, draw(st.sampled_from(styles)))


@pytest.mark.claim("G2")
@settings(max_examples=25, deadline=None)
@given(phone_numbers(), SENTENCES)
async def test_when_any_phone_number_is_in_a_sentence_then_no_digit_of_it_is_left(phone: str, sentence: str) -> None:
    checked = await check(sentence.format(phone), DEFAULT)
    assert not any(character.isdigit() for character in checked.text.replace("_1>", ">"))
    assert (await check(checked.text, DEFAULT)).verdict.action is Action.ALLOW


JUNK = ("%", "€", '"', "(", "\ufdfa", "😀", "a", "1", "e\u0301\u0323", "a%", "x1;", "{[", "㌖!")
PERSONAL = ("joe@example.com", "212-555-0123", "+442079460958", "5105105105105100", "GB82WEST12345698765432")


@pytest.mark.claim("G2")
@settings(max_examples=20, deadline=None)
@given(st.sampled_from(PERSONAL), st.sampled_from(JUNK), st.integers(0, 4_500), st.integers(0, 4_500))
async def test_when_personal_data_lies_anywhere_in_a_long_run_then_it_is_redacted(
    personal: str, unit: str, before: int, after: int
) -> None:
    text = f"{(unit * before)[:before]};{personal};{(unit * after)[:after]}"
    checked = await check(text, DEFAULT)
    assert personal[:6] not in checked.text
    assert personal[-6:] not in checked.text


WORDS = st.sampled_from(
    ["John Smith", "Anna", "joe@x.org", "212-555-0123", "<PERSON_1>", "10.0.0.1", "²", "met", "in", "."]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(WORDS | st.text(max_size=20), max_size=10).map(" ".join))
async def test_when_a_text_was_redacted_then_checking_it_again_changes_nothing(text: str) -> None:
    once = await check(text, DEFAULT)
    again = await check(once.text, DEFAULT)
    assert again.text == once.text
    assert again.verdict.action.severity < Action.REDACT.severity, "an order may be suspected in what is left"
    assert all(0 <= found.start < found.end <= len(text) for found in once.verdict.findings)


@pytest.mark.claim("G1")
@pytest.mark.parametrize(
    ("text", "spans"),
    [
        ("How do I build a bomb?", [(17, 21)]),
        ("BOMB and Bomb", [(0, 4), (9, 13)]),
        ("a \N{FULLWIDTH LATIN SMALL LETTER B}omb", [(2, 6)]),
        ("a \N{MATHEMATICAL BOLD SMALL B}omb", [(2, 6)]),
        ("a b\u200bom\u00adb", [(2, 8)]),
        ("👩‍👩‍👧 bomb²", [(6, 10)]),
        ("a bombastic speech", []),
        ("", []),
    ],
)
@pytest.mark.parametrize("action", ["block", "warn"])
async def test_when_a_rule_matches_then_the_verdict_says_which_and_where(
    text: str, spans: list[tuple[int, int]], action: str
) -> None:
    checked = await check(text, denies(r"\bbomb\b", action))
    assert checked.text == text
    assert checked.verdict.action == (action if spans else "allow")
    assert places(checked) == [("rule-1", *span) for span in spans]
    assert all(found.confidence == 1.0 for found in checked.verdict.findings)


@pytest.mark.claim("G1")
async def test_when_a_text_is_blocked_then_it_is_redacted_all_the_same_and_the_verdict_quotes_nothing() -> None:
    rule = Topic(id="rule-1", category="weapons", patterns=["bomb"], action=Action.BLOCK)
    checked = await check("joe@x.org wants a bomb", Policy(id="p", version=1, acceptable_use=[rule]))
    assert checked.verdict.action is Action.BLOCK
    assert checked.text == "<EMAIL_ADDRESS_1> wants a bomb"
    stored = checked.verdict.model_dump_json()
    assert "joe" not in stored
    assert "bomb" not in stored
    assert "bomb" not in repr(checked)


def raises(error: Exception) -> Callable[[], None]:
    def fail() -> None:
        raise error

    return fail


@pytest.mark.claim("G2")
@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        (raises(ValueError(SECRET)), GuardrailFailed),
        (raises(MemoryError(SECRET)), GuardrailFailed),
        (raises(RecursionError(SECRET)), GuardrailFailed),
        (raises(GuardrailFailed("the model is not the one")), GuardrailFailed),
        (raises(TimeoutError(SECRET)), GuardrailTimeout),
        (lambda: time.sleep(0.3), GuardrailTimeout),
        (lambda: sum(range(20_000_000)), GuardrailTimeout),  # keeps the event loop from seeing the limit pass
    ],
)
async def test_when_a_detector_fails_then_nothing_passes_and_nothing_is_quoted(
    fault: Callable[[], object], expected: type[GuardrailFailed]
) -> None:
    def detector(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
        fault()
        return []

    with pytest.raises(GuardrailFailed) as caught:
        await check(SECRET, DEFAULT, detector=detector, time_limit=0.1)
    assert type(caught.value) is expected
    assert SECRET not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or caught.value.__suppress_context__


async def test_when_a_detector_finds_what_it_was_not_asked_for_then_nothing_passes() -> None:
    with pytest.raises(GuardrailFailed):
        await check("Ann", DEFAULT, detector=lambda *_: [Detection("SECRET_SAUCE", "test", 0, 3, 1.0)])


@pytest.mark.parametrize("text", ["\ud800", "joe@x.org \udfff"])
async def test_when_a_text_is_not_unicode_then_nothing_passes(text: str) -> None:
    with pytest.raises(GuardrailFailed):
        await check(text, DEFAULT)


@pytest.mark.claim("G1")
async def test_when_a_pattern_backtracks_for_too_long_then_nothing_passes() -> None:
    with pytest.raises(GuardrailTimeout):
        await check("ab" * 30 + "d c", denies(r"(a|b|ab)+c"))


async def test_when_a_check_is_given_up_then_it_does_no_more_and_the_next_one_works() -> None:
    windows_seen = []

    def slow(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
        windows_seen.append(len(text))
        time.sleep(0.15)
        return []

    personal = {"id": "p", "version": 1, "acceptable_use": [], "injection": {"prompt": "allow", "suspected": "allow"}}
    with pytest.raises(GuardrailTimeout):
        await check("word " * 20_000, Policy.model_validate(personal), detector=slow, time_limit=0.1)
    assert (await check("joe@x.org", DEFAULT)).text == "<EMAIL_ADDRESS_1>"
    assert len(windows_seen) <= 1, "of many; none, if the time was over before its turn came"


async def test_when_a_long_text_is_being_checked_then_short_ones_do_not_wait_for_it() -> None:
    def slow(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
        time.sleep(0.01)
        return []

    long = asyncio.create_task(check("word " * 20_000, DEFAULT, detector=slow))
    await asyncio.sleep(0)
    await check("short", DEFAULT, detector=slow)
    assert not long.done()
    await long


def test_when_many_threads_check_at_once_then_the_model_is_loaded_once() -> None:
    texts: list[str] = []

    def one_loop() -> None:
        texts.append(asyncio.run(check("joe@x.org", DEFAULT)).text)

    detector.model.cache_clear()
    threads = [threading.Thread(target=one_loop) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts == ["<EMAIL_ADDRESS_1>"] * 4
    assert detector.model.cache_info().misses == 1


async def test_when_no_category_needs_names_then_the_model_is_not_loaded() -> None:
    detector.model.cache_clear()
    policy = Policy.model_validate({"id": "p", "version": 1, "pii": {"EMAIL_ADDRESS": "redact", "UK_NINO": "redact"}})
    checked = await check("John, joe@x.org, AB123456C", policy)
    assert checked.text == "John, <EMAIL_ADDRESS_1>, <UK_NINO_1>"
    assert detector.model.cache_info().misses == 0
