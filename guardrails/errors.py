"""The ways a guardrail can fail to give a verdict. In each the text must not go on (fail closed).

Their messages never carry text that was being checked.
"""


class GuardrailFailed(Exception):
    """No verdict: a detector, its model or a pattern raised an error."""


class GuardrailTimeout(GuardrailFailed):
    """No verdict within the time limit."""


class DetectorRefused(Exception):
    """A detector beyond this process may not be asked. ``reason`` is the error of whoever handed it in."""

    def __init__(self, reason: Exception) -> None:
        super().__init__(type(reason).__name__)
        self.reason = reason
