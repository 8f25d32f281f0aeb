"""The driver `gpio-expander` behind the kernel's drivers of real expanders, which have no interrupt here."""

import subprocess
import time

from daemon import PROGRAMS, Daemon, Refused
from expanders import MCP23017, PCA9535, Expander, bus_number
from registry import scenario
from wall import Wall, eventually, expect, expect_between

WALL = """
driver = "gpio-expander"
[link]
debounce_ms = 5
[[controller]]
id = "wall"
chip = "{chip}"
board = "{board}"
fires_at = "high"
polarity_known = true
first_input = 8
open_level = {open_level}
{more}
lockers = 3
first_id = 1
bank = "main"
power = "main"
pulse_ms = 200
poll_ms = 100
"""


def pca(more="", open_level=1):
    # The kernel's driver labels it with its place on the bus.
    return WALL.format(chip=f"{bus_number()}-0020", board="pca9535", open_level=open_level, more=more)


def refused(daemon, locker):
    try:
        daemon.open(locker)
    except Refused as problem:
        return problem
    raise AssertionError(f"{locker} was opened")


@scenario("expander")
def a_chip_without_interrupt_is_read_instead():
    with Wall() as wall, Expander(PCA9535, 0x20) as chip, Daemon(wall, {"yard": pca()}) as daemon:
        daemon.eventually("wall", "ready")
        expect("tells no edges" in daemon.text(), True, f"what the log says of it ({daemon.text()[-1500:]})")
        expect(daemon.locker("wall/2")["door"], "closed", "the door")
        client = daemon.client()
        client.call("subscribe", types=["door.opened"])
        number = client.send("open", locker="wall/2", waitMs=10_000)
        eventually("line 1 fires", lambda: chip.driven == 0b10)
        chip.pull(9, 1)
        result = client.reply(number)
        expect((result["outcome"], result["evidence"]), ("opened", "door-sensor"), "what came of it")
        eventually("the lines are off", lambda: chip.driven == 0)
        # Two readings: one that sees the change, and one that finds it settled.
        for level in (0, 1):
            asked = time.monotonic()
            chip.pull(8, level ^ 1)
            eventually("the other door is told", lambda: daemon.locker("wall/1")["door"] == ("closed" if level else "open"))
            expect_between(time.monotonic() - asked, 0, 0.3, "from the change to the status")


@scenario("expander")
def a_line_that_stays_on_is_an_alarm_until_it_is_off():
    with Wall() as wall, Expander(PCA9535, 0x20) as chip, Daemon(wall, {"yard": pca()}) as daemon:
        daemon.eventually("wall", "ready")
        # The chip says nothing of it: its driver in the kernel has no way to tell that an order did not arrive.
        chip.stuck[0] = 1
        problem = refused(daemon, "wall/1")
        expect((problem.code, problem.data["fired"]), ("OUTPUT_STUCK", "yes"), f"the open ({problem})")
        found = daemon.eventually("wall", "faulted")
        expect("line 0" in found["reason"] and "on still" in found["reason"], True, f"the reason ({found['reason']})")
        expect(refused(daemon, "wall/2").data["fired"], "no", "an open beside it")
        expect(all(on in (0, 1) for _, on in chip.orders), True, f"lines that were told to fire ({chip.orders})")
        del chip.stuck[0]
        daemon.eventually("wall", "ready", 15)
        daemon.open("wall/2")


@scenario("expander")
def an_order_that_has_not_reached_the_chip_is_not_said_to_have_fired():
    more = "[[controller.locker]]\nnumber = 3\nsensor = false"
    with Wall() as wall, Expander(PCA9535, 0x20) as chip, Daemon(wall, {"yard": pca() + more}) as daemon:
        daemon.eventually("wall", "ready")
        expect(daemon.open("wall/3")["outcome"], "pulsed", "a lock without a sensor")
        chip.stuck[2] = 0
        result = daemon.open("wall/3")
        expect((result["outcome"], result["timing"]["pulseMs"]), ("unknown", 0), "the open")
        expect("may not have got the order" in daemon.text(), True, f"what the log says of it ({daemon.text()[-1500:]})")


@scenario("expander")
def a_dead_chip_reads_low_and_its_canary_tells():
    more = "canary = 14\ninput_bias = \"pull-up\""
    text = WALL.format(chip="mcp23017", board="mcp23017", open_level=1, more=more)
    with Wall() as wall, Expander(MCP23017, 0x21) as chip:
        chip.pull(14, 1)
        with Daemon(wall, {"yard": text}) as daemon:
            daemon.eventually("wall", "ready")
            expect(daemon.locker("wall/1")["door"], "closed", "the door")
            chip.is_dead = True
            found = daemon.eventually("wall", "faulted")
            expect("canary" in found["reason"], True, f"the reason ({found['reason']})")
            expect(daemon.locker("wall/1")["operational"], False, "the locker of a dead chip")
            eventually("its door is not believed any more", lambda: daemon.locker("wall/1")["quality"] != "good")
            expect(refused(daemon, "wall/1").data["fired"], "no", "the open")
            chip.is_dead = False
            daemon.eventually("wall", "ready", 15)
            daemon.open("wall/1")


@scenario("expander")
def the_scan_knows_a_chip_by_its_driver():
    with Wall(), Expander(PCA9535, 0x20), Expander(MCP23017, 0x21):
        done = subprocess.run(
            [PROGRAMS / "lockerctl", "scan", "gpio"], capture_output=True, text=True, timeout=60)
        expect(done.returncode, 0, f"the scan ({done.stderr})")
        text = done.stdout
        for word in ("pca9535", "mcp23017"):
            expect(f'board = "{word}"' in text, True, f"{word} in {text}")
        expect(f'chip = "{bus_number()}-0020"' in text, True, f"the label in {text}")
