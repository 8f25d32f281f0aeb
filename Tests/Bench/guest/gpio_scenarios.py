"""The driver `gpio-expander` on simulated chips, through the whole daemon."""

import subprocess
import time

from daemon import PROGRAMS, Daemon, Refused
from registry import scenario
from wall import Wall, eventually, expect, expect_between

WALL = """
driver = "gpio-expander"
[link]
debounce_ms = 5
[[controller]]
id = "wall"
chip = "expander"
fires_at = "high"
polarity_known = true
first_input = 8
open_level = 1
lockers = 4
first_id = 1
bank = "main"
power = "main"
pulse_ms = 100
poll_ms = 100
"""


def moves(wall, chip, lock, sensor, to=1, after=0.02):
    """What a door does: its sensor changes a moment after its lock's line was driven high."""
    eventually(f"line {lock} fires", lambda: chip.line(lock).value)
    time.sleep(after)
    chip.line(sensor).pull(to)


@scenario("gpio")
def every_promise_of_a_driver_is_kept():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        done = subprocess.run(
            [PROGRAMS / "gpio-checklist", PROGRAMS / "coil-guardian", "expander", chip.folder.parent, chip.config / "live"],
            capture_output=True, text=True, timeout=60)
        expect((done.stdout + done.stderr)[-2000:], "", "violations")
        expect(done.returncode, 0, "the checklist")


@scenario("gpio")
def a_door_opens_and_everybody_knows():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": WALL}) as daemon:
            daemon.eventually("wall", "ready")
            expect([daemon.locker(f"wall/{n}")["door"] for n in (1, 2, 3, 4)], ["closed"] * 4, "doors")
            client = daemon.client()
            number = client.send("open", locker="wall/2", waitMs=10_000)
            moves(wall, chip, 1, 9)
            result = client.reply(number)
            expect((result["outcome"], result["evidence"]), ("opened", "door-sensor"), "what came of it")
            (pulse,) = wall.witness.pulses(chip, 1)
            expect_between(pulse.length, 0.098, 0.15, "the pulse")
            expect({order.process for order in wall.witness.orders(chip, 1)}, {"coil-guardian"}, "who drove it")
            for lock in (0, 2, 3):
                expect(wall.witness.pulses(chip, lock), [], "a neighbour's pulses")
            expect(daemon.locker("wall/2")["door"], "open", "the door")
            chip.line(9).pull(0)
            eventually("it is closed", lambda: daemon.locker("wall/2")["door"] == "closed")


@scenario("gpio")
def a_lock_that_jams_is_told_apart():
    with Wall() as wall:
        wall.chip("expander", 16)
        with Daemon(wall, {"yard": WALL + "door_wait_ms = 500\n"}) as daemon:
            daemon.eventually("wall", "ready")
            result = daemon.open("wall/1")
            expect(result["outcome"], "jammed", "what came of it")


@scenario("gpio")
def names_polarity_and_two_chips():
    text = """
driver = "gpio-expander"
[link]
[[controller]]
id = "wall"
chip = "locks"
input_chip = "sensors"
fires_at = "low"
polarity_known = true
open_level = 0
first_input = 0
lockers = 2
first_id = 1
bank = "main"
power = "main"
pulse_ms = 50
[[controller.locker]]
number = 2
output_name = "lock-b"
fires_at = "high"
sensor_inverted = true
"""
    with Wall() as wall:
        locks = wall.chip("locks", 8, names={5: "lock-b"})
        sensors = wall.chip("sensors", 8)
        sensors.line(0).pull(1)
        with Daemon(wall, {"yard": text}) as daemon:
            daemon.eventually("wall", "ready")
            expect([daemon.locker(f"wall/{n}")["door"] for n in (1, 2)], ["closed", "closed"], "doors")
            expect((locks.line(0).value, locks.line(5).value), (1, 0), "the levels at rest")
            daemon.open("wall/1")
            daemon.open("wall/2")
            expect(wall.witness.changes(locks, 0)[-3:], [1, 0, 1], "a lock that fires at low")
            expect(wall.witness.changes(locks, 5)[-3:], [0, 1, 0], "a lock that fires at high")


