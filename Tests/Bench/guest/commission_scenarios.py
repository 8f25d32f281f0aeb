"""`lockerctl commission` and `lockerctl scan gpio` on simulated chips with simulated doors."""

import json
import signal
import subprocess
import threading
import time

from daemon import PROGRAMS, Daemon
from registry import scenario
from wall import Wall, eventually, expect

SITE = """
driver = "gpio-expander"
[link]
debounce_ms = 2
[[controller]]
id = "wall"
chip = "expander"
fires_at = "high"    # to be seen
first_input = 8
open_level = 1
lockers = 4
first_id = 1
bank = "main"
power = "main"
pulse_ms = 150
poll_ms = 50
door_wait_ms = 400

[[controller.locker]]
number = 3
name = "C"
"""


class Doors(threading.Thread):
    """Doors behind the lines: a lock whose line is at the level that fires moves a sensor, which goes back after a while.

    `wiring` says which sensor each lock moves, None for none; `inverted` are sensors that say 0 when open. A sensor is a line of the
    same chip, or a line object of another one.
    """

    def __init__(self, chip, wiring, inverted=(), fires_at=1):
        super().__init__(daemon=True)
        self.chip, self.wiring, self.inverted, self.fires_at = chip, wiring, inverted, fires_at
        self.is_over = False
        for sensor in inverted:
            chip.line(sensor).pull(1)

    def line(self, sensor):
        return self.chip.line(sensor) if isinstance(sensor, int) else sensor

    def run(self):
        open_since = {}
        before = {lock: self.chip.line(lock).value for lock in self.wiring}
        while not self.is_over:
            now = time.monotonic()
            for lock, sensor in self.wiring.items():
                level = self.chip.line(lock).value
                if level == self.fires_at and before[lock] != level and sensor is not None:
                    open_since[sensor] = now
                    self.line(sensor).pull(0 if sensor in self.inverted else 1)
                before[lock] = level
            for sensor, since in list(open_since.items()):
                if now - since > 0.6:
                    self.line(sensor).pull(1 if sensor in self.inverted else 0)
                    del open_since[sensor]
            time.sleep(0.015)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_over = True
        self.join()


def command(daemon, *words):
    return [PROGRAMS / "lockerctl", "--socket", daemon.path, "--json", "commission", "wall", "--yes", "--config", daemon.config,
            "--close-within", "3", *words]


def commission(daemon, *words):
    done = subprocess.run(command(daemon, *words), capture_output=True, text=True, timeout=90)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{\"controller\"")]
    if not lines:
        raise AssertionError(f"commission ended with {done.returncode}: {done.stdout} {done.stderr}")
    return done.returncode, json.loads(lines[-1]), done.stderr


def verdicts(record):
    return [locker["verdict"] for locker in record["lockers"]]


@scenario("commission")
def a_right_wall_is_found_right():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Doors(chip, {0: 8, 1: 9, 2: 10, 3: 11}), Daemon(wall, {"yard": SITE}) as daemon:
            daemon.eventually("wall", "ready")
            status, record, errors = commission(daemon)
            expect(verdicts(record), ["works"] * 4, f"what was found ({errors})")
            expect(status, 0, f"the exit status ({errors})")
            text = (daemon.config / "links.d/yard.toml").read_text()
            expect("polarity_known = true\n" in text, True, "the polarity is known now")
            expect("fires_at = \"high\"    # to be seen\n" in text, True, "what somebody wrote stays")
            kept = json.loads((daemon.config / "commissioning/wall.json").read_text())
            expect(kept, record, "the record")
            eventually("the lines are held", lambda: (daemon.controller("wall")["capabilities"] or {}).get("polarityKnown"))


@scenario("commission")
def what_is_wrong_is_found_and_put_right_where_a_file_can():
    # 1 and 2 are crossed, 3 is inverted, 4 is dead or has no sensor.
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Doors(chip, {0: 9, 1: 8, 2: 10, 3: None}, inverted={10}), Daemon(wall, {"yard": SITE}) as daemon:
            daemon.eventually("wall", "ready")
            status, record, errors = commission(daemon)
            expect(verdicts(record), ["crossed", "crossed", "inverted", "no-movement"], f"what was found ({errors})")
            expect((status, "wall/4" in errors), (1, True), f"who has to be looked at ({errors})")
            daemon.eventually("wall", "ready")
            status, record, errors = commission(daemon)
            expect(verdicts(record), ["works", "works", "works", "no-movement"], f"the second time ({errors})")


@scenario("commission")
def lines_that_fire_at_the_other_level_are_found():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        for lock in range(4):
            chip.line(lock).pull(1)
        with Doors(chip, {0: 8, 1: 9, 2: 10, 3: 11}, fires_at=0), Daemon(wall, {"yard": SITE}) as daemon:
            daemon.eventually("wall", "ready")
            status, record, errors = commission(daemon)
            expect(verdicts(record), ["works"] * 4, f"what was found ({errors})")
            text = (daemon.config / "links.d/yard.toml").read_text()
            expect("fires_at = \"low\"    # to be seen\n" in text, True, f"the level in the file: {text}")
            expect(status, 0, f"the exit status ({errors})")


