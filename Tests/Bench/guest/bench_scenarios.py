"""Programs that have nothing to do with the project, to show that the bench itself tells the truth."""

import subprocess
import time

from registry import scenario
from wall import Wall, eventually, expect, expect_between


@scenario("bench")
def a_pulse_is_measured():
    with Wall() as wall:
        chip = wall.chip("expander", 16, names={3: "lock3"})
        # It cannot have begun before it was asked for, nor after it was seen: that is what a loaded machine cannot change.
        asked = time.monotonic()
        gpioset = wall.start("gpioset", "--mode=signal", chip.name, "3=1")
        eventually("the line is high", lambda: chip.line(3).value)
        seen = time.monotonic()
        time.sleep(0.2)
        gpioset.terminate()
        gpioset.wait()
        ending = time.monotonic()
        subprocess.run(["gpioset", chip.name, "3=0"], check=True)
        ended = time.monotonic()
        (pulse,) = wall.witness.pulses(chip, 3)
        expect_between(pulse.length, ending - seen, ended - asked, "the pulse")
        expect_between(pulse.at, asked, seen, "when it began")
        expect(wall.witness.pulses(chip, 4), [], "pulses of its neighbour")
        expect({order.process for order in wall.witness.orders(chip, 3)}, {"gpioset"}, "who did it")


@scenario("bench")
def every_edge_is_seen():
    with Wall() as wall:
        chip = wall.chip("expander", 8)
        gpiomon = wall.start("gpiomon", "--num-events=200", chip.name, "2", stdout=subprocess.PIPE)
        # It says nothing when it has begun to listen; the kernel does.
        eventually("it listens", lambda: "gpiomon" in subprocess.run(
            ["gpioinfo", chip.name], capture_output=True, text=True).stdout)
        for _ in range(100):
            chip.line(2).pull(1)
            chip.line(2).pull(0)
            # The kernel keeps 16 edges for a reader, and the guest has one processor for both.
            time.sleep(0.002)
        lines = gpiomon.communicate(timeout=10)[0].splitlines()
        expect(["RISING" in line for line in lines], [True, False] * 100, "edges")


@scenario("bench")
def a_chip_can_be_pulled_out():
    with Wall() as wall:
        chip = wall.chip("expander", 8, names={0: "lock0"}, hogs={7: "somebody else"})
        listing = subprocess.run(["gpioinfo", chip.name], capture_output=True, text=True).stdout
        expect("somebody else" in listing, True, "the hog is named")
        refused = subprocess.run(["gpioset", chip.name, "7=1"], capture_output=True, text=True)
        expect((refused.returncode, "busy" in refused.stderr), (1, True), "a hogged line")
        chip.unplug()
        gone = subprocess.run(["gpioset", chip.name, "0=1"], capture_output=True, text=True)
        expect(gone.returncode, 1, "a chip that is gone")
        chip.plug()
        subprocess.run(["gpioset", chip.name, "0=1"], check=True)


@scenario("time")
def an_hour_passes_in_no_time():
    with Wall() as wall:
        chip = wall.chip("expander", 8)
        began = time.monotonic()
        gpiomon = wall.start("gpiomon", "--num-events=1", chip.name, "2", stdout=subprocess.PIPE)
        time.sleep(3600)
        chip.line(2).pull(1)
        expect("RISING" in gpiomon.communicate(timeout=10)[0], True, "the edge")
        expect_between(time.monotonic() - began, 3600, 3601, "seconds")
