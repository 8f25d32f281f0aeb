"""What the checks stand on: the simulator as a child, with a client of it, and an end to whatever was started."""

import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tty
from pathlib import Path

PROGRAM = str(Path(__file__).with_name("wireboard.py"))
# Nothing on this bench takes longer to come.
LIMIT_S = 2.0
# Nothing is believed to come after that.
QUIET_S = 0.12

children = []
folder = tempfile.mkdtemp(prefix="wire-")


def expect(found, wanted, what=""):
    if found != wanted:
        raise AssertionError(f"{what + ': ' if what else ''}found {found!r}, wanted {wanted!r}")


def start(command, **more):
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)
    children.append(child)
    return child


def stop(child):
    if child.poll() is None:
        child.terminate()
    child.communicate(timeout=LIMIT_S)
    return child.returncode


def link(name):
    return f"{folder}/{name}-{len(children)}"


class Sim:
    """The simulator and a client of it."""

    def __init__(self, *words, where="pty", client=True):
        place = {"pty": ["--pty", link("pty")], "tcp": ["--tcp", "0"]}.get(where, ["--device", where])
        self.child = start([sys.executable, PROGRAM, *place, "--with-parent", *" ".join(words).split()])
        self.lines = queue.Queue()
        self.seen = []
        first = self.child.stdout.readline()
        if not first:
            raise AssertionError(self.child.stderr.read().strip().splitlines()[-1])
        self.where = first.split()[1]
        self.is_tcp = where == "tcp"
        threading.Thread(target=self.follow, daemon=True).start()
        self.file = None
        if client and where in ("pty", "tcp"):
            self.connect()

    def follow(self):
        for line in self.child.stdout:
            self.lines.put(json.loads(line))

    def connect(self):
        if self.is_tcp:
            self.socket = socket.create_connection(("127.0.0.1", int(self.where)), timeout=LIMIT_S)
            self.file = self.socket.fileno()
        else:
            self.file = os.open(self.where, os.O_RDWR | os.O_NOCTTY)
            tty.setraw(self.file)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.terminate()
        status = self.child.wait(timeout=LIMIT_S)
        if self.is_tcp and self.file is not None:
            self.socket.close()
        elif self.file is not None:
            os.close(self.file)
        expect((status, self.child.stderr.read()), (0, ""), "how it ended")

    def write(self, words):
        os.write(self.file, bytes.fromhex(words))

    def read(self, count, limit=LIMIT_S):
        data, end = b"", time.monotonic() + limit
        while len(data) < count and select.select([self.file], [], [], max(0, end - time.monotonic()))[0]:
            piece = os.read(self.file, count - len(data))
            if not piece:
                break
            data += piece
        return data.hex(" ").upper()

    def ask(self, request, count=0):
        """The reply, of which `count` bytes are expected; 0 waits for silence."""
        self.write(request)
        return self.read(count) if count else self.read(4096, QUIET_S)

    def expect(self, request, reply):
        wanted = bytes.fromhex(reply)
        expect(self.ask(request, len(wanted)), wanted.hex(" ").upper(), f"reply to {request}")

    def wait(self, name, limit=LIMIT_S):
        """The next event of that name; those before it are kept in `seen`."""
        while True:
            try:
                event = self.lines.get(timeout=limit)
            except queue.Empty:
                raise AssertionError(f"no event {name}") from None
            self.seen.append(event)
            if event["event"] == name:
                return event

    def names(self, name):
        """All events of that name so far."""
        self.child.send_signal(signal.SIGUSR1)
        self.wait("mark")
        return [event for event in self.seen if event["event"] == name]

    def count(self, **wanted):
        found = {name: len(self.names(name)) for name in wanted}
        expect(found, wanted, "events")


def clean_up():
    for child in children:
        if child.poll() is None:
            child.terminate()
            child.wait(timeout=LIMIT_S)
    for left in Path(folder).iterdir():
        left.unlink()
    os.rmdir(folder)
