"""Faults of the disk under the journal."""

import asyncio
import os
import sqlite3
import struct

from faults import Bench, Trouble, eventually, in_own_mounts, open_once, outcome, preloadable, same_ending, want
from lockersite import DAEMON_FILE

# Room for the journal's log, which is written ahead, and for little more.
SMALL_DISK = "12m"
SLOW_MS = 500


async def health(line):
    status = await line.result("status")
    return status["health"], [(cause["code"], cause["message"]) for cause in status["causes"]]


async def want_broken(line, words):
    """Degraded, with the cause, and ordinary opens refused for that reason; returns the refusal.

    No coil of these opens may go on: `refused` has a key to be told by, the others are coils without one.
    """
    level, causes = await health(line)
    broken = [message for code, message in causes if code == "journal-broken"]
    want(level == "degraded" and broken, f"health is {level}, causes {causes}")
    everything = await line.result("open-all", lockers=["wall/5", "wall/6"])
    refusals = [entry["error"] for entry in everything["results"] if "error" in entry]
    want(len(refusals) == 2, f"an open-all came to {everything}")
    for reply in (await line.call("open", locker="wall/2"), await open_once(line, "refused", "wall/2")):
        want("error" in reply, f"an ordinary open was not refused: {reply}")
        refusals.append(reply["error"])
    for error in refusals:
        want(error["data"]["code"] == "CONFLICT" and error["data"]["fired"] == "no", f"it was refused with {error}")
    for text in (*broken, *(error["message"] for error in refusals)):
        want(any(word in text for word in words), f"want one of {words} in: {text}")
    return broken[0]


async def maintenance(line, locker="wall/3", key="maintenance"):
    reply = await open_once(line, key, locker, maintenance=True, reason="stuck customer")
    want(outcome(reply) in ("opened", "already-open"), f"a maintenance open: {outcome(reply)}")
    return reply["result"]["operation"]


def fill(path):
    """Writes until nothing fits any more."""
    with open(path, "wb", buffering=0) as file:
        for size in (65536, 4096, 512, 1):
            block = b"x" * size
            try:
                while True:
                    file.write(block)
            except OSError:
                continue


async def disk_full(options):
    """A disk that fills up while the daemon serves, and is emptied again."""
    in_own_mounts(options)
    bench = Bench(options)
    try:
        bench.site.state.mkdir(mode=0o700)
        bench.mount(bench.site.state, "-t", "tmpfs", "-o", f"size={SMALL_DISK},mode=0700", "none")
        daemon = await bench.start()
        line = await bench.connect()
        before = await open_once(line, "before")
        ballast = bench.site.state / "ballast"
        fill(ballast)
        # The log has been lengthened ahead of its use, so some opens still fit.
        accepted = []
        while True:
            key = f"full-{len(accepted)}"
            reply = await open_once(line, key, "wall/1")
            if "error" in reply:
                break
            accepted.append((key, reply))
            want(len(accepted) < 3000, "the full disk was never noticed")
        message = await want_broken(line, ["the disk is full"])
        want("the disk is full" in reply["error"]["message"], f"the first refusal was: {reply['error']}")
        opened = await maintenance(line)
        want(await maintenance(line) == opened, "a maintenance open's key was not remembered")
        ballast.unlink()

        async def serves():
            return outcome(await open_once(line, "after", "wall/4")) == "opened"
        _, took = await eventually("an ordinary open works again", serves)
        want(await health(line) == ("ok", []), f"health is {await health(line)} with room on the disk")
        # Refused keys were never spent, accepted ones were.
        want(outcome(await open_once(line, "refused", "wall/2")) == "opened", "a refused key was spent")
        want(outcome(await open_once(line, key, "wall/1")) in ("opened", "already-open"), "a refused key was spent")
        for used, reply in [("before", before), *accepted[-3:]]:
            want(same_ending(await open_once(line, used), reply), f"key {used} has another answer now")
        await bench.stop(daemon)
        entries = bench.check_file()
        known = [entry for entry in entries if entry.get("operation") == opened]
        want([entry["act"] for entry in known] == ["open", "outcome"] and known[0].get("maintenance") is True,
             f"the audit says of the maintenance open: {known}")
        want(bench.fired(None) == 0, "a refused open without a key fired")
        for key in ("before", "refused", "after", "maintenance", *(key for key, _ in accepted)):
            want(bench.fired(key) == 1, f"key {key} fired {bench.fired(key)} times")
        return f"{len(accepted)} opens until “{message}”; served again {took:.1f} s after there was room"
    finally:
        await bench.close()


