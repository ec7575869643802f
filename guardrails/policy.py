"""The customer's rules, as data: what personal data to look for, what to do with it, and what must not be said.

A policy that could not be enforced (an unknown category, a pattern that does not compile) is refused here, when it is
read, rather than ignored when a text is checked.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Literal, Self

import regex  # type: ignore[import-untyped]  # the engine that Presidio uses: unlike `re` it can give up in time
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guardrails.verdict import Action

PII_CATEGORIES = frozenset({
    "CREDIT_CARD", "CRYPTO", "DATE_TIME", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "LOCATION", "MAC_ADDRESS",
    "MEDICAL_LICENSE", "NRP", "ORGANIZATION", "PERSON", "PHONE_NUMBER", "UK_NHS", "URL", "US_BANK_NUMBER",
    "US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT", "US_SSN", "UUID",
})  # fmt: skip
"""What can be looked for: Presidio's default recognisers for English
(https://microsoft.github.io/presidio/supported_entities/)."""

DEFAULT_PII = dict.fromkeys(
    (
        "CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MEDICAL_LICENSE", "PERSON",
        "PHONE_NUMBER", "UK_NHS", "US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT", "US_SSN",
    ),
    Action.REDACT,
)  # fmt: skip
"""What identifies a person or gives access to their money. Not by default: dates, nationalities, organisations, URLs
and LOCATION. The small model tags the cities and countries that questions are about, and misses four of five street
addresses: redacting LOCATION would spoil questions without protecting addresses."""


class DenyPattern(BaseModel):
    """One rule of the acceptable-use policy: a regular expression (of the `regex` package, letter case ignored)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=100)
    category: str = Field(min_length=1, max_length=100)
    pattern: str = Field(min_length=1, max_length=1000)
    action: Literal[Action.BLOCK, Action.WARN]

    @field_validator("pattern")
    @classmethod
    def _matches_something(cls, pattern: str) -> str:
        try:
            compiled = regex.compile(pattern, regex.IGNORECASE)
        except regex.error as error:
            raise ValueError(f"not a regular expression: {error}") from None
        if compiled.search("") is not None:
            raise ValueError("matches the empty text, so every text")
        return pattern


class Policy(BaseModel):
    """One version of a guardrail policy.

    `pii` gives the action for each category; a category that it does not name is not looked for. A finding counts from
    a confidence of `pii_threshold` on: the default, 0.4, is where Presidio puts a phone number without context.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1, max_length=100)
    version: int = Field(ge=1)
    pii: dict[str, Action] = Field(default_factory=lambda: dict(DEFAULT_PII))
    pii_threshold: float = Field(default=0.4, ge=0, le=1)
    acceptable_use: list[DenyPattern] = Field(default_factory=list)

    @field_validator("pii")
    @classmethod
    def _known_categories(cls, pii: dict[str, Action]) -> dict[str, Action]:
        if unknown := sorted(pii.keys() - PII_CATEGORIES):
            raise ValueError(f"no detector for {', '.join(unknown)}")
        return pii

    @model_validator(mode="after")
    def _unique_rules(self) -> Self:
        if len({rule.id for rule in self.acceptable_use}) < len(self.acceptable_use):
            raise ValueError("two acceptable-use rules have the same id")
        return self


def strictest(policies: Sequence[Policy]) -> Policy:
    """Several policies as one: every rule of each holds, and for a category the strictest action and threshold do.

    Where two policies use the same id for a rule, the policy's id is put before it.
    """
    if len(policies) == 1:
        return policies[0]
    pii: dict[str, Action] = {}
    for category, action in ((category, action) for policy in policies for category, action in policy.pii.items()):
        pii[category] = max(pii.get(category, action), action, key=lambda each: each.severity)
    uses = Counter(rule.id for policy in policies for rule in policy.acceptable_use)
    return Policy.model_construct(
        id="+".join(policy.id for policy in policies),
        version=max(policy.version for policy in policies),
        pii=pii,
        pii_threshold=min(policy.pii_threshold for policy in policies),
        acceptable_use=[
            rule if uses[rule.id] == 1 else rule.model_copy(update={"id": f"{policy.id}/{rule.id}"})
            for policy in policies
            for rule in policy.acceptable_use
        ],
    )
