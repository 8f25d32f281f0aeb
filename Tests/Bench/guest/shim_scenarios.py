"""The GPIO shim over libgpiod 1.6 and 2.x: both have to do the same."""

import os
import subprocess
import time
from pathlib import Path

from expanders import PCA9535, Expander
from registry import scenario
from wall import Wall, eventually, expect, expect_between

SHIMS = Path(os.environ.get("LOCKERD_SHIMS", ""))
PUSH_PULL, OPEN_DRAIN = 0, 1
AS_IS, PULL_UP = 0, 2


class Shim:
    def __init__(self, wall, name):
        self.process = wall.start(SHIMS / name, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        self.process.stdin.write(" ".join(str(word) for word in words) + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


def both(check):
    """Makes a scenario of `check` for each version."""
    for name, version in (("shim-1", "1."), ("shim-2", "2.")):
        def run(name=name, version=version):
            with Wall() as wall:
                shim = Shim(wall, name)
                found = shim.ask("version")
                expect(found.startswith(version), True, f"libgpiod {found}")
                check(wall, shim)
        run.__name__ = f"{check.__name__}_with_{name.replace('-', '_')}"
        scenario("shim")(run)


@both
def chips_and_lines_are_told(wall, shim):
    chip = wall.chip("expander", 12, names={3: "lock three"}, hogs={5: "heating"})
    path = f"/dev/{chip.name}"
    expect(shim.ask("chip", path), f"{chip.name} expander 12", "the chip")
    expect(shim.ask("line", path, 3), "[lock three] [] free input", "a line with a name")
    expect(shim.ask("line", path, 5).startswith("[] [heating] used"), True, "a line that is in use")
    expect(shim.ask("line", path, 12), "error EINVAL", "a line that is not there")
    expect(shim.ask("chip", "/dev/gpiochip99"), "error ENOENT", "a chip that is not there")
    expect(shim.ask("chip", "/dev/null") in ("error ENOTTY", "error ENODEV"), True, "a file that is no chip")
    expect(shim.ask("request", path, "out", AS_IS, PUSH_PULL, "4", "5"), "error EBUSY", "a line of somebody else")
    expect(shim.ask("request", path, "out", AS_IS, PUSH_PULL, "4", "12"), "error EINVAL", "one too far")
    expect(shim.ask("line", path, 4).split()[2], "free", "what a failed request leaves")


@both
def a_line_is_driven_alone(wall, shim):
    chip = wall.chip("expander", 8)
    path = f"/dev/{chip.name}"
    expect(shim.ask("request", path, "out", AS_IS, PUSH_PULL, "6=1", "1=0", "3=1"), "ok", "the request")
    levels = lambda: [chip.line(offset).value for offset in (6, 1, 3)]
    expect(levels(), [1, 0, 1], "the first levels")
    for index, level, wanted in ((1, 1, [1, 1, 1]), (0, 0, [0, 1, 1]), (2, 0, [0, 1, 0]), (0, 1, [1, 1, 0])):
        expect(shim.ask("set", index, level), "ok", "a level")
        expect(levels(), wanted, f"the levels after line {index} was set to {level}")
        expect(shim.ask("get"), " ".join(map(str, wanted)), "the levels as they are told")
    expect(shim.ask("set", 3, 1), "error EINVAL", "a line that was not requested")
    expect([wall.witness.changes(chip, offset) for offset in (0, 2, 4, 5, 7)], [[]] * 5, "orders to the neighbours")
    expect(shim.ask("release"), "ok", "letting go")
    expect(shim.ask("line", path, 6).split()[2], "free", "the line afterwards")


@both
def edges_are_told_with_their_time(wall, shim):
    chip = wall.chip("expander", 8)
    chip.line(2).pull(1)
    expect(shim.ask("request", f"/dev/{chip.name}", "watch", AS_IS, PUSH_PULL, "4", "2"), "ok", "the request")
    expect(shim.ask("get"), "0 1", "the levels")
    moments = []
    for offset, level in ((4, 1), (2, 0), (4, 0)):
        moments.append((offset, level, time.clock_gettime_ns(time.CLOCK_MONOTONIC)))
        chip.line(offset).pull(level)
        time.sleep(0.02)
    asked = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
    found = [tuple(map(int, word.split(":"))) for word in shim.ask("edges").split()[:-1]]
    found.sort(key=lambda edge: edge[2])
    expect([edge[:2] for edge in found], [moment[:2] for moment in moments], "the edges")
    # Between its pull and the next one: on a loaded machine that may be long.
    for edge, moment, later in zip(found, moments, moments[1:] + [(0, 0, asked)]):
        expect_between(edge[2], moment[2], later[2], "the edge's time, in ns")
    expect(shim.ask("get"), "0 0", "the levels afterwards")


@both
def a_chip_without_interrupt_says_so_and_is_read(wall, shim):
    with Expander(PCA9535, 0x20) as chip:
        path = f"/dev/{chip.name}"
        is_new = shim.ask("version").startswith("2.")
        expect(shim.ask("request", path, "watch", AS_IS, PUSH_PULL, "9", "3"), f"error {'ENXIO' if is_new else 'ENODEV'}", "a wish for edges")
        expect(shim.ask("request", path, "in", AS_IS, PUSH_PULL, "9", "3"), "ok", "the request")
        expect(shim.ask("get"), "0 0", "the levels")
        chip.pull(9, 1)
        eventually("the level is read", lambda: shim.ask("get") == "1 0")
        expect(shim.ask("edges"), "end", "edges that nobody watches")


@both
def a_chip_that_is_gone_is_an_error(wall, shim):
    chip = wall.chip("expander", 8)
    expect(shim.ask("request", f"/dev/{chip.name}", "out", AS_IS, PUSH_PULL, "1=0"), "ok", "the request")
    chip.unplug()
    expect(shim.ask("set", 0, 1), "error ENODEV", "a level on a chip that is gone")
    expect(shim.ask("get"), "error ENODEV", "the levels of one")
    expect(shim.ask("release"), "ok", "letting go")
    chip.plug()
