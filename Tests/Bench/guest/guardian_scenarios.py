"""The coil guardian: a coil goes off whoever dies, hangs or is stopped."""

import json
import os
import random
import signal
import socket
import time

from daemon import PROGRAMS, Daemon
from gpio_scenarios import WALL
from registry import scenario
from wall import Wall, eventually, expect, expect_between

# From the death of a driver to the line being off: what is promised where computing takes no time, and elsewhere far from the end of the
# pulse also on a machine that is busy with other things. How fast it really is, bench-gpio measures; the figures here are printed.
LIMIT_S = 0.05 if os.environ.get("LOCKERD_VIRTUAL_TIME") else 0.4


def kernel_time():
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def fire(daemon, chip, locker=1):
    """Asks for an open and returns once its line is on, with the client and the request."""
    client = daemon.client()
    number = client.send("open", locker=f"wall/{locker}", waitMs=10_000)
    eventually("the line is on", lambda: chip.line(locker - 1).value)
    return client, number


def long_pulses():
    return WALL.replace("pulse_ms = 100", "pulse_ms = 900").replace("first_id", "rest_ms = 0\nopens_per_minute = 6000\nduty_percent = 100\nburst_ms = 600000\nfirst_id")


def off_after(wall, chip, line, moment):
    """How long after `moment` the line went off, in seconds."""
    (pulse,) = [one for one in wall.witness.pulses(chip, line) if one.length is not None and one.at <= moment] or [None]
    if pulse is None:
        raise AssertionError("no pulse that has ended")
    return pulse.at + pulse.length - moment


def off(wall, chip):
    return all(one.length is not None for one in wall.witness.pulses(chip, 0))


def dies(name):
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": long_pulses()}) as daemon:
            daemon.eventually("wall", "ready")
            fire(daemon, chip)
            moment = kernel_time()
            daemon.kill(name)
            # Not by its level: the simulated chip lets a line fall whose holder is gone, and real ones need not.
            eventually("the line was switched off", lambda: off(wall, chip))
            expect_between(off_after(wall, chip, 0, moment), 0, LIMIT_S, f"off after the death of {name}")
            daemon.eventually("wall", "ready", 20)
            daemon.open("wall/2", deadlineMs=20_000)


@scenario("guardian")
def the_driver_dies():
    dies("gpio-expander-module")


@scenario("guardian")
def the_guardian_dies():
    dies("coil-guardian")


@scenario("guardian")
def the_core_dies():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": long_pulses()}) as daemon:
            daemon.eventually("wall", "ready")
            fire(daemon, chip)
            moment = kernel_time()
            os.kill(daemon.process.pid, signal.SIGKILL)
            daemon.process.wait()
            eventually("the line is off", lambda: not chip.line(0).value, 3)
            # The module is told by the end of its input, and stops what is under way; the pulse ends by itself otherwise.
            expect_between(off_after(wall, chip, 0, moment), 0, 0.9, "off after the core's death")
            eventually("nobody is left", lambda: not daemon.processes("gpio-expander-module"))


@scenario("guardian")
def the_core_and_the_driver_die_together():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": long_pulses()}) as daemon:
            daemon.eventually("wall", "ready")
            fire(daemon, chip)
            (driver,) = daemon.processes("gpio-expander-module")
            moment = kernel_time()
            os.kill(daemon.process.pid, signal.SIGKILL)
            os.kill(driver, signal.SIGKILL)
            daemon.process.wait()
            eventually("the line is off", lambda: not chip.line(0).value, 3)
            expect_between(off_after(wall, chip, 0, moment), 0, LIMIT_S, "off after their death")


@scenario("guardian")
def the_driver_hangs():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": long_pulses()}) as daemon:
            daemon.eventually("wall", "ready")
            fire(daemon, chip)
            (driver,) = daemon.processes("gpio-expander-module")
            os.kill(driver, signal.SIGSTOP)
            eventually("the line is off", lambda: not chip.line(0).value, 3)
            (pulse,) = wall.witness.pulses(chip, 0)
            expect_between(pulse.length, 0.898, 0.9 + LIMIT_S, "the pulse of a driver that hangs")
            os.kill(driver, signal.SIGCONT)


@scenario("guardian")
def the_daemon_is_stopped():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": long_pulses()}) as daemon:
            daemon.eventually("wall", "ready")
            client, number = fire(daemon, chip)
            daemon.stop()
            expect(chip.line(0).value, 0, "the line")
            (pulse,) = wall.witness.pulses(chip, 0)
            expect_between(pulse.length, 0, 0.95, "the pulse")


