"""The two ways a guardrail can fail to give a verdict. Either way the text must not go on (fail closed).

Their messages never carry text that was being checked.
"""


class GuardrailFailed(Exception):
    """No verdict: a detector, its model or a pattern raised an error."""


class GuardrailTimeout(GuardrailFailed):
    """No verdict within the time limit."""
