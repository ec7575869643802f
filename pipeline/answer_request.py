"""The orchestrator: the stages of one request, in order.

It is deterministic and its history holds ids and small decisions only. Each stage is retried here and nowhere else
when it fails (Cosmos DB's throttling apart, which the SDK waits out); a stage that fails for good, or refuses,
still leads to ``record`` and ``release``.
"""

from collections.abc import Generator
from datetime import datetime, timedelta
from typing import Any

import azure.durable_functions as df
from durabletask.task import RetryPolicy, Task, TaskFailedError

bp = df.Blueprint()

CHECKS = RetryPolicy(
    first_retry_interval=timedelta(milliseconds=500), max_number_of_attempts=4, backoff_coefficient=2.0
)
RECORDING = RetryPolicy(
    first_retry_interval=timedelta(milliseconds=500), max_number_of_attempts=5, backoff_coefficient=2.0
)

STAGES = ("check_prompt", "ground", "infer", "check_answer")

type Steps = Generator[Task[Any], Any]


@bp.orchestration_trigger(context_name="context")  # type: ignore[arg-type] # its type says two arguments; one does
def answer_request(context: df.DurableOrchestrationContext) -> Steps:
    job: dict[str, Any] = context.get_input()
    failed: str | None = None
    for stage in STAGES:
        try:
            step = yield context.call_activity_with_retry(stage, CHECKS, job)
            while step["next"] == "wait":
                yield context.create_timer(datetime.fromisoformat(step["until"]))
                step = yield context.call_activity_with_retry(stage, CHECKS, job)
        except TaskFailedError:
            failed = stage
            break
        if step["next"] != "proceed":
            break
    try:
        yield context.call_activity_with_retry("record", RECORDING, {**job, "failed": failed})
        recorded = True
    except TaskFailedError:
        recorded = False
    yield context.call_activity_with_retry("release", RECORDING, {**job, "recorded": recorded})
