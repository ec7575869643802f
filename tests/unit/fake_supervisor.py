"""What test_process.py kills: a supervisor of one child, which says the pids of that child and of the child's own."""

import asyncio
import os
import sys
from pathlib import Path

from local.process import Process


async def main(logs: Path) -> None:
    child = await Process.start("child", "tests.unit.fake_child", ["ready"], environment=os.environ, logs=logs)
    print(child.pid, child.ready["grandchild"], flush=True)
    await child.wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
