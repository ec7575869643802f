"""The orchestrator, as Durable sees it: what it asks for next, given what came of what it asked for before."""

from collections.abc import Generator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import pytest
from durabletask.task import RetryPolicy, TaskFailedError

from pipeline.answer_request import CHECKS, RECORDING, STAGES, answer_request

JOB = {"request_id": "a-request", "reply_session": "a-session"}
PROCEED, REFUSE, OVER = {"next": "proceed"}, {"next": "refuse"}, {"next": "over"}
FAILED = TaskFailedError("it failed", RuntimeError("StageFailed"))


class Activity(NamedTuple):
    name: str
    retries: RetryPolicy
    job: dict[str, Any]


class Timer(NamedTuple):
    until: datetime


class Context:
    """What the orchestrator is given. Its tasks are plain values; Durable waits for whatever is yielded."""

    def get_input(self) -> dict[str, Any]:
        return dict(JOB)

    def call_activity_with_retry(self, name: str, retries: RetryPolicy, job: dict[str, Any]) -> Activity:
        return Activity(name, retries, job)

    def create_timer(self, until: datetime) -> Timer:
        return Timer(until)


def asked(outcomes: list[Any]) -> list[Activity | Timer]:
    """All that it asks for, when this comes of it in turn; after the last of these, everything proceeds."""
    registered: Any = answer_request._function.get_user_function()
    steps: Generator[Activity | Timer, Any] = registered.orchestrator_function(Context())
    turns = [next(steps)]
    for outcome in [*outcomes, *[PROCEED] * 10]:
        try:
            turn = steps.throw(outcome) if isinstance(outcome, Exception) else steps.send(outcome)
        except StopIteration:
            return turns
        turns.append(turn)
    raise AssertionError("it does not end")


def names(turns: list[Activity | Timer]) -> list[str]:
    return [turn.name if isinstance(turn, Activity) else "timer" for turn in turns]


def test_when_every_stage_proceeds_then_they_run_in_order_and_the_answer_is_recorded_and_then_released() -> None:
    turns = asked([])
    assert names(turns) == ["check_prompt", "ground", "infer", "check_answer", "record", "release"]
    expected = [JOB] * 4 + [{**JOB, "failed": None}, {**JOB, "recorded": True}]
    assert [turn.job for turn in turns if isinstance(turn, Activity)] == expected


@pytest.mark.parametrize("stage", range(len(STAGES)))
@pytest.mark.parametrize("outcome", [REFUSE, OVER])
def test_when_a_stage_does_not_proceed_then_no_other_runs_and_the_refusal_is_recorded(
    stage: int, outcome: dict[str, str]
) -> None:
    turns = asked([PROCEED] * stage + [outcome])
    assert names(turns) == [*STAGES[: stage + 1], "record", "release"]
    assert [turn.job for turn in turns[-2:] if isinstance(turn, Activity)] == [
        {**JOB, "failed": None},
        {**JOB, "recorded": True},
    ]


@pytest.mark.parametrize("stage", range(len(STAGES)))
def test_when_a_stage_fails_for_good_then_no_other_runs_and_which_one_failed_is_recorded(stage: int) -> None:
    turns = asked([PROCEED] * stage + [FAILED])
    assert names(turns) == [*STAGES[: stage + 1], "record", "release"]
    assert [turn.job for turn in turns[-2:] if isinstance(turn, Activity)] == [
        {**JOB, "failed": STAGES[stage]},
        {**JOB, "recorded": True},
    ]


def test_when_a_stage_is_to_wait_then_it_runs_again_after_a_timer() -> None:
    wait = {"next": "wait", "until": "2026-11-22T09:30:00.000000Z"}
    turns = asked([PROCEED, PROCEED, wait, None, wait, None])
    assert names(turns) == [
        *("check_prompt", "ground", "infer", "timer", "infer", "timer", "infer"),
        *("check_answer", "record", "release"),
    ]
    assert turns[3] == Timer(datetime(2026, 11, 22, 9, 30, tzinfo=UTC))


def test_when_a_stage_fails_after_a_wait_then_that_is_recorded() -> None:
    wait = {"next": "wait", "until": "2026-11-22T09:30:00.000000Z"}
    turns = asked([PROCEED, PROCEED, wait, None, FAILED])
    assert names(turns) == ["check_prompt", "ground", "infer", "timer", "infer", "record", "release"]


@pytest.mark.claim("A5")
@pytest.mark.parametrize("before", [[PROCEED] * 4, [REFUSE], [FAILED]])
def test_when_it_cannot_be_recorded_then_release_is_told_so(before: list[Any]) -> None:
    *_, release = asked([*before, FAILED])
    assert isinstance(release, Activity)
    assert (release.name, release.job) == ("release", {**JOB, "recorded": False})


def test_when_it_runs_then_every_activity_has_a_retry_policy_and_no_content() -> None:
    for turn in asked([]):
        assert isinstance(turn, Activity)
        assert turn.retries is (RECORDING if turn.name in ("record", "release") else CHECKS)
        assert turn.job.keys() <= {"request_id", "reply_session", "failed", "recorded"}
