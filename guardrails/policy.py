"""The customer's rules, as data: what personal data to look for, what to do with it, and what must not be said.

A policy that could not be enforced (an unknown category, a pattern that does not compile) is refused here, when it is
read, rather than ignored when a text is checked.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from guardrails.formats import OutputRule
from guardrails.orders import OrdersRule, strictest_orders
from guardrails.own_categories import OwnCategory
from guardrails.patterns import require_harmless
from guardrails.topics import Side, Topic
from guardrails.verdict import Action

PII_CATEGORIES = frozenset({
    "CREDIT_CARD", "CRYPTO", "DATE_TIME", "EMAIL_ADDRESS", "EU_VAT", "IBAN_CODE", "IP_ADDRESS", "LOCATION",
    "MAC_ADDRESS", "MEDICAL_LICENSE", "NRP", "ORGANIZATION", "PERSON", "PHONE_NUMBER", "STREET_ADDRESS",
    "UK_BANK_ACCOUNT", "UK_DRIVING_LICENCE", "UK_NHS", "UK_NINO", "UK_PASSPORT", "UK_POSTCODE", "URL",
    "US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT", "US_SSN", "UUID",
})  # fmt: skip
"""What can be looked for. Where Presidio has the same category, it has the same name
(https://microsoft.github.io/presidio/supported_entities/); docs/guardrails.md says what each one is."""

DEFAULT_PII = dict.fromkeys(
    (
        "CREDIT_CARD", "CRYPTO", "EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS", "MEDICAL_LICENSE", "PERSON",
        "PHONE_NUMBER", "STREET_ADDRESS", "UK_BANK_ACCOUNT", "UK_DRIVING_LICENCE", "UK_NHS", "UK_NINO", "UK_PASSPORT",
        "UK_POSTCODE", "US_BANK_NUMBER", "US_DRIVER_LICENSE", "US_ITIN", "US_PASSPORT", "US_SSN",
    ),
    Action.REDACT,
)  # fmt: skip
"""What identifies a person or gives access to their money. Not by default: dates, nationalities, organisations, VAT
numbers, URLs and LOCATION, which is the cities and countries that questions are about."""


DEFAULT_ACCEPTABLE_USE = [
    Topic(id="harm", category="harm", action=Action.WARN, sides=[Side.PROMPT], classifier=["harm"]),
]
"""What looks like a request for harm is let through and told: the classifier takes some harmless questions for it."""


class Trail(StrEnum):
    """What the audit trail keeps of prompts and answers; declared from the most to the least."""

    FULL = "full"
    """The text as the guardrails left it."""
    REDACTED = "redacted"
    """That, with placeholders also for the personal data that the policy lets through."""
    HASH = "hash"
    """Its length and SHA-256, and nothing of it."""


class Rules(BaseModel):
    """What a policy says.

    `pii` gives the action for each category; a category that it does not name is not looked for. A finding counts from
    a confidence of `pii_thresholds` of its category on, else of `pii_threshold`: the default, 0.4, is above what could
    be anything (nine digits) where no word near by says what it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    pii: dict[str, Action] = Field(default_factory=lambda: dict(DEFAULT_PII))
    pii_threshold: float = Field(default=0.4, ge=0, le=1)
    pii_thresholds: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}
    phone_regions: Annotated[list[str], Field(max_length=30)] = []
    """Where telephone numbers without a country code are looked for beside Europe, North America and the other regions
    that guardrails.kinds.phones lists; as ISO 3166-1 names them: "JP"."""
    own_categories: Annotated[list[OwnCategory], Field(max_length=100)] = []
    acceptable_use: Annotated[list[Topic], Field(max_length=200)] = DEFAULT_ACCEPTABLE_USE
    restore: bool = False
    """Whether the caller, and nobody else, gets what they typed back in the place of its placeholders in the answer."""
    injection: OrdersRule = OrdersRule()
    """What becomes of orders to the model."""
    output: Annotated[list[OutputRule], Field(max_length=20)] = []
    """What shape an answer must have."""
    trail: Trail = Trail.FULL
    conversation_days: int = Field(default=30, ge=1, le=3650)
    """How long a turn of a conversation is kept, for the one whose it is."""

    @model_validator(mode="after")
    def _known_categories(self) -> Self:
        own = {each.category for each in self.own_categories}
        if len(own) < len(self.own_categories) or own & PII_CATEGORIES:
            raise ValueError("two categories have the same name")
        if unknown := sorted({*self.pii, *self.pii_thresholds} - PII_CATEGORIES - own):
            raise ValueError(f"no detector for {', '.join(unknown)}")
        if forgotten := sorted(own - self.pii.keys()):
            raise ValueError(f"no action for {', '.join(forgotten)}")
        return self

    @field_validator("phone_regions")
    @classmethod
    def _known_regions(cls, regions: list[str]) -> list[str]:
        from guardrails.kinds.phones import supported  # the numbers' forms load late

        if unknown := sorted(region for region in regions if not supported(region)):
            raise ValueError(f"no telephone numbers are known of {', '.join(unknown)}")
        return regions

    @model_validator(mode="after")
    def _unique_rules(self) -> Self:
        if len({rule.id for rule in self.acceptable_use}) < len(self.acceptable_use):
            raise ValueError("two acceptable-use rules have the same id")
        return self

    def threshold(self, category: str) -> float:
        return self.pii_thresholds.get(category, self.pii_threshold)


class Policy(Rules):
    """One version of a guardrail policy."""

    id: str = Field(min_length=1, max_length=100)
    version: int = Field(ge=1)


def require_enforceable(policy: Rules) -> None:
    """What is too slow to look at whenever a policy is used, and is looked at before it is saved.

    Raises :class:`guardrails.patterns.PatternBacktracks`.
    """
    for topic in policy.acceptable_use:
        require_harmless(topic.patterns)
    for category in policy.own_categories:
        require_harmless(category.patterns)


def strictest(policies: Sequence[Policy]) -> Policy:
    """Several policies as one: every rule of each holds, and for a category the strictest action and threshold do.

    Where two policies use the same id for a rule, the policy's id is put before it; own categories of the same name
    are looked for as each of them says.
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
        pii_thresholds={
            category: min(policy.threshold(category) for policy in policies if category in policy.pii)
            for category in pii
        },
        phone_regions=sorted({region for policy in policies for region in policy.phone_regions}),
        own_categories=[category for policy in policies for category in policy.own_categories],
        acceptable_use=[
            rule if uses[rule.id] == 1 else rule.model_copy(update={"id": f"{policy.id}/{rule.id}"})
            for policy in policies
            for rule in policy.acceptable_use
        ],
        restore=all(policy.restore for policy in policies),
        injection=strictest_orders([policy.injection for policy in policies]),
        output=[rule for policy in policies for rule in policy.output],
        trail=max((policy.trail for policy in policies), key=list(Trail).index),
        conversation_days=min(policy.conversation_days for policy in policies),
    )


def tightened(policy: Policy, pii: Mapping[str, Action]) -> Policy:
    """The policy with stricter actions for some categories; milder ones change nothing."""
    stricter = {
        category: max(policy.pii.get(category, Action.ALLOW), action, key=lambda each: each.severity)
        for category, action in pii.items()
    }
    return policy.model_copy(update={"pii": {**policy.pii, **stricter}})
