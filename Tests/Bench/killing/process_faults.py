"""Faults of the process and of those who ask: jumping clocks, too few file handles, a second daemon, a storm of repeats."""

import asyncio
import os
import re
import resource
import struct
import time
from datetime import datetime

from control import Connection, Gone
from faults import Bench, eventually, open_once, outcome, preloadable, same_ending, want

DAY_AND_MORE_MS = 25 * 3600 * 1000


class ShiftedClock:
    """The control file of shifted_clock.c."""

    def __init__(self, bench):
        self.library = preloadable("shifted_clock", bench)
        self.path = bench.folder / "shifted-clock"
        self.jump(0)

    def jump(self, milliseconds):
        self.shift = milliseconds
        # Written in place: the daemon has the file mapped.
        handle = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        os.pwrite(handle, struct.pack("<q", milliseconds), 0)
        os.close(handle)

    @property
    def env(self):
        return {"LD_PRELOAD": str(self.library), "SHIFTED_CLOCK": str(self.path)}

    async def check(self, line):
        """The daemon believes the jump: otherwise all of this would prove nothing."""
        at = datetime.fromisoformat((await line.result("status"))["at"].replace("Z", "+00:00")).timestamp()
        off = (at - time.time()) * 1000 - self.shift
        want(abs(off) < 60_000, f"the daemon's wall clock is {off:.0f} ms from where it was put")


async def clock_jumps(options):
    """The wall clock jumps by more than a key is kept for, there and back, within a life and between two."""
    bench = Bench(options)
    try:
        clock = ShiftedClock(bench)
        events, promised = [], {}
        lives = 0
        for way in ("term", "kill", "term", "kill"):
            lives += 1
            daemon = await bench.start(env=clock.env)
            line = await bench.connect(lambda message: events.append(message["params"]))
            await line.result("subscribe", since=events[-1]["seq"] if events else 0)
            for number, jump in enumerate((DAY_AND_MORE_MS, -DAY_AND_MORE_MS, 0)):
                for key, reply in promised.items():
                    again = await open_once(line, key)
                    want(same_ending(again, reply), f"key {key} had {reply} and has {again}")
                    want(again["result"]["replayed"], f"key {key} was not remembered")
                key = f"k-{lives}-{number}"
                promised[key] = await open_once(line, key)
                want(outcome(promised[key]) in ("opened", "already-open"), f"an open: {outcome(promised[key])}")
                clock.jump(jump if lives % 2 else -jump)
                await clock.check(line)
            newest = (await line.result("status"))["seq"]

            async def heard():
                return events[-1]["seq"] >= newest
            await eventually("all events are heard", heard)
            clock.jump((DAY_AND_MORE_MS, -DAY_AND_MORE_MS, -DAY_AND_MORE_MS, 0)[lives - 1])
            await (bench.stop(daemon) if way == "term" else bench.kill(daemon))
        numbers = [event["seq"] for event in events]
        want(numbers == list(range(1, len(numbers) + 1)), f"events are numbered {numbers}")
        for key in promised:
            want(bench.fired(key) == 1, f"key {key} fired {bench.fired(key)} times")
        entries = bench.check_file()
        ages = [entry["monotonicMs"] for entry in entries]
        want(ages == sorted(ages), f"the audit's monotonicMs goes back: {ages}")
        times = [entry["at"] for entry in entries]
        want(times != sorted(times), "the audit's wall clock never went back, so it never jumped")
        return f"{len(promised)} keys over {lives} lives, {len(events)} events, {len(entries)} audit entries"
    finally:
        await bench.close()


# ControlLimits.spareHandles and handlesPerModule
SPARE_HANDLES, HANDLES_PER_MODULE = 16, 3


