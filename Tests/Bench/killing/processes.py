"""Daemons that are started to be killed.

Nothing is ended here but what was started here: the daemon by the handle it was started with, its modules by a handle that
was taken while they were seen to be its children. A process id that has been given to somebody else meanwhile is never hit.
"""

import asyncio
import ctypes
import os
import signal
import time
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# A module whose core is gone switches off what it switched on and goes within two seconds; the rest is for a busy machine.
FAREWELL_S = 6.0
START_S = 30.0
_libc = ctypes.CDLL(None)
_cores = set()


class Trouble(Exception):
    """Something that keeps the test from going on; the text is for the person at the terminal."""


def adopt_orphans():
    """Modules of a killed core become children of this process, which sees them end and leaves none behind."""
    _libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def children(parent):
    """Process ids of living children, each with the name of its link; None for what is no module."""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            if int(stat[1]) != parent or stat[0] == "Z":
                continue
            variables = Path(f"/proc/{entry}/environ").read_bytes().split(b"\0")
        except OSError:
            continue
        links = [text[13:].decode() for text in variables if text.startswith(b"LOCKERD_LINK=")]
        found[int(entry)] = links[0] if links else None
    return found


class Module:
    """A module process, held by a handle that no later process of the same number can take over."""

    def __init__(self, pid, link, core):
        self.pid, self.link = pid, link
        self.handle = os.pidfd_open(pid)
        if children(core).get(pid) != link:
            os.close(self.handle)
            raise ProcessLookupError(pid)

    def kill(self):
        try:
            signal.pidfd_send_signal(self.handle, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def close(self):
        os.close(self.handle)


class Daemon:
    """One life of lockerd."""

    def __init__(self, process, log):
        self.process, self.log = process, log
        self.pid = process.pid
        # None where it has ended already and was waited for.
        try:
            self.handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.handle = None
        # Every module process that was seen, and those that were killed from here.
        self.modules, self.killed = {}, set()

    @staticmethod
    async def start(command, log, env=None, limits=None):
        """Starts it; `ready` waits until it serves. `limits` is called in the new process before the program."""

        def prepare():
            # Should this process be killed hard, nothing stays behind.
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if limits:
                limits()

        with open(log, "ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *map(str, command), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=errors,
                env={**os.environ, **(env or {})}, preexec_fn=prepare, process_group=0)
        _cores.add(process.pid)
        return Daemon(process, log)

    async def ready(self, limit=START_S):
        """True once it serves, False where it ended before."""
        async def said():
            while line := await self.process.stdout.readline():
                if line == b"ready\n":
                    return True
            return False
        try:
            is_ready = await asyncio.wait_for(said(), limit)
        except asyncio.TimeoutError:
            raise Trouble(f"lockerd is not ready within {limit:g} s; its log: {self.log}") from None
        if is_ready:
            self.look()
        return is_ready

    def look(self):
        """Takes a handle on each module that runs now, and returns them."""
        found = children(self.pid)
        for pid, link in found.items():
            if pid not in self.modules and link:
                try:
                    self.modules[pid] = Module(pid, link, self.pid)
                except ProcessLookupError:
                    pass
        return [module for pid, module in self.modules.items() if pid in found]

    def kill_modules(self, modules):
        for module in modules:
            module.kill()
            self.killed.add(module.pid)

    def kill(self):
        """SIGKILL, also where it has just ended by itself."""
        self._signal(signal.SIGKILL)

    def terminate(self):
        self._signal(signal.SIGTERM)

    def _signal(self, number):
        # Not `process.kill()`: that looks first whether the process has ended, and so takes the exit status away from
        # asyncio's watcher, which then makes one up (255).
        if self.handle is None:
            return
        try:
            signal.pidfd_send_signal(self.handle, number)
        except ProcessLookupError:
            pass

    @property
    def is_running(self):
        return self.process.returncode is None

    async def ended(self, limit=START_S):
        """Its exit status, negative for a signal; None past the limit."""
        try:
            return await asyncio.wait_for(self.process.wait(), limit)
        except asyncio.TimeoutError:
            return None

    def close(self):
        if self.handle is not None:
            os.close(self.handle)
            self.handle = None
        for module in self.modules.values():
            module.close()


def orphans():
    """Modules that outlived their core."""
    return {pid for pid, link in children(os.getpid()).items() if link}


async def orphans_gone(limit=FAREWELL_S):
    """Waits until modules that outlived their core are gone; returns those that had to be killed."""
    deadline = time.monotonic() + limit
    late = set()
    while True:
        left = orphans()
        for pid in left:
            if time.monotonic() > deadline:
                late.add(pid)
                # Still a child of this process and not waited for, so the number is surely its own.
                os.kill(pid, signal.SIGKILL)
        _take_leave()
        if not left:
            return late
        await asyncio.sleep(0.003)


def _take_leave():
    """Waits for orphans that have ended. Cores are waited for by whoever started them."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) in _cores:
            continue
        try:
            stat = Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()
            if stat[0] == "Z" and int(stat[1]) == os.getpid():
                os.waitpid(int(entry), os.WNOHANG)
        except OSError:
            continue
