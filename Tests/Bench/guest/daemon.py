"""lockerd inside the guest, with links as a test writes them.

    with Wall() as wall, Daemon(wall, {"yard": YARD}) as daemon:
        daemon.eventually_ready()
        daemon.open("wall/1")
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from wall import eventually

PROGRAMS = Path(os.environ.get("LOCKERD_PROGRAMS", ""))
SITE = """
site = "bench"
[power.main]
at_once = 8
gap_ms = 0
"""


class Refused(Exception):
    """The daemon answered with an error: `code`, and `data` of the reply."""

    def __init__(self, error):
        self.data = error.get("data", {})
        self.code = self.data.get("code")
        super().__init__(f"{self.code}: {error.get('message')}")


class Client:
    """One connection to the control socket."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(30)
        self.socket.connect(str(path))
        self.lines = self.socket.makefile("rb")
        self.last_id = 0
        # Events that came while a reply was waited for.
        self.events = []

    def send(self, method, **params):
        self.last_id += 1
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        return self.last_id

    def reply(self, number):
        while True:
            message = json.loads(self.lines.readline())
            if message.get("id") == number:
                break
            self.events.append((time.monotonic(), message))
        if "error" in message:
            raise Refused(message["error"])
        return message["result"]

    def call(self, method, **params):
        return self.reply(self.send(method, **params))

    def next_event(self):
        """The next notification and when it came, in seconds of the monotonic clock."""
        if self.events:
            return self.events.pop(0)
        message = json.loads(self.lines.readline())
        return time.monotonic(), message


class Daemon:
    def __init__(self, wall, links, site=SITE, prefix=()):
        """`prefix`: a command that runs the daemon with other rights."""
        self.prefix = list(prefix)
        self.wall = wall
        self.folder = Path(tempfile.mkdtemp(prefix="lkd-"))
        self.config = self.folder / "etc"
        (self.config / "links.d").mkdir(parents=True)
        (self.config / "lockerd.toml").write_text(site)
        for name, text in links.items():
            (self.config / "links.d" / f"{name}.toml").write_text(text)
        self.path = self.folder / "socket"
        self.log = self.folder / "log"
        self.process = None

    def start(self):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                self.prefix + [PROGRAMS / "lockerd", "--config", self.config, "--socket", self.path, "--state", self.folder / "state"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually("lockerd serves", self._serves)
        return self

    def _serves(self):
        if self.process.poll() is not None:
            raise AssertionError(f"lockerd ended with {self.process.returncode}: {self.text()[-2000:]}")
        try:
            Client(self.path)
            return True
        except OSError:
            return False

    def text(self):
        return self.log.read_text(errors="replace")

    def client(self):
        return Client(self.path)

    def call(self, method, **params):
        return self.client().call(method, **params)

    def controller(self, name):
        return next(one for one in self.call("controllers")["controllers"] if one["id"] == name)

    def eventually(self, name, state, limit=10.0):
        """Waits for a state of a controller, and returns the controller."""
        def look():
            found = self.controller(name)
            return found if found["state"] == state else None
        try:
            return eventually(f"{name} is {state}", look, limit)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; it is {self.controller(name)}; log: {self.text()[-1500:]}") from None

    def locker(self, address):
        return next(one for one in self.call("status")["lockers"] if one["address"] == address)

    def open(self, locker, **params):
        """The result of the locker in the finished operation."""
        return self.call("open", locker=locker, **{"waitMs": 10_000, **params})

    def processes(self, name):
        """Ids of the programs of that name below this daemon or left behind by it."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                if Path((folder / "cmdline").read_bytes().split(b"\0")[0].decode()).name == name:
                    found.append(int(folder.name))
            except OSError:
                pass
        return found

    def kill(self, name):
        (pid,) = self.processes(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"lockerd does not stop; log: {self.text()[-2000:]}") from None

    def __enter__(self):
        return self.start()

    def __exit__(self, kind, problem, trace):
        if problem is not None and os.environ.get("LOCKERD_GUEST_LOG"):
            print(self.text(), flush=True)
        self.stop()
        eventually("nobody is left", lambda: not self.processes("coil-guardian"))
        shutil.rmtree(self.folder, ignore_errors=True)
