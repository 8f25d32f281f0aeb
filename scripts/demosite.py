"""Starts and stops the demo site: the independent Modbus board, the heartbeat receiver and the daemon.

Used by `run-demo`, `demo` and `bench`. Every process started here is ended here, by its own id.
"""

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = ROOT / ".build/release"
PYTHON = ROOT / ".venv/bin/python3"
RUN = ROOT / ".run"
# Relative to the checkout, because a Unix socket's path ends at 107 bytes and a checkout may lie deep.
SOCKET = ".run/control.sock"
BOARD_PORT = 15020
RECEIVER_PORT = 15080
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class Trouble(Exception):
    """Something did not happen that had to; the text is for the person at the terminal."""


def eventually(what, condition, limit=10.0):
    """Waits until `condition()` is true or raises Trouble naming `what`; returns what the condition returned."""
    deadline = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise Trouble(f"not within {limit:g} s: {what}")
        time.sleep(0.02)


class Program:
    """A child process whose output is kept, copied to a log file and watched for lines."""

    def __init__(self, name, command, env=None, directory=ROOT):
        RUN.mkdir(exist_ok=True)
        self.name = name
        self.log = RUN / f"{name}.log"
        self.lines = []
        self._file = open(self.log, "w", encoding="utf-8")
        # Own process group: Ctrl-C reaches this script alone, which then ends its children in order. The death signal
        # covers a script that is itself killed hard.
        self.process = subprocess.Popen(
            [str(word) for word in command], cwd=directory, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env={**os.environ, **(env or {})}, process_group=0,
            preexec_fn=lambda: _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM))
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for raw in self.process.stdout:
            line = raw.decode(errors="replace").rstrip("\n")
            self.lines.append(line)
            self._file.write(line + "\n")
            self._file.flush()

    @property
    def pid(self):
        return self.process.pid

    @property
    def is_running(self):
        return self.process.poll() is None

    def wait_for_line(self, wanted, limit=15.0):
        """Waits for a line that is `wanted` and nothing else, also one that has come already.

        A part of a line would not do: a log speaks of much that is ready before the program itself is.
        """
        self._wait(wanted, lambda line: line == wanted, limit)

    def wait_for_word(self, wanted, limit=15.0):
        """Waits for a line whose first word is `wanted`: the peers name their port behind it."""
        self._wait(wanted, lambda line: line.split(" ", 1)[0] == wanted, limit)

    def _wait(self, wanted, is_it, limit):
        def seen():
            if any(is_it(line) for line in self.lines):
                return True
            if not self.is_running:
                self._reader.join(timeout=1)
                tail = "\n".join(self.lines[-15:])
                raise Trouble(f"{self.name} ended with status {self.process.returncode}:\n{tail}")
            return False
        eventually(f"{self.name} prints “{wanted}” (its output: {self.log})", seen, limit)

    def stop(self, limit=15.0):
        """Asks the program to end and returns its status; past the limit it is killed and None returned."""
        if self.is_running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def is_free(port):
    """Whether nothing listens on a port of the loopback."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def need_free_port(port, user):
    """Raises Trouble when something listens on a port already."""
    if not is_free(port):
        raise Trouble(f"port {port} is taken, and {user} needs it; see who has it: ss -ltnp 'sport = :{port}'")


def any_free_port():
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def need_no_daemon(path=SOCKET):
    """Raises Trouble when a daemon answers on the socket already."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(ROOT / path) if len(str(ROOT / path)) < 107 else path)
        except OSError:
            return
    raise Trouble(f"a daemon serves {path} already; is `make run` or `make demo` running in another terminal?")


def start_board(port=BOARD_PORT):
    """The Modbus TCP board: pymodbus, nothing of ours."""
    board = Program("board", [PYTHON, "-u", "Tests/Bench/modbus/board.py", "--tcp", port])
    board.wait_for_word("listening")
    return board


def start_receiver(port=RECEIVER_PORT):
    """The small web server that heartbeats arrive at."""
    receiver = Program("receiver", [
        PYTHON, "-u", "Tests/Bench/heartbeat/receiver.py", "--port", port,
        "--token-file", "etc/demo/heartbeat.token"])
    receiver.wait_for_word("listening")
    return receiver