def handles(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def is_served(path):
    """Whether a new connection gets an answer within a moment."""
    try:
        line = await Connection.to(path)
    except Gone:
        return False
    try:
        reply = await asyncio.wait_for(line.call("version"), 0.5)
        return "result" in reply
    except (asyncio.TimeoutError, Gone):
        return False
    finally:
        await line.close()


async def few_handles(options):
    """More connections than the daemon may have files: those it has are served, the rest is not, and it gets over it.

    The daemon keeps some for itself. Without any, it would not live for long: libdispatch opens files to count its threads.
    """
    bench = Bench(options)
    try:
        daemon = await bench.start()
        usual = handles(daemon.pid)
        spare = SPARE_HANDLES + HANDLES_PER_MODULE * len(daemon.look())
        await bench.stop(daemon)
        most = usual + spare + 8
        daemon = await bench.start(limits=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (most, most)))
        line = await bench.connect()
        want(outcome(await open_once(line, "before")) == "opened", "an open before the siege")
        crowd = []
        for _ in range(40):
            try:
                crowd.append(await Connection.to(bench.site.socket))
            except Gone:
                pass
        served = sum(await asyncio.gather(*(answers(one) for one in crowd)))
        want(0 < served < len(crowd), f"{served} of {len(crowd)} connections were served with {most} handles")
        want(not await is_served(bench.site.socket), "one more connection was served")
        before = cpu_seconds(daemon.pid)
        for number in range(2, 6):
            reply = await open_once(line, f"siege-{number}", f"wall/{number}")
            want(outcome(reply) == "opened", f"an open during the siege: {outcome(reply)}")
        await asyncio.sleep(2)
        used = cpu_seconds(daemon.pid) - before
        want(used < 1, f"it used {used:.1f} s of processor time in two seconds of siege")
        want(daemon.is_running, f"lockerd has ended: {bench.site.log_tail()}")
        held = handles(daemon.pid)
        want(held <= most - spare, f"it holds {held} handles of {most}")
        said = bench.site.log.read_text()
        want("raise LimitNOFILE" in said and "Too many open files" not in said, f"it said: {said[-2000:]}")
        for one in crowd:
            await one.close()

        async def recovered():
            return await is_served(bench.site.socket)
        _, took = await eventually("a new connection is served", recovered)
        # Spawning needs handles too: a module that dies comes back.
        daemon.kill_modules(daemon.look())

        async def reopened():
            return outcome(await open_once(line, f"after-{time.monotonic()}", "wall/7")) in ("opened", "already-open")
        await eventually("the module is back", reopened)
        await bench.stop(daemon)
        audit = {entry.get("key") for entry in bench.check_file()}
        for key in ("before", *(f"siege-{number}" for number in range(2, 6))):
            want(key in audit and bench.fired(key) == 1, f"key {key} fired {bench.fired(key)} times")
        return (f"{most} handles, {served} of {len(crowd)} connections served, {used:.2f} s of processor time in the siege, "
                f"served again {took:.1f} s after")
    finally:
        await bench.close()


async def answers(line):
    try:
        return "result" in await asyncio.wait_for(line.call("version"), 1.5)
    except (asyncio.TimeoutError, Gone):
        return False


async def second_daemon(options):
    """Another daemon on the same state folder, with a socket of its own."""
    bench = Bench(options)
    try:
        daemon = await bench.start()
        line = await bench.connect()
        first = await open_once(line, "first")
        log = len(bench.site.log.read_bytes())
        second = await bench.site.start(socket=bench.folder / "other.sock")
        bench.daemons.append(second)
        want(not await second.ready(), "the second daemon serves as well")
        status = await second.ended()
        said = bench.site.log.read_bytes()[log:].decode()
        want(status > 0, f"the second daemon ended with status {status}")
        want(re.search(rf"another daemon \(pid {daemon.pid}\) uses the state folder {bench.site.state}", said),
             f"it said: {said}")
        want(not second.modules, "the second daemon started modules")
        want(not (bench.folder / "other.sock").exists(), "it left a socket behind")
        want(same_ending(await open_once(line, "first"), first), "the first daemon has another answer now")
        want(outcome(await open_once(line, "next", "wall/2")) == "opened", "the first daemon does not go on")
        await bench.kill(daemon)
        # A lock goes with its process, however that ends.
        daemon = await bench.start()
        line = await bench.connect()
        want(same_ending(await open_once(line, "first"), first), "the next daemon has another answer")
        await bench.stop(daemon)
        bench.check_file()
        want((bench.fired("first"), bench.fired("next")) == (1, 1), f"fired {bench.coils}")
        return f"status {status}, {said.strip().splitlines()[-1]}"
    finally:
        await bench.close()


async def duplicate_storm(options):
    """Fifty clients with one key at once, and once more after a kill."""
    bench = Bench(options)
    try:
        daemon = await bench.start()
        first = await storm(bench, "storm")
        fresh = [reply for reply in first if not reply["result"]["replayed"]]
        want(len(fresh) == 1, f"{len(fresh)} of 50 were told that theirs was the first")
        await bench.kill(daemon)
        daemon = await bench.start()
        second = await storm(bench, "storm")
        want(all(reply["result"]["replayed"] for reply in second), "after the kill one was told that theirs was the first")
        # A key that is new to a journal with keys in it: everybody has to look it up first.
        third = await storm(bench, "other", "wall/2")
        fresh = [reply for reply in third if not reply["result"]["replayed"]]
        want(len(fresh) == 1, f"{len(fresh)} of 50 were told that theirs was the first, after the kill")
        want(all(same_ending(first[0], reply) for reply in first + second), "not all were told the same")
        want(all(same_ending(third[0], reply) for reply in third), "not all were told the same of the other key")
        await bench.stop(daemon)
        bench.check_file()
        want((bench.fired("storm"), bench.fired("other")) == (1, 1), f"fired {bench.coils}")
        return f"150 requests, 2 coils, {outcome(first[0])}"
    finally:
        await bench.close()


async def storm(bench, key, locker="wall/1"):
    lines = await asyncio.gather(*(Connection.to(bench.site.socket) for _ in range(50)))
    try:
        replies = await asyncio.gather(*(open_once(line, key, locker) for line in lines))
        want(all(outcome(reply) == "opened" for reply in replies), f"{sorted({outcome(reply) for reply in replies})}")
        return replies
    finally:
        for line in lines:
            await line.close()


PROCESS_FAULTS = {
    "clock-jumps": clock_jumps, "few-handles": few_handles, "second-daemon": second_daemon,
    "duplicate-storm": duplicate_storm,
}