@scenario("commission")
def a_ring_of_sensors_is_put_right_only_as_a_whole():
    # 1 moves the sensor of 2, 2 that of 3, 3 that of 1.
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Doors(chip, {0: 9, 1: 10, 2: 8, 3: 11}), Daemon(wall, {"yard": SITE}) as daemon:
            daemon.eventually("wall", "ready")
            status, record, errors = commission(daemon, "--lockers", "1-2")
            expect((status, verdicts(record)), (1, ["crossed", "crossed"]), f"a part of it ({errors})")
            # Also not that the level is known: two locks say nothing of the other two, whose lines would be driven for good.
            expect(record["changes"], [], "what a part of it changes")
            expect((daemon.config / "links.d/yard.toml").read_text(), SITE, "the file")
            expect("commission both together" in errors, True, f"what is said of a part ({errors})")
            daemon.eventually("wall", "ready")
            status, record, errors = commission(daemon)
            expect(verdicts(record), ["crossed"] * 3 + ["works"], f"the whole of it ({errors})")
            daemon.eventually("wall", "ready")
            status, record, errors = commission(daemon)
            expect((status, verdicts(record)), (0, ["works"] * 4), f"the second time ({errors})")


@scenario("commission")
def a_sensor_that_is_wired_to_the_next_controller_is_found():
    with Wall() as wall:
        chip, annex = wall.chip("expander", 16), wall.chip("annex", 16)
        both = SITE + SITE.split("[link]")[1].split("\n", 2)[2].replace('"wall"', '"annex"').replace('"expander"', '"annex"').replace(
            "first_id = 1", "first_id = 101")
        with Doors(chip, {0: annex.line(8), 1: 9, 2: 10, 3: 11}), Daemon(wall, {"yard": both}) as daemon:
            daemon.eventually("wall", "ready")
            daemon.eventually("annex", "ready")
            status, record, errors = commission(daemon)
            expect((status, verdicts(record)), (1, ["crossed"] + ["works"] * 3), f"what was found ({errors})")
            expect("wall/1: the sensor of annex/1 is wired to it; put the wires right" in errors, True, f"what is said ({errors})")


@scenario("commission")
def somebody_who_closes_a_door_teaches_nothing():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        # The door of 3 stands open, its lock is dead, and when it is fired somebody closes the door.
        chip.line(10).pull(1)
        with Doors(chip, {0: 8, 1: 9, 2: None, 3: 11}), Daemon(wall, {"yard": SITE}) as daemon:
            daemon.eventually("wall", "ready")

            def close():
                eventually("3 is fired", lambda: chip.line(2).value, 60)
                chip.line(10).pull(0)
            threading.Thread(target=close, daemon=True).start()
            status, record, errors = commission(daemon)
            expect(verdicts(record), ["works", "works", "no-movement", "works"], f"what was found ({errors})")
            # With one lock that nobody saw move it is not known that its line may be driven for good, either.
            expect((status, record["changes"]), (1, []), f"what is changed ({errors})")
            expect((daemon.config / "links.d/yard.toml").read_text(), SITE, "the file")


@scenario("commission")
def an_interrupted_trial_leaves_the_file_as_it_was():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": SITE}) as daemon:
            daemon.eventually("wall", "ready")
            file = daemon.config / "links.d/yard.toml"
            run = wall.start(*command(daemon), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            eventually("the other level is tried", lambda: 'fires_at = "low"' in file.read_text(), 60)
            run.send_signal(signal.SIGINT)
            errors = run.communicate(timeout=20)[1]
            expect(run.returncode, 130, f"the exit status ({errors})")
            expect(file.read_text(), SITE, "the file")
            expect("interrupted" in errors, True, errors)


@scenario("commission")
def nothing_is_written_where_nobody_wants_it():
    with Wall() as wall:
        chip = wall.chip("expander", 16)
        with Doors(chip, {0: 9, 1: 8, 2: 10, 3: 11}), Daemon(wall, {"yard": SITE}) as daemon:
            daemon.eventually("wall", "ready")
            commission(daemon, "--dry-run", "--lockers", "1-2")
            expect((daemon.config / "links.d/yard.toml").read_text(), SITE, "the file")
            expect((daemon.config / "commissioning").exists(), False, "the record's folder")
            expect(wall.witness.pulses(chip, 2), [], "pulses of locks that were not chosen")


@scenario("commission")
def a_scan_drafts_a_file_that_is_right():
    with Wall() as wall:
        wall.chip("mcp23017", 16, names={3: "lock3"}, hogs={12: "heating"})
        done = subprocess.run(
            [PROGRAMS / "lockerctl", "scan", "gpio", "--config", "/nowhere"], capture_output=True, text=True, timeout=30)
        expect(done.returncode, 0, f"the exit status ({done.stderr})")
        for words in ("\"heating\"", "\"lock3\"", "board = \"mcp23017\"", "chip = \"mcp23017\""):
            expect(words in done.stdout, True, f"{words} in {done.stdout}")
        # Line 12 is in use, so there is room for four sensors.
        expect("lockers = 4\n" in done.stdout, True, done.stdout)
        with Daemon(wall, {"yard": done.stdout}) as daemon:
            daemon.eventually("chip-0", "ready")
            check = subprocess.run(
                [PROGRAMS / "lockerd", "--config", daemon.config, "--check"], capture_output=True, text=True, timeout=30)
            expect(check.returncode, 0, f"--check ({check.stdout})")
            expect("note: nobody has seen yet that chip-0 fires" in check.stdout, True, f"the note ({check.stdout})")
