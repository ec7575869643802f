"""The supervisor's promise about the whole stack: what it says is there answers, and what is killed can be replaced."""

import json
import os
from pathlib import Path

import aiohttp
import pytest

from local.process import StartFailed
from local.stack import GROUPS, Stack


async def assistants(stack: Stack, url: str, person: str) -> list[str]:
    headers = {"Authorization": f"Bearer {stack.token(person)}"}
    async with (
        aiohttp.ClientSession(headers=headers, raise_for_status=True) as http,
        http.get(f"{url}/api/assistants") as answer,
    ):
        return [assistant["id"] for assistant in (await answer.json())["assistants"]]


async def test_when_the_stack_is_up_then_its_description_is_enough_to_drive_it(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "stack.json"
    stack.write_json(file)
    assert file.stat().st_mode & 0o077 == 0
    described = json.loads(file.read_text())
    assert {group: len(instances) for group, instances in described["app"].items()} == dict.fromkeys(GROUPS, 1)
    headers = {"Authorization": f"Bearer {described['people']['alice']['token']}"}
    processes = [*described["standins"].values(), *(one for group in described["app"].values() for one in group)]
    async with aiohttp.ClientSession(raise_for_status=True) as http:
        for process in processes:
            await http.get(f"{process['control']}/control/counts")
        await http.get(f"{described['app']['http'][0]['url']}/api/assistants", headers=headers)


async def test_when_an_instance_is_killed_then_another_takes_over_its_address(stack: Stack) -> None:
    before = stack.http[0]
    await stack.kill(before)
    assert stack.http == []
    after = await stack.start_instance("http", in_place_of=before)
    assert stack.http == [after]
    assert (after.url, after.control) == (before.url, before.control)
    assert await assistants(stack, after.url, "alice")
    assert await assistants(stack, after.url, "bob") == []


async def test_when_cosmos_is_restarted_then_it_has_kept_its_data_and_its_address(stack: Stack) -> None:
    before = await assistants(stack, stack.http[0].url, "alice")
    await stack.restart("cosmos")
    assert await assistants(stack, stack.http[0].url, "alice") == before


async def test_when_an_instance_ends_by_itself_then_its_death_is_told_once(stack: Stack) -> None:
    crashing = await stack.start_instance("http")
    await stack.control(crashing).faults([{"operation": "list_assistants", "kind": "drop", "times": 1}])
    with pytest.raises(aiohttp.ClientError):
        await assistants(stack, crashing.url, "alice")
    assert await stack.next_death() == ("http", crashing)
    assert crashing not in stack.http


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="reads a process's environment from /proc")
async def test_when_the_app_runs_then_it_sees_its_settings_and_nothing_of_the_developers(stack: Stack) -> None:
    environment = Path(f"/proc/{stack.http[0].pid}/environ").read_text().split("\0")
    names = {variable.partition("=")[0] for variable in environment if variable}
    assert {"COSMOS__accountEndpoint", "IDENTITY_ENDPOINT", "PATH"} <= names
    assert names.isdisjoint({"PYTEST_CURRENT_TEST", "PYTEST_VERSION"})
    assert {"PYTEST_CURRENT_TEST", "PYTEST_VERSION"} <= os.environ.keys()


async def test_when_a_standin_cannot_start_then_its_log_is_shown_and_nothing_is_left_running(tmp_path: Path) -> None:
    stack = Stack(tmp_path, options={"cosmos": ["--no-such-option"]})
    with pytest.raises(StartFailed, match=r"cosmos ended with exit code 2(.*\n)*.*unrecognized arguments"):
        async with stack:
            pass
    assert not any(process.running for process in stack.standins.values())
