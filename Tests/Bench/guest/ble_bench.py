#!/usr/bin/env python3
"""Measures the tower driver in the guest, and prints one line of JSON: ble_bench.py [--quick].

The radio is a simulation without distance, interference or connection intervals: what is measured is the kernel's stack, the daemon and
the tower of Tests/Bench/tower, which is Python. A central in Python on the same stack is measured beside it.
"""

import json
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from ble_driver_scenarios import Site, token  # noqa: E402
from daemon import PROGRAMS  # noqa: E402
from gpio_bench import spread  # noqa: E402
from towers import BumbleTower  # noqa: E402
from wall import eventually  # noqa: E402


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def scans(count):
    """From the start of listening to the tower being told, by the scanner's own clock."""
    found = []
    with BumbleTower():
        for _ in range(count):
            done = subprocess.run(
                [PROGRAMS / "lockerctl", "--json", "scan", "ble", "--seconds", "2"], capture_output=True, text=True, timeout=60)
            towers = [json.loads(line) for line in done.stdout.splitlines()]
            found.append(next(one["afterMs"] for one in towers if one.get("event") == "tower") / 1000)
    return spread(found)


# A pulse of 10 ms, so that no open waits for the end of the one before on the same supply.


def traffic(peer):
    return [json.loads(line) for line in (peer.folder / "log").read_text().splitlines()]


def opens(count):
    """Opens of a tower that is connected: how long, and what went over the air for each."""
    times, packets, sizes = [], [], []
    with BumbleTower() as peer, Site(peer, poll=60_000, pulse=10) as site:
        site.eventually("north", "ready", 30)
        client = site.client()
        tokens = [token(peer.key_file, "--locker", 1 + turn % 8, "--for", 3600) for turn in range(count)]
        for turn, made in enumerate(tokens):
            before = len(traffic(peer))
            asked = now()
            client.call("open", locker=f"north/{1 + turn % 8}", waitMs=10_000, token=made)
            times.append(now() - asked)
            went = [one for one in traffic(peer)[before:] if one["what"] in ("written", "notified")]
            # The order and its answer; the look at the doors comes behind.
            packets.append((sum(one["what"] == "written" for one in went[:2]), sum(one["what"] == "notified" for one in went[:2])))
            sizes.append((len(went[0]["bytes"]) // 2, len(went[1]["bytes"]) // 2))
            peer.ask("door", locker=1 + turn % 8, action="close")
    return {
        "openMs": spread(times), "opensPerMinute": round(60 / (sum(times) / len(times))), "packets": sorted(set(packets)),
        "bytes": sorted(set(sizes))}


def first_opens(count):
    """Opens of a tower that has to be connected first, and of one that has hung up a moment ago."""
    cold, dropped = [], []
    with BumbleTower() as peer, Site(peer, idle=1, poll=60_000, pulse=10) as site:
        site.eventually("north", "ready", 30)
        client = site.client()
        for turn in range(count):
            eventually("the tower is free", lambda: peer.ask("state")["links"] == 0, 30)
            asked = now()
            client.call("open", locker=f"north/{1 + turn % 8}", waitMs=10_000)
            cold.append(now() - asked)
            peer.ask("drop")
            asked = now()
            client.call("open", locker=f"north/{1 + (turn + 1) % 8}", waitMs=10_000)
            dropped.append(now() - asked)
    return {"connectAndOpenMs": spread(cold), "afterDropMs": spread(dropped)}


def python_central(count):
    """The same by the central of the tests, without a daemon."""
    sessions, found = [], []
    with BumbleTower() as peer:
        for turn in range(count):
            (told,) = peer.probe("open", 1 + turn % 8)
            sessions.append(told["session_s"])
            found.append(told["open_s"])
    return {"sessionMs": spread(sessions), "openMs": spread(found)}


def main():
    is_quick = "--quick" in sys.argv
    result = {"scanToFoundMs": scans(3 if is_quick else 10), **opens(20 if is_quick else 100)}
    result |= first_opens(3 if is_quick else 15)
    result["python"] = python_central(3 if is_quick else 10)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
