"""The way in: one text, one policy, one verdict. Whatever goes wrong is an error, never a pass.

Importing this module is cheap; Presidio and its model are loaded at the first check of a process.
"""

import asyncio
from dataclasses import dataclass, field

from guardrails.acceptable_use import violations
from guardrails.analysis_thread import analyse
from guardrails.errors import GuardrailFailed, GuardrailTimeout
from guardrails.pii import Detector, presidio_detector, redacted
from guardrails.policy import Policy
from guardrails.verdict import Verdict

TIME_LIMIT = 30.0
"""Seconds for one check, waiting for the analysis thread included. A text of 100,000 characters takes 3 to 12 on one
busy core; so do most hostile ones, and those that take longer are refused."""


@dataclass(frozen=True)
class Checked:
    """A text as the guardrails leave it, and their verdict. When that blocks, the text must still not go on."""

    text: str = field(repr=False)
    verdict: Verdict


async def check(
    text: str, policy: Policy, *, detector: Detector = presidio_detector, time_limit: float = TIME_LIMIT
) -> Checked:
    """Checks a prompt, an answer or any text on its way between them.

    Raises GuardrailTimeout when the time limit (seconds) has passed, GuardrailFailed for any other failure.
    """
    try:
        async with asyncio.timeout(time_limit):
            rules_broken = await analyse(violations, text, policy.acceptable_use)
            clean, personal_data = await redacted(text, policy, detector)
            return Checked(clean, Verdict.of([*rules_broken, *personal_data]))
    except GuardrailFailed:
        raise
    except TimeoutError:
        raise GuardrailTimeout("the guardrails gave no verdict in time") from None
    except Exception as error:
        # Not `from error`: its message may quote the text.
        raise GuardrailFailed(f"the guardrails failed: {type(error).__name__}") from None