@scenario("deaths")
def a_hundred_drivers_die_and_no_coil_stays_on():
    """The guardian alone, with a driver that does nothing but ask for pulses and die at a random moment of one."""
    chosen = random.Random(7)
    longest = 0.0
    with Wall() as wall:
        chip = wall.chip("expander", 8)
        hold = {
            "id": 1, "bank": 0, "do": "hold", "chip": f"/dev/{chip.name}", "offsets": [0, 1], "on": [True, False],
            "bias": "as-is", "drive": "push-pull", "offKnown": True, "longest": 1_000_000, "consumer": "a driver",
        }
        # Not every death comes in time on a machine that is busy with other things.
        count, tries = 0, 0
        while count < 100:
            expect_between(tries, 0, 200, f"tries for {count} deaths within a pulse")
            tries += 1
            line = tries % 2
            ours, theirs = socket.socketpair()
            guardian = wall.start(PROGRAMS / "coil-guardian", stdin=theirs)
            theirs.close()
            driver = os.fork()
            if driver == 0:
                for order in (hold, {"id": 2, "bank": 0, "do": "pulse", "line": line, "us": 60_000}):
                    ours.sendall(json.dumps(order).encode() + b"\n")
                while True:
                    ours.recv(4096)
            ours.close()
            # The second line fires at low.
            eventually("the line has been switched on", lambda: 1 - line in wall.witness.changes(chip, line))
            time.sleep(chosen.uniform(0, 0.05))
            moment = kernel_time()
            os.kill(driver, signal.SIGKILL)
            os.waitpid(driver, 0)
            expect(guardian.wait(5), 0, "how the guardian ends")
            last = wall.witness.orders(chip, line)[-1]
            expect(last.level, line, f"the last level of line {line}")
            count += last.at > moment
            longest = max(longest, last.at - moment)
            began = next(order.at for order in wall.witness.orders(chip, line) if order.level != line)
            expect_between(last.at - began, 0, 0.06 + LIMIT_S, "how long the coil was on")
            wall.witness.clear()
    print(f"guardian: 100 drivers died, off within {longest * 1000:.1f} ms", flush=True)
    expect_between(longest, 0, LIMIT_S, "off after the death of a driver")


@scenario("guardian")
def deaths_of_all_kinds_leave_no_coil_on():
    """At random moments of a pulse, of the driver, of the guardian, of the core, and of core and driver; as many as
    LOCKERD_DEATHS says."""
    chosen = random.Random(int(os.environ.get("LOCKERD_DEATHS", "10")))
    longest = {"driver": 0.0, "guardian": 0.0, "core": 0.0, "both": 0.0}
    count = {name: 0 for name in longest}
    text = WALL.replace("pulse_ms = 100", "pulse_ms = 200\ndoor_wait_ms = 250").replace("first_id", "rest_ms = 0\nopens_per_minute = 6000\nduty_percent = 100\nburst_ms = 600000\nfirst_id")
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        daemon = Daemon(wall, {"yard": text}).start()
        while sum(count.values()) < int(os.environ.get("LOCKERD_DEATHS", "10")):
            victim = chosen.choices(list(longest), weights=[5, 3, 1, 1])[0]
            # Whoever dies that often is left alone for a while, unless somebody asks for a start.
            if daemon.controller("wall")["state"] != "ready":
                daemon.call("restart", controller="wall")
            daemon.eventually("wall", "ready", 30)
            try:
                fire(daemon, chip)
            except AssertionError:
                raise AssertionError(f"no pulse after {count}; log: {daemon.text()[-1500:]}") from None
            time.sleep(chosen.uniform(0, 0.18))
            if not chip.line(0).value:
                wall.witness.clear()
                continue
            pids = {
                "driver": daemon.processes("gpio-expander-module"), "guardian": daemon.processes("coil-guardian"),
                "core": [daemon.process.pid],
                "both": [daemon.process.pid] + daemon.processes("gpio-expander-module"),
            }[victim]
            moment = kernel_time()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            # Not by its level: the simulated chip lets a line fall whose holder is gone, and real ones need not.
            eventually(
                f"the line was switched off after the death of {victim}",
                lambda: off(wall, chip), 3)
            pulses = wall.witness.pulses(chip, 0)
            ended = max(one.at + one.length for one in pulses)
            longest[victim] = max(longest[victim], ended - moment)
            count[victim] += 1
            wall.witness.clear()
            if victim in ("core", "both"):
                daemon.process.wait()
                eventually("nobody is left", lambda: not daemon.processes("coil-guardian"))
                daemon.start()
        daemon.stop()
    print("guardian: " + ", ".join(
        f"{count[name]} deaths of {name}, off within {longest[name] * 1000:.1f} ms" for name in longest), flush=True)
    for name in ("driver", "guardian", "both"):
        expect_between(longest[name], 0, LIMIT_S, f"off after the death of {name}")
    expect_between(longest["core"], 0, 0.2 + LIMIT_S, "off after the death of core")
