#!/usr/bin/env python3
"""Measures the GPIO driver in the guest, and prints one line of JSON: gpio_bench.py [--quick].

Lines are watched by the kernel's own tracing, in microseconds of the monotonic clock; requests and events are timed on the control
socket. Everything here, chips and kernel, is simulated: figures of a real expander have the time of its bus on top.
"""

import json
import os
import signal
import sys
import time

sys.dont_write_bytecode = True
from daemon import Daemon  # noqa: E402
from gpio_scenarios import WALL  # noqa: E402
from wall import Wall, eventually  # noqa: E402

SENSORLESS = WALL.replace("first_input = 8\nopen_level = 1\n", "sensors = false\n").replace(
    "first_id", "rest_ms = 0\nopens_per_minute = 6000\nduty_percent = 100\nburst_ms = 600000\nfirst_id")


def now():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def spread(values):
    """Percentiles, in milliseconds."""
    ordered = sorted(value * 1000 for value in values)
    at = lambda share: round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3)
    return {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "most": round(ordered[-1], 3), "count": len(ordered)}


def pulses(count):
    """Error of a pulse's length, and from the request on the socket to the line."""
    errors, delays = [], []
    for length in (50, 200):
        with Wall() as wall:
            chip = wall.chip("expander", 16)
            with Daemon(wall, {"yard": SENSORLESS.replace("pulse_ms = 100", f"pulse_ms = {length}")}) as daemon:
                daemon.eventually("wall", "ready")
                client = daemon.client()
                for turn in range(count):
                    lock = turn % 4
                    asked = now()
                    client.call("open", locker=f"wall/{lock + 1}", waitMs=10_000)
                    (pulse,) = wall.witness.pulses(chip, lock)
                    errors.append(abs(pulse.length - length / 1000))
                    delays.append(pulse.at - asked)
                    wall.witness.clear()
    return spread(errors), spread(delays)


def simulated_opens(count):
    """A whole open of the simulator, which needs no lines and has its own pulse: what the guest's own slowness costs."""
    text = """
driver = "simulator"
[link]
close_after_ms = 1
[[controller]]
id = "wall"
lockers = 4
sensors = false
rest_ms = 0
opens_per_minute = 6000
duty_percent = 100
burst_ms = 600000
pulse_ms = 10
first_id = 1
bank = "main"
power = "main"
"""
    times = []
    with Wall() as wall, Daemon(wall, {"yard": text}) as daemon:
        daemon.eventually("wall", "ready")
        client = daemon.client()
        for turn in range(count):
            asked = now()
            client.call("open", locker=f"wall/{turn % 4 + 1}", waitMs=10_000)
            times.append(now() - asked)
            time.sleep(0.02)
    return spread(times)


def edges(count, debounce):
    """From an edge to the event on the control socket; with debouncing, beyond the time that the line has to be still."""
    times = []
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": WALL.replace("debounce_ms = 5", f"debounce_ms = {debounce}")}) as daemon:
            daemon.eventually("wall", "ready")
            client = daemon.client()
            client.call("subscribe", types=["door.opened", "door.closed"])
            for turn in range(count):
                # Slowly enough for a door: a contact that is faster is not believed.
                time.sleep(0.25)
                pulled = now()
                chip.line(8).pull((turn + 1) % 2)
                moment, _ = client.next_event()
                times.append(moment - pulled - debounce / 1000)
    return spread(times)


def deaths(count):
    """From the death of the driver to the line being switched off."""
    times = []
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        text = SENSORLESS.replace("pulse_ms = 100", "pulse_ms = 900\ndoor_wait_ms = 100")
        with Daemon(wall, {"yard": text}) as daemon:
            for _ in range(count):
                if daemon.controller("wall")["state"] != "ready":
                    daemon.call("restart", controller="wall")
                daemon.eventually("wall", "ready", 30)
                client = daemon.client()
                client.send("open", locker="wall/1", waitMs=10_000)
                eventually("the line is on", lambda: chip.line(0).value)
                (pid,) = daemon.processes("gpio-expander-module")
                moment = now()
                os.kill(pid, signal.SIGKILL)
                eventually("the line is off", lambda: wall.witness.orders(chip, 0)[-1].level == 0)
                times.append(wall.witness.orders(chip, 0)[-1].at - moment)
                wall.witness.clear()
    return spread(times)


def main():
    is_quick = "--quick" in sys.argv
    count = 25 if is_quick else 100
    errors, delays = pulses(count)
    result = {
        "simulated": True,
        "pulseErrorMs": errors,
        "requestToLineMs": delays,
        "simulatedOpenMs": simulated_opens(count),
        "edgeToEventMs": edges(2 * count, 0),
        "edgeToEventBeyondDebounceMs": edges(count, 10),
        "deathToLineOffMs": deaths(8 if is_quick else 20),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
