"""What has no white space for long does not reach spaCy's tokenizer, and no text is lost on the way round it."""

import itertools

import pytest
import spacy
from hypothesis import given, settings
from hypothesis import strategies as st
from spacy.tokens import Doc

from guardrails.check import check
from guardrails.policy import Policy
from guardrails.tokenizer import LONGEST_RUN, without_long_runs

ENGLISH = spacy.blank("en")
JUNK = ("%", "€", '"', "(", "\ufdfa", "😀", "a", "1", "e\u0301\u0323", "a%", "x1;", "{[", "㌖!")
RUNS = st.builds(
    lambda unit, length: (unit * length)[:length],
    st.sampled_from(JUNK) | st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1),
    st.sampled_from([1, LONGEST_RUN - 1, LONGEST_RUN, LONGEST_RUN + 1, 3 * LONGEST_RUN]),
)
SPACES = st.sampled_from([" ", "  ", "\n", " \n ", "\t", "\u00a0", ""])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(RUNS, SPACES), max_size=5), SPACES)
def test_when_a_text_has_long_runs_then_the_tokenizer_gets_none_and_nothing_is_lost(
    parts: list[tuple[str, str]], outer: str
) -> None:
    given_to_it: list[str] = []

    def tokenizer(text: str) -> Doc:
        given_to_it.append(text)
        return ENGLISH.tokenizer(text)

    text = outer + "".join(itertools.chain.from_iterable(parts))
    doc = without_long_runs(tokenizer, ENGLISH.vocab)(text)
    assert doc.text == text
    assert max((len(run) for seen in given_to_it for run in seen.split()), default=0) <= LONGEST_RUN
    if all(len(run) <= LONGEST_RUN for run in text.split()):
        assert given_to_it == [text]


def test_when_a_long_run_has_words_then_they_are_tokens() -> None:
    run = '{"name":"John","surname":"Smith"},' * 20
    doc = without_long_runs(ENGLISH.tokenizer, ENGLISH.vocab)(f"So don't {run} stop")
    tokens = [token.text for token in doc]
    assert tokens[:3] == ["So", "do", "n't"]
    assert tokens[-1] == "stop"
    assert tokens.count("John") == tokens.count("Smith") == 20


PERSONAL = ("joe@example.com", "212-555-0123", "+442079460958", "5105105105105100", "GB82WEST12345698765432")


@pytest.mark.claim("G2")
@settings(max_examples=20, deadline=None)
@given(st.sampled_from(PERSONAL), st.sampled_from(JUNK), st.integers(0, 4_500), st.integers(0, 4_500))
async def test_when_personal_data_lies_anywhere_in_a_long_run_then_it_is_redacted(
    personal: str, unit: str, before: int, after: int
) -> None:
    text = f"{(unit * before)[:before]};{personal};{(unit * after)[:after]}"
    checked = await check(text, Policy(id="default", version=1))
    assert personal[:6] not in checked.text
    assert personal[-6:] not in checked.text
