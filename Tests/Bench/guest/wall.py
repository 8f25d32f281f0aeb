"""A wall of lockers made of simulated GPIO chips, inside the guest: what is wired to them, and what their lines did and when.

    with Wall() as wall:
        chip = wall.chip("expander", 16, names={3: "lock3"})
        chip.line(9).pull(1)
        ...
        (pulse,) = wall.witness.pulses(chip, 3)
        expect_between(pulse.length, 0.199, 0.203, "the pulse")

The witness is the kernel's own tracing of GPIO lines: microseconds of the monotonic clock, and the process that did it.
"""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

CONFIG = Path("/sys/kernel/config/gpio-sim")
DEVICES = Path("/sys/devices/platform")
TRACING = Path("/sys/kernel/tracing")
EVENT = re.compile(
    r"^\s*(?P<process>.+)-\d+\s+\[\d+\]\s+\S+\s+(?P<at>[\d.]+): gpio_value: (?P<number>\d+) (?P<kind>set|get) (?P<level>[01])")


def expect(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")


def expect_between(found, least, most, what):
    if not least <= found <= most:
        raise AssertionError(f"{what}: found {found}, wanted {least} to {most}")


def eventually(what, condition, limit=10.0):
    """Waits for a true value of `condition`, and returns it."""
    end = time.monotonic() + limit
    while True:
        if found := condition():
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit:g} s: {what}")
        time.sleep(0.005)


@dataclass
class Order:
    """A line was set: when, to what, and by which process."""
    at: float
    level: int
    process: str


@dataclass
class Pulse:
    """A line that was high, and for how long; `length` is None where it still is."""
    at: float
    length: float | None


class Line:
    def __init__(self, chip, offset):
        self.chip = chip
        self.offset = offset
        self.folder = chip.folder / f"sim_gpio{offset}"

    @property
    def value(self):
        """The level on the wire, whoever drives it."""
        return int((self.folder / "value").read_text())

    def pull(self, level):
        """What is wired to it pulls it up or down."""
        (self.folder / "pull").write_text("pull-up" if level else "pull-down")


class Chip:
    def __init__(self, name, lines, names, hogs, label):
        self.label = label
        self.config = CONFIG / name
        bank = self.config / "bank0"
        bank.mkdir(parents=True)
        (bank / "num_lines").write_text(str(lines))
        (bank / "label").write_text(label)
        for offset in sorted(names.keys() | hogs.keys()):
            (bank / f"line{offset}").mkdir()
            if offset in names:
                (bank / f"line{offset}" / "name").write_text(names[offset])
            if offset in hogs:
                (bank / f"line{offset}" / "hog").mkdir()
                (bank / f"line{offset}" / "hog" / "name").write_text(hogs[offset])
        self.plug()

    def plug(self):
        (self.config / "live").write_text("1")
        # `gpiochip0`: also the name below /dev.
        self.name = (self.config / "bank0/chip_name").read_text().strip()
        self.folder = DEVICES / (self.config / "dev_name").read_text().strip() / self.name
        eventually(f"/dev/{self.name}", (Path("/dev") / self.name).exists)
        # The kernel's trace counts all lines of all chips.
        listing = Path("/sys/kernel/debug/gpio").read_text()
        self.base = int(re.search(rf"^{self.name}: GPIOs (\d+)-", listing, re.M)[1])

    def unplug(self):
        """The chip is gone, whoever holds its lines."""
        (self.config / "live").write_text("0")

    def line(self, offset):
        return Line(self, offset)


class Witness:
    def __init__(self):
        if not (TRACING / "events").exists():
            subprocess.run(["mount", "-t", "tracefs", "tracefs", TRACING], check=True)
        self.use_clock("mono")
        (TRACING / "events/gpio/gpio_value/enable").write_text("1")

    def use_clock(self, name):
        """`mono`, or `boot`, which goes on while the machine sleeps."""
        (TRACING / "trace_clock").write_text(name)

    def orders(self, chip, offset):
        """What the line was told, in order."""
        found = []
        for text in (TRACING / "trace").read_text().splitlines():
            match = EVENT.match(text)
            if match and match["kind"] == "set" and int(match["number"]) == chip.base + offset:
                found.append(Order(float(match["at"]), int(match["level"]), match["process"]))
        return found

    def changes(self, chip, offset):
        """The levels it was told, without those it had already: some interfaces drive all lines of a request with each order."""
        levels = []
        for order in self.orders(chip, offset):
            if levels[-1:] != [order.level]:
                levels.append(order.level)
        return levels

    def clear(self):
        (TRACING / "trace").write_text("")

    def pulses(self, chip, offset):
        """When the line was told to be high, and for how long."""
        found, since = [], None
        for order in self.orders(chip, offset):
            if order.level and since is None:
                since = order.at
            elif not order.level and since is not None:
                found.append(Pulse(since, order.at - since))
                since = None
        if since is not None:
            found.append(Pulse(since, None))
        return found


class Wall:
    def __init__(self):
        self.chips = []
        self.children = []
        self.witness = Witness()

    def chip(self, name, lines, names=None, hogs=None, label=None):
        """A chip with that label, which is its name unless it is said."""
        made = Chip(name, lines, names or {}, hogs or {}, label or name)
        self.chips.append(made)
        return made

    def start(self, *words, **options):
        options = {"stdin": subprocess.DEVNULL, **options}
        child = subprocess.Popen([str(word) for word in words], text=True, **options)
        self.children.append(child)
        return child

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for child in self.children:
            if child.poll() is None:
                child.kill()
            child.wait()
        for chip in self.chips:
            chip.unplug()
            # Innermost first; configfs has nothing to delete but folders.
            for folder in sorted(chip.config.glob("**/"), key=lambda path: -len(path.parts)):
                if folder.is_dir():
                    folder.rmdir()
        self.witness.clear()
