"""Runs a program on a pseudo terminal of 100 by 30 and acts when it says something.

usage: in_terminal.py STEPS PROGRAM ARGUMENT...

STEPS is a JSON list of {"expect": TEXT, "send": TEXT}. What the terminal showed goes to standard output; the exit status is
the program's, or 99 when an expected text did not come within 15 seconds.
"""

import fcntl
import json
import os
import pty
import select
import struct
import sys
import termios
import time

steps = json.loads(sys.argv[1])
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    os.execv(sys.argv[2], sys.argv[2:])

shown = b""
searched = 0
deadline = time.monotonic() + 15
while True:
    if time.monotonic() > deadline:
        os.kill(pid, 9)
        break
    if select.select([terminal], [], [], 0.05)[0]:
        try:
            data = os.read(terminal, 65536)
        except OSError:
            data = b""
        if not data:
            break
        shown += data
    if steps:
        found = shown.find(steps[0]["expect"].encode(), searched)
        if found >= 0:
            searched = found + len(steps[0]["expect"].encode())
            os.write(terminal, steps[0]["send"].encode())
            steps.pop(0)

status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.stdout.buffer.write(shown)
sys.exit(99 if steps or status < 0 else status)
