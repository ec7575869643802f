"""Presidio with its default recognisers for English. Importing this module takes a second and 150 MB: do it late.

It never reaches the network: the model comes from disk, and the e-mail recogniser is one that does not look up the
Public Suffix List. Used from the analysis thread only.
"""

import functools
from typing import NamedTuple

import spacy
from presidio_analyzer import AnalyzerEngine, Pattern, pattern_recognizer
from presidio_analyzer.nlp_engine import NerModelConfiguration, SpacyNlpEngine
from presidio_analyzer.predefined_recognizers import EmailRecognizer
from spacy.language import Language

from guardrails import nlp_model
from guardrails.detection import Detection
from guardrails.errors import GuardrailFailed
from guardrails.policy import PII_CATEGORIES
from guardrails.tokenizer import without_long_runs

LONGEST_TIME_LIMIT = 60.0
"""Seconds. Presidio skips a pattern that searched for longer than this, and carries on as if it had found nothing;
that must not happen before the check itself has timed out."""

LABELS = {
    "PERSON": "PERSON",
    "NORP": "NRP",
    "FAC": "LOCATION",
    "GPE": "LOCATION",
    "LOC": "LOCATION",
    "ORG": "ORGANIZATION",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
}
"""The model's labels and Presidio's names for them, as in Presidio's own configuration."""

_LOCAL_PART = r"[\w!#$%&'*+/=?^`{|}~.\-]"
EMAIL = Pattern("e-mail address", rf"(?<!{_LOCAL_PART}){_LOCAL_PART}++@(?:[\w\-]++\.)+[^\W\d_]{{2}}[\w\-]*", 1.0)
"""Like Presidio's, with any top-level name, since companies have their own (`.local`, `.corp`), and with no
backtracking in the local part, which is quadratic in Presidio's."""


class AnyDomainEmailRecognizer(EmailRecognizer):
    """Presidio's e-mail recogniser without its check of the domain.

    That check would refuse internal domains, and downloads the Public Suffix List, with no time limit, when first used.
    """

    def validate_result(self, pattern_text: str) -> None:
        """The pattern decides alone."""


class Engine(NamedTuple):
    """Presidio's analyzer and the language model that it uses."""

    analyzer: AnalyzerEngine
    model: Language


@functools.cache
def engine() -> Engine:
    """The engine, built at the first call. Raises GuardrailFailed if it could not keep its promises."""
    if pattern_recognizer.REGEX_TIMEOUT_SECONDS < LONGEST_TIME_LIMIT:
        raise GuardrailFailed("REGEX_TIMEOUT_SECONDS is so low that Presidio would skip patterns silently")
    # Only names and word stems are used, so no sentence structure. Setting `nlp` is what its `load` would do, but that
    # one downloads a model which it cannot find.
    model = spacy.load(nlp_model.verified_path(), exclude=["parser", "senter"])
    model.tokenizer = without_long_runs(model.tokenizer, model.vocab)
    labels = NerModelConfiguration(
        model_to_presidio_entity_mapping=LABELS,
        labels_to_ignore=set(model.meta["labels"]["ner"]) - LABELS.keys(),
    )
    nlp_engine = SpacyNlpEngine(ner_model_configuration=labels)
    nlp_engine.nlp = {"en": model}  # type: ignore[assignment]  # declared as None
    analyzer = AnalyzerEngine(nlp_engine=nlp_engine)
    analyzer.registry.remove_recognizer("EmailRecognizer")
    analyzer.registry.add_recognizer(AnyDomainEmailRecognizer(patterns=[EMAIL], name="EmailRecognizer"))
    if missing := PII_CATEGORIES.difference(analyzer.get_supported_entities("en")):
        raise GuardrailFailed(f"Presidio has no recogniser for {', '.join(sorted(missing))}")
    return Engine(analyzer, model)


def detect(text: str, categories: frozenset[str], threshold: float) -> list[Detection]:
    """What Presidio finds of these categories with at least this confidence."""
    analyzer, model = engine()
    # Without a zone the vocabulary would keep every new word of every text for as long as the process lives.
    with model.memory_zone():
        results = analyzer.analyze(text, language="en", entities=sorted(categories), score_threshold=threshold)
        return [
            Detection(
                category=result.entity_type,
                rule=f"presidio/{result.recognition_metadata['recognizer_name']}",
                start=result.start,
                end=result.end,
                confidence=result.score,
            )
            for result in results
        ]
