"""What `bench` measures with: generated sites, the servers to compare with, and the measurements themselves."""

import json
import os
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from demosite import PROGRAMS, PYTHON, ROOT, Control, Program, Trouble, children, eventually, need_free_port

BENCH = ROOT / ".build/bench"
BOARD_PORT = 15021
UPSD_PORT = 15493
NUT = Path("/lib/nut")
# Most lockers one simulated controller may have.
CONTROLLER_LIMIT = 512


def compile_tools():
    """Builds the load generator and the echo server with the system's C compiler."""
    for name in ("load", "echo"):
        source, target = ROOT / f"Tests/Bench/load/{name}.c", BENCH / name
        subprocess.run(
            ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o", target, source], check=True)


def load(*arguments):
    """Runs the load generator and returns what it measured."""
    done = subprocess.run(
        [BENCH / "load", *map(str, arguments)], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        raise Trouble(done.stderr.strip() or f"the load generator ended with status {done.returncode}")
    return json.loads(done.stdout)


def median_of(samples):
    """The medians over rounds of what the load generator measured, with the spread of the rates."""
    rates = [sample["perSecond"] for sample in samples]
    return {
        "perSecond": statistics.median(rates),
        "perSecondMin": min(rates),
        "perSecondMax": max(rates),
        "p50Us": statistics.median(sample["p50Us"] for sample in samples),
        "p99Us": statistics.median(sample["p99Us"] for sample in samples),
        "maxUs": max(sample["maxUs"] for sample in samples),
        "replyBytes": samples[-1]["replyBytes"],
        "replies": sum(sample["replies"] for sample in samples),
        "rounds": len(samples),
    }


# Sites

# No coil of the bench is warm: what is measured is the daemon, not its care for coils.
TIRELESS = "\n[coil]\nrest_ms = 0\nopens_per_minute = 6000\nduty_percent = 100\nburst_ms = 600000\n"


def write_site(name, links, power=None):
    """Writes a configuration folder; `links` maps names to TOML texts."""
    folder = BENCH / f"site-{name}"
    (folder / "links.d").mkdir(parents=True, exist_ok=True)
    for old in (folder / "links.d").iterdir():
        old.unlink()
    groups = "".join(f"\n[power.{group}]\n{text}" for group, text in (power or {}).items())
    (folder / "lockerd.toml").write_text(f'site = "bench-{name}"\n{TIRELESS}{groups}')
    for link, text in links.items():
        (folder / "links.d" / f"{link}.toml").write_text(text)
    return folder


def simulator_link(prefix, count, first_id, link="", controller=""):
    """A simulator link with `count` lockers, spread over as few controllers as the limit allows."""
    text = f'driver = "simulator"\n\n[link]\n{link}\n'
    for index in range(0, count, CONTROLLER_LIMIT):
        lockers = min(CONTROLLER_LIMIT, count - index)
        text += (
            f'\n[[controller]]\nid = "{prefix}{index // CONTROLLER_LIMIT}"\nlockers = {lockers}\n'
            f"first_id = {first_id + index}\n{controller}\n")
    return text


def three_links():
    """Two simulator links and a Modbus TCP board: three driver processes."""
    board = (
        f'driver = "modbus"\n\n[link]\ntransport = "tcp"\nhost = "127.0.0.1"\nport = {BOARD_PORT}\n\n'
        '[[controller]]\nid = "board"\nboard = "generic-coil-8"\nunit = 1\nlockers = 8\nfirst_id = 201\n')
    return write_site("three", {
        "hall": simulator_link("hall", 24, 101), "yard": simulator_link("yard", 24, 301), "board": board})


def large_site(count):
    """`count` simulated lockers. Real boards of that number would not be read twice a second either.

    Several links, because what a module is configured with has to fit one line of its protocol.
    """
    links = {}
    for start in range(0, count, 2500):
        prefix = chr(ord("a") + start // 2500)
        links[prefix] = simulator_link(prefix, min(2500, count - start), 1 + start, controller="poll_ms = 2000")
    return write_site(str(count), links)


def instant_site():
    """Locks that cost no time: no sensor to wait for, no pause between pulses.

    Eight controllers with a supply each, because a coil occupies its supply for at least the shortest pulse, and at most
    64 fit on one.
    """
    link = 'driver = "simulator"\n\n[link]\nmaximum_together = 64\n'
    for number in range(8):
        link += (
            f'\n[[controller]]\nid = "f{number}"\nlockers = 64\nfirst_id = {1 + 64 * number}\nsensors = false\n'
            f'pulse_ms = 10\npoll_ms = 60000\npower = "supply{number}"\n')
    return write_site(
        "instant", {"fast": link}, power={f"supply{number}": "at_once = 64\ngap_ms = 0\n" for number in range(8)})


def instant_lockers():
    """Ids of the instant site, so ordered that two that follow each other hang on different supplies."""
    return [1 + 64 * (index % 8) + index // 8 for index in range(512)]


# Servers

class Daemon:
    """lockerd on a site, from start to stop; a context manager. Without `is_durable` its journal is in memory."""

    def __init__(self, site, is_durable=True):
        self.site = site
        self.is_durable = is_durable
        self.socket = os.path.relpath(BENCH / f"{site.name}.sock", ROOT)

    def command(self):
        return [
            str(PROGRAMS / "lockerd"), "--config", str(self.site), "--socket", self.socket,
            *(["--state", str(BENCH / f"{self.site.name}.state")] if self.is_durable else [])]

    def __enter__(self):
        self.program = Program(f"bench-{self.site.name}", self.command())
        self.program.wait_for_line("ready", limit=30)
        self.wait_for_controllers()
        return self

    def wait_for_controllers(self):
        """Waits until every controller is ready: what follows shall not measure the start."""
        control = Control(self.socket)
        eventually(
            f"every controller of {self.site.name} is ready",
            lambda: all(one["state"] == "ready" for one in control.result("status")["controllers"]), 30)
        control.close()

    def __exit__(self, *_):
        self.program.stop()


class Board:
    """The pymodbus board that one of the three links talks to."""

    def __enter__(self):
        need_free_port(BOARD_PORT, "the Modbus board of the bench")
        self.program = Program("bench-board", [PYTHON, "-u", "Tests/Bench/modbus/board.py", "--tcp", BOARD_PORT])
        self.program.wait_for_word("listening")
        return self

    def __exit__(self, *_):
        self.program.stop()


class Echo:
    """The bare echo on a Unix socket."""

    def __enter__(self):
        self.socket = os.path.relpath(BENCH / "echo.sock", ROOT)
        Path(self.socket).unlink(missing_ok=True)
        self.program = Program("bench-echo", [BENCH / "echo", self.socket])
        self.program.wait_for_line("ready")
        return self

    def __exit__(self, *_):
        self.program.stop()


class Upsd:
    """NUT's own server with its dummy driver, as instances of ours with their own folders and port."""

    def __enter__(self):
        need_free_port(UPSD_PORT, "NUT's upsd in the bench")
        folder = BENCH / "nut"
        state = folder / "state"
        state.mkdir(parents=True, exist_ok=True)
        state.chmod(0o700)
        files = {
            "ups.conf": '[dummy]\n  driver = dummy-ups\n  port = dummy.dev\n  desc = "bench"\n',
            "dummy.dev": "ups.status: OL\nups.model: bench\n",
            "upsd.conf": f"LISTEN 127.0.0.1 {UPSD_PORT}\nMAXCONN 256\n",
            "upsd.users": "",
            "nut.conf": "MODE=standalone\n",
        }
        for name, text in files.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o600)
        paths = {
            "NUT_CONFPATH": folder, "NUT_STATEPATH": state, "NUT_PIDPATH": state, "NUT_ALTPIDPATH": state}
        env = {name: str(path) for name, path in paths.items()}
        user = ["-u", "root"] if os.geteuid() == 0 else []
        # Debian's /sbin/upsd is a wrapper that refuses while the system's own NUT is not configured.
        self.driver = Program("bench-dummy-ups", [NUT / "dummy-ups", "-a", "dummy", "-F", *user], env=env)
        try:
            eventually("the dummy UPS driver listens", lambda: any(state.glob("dummy-ups-dummy")))
            self.server = Program("bench-upsd", [NUT / "upsd", "-F", *user], env=env)
            eventually("upsd knows its UPS", self._answers)
        except BaseException:
            self.driver.stop()
            raise
        self.pid = self.server.pid
        return self

    @staticmethod
    def _answers():
        try:
            with socket.create_connection(("127.0.0.1", UPSD_PORT), timeout=1) as connection:
                connection.sendall(b"GET VAR dummy ups.status\n")
                return b'ups.status "OL"' in connection.recv(200)
        except OSError:
            return False

    def __exit__(self, *_):
        self.server.stop()
        self.driver.stop()


# Measurements

def bare_sync(count):
    """What the file system takes to keep 4 KiB more: append and fdatasync, as a journal cannot do without."""
    path = BENCH / "sync.probe"
    page = b"\xa5" * 4096
    times = []
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        for _ in range(count):
            began = time.perf_counter_ns()
            os.write(handle, page)
            os.fdatasync(handle)
            times.append((time.perf_counter_ns() - began) / 1000)
    finally:
        os.close(handle)
        path.unlink()
    times.sort()
    return {"p50Us": times[count // 2], "p99Us": times[count * 99 // 100], "count": count}


def memory_kib(pid):
    """Resident, proportional and private memory of a process in KiB."""
    fields = dict.fromkeys(("Rss", "Pss", "Private_Dirty"), 0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split()[:2]
        if name[:-1] in fields:
            fields[name[:-1]] = int(value)
    return {"rssKiB": fields["Rss"], "pssKiB": fields["Pss"], "privateDirtyKiB": fields["Private_Dirty"]}


def memory_of(daemon):
    """Memory of the core and of each of its modules."""
    found = {"lockerd": memory_kib(daemon.program.pid)}
    for number, (pid, name) in enumerate(sorted(children(daemon.program.pid).items()), start=1):
        found[f"{name} #{number}"] = memory_kib(pid)
    return found


def milliseconds_to_ready(daemon):
    """Time from the start of the program to READY=1 on a notification socket; then the daemon is ended."""
    # A notification socket has an absolute path, and that of a checkout may be longer than a socket's may be.
    with tempfile.TemporaryDirectory(prefix="lockerd-bench-") as folder, \
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        path = f"{folder}/notify"
        notify.bind(path)
        notify.settimeout(20)
        env = {**os.environ, "NOTIFY_SOCKET": path}
        nothing = os.open(os.devnull, os.O_RDWR)
        began = time.perf_counter()
        pid = os.posix_spawn(
            daemon.command()[0], daemon.command(), env,
            file_actions=[(os.POSIX_SPAWN_DUP2, nothing, number) for number in (0, 1, 2)])
        os.close(nothing)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
            return (time.perf_counter() - began) * 1000
        except TimeoutError:
            raise Trouble("no READY=1 within 20 s") from None
        finally:
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