def start_daemon(config="etc/demo", path=SOCKET, state=".run/state", programs=PROGRAMS, env=None):
    """The daemon on a configuration; returns when it serves."""
    daemon = Program("lockerd", [
        programs / "lockerd", "--config", config, "--socket", path, "--state", state], env=env)
    daemon.wait_for_line("ready")
    return daemon


class DemoSite:
    """Board, receiver and daemon together; a context manager that leaves nothing behind."""

    def __init__(self):
        self.board = self.receiver = self.daemon = None
        self._started = []

    def __enter__(self):
        os.chdir(ROOT)
        need_no_daemon()
        # A checkout has the modes of whoever made it; others shall not write a token, and need not read it.
        (ROOT / "etc/demo/heartbeat.token").chmod(0o600)
        self.ports = {port: port if is_free(port) else any_free_port() for port in (BOARD_PORT, RECEIVER_PORT)}
        try:
            self.start_board()
            self.receiver = self._keep(start_receiver(self.ports[RECEIVER_PORT]))
            self.daemon = self._keep(start_daemon(self._configuration()))
        except BaseException:
            self.__exit__()
            raise
        return self

    def _keep(self, program):
        self._started.append(program)
        return program

    def start_board(self):
        """Starts the board, also again after its end."""
        self.board = self._keep(start_board(self.ports[BOARD_PORT]))

    def _configuration(self):
        """The shipped site; where one of its ports is taken, a copy of it with another."""
        moved = {str(old): str(new) for old, new in self.ports.items() if old != new}
        if not moved:
            return "etc/demo"
        copy = RUN / "etc"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(ROOT / "etc/demo", copy)
        for file in copy.rglob("*.toml"):
            text = file.read_text()
            for old, new in moved.items():
                text = text.replace(old, new)
            file.write_text(text)
        for old, new in moved.items():
            print(f"port {old} is taken on this machine; using {new} and a copy of etc/demo in .run/etc", flush=True)
        return ".run/etc"

    def __exit__(self, *_):
        # The daemon first: it says goodbye to board and receiver.
        for program in reversed(self._started):
            program.stop()


class Control:
    """One connection to the control socket, written against docs/protocol.md with nothing but the standard library."""

    def __init__(self, path=SOCKET, timeout=60.0):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(timeout)
        self._socket.connect(path)
        self._file = self._socket.makefile("rb")
        self._last_id = 0

    def call(self, method, **params):
        """Sends one request and returns the whole reply to it, error or not."""
        self._last_id += 1
        request = {"jsonrpc": "2.0", "id": self._last_id, "method": method, "params": params}
        self._socket.sendall(json.dumps(request).encode() + b"\n")
        while True:
            line = self._file.readline()
            if not line:
                raise Trouble(f"the daemon closed the connection during {method}")
            reply = json.loads(line)
            if reply.get("id") == self._last_id:
                return reply

    def result(self, method, **params):
        """The result of a request that must succeed."""
        reply = self.call(method, **params)
        if "result" not in reply:
            raise Trouble(f"{method} {params}: {reply.get('error')}")
        return reply["result"]

    def close(self):
        self._file.close()
        self._socket.close()


def children(pid):
    """Process ids and program names of the children of a process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            if int(stat[1]) == pid and stat[0] != "Z":
                found[int(entry.name)] = Path((entry / "cmdline").read_bytes().split(b"\0")[0].decode()).name
        except OSError:
            continue
    return found


def on_signals(handler):
    """Ctrl-C, SIGTERM and a closed terminal all mean the same."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, handler)


def main_guard(main):
    """Runs a script's main function; Trouble becomes one clear line and status 1."""
    try:
        sys.exit(main())
    except (Trouble, OSError, subprocess.SubprocessError) as trouble:
        print(f"\n{Path(sys.argv[0]).name}: {trouble}\nlogs: {RUN}", file=sys.stderr, flush=True)
        sys.exit(1)
