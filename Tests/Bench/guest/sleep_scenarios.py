"""A machine that is told to sleep in the middle of a pulse. Only for a kernel that can: the emulated computer's."""

import subprocess

from daemon import Daemon
from guardian_scenarios import LIMIT_S, fire, long_pulses, off
from registry import scenario
from wall import Wall, eventually, expect, expect_between


@scenario("sleep")
def a_machine_does_not_sleep_in_a_pulse():
    with Wall() as wall:
        # A clock that goes on while the machine sleeps.
        wall.witness.use_clock("boot")
        chip = wall.chip("expander", 16)
        with Daemon(wall, {"yard": long_pulses()}) as daemon:
            daemon.eventually("wall", "ready")
            fire(daemon, chip)
            done = subprocess.run(["rtcwake", "-m", "freeze", "-s", "4"], capture_output=True, text=True)
            expect(done.returncode != 0, True, "the kernel refuses to sleep")
            expect(chip.line(0).value, 1, "the line meanwhile")
            eventually("the line was switched off", lambda: off(wall, chip))
            (pulse,) = wall.witness.pulses(chip, 0)
            expect_between(pulse.length, 0.89, 0.9 + LIMIT_S, "the pulse")
