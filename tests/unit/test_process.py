"""The supervisor's promise about its children: started or explained, stopped or killed, never left behind."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from local import process as supervision
from local.process import ROOT, Process, StartFailed


async def start(what: str, logs: Path) -> Process:
    return await Process.start("child", "tests.unit.fake_child", [what], environment=os.environ, logs=logs)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not (stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z")  # a zombie is gone


def children() -> set[str]:
    """Of this process, which may have others than those of the test."""
    return set(Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split())


async def gone(*pids: int) -> None:
    """Wait until none of these is alive: they end on their own account, so there is nothing to await."""
    async with asyncio.timeout(10):
        while any(alive(pid) for pid in pids):
            await asyncio.sleep(0.01)


async def test_when_a_child_is_ready_then_its_ready_line_is_known_and_the_rest_is_in_its_log(tmp_path: Path) -> None:
    child = await start("ready", tmp_path)
    assert child.running
    assert child.url == "http://127.0.0.1:1"
    await child.kill()
    assert child.log.read_text().splitlines() == ["not the ready line yet", "said after it"]


async def test_when_a_child_dies_at_start_then_the_error_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(StartFailed) as failure:
        await start("dies", tmp_path)
    assert "child ended with exit code 1 before it was ready" in str(failure.value)
    assert "no such entity: requests" in str(failure.value)


async def test_when_a_child_stays_silent_then_the_start_fails_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "START_LIMIT", 0.5)
    with pytest.raises(StartFailed, match="child was not ready after"):
        await start("silent", tmp_path)


async def test_when_a_child_is_killed_then_what_it_started_is_gone_too(tmp_path: Path) -> None:
    child = await start("ready", tmp_path)
    await child.kill()
    assert await child.wait() == -signal.SIGKILL
    await gone(child.pid, child.ready["grandchild"])


async def test_when_a_child_is_stopped_then_it_is_asked_first(tmp_path: Path) -> None:
    child = await start("ready", tmp_path)
    await child.stop(grace=10)
    assert await child.wait() == -signal.SIGTERM
    await gone(child.ready["grandchild"])


async def test_when_a_child_will_not_stop_then_it_is_killed(tmp_path: Path) -> None:
    child = await start("deaf", tmp_path)
    await child.stop(grace=0.1)
    assert await child.wait() == -signal.SIGKILL
    await gone(child.ready["grandchild"])


@pytest.mark.skipif(not Path("/proc").exists(), reason="reads a process's children from /proc")
async def test_when_the_start_is_cancelled_then_no_child_is_left(tmp_path: Path) -> None:
    before = children()
    starting = asyncio.create_task(start("silent", tmp_path))
    log = tmp_path / "child.log"
    async with asyncio.timeout(10):
        while not log.exists() or "ready line" not in log.read_text():
            await asyncio.sleep(0.01)
    assert children() > before
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert children() == before


async def test_when_the_supervisor_is_killed_then_its_children_end(tmp_path: Path) -> None:
    supervisor = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.unit.fake_supervisor", tmp_path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
    )
    assert supervisor.stdout is not None
    pids = [int(pid) for pid in (await supervisor.stdout.readline()).split()]
    assert len(pids) == 2
    supervisor.kill()
    await supervisor.wait()
    await gone(*pids)


async def test_when_a_run_fails_then_the_error_shows_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(
        StartFailed, match=r"child ended with exit code 1; the end of .*(\n.*)*no such entity: requests"
    ):
        await Process.run("child", "tests.unit.fake_child", ["dies"], environment=os.environ, logs=tmp_path)
