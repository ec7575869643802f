"""``python -m local.child MODULE [options]``: runs a module as a program that does not outlive its supervisor.

The supervisor holds the other end of standard input and never writes to it. The kernel closes that end when the
supervisor is gone, however it went, and then this process and all that it started are killed. Unlike Linux's
PR_SET_PDEATHSIG this needs no code between fork and exec, and does not depend on which thread started the child.
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_supervisor() -> None:
    while os.read(0, 1024):
        pass
    os.killpg(os.getpgrp(), signal.SIGKILL)


if __name__ == "__main__":
    threading.Thread(target=_end_with_supervisor, name="supervisor", daemon=True).start()
    module, sys.argv[1:] = sys.argv[1], sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)
