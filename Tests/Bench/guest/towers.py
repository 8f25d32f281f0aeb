"""Towers inside the guest, and a central to try them with: the programs of Tests/Bench/tower.

    with BumbleTower() as tower:
        tower.probe("open", 3)
        expect(tower.doors(), [3], "doors that came open")

They run on the checkout's own Python peers, whatever runs this.
"""

import json
import select
import socket
import subprocess
import tempfile
from pathlib import Path

from wall import eventually

TOWERS = Path(__file__).resolve().parent.parent / "tower"
PYTHON = TOWERS.parents[2] / ".venv/bin/python3"
ID = "0100000000000175"
KEY = {"id": 3, "rotation": 2, "secret": bytes(range(0x40, 0x60)).hex(), "state": "installed"}


class Peer:
    """A tower that is running; its files are in `folder`."""

    program = ()
    address_type = "random"

    def __init__(self, name="TOWER-01", keys=(KEY,), **options):
        self.folder = Path(tempfile.mkdtemp(prefix="tower-"))
        self.name = name
        self.options = [f"--{option.replace('_', '-')}={value}" if value is not True else f"--{option}" for option, value in options.items()]
        self.key_file = self.folder / "keys.json"
        self.key_file.write_text(json.dumps({"tower": ID, "keys": list(keys)}))
        self.process = None
        self.address = None
        self.control = self.folder / "control"
        self.log = self.folder / "log"

    def __enter__(self):
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def start(self):
        self.process = subprocess.Popen(
            [PYTHON, TOWERS / self.program[0], *self.program[1:], *self.identity(), "--control", self.control, "--log", self.log,
             *self.options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=open(self.folder / "errors", "wb"), text=True)
        words = self.ready(60).split()
        if words[:1] != ["ready"]:
            raise AssertionError(f"the tower says {words}: {(self.folder / 'errors').read_text()[-1500:]}")
        self.started(words)

    def __exit__(self, kind, *_):
        self.stop()
        errors = (self.folder / "errors").read_text()
        if errors and kind is None:
            raise AssertionError(f"the tower complains: {errors[-1500:]}")

    def stop(self):
        if self.process:
            self.process.terminate()
            self.process.wait(20)
        self.clean()

    def identity(self):
        return ["--tower", ID, "--name", self.name, "--key-file", self.key_file]

    def ready(self, limit):
        """Its first line."""
        if not select.select([self.process.stdout], [], [], limit)[0]:
            raise AssertionError(f"no tower within {limit} s")
        return self.process.stdout.readline()

    def prepare(self):
        """Before it starts."""

    def started(self, words):
        """After it is ready, which it said with `words`."""

    def clean(self):
        """After it has ended."""

    def ask(self, method, **fields):
        """One request of tower_control.py."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(20)
            connection.connect(str(self.control))
            connection.sendall(json.dumps({"method": method, **fields}).encode() + b"\n")
            answer = json.loads(connection.makefile().readline())
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        return answer

    def doors(self, **which):
        """The doors that came open, in order."""
        return [one["locker"] for one in self.ask("opened", **which)["opened"]]

    def probe(self, *words, address=None, key_file=None, mtu=247, permissions="1", limit=120):
        """What the central says: a list of objects. Everything it could not do is in there as well."""
        done = subprocess.run(
            [PYTHON, TOWERS / "probe.py", "--key-file", key_file or self.key_file, "--address", address or self.address, "--type",
             self.address_type, "--mtu", str(mtu), "--permissions", permissions, *map(str, words)],
            capture_output=True, text=True, timeout=limit)
        if done.stderr:
            raise AssertionError(done.stderr[-1500:])
        return [json.loads(line) for line in done.stdout.splitlines()]


class BumbleTower(Peer):
    """Beside the kernel, on bumble's stack: hci0 is the central's."""

    program = ("tower.py", "vhci")

    def started(self, words):
        self.address = "F0:F1:F2:F3:F4:F5"
        bring_up(0)


class BumbleTowers(BumbleTower):
    """Several of them, by their setups."""

    def __init__(self, *setups, **options):
        super().__init__(**options)
        self.setups = setups

    def identity(self):
        words = []
        for number, setup in enumerate(self.setups):
            path = self.folder / f"tower{number}.json"
            path.write_text(json.dumps({"keys": [KEY], **setup}))
            (self.folder / f"keys{number}.json").write_text(json.dumps({"tower": setup["tower"], "keys": setup.get("keys", [KEY])}))
            words += ["--tower-file", path]
        return words

    def started(self, words):
        super().started(words)
        self.address = self.setups[0]["address"]

    def probe_one(self, number, *words, **more):
        return self.probe(*words, address=self.setups[number]["address"], key_file=self.folder / f"keys{number}.json", **more)


class KernelTower(Peer):
    """On the kernel's own stack: hci1 is the tower's, hci0 the central's."""

    program = ("kernel_tower.py", "--controller", "1")
    controllers = None
    address_type = "public"

    def prepare(self):
        self.controllers = subprocess.Popen(
            ["btvirt", "-L", "-l2"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        eventually("there are two controllers", lambda: Path("/sys/class/bluetooth/hci1").exists())
        bring_up(0)

    def started(self, words):
        self.address = words[2]

    def clean(self):
        if self.controllers:
            self.controllers.terminate()
            self.controllers.wait(20)


def bring_up(number):
    """A controller that has just been made is busy for a moment."""
    def tried():
        done = subprocess.run(["hciconfig", f"hci{number}", "up"], capture_output=True, text=True)
        return done.returncode == 0
    eventually(f"hci{number} is up", tried)