def garbage(path):
    path.write_bytes(os.urandom(20_000))


def damage(path):
    """A real journal with its middle overwritten, as by a dying flash chip."""
    with open(path, "r+b") as file:
        file.seek(1000)
        file.write(b"\xa5" * (path.stat().st_size - 2000))


def another_program(path):
    path.unlink()
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE recipes(name TEXT)")
    db.close()


def newer(path):
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()


def cut(path):
    """The first page and a half."""
    with open(path, "r+b") as file:
        file.truncate(6000)


UNUSABLE = {
    "garbage": (garbage, ["not a database"]),
    "damaged": (damage, ["damaged", "not a database"]),
    "cut": (cut, ["damaged", "not a database"]),
    "of another program": (another_program, ["another program"]),
    "of a newer version": (newer, ["newer version"]),
}


async def bad_journal(options):
    """A journal that cannot be used at the start: the daemon serves whoever stands before a door, and mends nothing."""
    seen = []
    for name, (spoil, words) in UNUSABLE.items():
        bench = Bench(options)
        try:
            await make_journal(bench)
            path = bench.site.state / "journal.sqlite"
            spoil(path)
            before = path.read_bytes()
            daemon = await bench.start()
            line = await bench.connect()
            seen.append(f"{name}: {await want_broken(line, words)}")
            await maintenance(line)
            await bench.stop(daemon)
            want(path.read_bytes() == before, f"{name}: the file was changed")
            want([bench.fired(key) for key in ("refused", None, "maintenance")] == [0, 0, 1], f"fired {bench.coils}")
        except Trouble as trouble:
            raise Trouble(f"a journal that is {name}: {trouble}") from None
        finally:
            await bench.close()
    return "; ".join(seen)


async def make_journal(bench):
    """A journal with something in it, all of it in the one file."""
    daemon = await bench.start()
    line = await bench.connect()
    for number in range(30):
        want(outcome(await open_once(line, f"first-{number}", "wall/8")) != "", "no answer")
    await bench.stop(daemon)
    left = [name for name in os.listdir(bench.site.state) if name.endswith("-wal")]
    want(not left, f"an orderly stop leaves {left}")


async def unwritable_journal(options):
    """A state folder that can be read and not written, and one that cannot be there at all."""
    in_own_mounts(options)
    seen = []
    bench = Bench(options)
    try:
        await make_journal(bench)
        path = bench.site.state / "journal.sqlite"
        before = path.read_bytes()
        bench.mount(bench.site.state, "--bind", bench.site.state)
        bench.mount(bench.site.state, "-o", "remount,bind,ro")
        words = ["cannot be", "read-only", "Read-only"]
        daemon = await bench.start()
        line = await bench.connect()
        seen.append(f"read-only: {await want_broken(line, words)}")
        await maintenance(line)
        await bench.stop(daemon)
        want(path.read_bytes() == before, "the file was changed")
        elsewhere = bench.folder / "no-folder"
        elsewhere.write_text("a file where a folder should be\n")
        daemon = await bench.start(state=elsewhere)
        line = await bench.connect()
        seen.append(f"no folder: {await want_broken(line, ['cannot be', 'Not a directory', 'not a'])}")
        await maintenance(line, "wall/4", "maintenance-2")
        await bench.stop(daemon)
        want(bench.fired("refused") + bench.fired(None) == 0, "a refused open fired")
        return "; ".join(seen)
    finally:
        await bench.close()


