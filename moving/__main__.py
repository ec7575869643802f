"""``python -m moving check``, ``export FOLDER``, ``import FOLDER``: with the app's settings and its identity.

Exit code 0: nothing is under way; all is exported; all is imported. 1: not so, and why is said.
"""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from moving.exporting import WorkUnderWay, export
from moving.folder import Folder, FolderBroken
from moving.importing import NotEmpty, import_
from moving.under_way import under_way
from services.blobs import BlobError
from services.bus import BusUnavailable
from services.documents import StoreError
from services.platform import Platform, open_platform
from services.settings import SettingsInvalid, read_settings

FAILURES = (WorkUnderWay, FolderBroken, NotEmpty, StoreError, BlobError, BusUnavailable, SettingsInvalid, OSError)


async def check(services: Platform) -> int:
    unfinished = await under_way(services)
    for what, number in unfinished.items():
        print(f"{number:>8} {what}")
    if not unfinished:
        print("Nothing is under way.")
    return bool(unfinished)


async def main(arguments: argparse.Namespace) -> int:
    async with AsyncExitStack() as stack:
        services = await open_platform(read_settings(), stack)
        match arguments.command:
            case "check":
                return await check(services)
            case "export":
                for name, number in (await export(services, Folder(arguments.folder))).items():
                    print(f"{number:>8} {name}")
            case "import":
                found = await import_(services, Folder(arguments.folder))
                for name, counts in found.items():
                    print(f"{name}: {', '.join(f'{number} {what}' for what, number in counts.items()) or 'nothing'}")
                if not found:
                    print("This folder was imported already: nothing was done.")
    return 0


options = argparse.ArgumentParser(prog="python -m moving", description="Everything that the product keeps, out and in")
commands = options.add_subparsers(dest="command", required=True)
commands.add_parser("check", help="is anything under way?")
for name in ("export", "import"):
    commands.add_parser(name).add_argument("folder", type=Path)

if __name__ == "__main__":
    try:
        sys.exit(asyncio.run(main(options.parse_args())))
    except FAILURES as failure:
        sys.exit(f"{type(failure).__name__}: {failure}")
