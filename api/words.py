"""What people write about an answer, as the guardrails let it be kept: without the personal data that the policies of
the assistant, and the default one, look for. Nothing that somebody reports is blocked: it may quote what was wrong.
"""

from governance.policies import PolicyUnknown, find_policy
from guardrails.check import check
from guardrails.orders import OrdersRule
from guardrails.policy import DEFAULT_PII, Policy, strictest
from guardrails.verdict import Action
from services.documents import Items

UNTOUCHED = OrdersRule(prompt=Action.ALLOW, document=Action.ALLOW, suspected=Action.ALLOW)


async def redacted(config: Items, words: str, policy_ids: list[str]) -> str:
    """Raises what :func:`guardrails.check.check` raises: words that can't be checked are not kept."""
    if not words.strip():
        return ""
    policies = [Policy(id="words", version=1)]
    for policy_id in policy_ids:
        try:
            kept, _ = await find_policy(config, policy_id)
        except PolicyUnknown:
            continue  # the default looks all the same
        policies.append(Policy.model_validate({**kept.rules, "id": kept.id, "version": kept.version}))
    policy = strictest(policies)
    found = dict.fromkeys({*policy.pii, *DEFAULT_PII}, Action.REDACT)
    looked_for = {"pii": found, "acceptable_use": [], "output": [], "injection": UNTOUCHED}
    return (await check(words, policy.model_copy(update=looked_for))).text
