"""What test_process.py starts: ``python -m local.child tests.unit.fake_child WHAT``."""

import signal
import subprocess
import sys
import time


def main(what: str) -> None:
    print("not the ready line yet", flush=True)
    if what == "dies":
        sys.exit("no such entity: requests")
    if what == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    grandchild = subprocess.Popen(["sleep", "600"])
    if what != "silent":
        # In one write, so that who has read the first line can kill this process and still find the second.
        print(f'{{"url": "http://127.0.0.1:1", "grandchild": {grandchild.pid}}}\nsaid after it', flush=True)
    time.sleep(600)


if __name__ == "__main__":
    main(sys.argv[1])
