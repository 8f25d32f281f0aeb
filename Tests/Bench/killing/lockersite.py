"""A site of simulated lockers in a folder of its own, with the real programs."""

import os
import shutil
from pathlib import Path

from processes import Daemon, Trouble

ROOT = Path(__file__).resolve().parents[3]

# What protects coils and supplies elsewhere would only make the lives here long.
DAEMON_FILE = """\
site = "killing"
module_dirs = ["../modules"]
[power.main]
at_once = 32
gap_ms = 0
[coil]
rest_ms = 0
opens_per_minute = 6000
duty_percent = 100
burst_ms = 600000
[doors]
held_ms = 0
suspect_pulses = 0
suspect_flips = 0
"""

LINK_FILE = """\
driver = "simulator"
[link]
journal = "{coils}"
close_after_ms = {close_after_ms}
pulse_timing = "{timing}"
maximum_together = 32
[[controller]]
id = "{name}"
lockers = {lockers}
first_id = {first_id}
power = "main"
poll_ms = 50
door_wait_ms = {door_wait_ms}
pulse_ms = {pulse_ms}
{faults}"""

FAULT = """\
[[controller.locker]]
number = {number}
fault = "{fault}"
"""


class Link:
    """A link with one controller of the same name."""

    def __init__(self, name, first_id, lockers, timing="board", pulse_ms=20, close_after_ms=60, door_wait_ms=120,
                 faults=None):
        self.name, self.first_id, self.lockers = name, first_id, lockers
        self.timing, self.pulse_ms, self.faults = timing, pulse_ms, faults or {}
        self.close_after_ms, self.door_wait_ms = close_after_ms, door_wait_ms

    @property
    def addresses(self):
        return [f"{self.name}/{number}" for number in range(1, self.lockers + 1)]

    def text(self, coils):
        faults = "".join(FAULT.format(number=number, fault=fault) for number, fault in self.faults.items())
        return LINK_FILE.format(coils=coils, **{**vars(self), "faults": faults})


class LockerSite:
    """Files, programs and the folder for what survives."""

    def __init__(self, folder, lockerd, links, daemon_file=DAEMON_FILE):
        self.folder, self.lockerd, self.links = Path(folder), Path(lockerd).resolve(), links
        self.etc, self.socket = self.folder / "etc", self.folder / "control.sock"
        self.state, self.coils, self.log = self.folder / "state", self.folder / "coils", self.folder / "lockerd.log"
        (self.etc / "links.d").mkdir(parents=True)
        (self.etc / "lockerd.toml").write_text(daemon_file)
        for link in links:
            (self.etc / "links.d" / f"{link.name}.toml").write_text(link.text(self.coils))
        self.coils.touch(mode=0o600)
        self._stage_module()

    def _stage_module(self):
        """Lays the simulator out as an installation has it; the daemon refuses modules that others may write to."""
        program = self.lockerd.parent / "simulator-module"
        if not program.exists():
            raise Trouble(f"no {program}; it is built together with lockerd")
        target = self.folder / "modules" / "simulator"
        target.mkdir(parents=True, mode=0o755)
        shutil.copyfile(ROOT / "Plugins/Simulator/module.toml", target / "module.toml")
        shutil.copyfile(program, target / "simulator-module")
        for path, mode in ((target / "module.toml", 0o644), (target / "simulator-module", 0o755),
                           (target.parent, 0o755), (target, 0o755)):
            path.chmod(mode)

    @property
    def addresses(self):
        return [address for link in self.links for address in link.addresses]

    def link(self, address):
        name = address.split("/")[0]
        return next(link for link in self.links if link.name == name)

    def command(self, socket=None, state=None):
        return [self.lockerd, "--config", self.etc, "--socket", socket or self.socket, "--state", state or self.state]

    async def start(self, env=None, limits=None, **changes):
        return await Daemon.start(self.command(**changes), self.log, env, limits)

    async def serve(self, env=None, limits=None, **changes):
        """Starts a daemon and waits until it serves."""
        daemon = await self.start(env, limits, **changes)
        if not await daemon.ready():
            raise Trouble(f"lockerd ended with status {await daemon.ended()}: {self.log_tail()}")
        return daemon

    def log_tail(self, lines=8):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def temporary_folder(where=None):
    """A short name, because a Unix socket's path ends at 107 bytes."""
    base = where or os.environ.get("TMPDIR") or "/tmp"
    folder = Path(base) / f"lkd-kill-{os.getpid()}-{os.urandom(3).hex()}"
    folder.mkdir(mode=0o755)
    return folder