class SlowDisk:
    """The control file of slow_disk.c."""

    def __init__(self, bench):
        self.library = preloadable("slow_disk", bench)
        self.path = bench.folder / "slow-disk"
        self.path.write_bytes(struct.pack("<qq", 0, 0))

    @property
    def env(self):
        return {"LD_PRELOAD": str(self.library), "SLOW_DISK": str(self.path)}

    def take(self, milliseconds):
        with open(self.path, "r+b") as file:
            file.write(struct.pack("<q", milliseconds))

    @property
    def syncs(self):
        return struct.unpack("<qq", self.path.read_bytes())[1]


async def slow_disk(options):
    """A disk that takes half a second for each sync: slow opens, quick status, and one sync for many."""
    daemon_file = DAEMON_FILE.replace("at_once = 32", "at_once = 64")
    bench = Bench(options, lockers=50, daemon_file=daemon_file)
    loop = asyncio.get_running_loop()
    try:
        disk = SlowDisk(bench)
        daemon = await bench.start(env=disk.env)
        want(disk.syncs > 0, "no sync passed the shim")
        line, other = await bench.connect(), await bench.connect()
        disk.take(SLOW_MS)
        await asyncio.sleep(2)  # What was noted at the start is synced by then.
        began, syncs = loop.time(), disk.syncs
        opening = asyncio.ensure_future(open_once(line, "slow"))
        waits = []
        while not opening.done():
            asked = loop.time()
            await other.result("status")
            waits.append((loop.time() - asked) * 1000)
            await asyncio.sleep(0.01)
        took = (loop.time() - began) * 1000
        want(outcome(opening.result()) == "opened", f"the open came to {outcome(opening.result())}")
        want(took >= SLOW_MS * 0.9, f"an open was answered after {took:.0f} ms, before its intent was on disk")
        waits.sort()
        # Had it to wait for the disk, every one of them would take as long as that.
        want(waits[len(waits) // 2] < SLOW_MS / 2, f"status took {waits[-5:]} ms meanwhile")
        one = disk.syncs - syncs
        expired = await open_once(line, "hurried", "wall/2", deadlineMs=120)
        want(outcome(expired).startswith("EXPIRED"), f"a deadline shorter than the disk: {outcome(expired)}")
        await asyncio.sleep(3 * SLOW_MS / 1000)
        want(bench.fired("hurried") == 0, "it fired after its deadline")
        began, syncs = loop.time(), disk.syncs
        replies = await asyncio.gather(*(open_once(line, f"many-{n}", f"wall/{n}") for n in range(1, 51)))
        took_many, many = loop.time() - began, disk.syncs - syncs
        outcomes = sorted({outcome(reply) for reply in replies})
        want(set(outcomes) <= {"opened", "already-open"}, f"50 opens came to {outcomes}")
        want(many <= 25, f"50 opens took {many} syncs")
        disk.take(0)
        await bench.stop(daemon)
        bench.check_file()
        for key in ("slow", *(f"many-{n}" for n in range(1, 51))):
            want(bench.fired(key) == 1, f"key {key} fired {bench.fired(key)} times")
        want(bench.fired("hurried") == 0, "it fired after its deadline")
        return (f"an open took {took:.0f} ms and {one} syncs, status meanwhile {waits[len(waits) // 2]:.1f} ms "
                f"(at most {waits[-1]:.0f}), 50 opens at once {took_many:.1f} s and {many} syncs")
    finally:
        await bench.close()


DISK_FAULTS = {
    "disk-full": disk_full, "bad-journal": bad_journal, "unwritable-journal": unwritable_journal, "slow-disk": slow_disk,
}
