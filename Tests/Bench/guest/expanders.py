"""Real expanders on a simulated bus: the kernel's own drivers, and chips whose registers are memory that a test sees and writes.

The bus is the kernel's i2c-stub. Its chips do what no chip does on the wires, so `Expander` does: levels of driven lines go from the
output register to the input register, unless something is broken.
"""

import ctypes
import fcntl
import os
import threading
import time
from pathlib import Path

from wall import eventually

I2C_SLAVE_FORCE = 0x0706
I2C_SMBUS = 0x0720
BYTE_DATA, WORD_DATA = 2, 3
BUS = Path("/sys/bus/i2c/devices")


class _Data(ctypes.Union):
    _fields_ = [("byte", ctypes.c_uint8), ("word", ctypes.c_uint16), ("block", ctypes.c_uint8 * 34)]


class _Call(ctypes.Structure):
    _fields_ = [("write", ctypes.c_uint8), ("command", ctypes.c_uint8), ("size", ctypes.c_uint32), ("data", ctypes.POINTER(_Data))]


def bus_number():
    for adapter in BUS.glob("i2c-*"):
        if (adapter / "name").read_text().strip() == "SMBus stub driver":
            return int(adapter.name.removeprefix("i2c-"))
    raise AssertionError("the kernel has no i2c-stub")


class Registers:
    """A chip's registers, beside whatever driver has it."""

    def __init__(self, address):
        self.file = os.open(f"/dev/i2c-{bus_number()}", os.O_RDWR)
        fcntl.ioctl(self.file, I2C_SLAVE_FORCE, address)

    def _call(self, write, register, size, value=0):
        data = _Data()
        if size == WORD_DATA:
            data.word = value
        else:
            data.byte = value
        fcntl.ioctl(self.file, I2C_SMBUS, _Call(write, register, size, ctypes.pointer(data)))
        return data.word if size == WORD_DATA else data.byte

    def close(self):
        os.close(self.file)


class PCA9535(Registers):
    """Sixteen lines; a byte for each eight, the second beside the first."""

    driver = "pca9535"
    INPUT, OUTPUT, DIRECTION = 0, 2, 6

    def read(self, register):
        return self._call(1, register, BYTE_DATA) | self._call(1, register + 1, BYTE_DATA) << 8

    def write(self, register, value):
        self._call(0, register, BYTE_DATA, value & 0xFF)
        self._call(0, register + 1, BYTE_DATA, value >> 8)


class MCP23017(Registers):
    """Sixteen lines; the kernel moves both ports' registers as one word."""

    driver = "mcp23017"
    INPUT, OUTPUT, DIRECTION = 0x12, 0x14, 0x00

    def read(self, register):
        return self._call(1, register, WORD_DATA)

    def write(self, register, value):
        self._call(0, register, WORD_DATA, value)


# I2C_SMBUS_READ is 1 and I2C_SMBUS_WRITE is 0, as <linux/i2c.h> has it.


class Expander:
    """A chip with its kernel driver, and what is wired to it."""

    def __init__(self, kind, address):
        self.registers = kind(address)
        self.pulls = 0
        # Lines whose level is what it says, whoever drives them; and whether the chip has stopped to answer, which its driver may read as zero.
        self.stuck = {}
        self.is_dead = False
        self.was_on = 0
        self.orders = []
        kind_of = self.registers
        kind_of.write(kind.DIRECTION, 0xFFFF)
        kind_of.write(kind.OUTPUT, 0xFFFF if kind is PCA9535 else 0)
        kind_of.write(kind.INPUT, 0)
        bus = BUS / f"i2c-{bus_number()}"
        (bus / "new_device").write_text(f"{kind.driver} {address:#x}")
        self._delete = lambda: (bus / "delete_device").write_text(f"{address:#x}")
        folder = BUS / f"{bus_number()}-{address:04x}"
        found = eventually("the chip's driver", lambda: list(folder.glob("gpiochip*")))
        self.name = found[0].name
        eventually(f"/dev/{self.name}", (Path("/dev") / self.name).exists)
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._wire, daemon=True)
        self._thread.start()

    @property
    def driven(self):
        """What the chip drives high, as its registers have it."""
        return self.registers.read(self.registers.OUTPUT) & ~self.registers.read(self.registers.DIRECTION) & 0xFFFF

    def pull(self, line, level):
        """What is wired to an input."""
        self.pulls = self.pulls | 1 << line if level else self.pulls & ~(1 << line)

    def _wire(self):
        while not self._ends.wait(0.0005):
            direction = self.registers.read(self.registers.DIRECTION)
            levels = self.driven | self.pulls & direction
            for line, level in self.stuck.items():
                levels = levels | 1 << line if level else levels & ~(1 << line)
            if self.driven != self.was_on:
                self.orders.append((time.monotonic(), self.driven))
                self.was_on = self.driven
            self.registers.write(self.registers.INPUT, 0 if self.is_dead else levels)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()
        self._delete()
        self.registers.close()