@scenario("gpio")
def lines_rest_undriven_until_their_polarity_is_known():
    text = WALL.replace("polarity_known = true\n", "")
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": text}) as daemon:
            daemon.eventually("wall", "ready")
            expect(wall.witness.orders(chip, 0), [], "orders at the start")
            daemon.open("wall/1")
            expect([order.level for order in wall.witness.orders(chip, 0)], [1, 0], "the orders of a pulse")
            listing = subprocess.run(["gpioinfo", chip.name], capture_output=True, text=True).stdout
            (line,) = [one for one in listing.splitlines() if "line   0:" in one]
            expect(("input" in line, "lockerd wall" in line), (True, True), "the line afterwards")
            expect(daemon.controller("wall")["capabilities"]["polarityKnown"], False, "what is told of it")


@scenario("gpio")
def whoever_is_in_the_way_is_named():
    with Wall() as wall:
        wall.chip("expander", 16, hogs={2: "heating"})
        with Daemon(wall, {"yard": WALL}) as daemon:
            found = daemon.eventually("wall", "faulted")
            expect("\"heating\" uses it already" in found["reason"], True, f"the reason ({found['reason']})")
            try:
                daemon.open("wall/1")
                raise AssertionError("it opens without its lines")
            except Refused as refused:
                expect((refused.code, refused.data["fired"]), ("LINK_DOWN", "no"), "the open")


@scenario("gpio")
def a_chip_that_is_gone_is_a_state_and_comes_back():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": WALL}) as daemon:
            daemon.eventually("wall", "ready")
            module = daemon.processes("gpio-expander-module")
            chip.unplug()
            daemon.eventually("wall", "faulted")
            try:
                daemon.open("wall/1")
                raise AssertionError("it opens on a chip that is gone")
            except Refused as refused:
                expect((refused.code, refused.data["fired"]), ("LINK_DOWN", "no"), "the open")
            chip.plug()
            daemon.eventually("wall", "ready", 15)
            daemon.open("wall/1")
            expect(len(wall.witness.pulses(chip, 0)), 1, "pulses")
            expect(daemon.processes("gpio-expander-module"), module, "the module, which lives")


@scenario("gpio")
def a_label_of_two_chips_means_neither():
    with Wall() as wall:
        wall.chip("expander", 16)
        # Labels come from the bank; the folder has to be another one.
        wall.chip("twin", 16, label="expander")
        with Daemon(wall, {"yard": WALL}) as daemon:
            found = daemon.eventually("wall", "faulted")
            expect("have that label; want the path of one" in found["reason"], True, f"the reason ({found['reason']})")


def shaken(turns, pause, limit):
    """A sensor that changes so often, that far apart, is unknown within `limit` s, and believed again later. Returns how many events told
    of it until then, and in all."""
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": WALL}) as daemon:
            daemon.eventually("wall", "ready")
            client = daemon.client()
            client.call("subscribe", types=["door.opened", "door.closed"])
            for turn in range(turns):
                chip.line(8).pull(turn % 2 == 0)
                time.sleep(pause)
            eventually("it is unknown", lambda: daemon.locker("wall/1")["door"] == "unknown", limit)
            expect(daemon.locker("wall/2")["door"], "closed", "its neighbour")
            client.call("version")
            told = len(client.events)
            eventually("it is believed again", lambda: daemon.locker("wall/1")["door"] == "closed")
            client.call("version")
            return told, len(client.events)


@scenario("gpio")
def a_sensor_that_never_rests_is_not_believed():
    # Mains hum: faster than what counts as a change, so that each reading could be believed.
    expect(shaken(400, 0.003, 0)[0], 0, "events of 400 changes")


@scenario("gpio")
def a_sensor_that_flaps_is_not_believed():
    expect_between(shaken(80, 0.02, 10)[1], 2, 16, "events of 80 changes")
