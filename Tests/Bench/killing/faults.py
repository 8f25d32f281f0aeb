#!/usr/bin/env python3
"""Disks, clocks and limits that fail, and whether lockerd keeps its word all the same.

    faults.py NAME --lockerd .build/debug/lockerd

Each NAME is one fault on a site of its own with the real programs; without one the names are listed. Prints what was seen.
Ends with 0 when all held, with 1 and the reason when it did not, and with 77 and the reason where this machine cannot tell.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from control import Connection, Gone  # noqa: E402
from evidence import AuditChain, CoilRecord, JournalCopy  # noqa: E402
from lockersite import DAEMON_FILE, Link, LockerSite, temporary_folder  # noqa: E402
from processes import Trouble, adopt_orphans, orphans_gone  # noqa: E402

SKIPPED = 77
FOLDER = Path(__file__).resolve().parent


class Skip(Exception):
    """This machine lacks what it takes; the text says what."""


def want(condition, what):
    if not condition:
        raise Trouble(what)


class Bench:
    """A site with one fault, its daemons, and independent looks at it."""

    def __init__(self, options, lockers=8, daemon_file=DAEMON_FILE, **link):
        self.folder = temporary_folder()
        self.lockerd = options.lockerd
        self.site = LockerSite(self.folder, options.lockerd, [Link("wall", 101, lockers, **link)], daemon_file)
        self.record = CoilRecord(self.site.coils)
        self.coils = []
        self.daemons, self.lines, self.mounts = [], [], []

    async def start(self, **how):
        daemon = await self.site.serve(**how)
        self.daemons.append(daemon)
        return daemon

    async def connect(self, note=None):
        line = await Connection.to(self.site.socket, note)
        self.lines.append(line)
        return line

    async def stop(self, daemon, expected=0):
        daemon.terminate()
        status = await daemon.ended()
        want(status == expected, f"lockerd stopped with status {status}: {self.site.log_tail()}")
        want(not await orphans_gone(), "a module outlived its core")

    async def kill(self, daemon):
        daemon.kill()
        await daemon.ended()
        want(not await orphans_gone(), "a module outlived its core")

    def fired(self, key):
        """How often the coil went on for that key."""
        self.coils += [coil for coil in self.record.news() if coil.is_on]
        return sum(1 for coil in self.coils if coil.key == key)

    def check_file(self):
        """The journal's file is whole, and so is the audit in it; call it when no daemon runs."""
        copy = JournalCopy(self.site.state, self.folder)
        try:
            chain = AuditChain()
            entries = [entry for _, entry in copy.audit()]
            problems = [*copy.problems("integrity_check"), *chain.follow(entries)]
            want(not problems, f"{problems}")
            want(copy.audit_head == (chain.number, chain.hash), "the head of the audit is not its end")
            return entries
        finally:
            copy.close()

    async def close(self):
        for line in self.lines:
            await line.close()
        for daemon in self.daemons:
            if daemon.is_running:
                daemon.kill()
                await daemon.ended()
            daemon.close()
        await orphans_gone(limit=2)
        for place in reversed(self.mounts):
            subprocess.run(["umount", place], capture_output=True)
        shutil.rmtree(self.folder)

    def mount(self, place, *words):
        """Only where mounts are this process's own, see `in_own_mounts`."""
        done = subprocess.run(["mount", *words, place], capture_output=True, text=True)
        want(done.returncode == 0, f"mount {words} {place}: {done.stderr.strip()}")
        if place not in self.mounts:
            self.mounts.append(place)


async def open_once(line, key, locker="wall/1", **terms):
    """One open whose coil can be told by its key; the whole reply."""
    return await line.call("open", locker=locker, key=key, token={"payload": key, "payloadAuth": "none"}, **terms)


def outcome(reply):
    """The outcome of a reply, or its error in words."""
    if "result" in reply:
        return reply["result"].get("outcome", reply["result"]["state"])
    return f"{reply['error']['data']['code']}: {reply['error']['message']}"


def same_ending(reply, other):
    """Whether two replies tell the same of the same operation."""
    first, second = (json.loads(json.dumps(one)) for one in (reply, other))
    for one in (first, second):
        one.pop("id", None)
        one.get("result", {}).pop("replayed", None)
        one.get("error", {}).get("data", {}).get("details", {}).pop("replayed", None)
    return first == second


async def eventually(what, condition, limit=10.0):
    """Waits until `await condition()` is true; returns what it returned and the seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        value = await condition()
        if value:
            return value, loop.time() - began
        want(loop.time() - began < limit, f"not within {limit:g} s: {what}")
        await asyncio.sleep(0.05)


def preloadable(name, bench):
    """A library for LD_PRELOAD, made of the C file of that name."""
    compiler = next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None)
    if not compiler:
        raise Skip("no C compiler here (cc, gcc or clang)")
    library = bench.folder / f"{name}.so"
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, FOLDER / f"{name}.c", "-ldl"], capture_output=True, text=True)
    want(made.returncode == 0, f"{compiler} does not take {name}.c: {made.stderr}")
    tried = subprocess.run([bench.lockerd, "--version"], env={**os.environ, "LD_PRELOAD": str(library)}, capture_output=True)
    if tried.returncode != 0:
        raise Skip("this build of lockerd takes no library before its own, as with a sanitizer")
    return library


def in_own_mounts(options):
    """Starts this script once more where mounts are its own: nothing of them is seen outside, or left behind."""
    if options.inside:
        return
    if not shutil.which("unshare"):
        raise Skip("no unshare here")
    command = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    probe = subprocess.run([*command, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True)
    if probe.returncode != 0:
        raise Skip(f"no mounts of our own here: {probe.stderr.strip()}")
    script = Path(__file__).resolve()
    sys.exit(subprocess.run([*command, sys.executable, script, *sys.argv[1:], "--inside"]).returncode)


def main():
    from disk_faults import DISK_FAULTS
    from process_faults import PROCESS_FAULTS
    faults = {**DISK_FAULTS, **PROCESS_FAULTS}
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("name", choices=faults)
    parser.add_argument("--lockerd", required=True, help="the program; simulator-module is beside it")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    adopt_orphans()
    try:
        print(f"{options.name}: {asyncio.run(faults[options.name](options))}", flush=True)
    except Skip as skip:
        print(f"skipped: {skip}", flush=True)
        return SKIPPED
    except (Trouble, Gone, OSError) as trouble:
        print(f"{options.name}: {trouble}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    # The faults import this file by its name; there must not be two of it.
    sys.modules["faults"] = sys.modules["__main__"]
    sys.exit(main())
