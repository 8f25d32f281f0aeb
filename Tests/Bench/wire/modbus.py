"""Modbus boards, RTU and TCP, as the profiles in Plugins/Modbus/boards describe them. The framing and its CRC are this file's own."""

import struct
import tomllib
from pathlib import Path

from families import Family, Request

PROFILES = Path(__file__).resolve().parents[3] / "Plugins/Modbus/boards"
READ_COILS, READ_INPUTS, READ_REGISTERS, READ_INPUT_REGISTERS = 1, 2, 3, 4
WRITE_COIL, WRITE_REGISTER = 5, 6
WRITE_SEVERAL = (15, 16)
BIT_READS = (READ_COILS, READ_INPUTS)
DOOR_READS = {
    "coils": READ_COILS,
    "discrete-inputs": READ_INPUTS,
    "holding-registers": READ_REGISTERS,
    "input-registers": READ_INPUT_REGISTERS,
}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
MOST_AT_ONCE = {READ_COILS: 2000, READ_INPUTS: 2000, READ_REGISTERS: 125, READ_INPUT_REGISTERS: 125}
PLAIN_BOARD = {"coils": {"pulse": "host"}, "doors": {"read": "discrete-inputs"}}


def load_profile(name):
    """A shipped profile by its name, or any by its path."""
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    return tomllib.loads(path.read_text())


def crc_table():
    # The polynomial x^16 + x^15 + x^2 + 1 with its bits reversed, since a line sends the lowest bit first.
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ 0xA001 if byte & 1 else byte >> 1
        table.append(byte)
    return table


CRC_TABLE = crc_table()


def crc(data):
    rest = 0xFFFF
    for byte in data:
        rest = rest >> 8 ^ CRC_TABLE[(rest ^ byte) & 0xFF]
    return rest.to_bytes(2, "little")


class Outputs:
    """What an order means: which lock, for how long, and what the coil reads as."""

    def __init__(self, profile, lockers):
        coils = profile["coils"]
        self.lockers = lockers
        self.function = WRITE_REGISTER if coils.get("write") == "register" else WRITE_COIL
        self.first = coils.get("first", 0)
        self.on, self.off = coils.get("on", 0xFF00), coils.get("off", 0x0000)
        self.reads_off = coils.get("reads_off")
        self.is_inverted = coils.get("inverted", self.on == 0)
        self.repeats_value = coils.get("echo", "exact") == "exact"
        self.flash = profile.get("flash") if coils.get("pulse") == "board" else None

    def read(self, lock):
        """What coil or register shows."""
        if self.function == WRITE_COIL:
            return int((self.on if lock.is_on else self.off) != 0)
        if lock.is_on:
            return self.on if self.reads_off is None else 1
        return self.off if self.reads_off is None else self.reads_off

    def flash_ms(self, value):
        """How long a value energises for that is written to a flash address; None where it is no such value."""
        unit = self.flash.get("unit_ms", 100)
        if "command" in self.flash:
            return unit if value == self.flash["command"] else None
        units = value - self.flash.get("base", 0)
        return units * unit if 0 < units <= self.flash.get("max", 0x7FFF) else None

    def order(self, address, value):
        """(lock, energises, ms, exception)"""
        number = address - self.first + 1
        if self.flash:
            flashed = address - self.flash["first"] + 1
            if 1 <= flashed <= self.lockers:
                ms = self.flash_ms(value)
                if ms is not None:
                    return flashed, True, ms, None
                if self.flash["first"] != self.first:
                    return flashed, False, None, ILLEGAL_VALUE
        if not 1 <= number <= self.lockers:
            return None, False, None, ILLEGAL_ADDRESS
        if value not in (self.on, self.off):
            return number, False, None, ILLEGAL_VALUE
        return number, value == self.on, None, None


class Modbus(Family):
    boards = range(1, 248)
    most_lockers = 2000

    def __init__(self, options, banks):
        super().__init__(options, banks)
        self.outputs = Outputs(options.board_profile, options.lockers)
        self.doors = options.board_profile.get("doors", {})
        self.door_function = DOOR_READS.get(self.doors.get("read"))
        self.unit_register = options.board_profile.get("unit", {}).get("register")
        self.reads = {}
        self.lay_out_outputs()
        self.lay_out_doors()

    def lay_out_outputs(self):
        function = READ_REGISTERS if self.outputs.function == WRITE_REGISTER else READ_COILS
        table = self.reads.setdefault(function, {})
        for index in range(self.options.lockers):
            table[self.outputs.first + index] = lambda bank, index=index: self.outputs.read(bank.locks[index])

    def lay_out_doors(self):
        """After the outputs: some boards show doors where others show coils."""
        self.door_addresses = set()
        if self.door_function is None:
            return
        is_bits = self.door_function in BIT_READS
        per_address = 1 if is_bits else self.doors.get("per_register", 16)
        table = self.reads.setdefault(self.door_function, {})
        for index in range(0, self.options.lockers, per_address):
            address = self.doors.get("first", 0) + index // per_address
            self.door_addresses.add(address)
            table[address] = lambda bank, index=index: self.door_bits(bank.locks[index:index + per_address])

    def door_bits(self, locks):
        level = self.doors.get("open", 1)
        return sum((level if lock.is_open() else 1 - level) << place for place, lock in enumerate(locks))

    def parse(self, frame):
        request = Request(frame)
        unwrapped = self.unwrap(frame)
        if unwrapped is None or not unwrapped[1]:
            return request
        unit, pdu = unwrapped
        request.board, request.command = unit, pdu[0]
        if pdu[0] in WRITE_SEVERAL:
            request.violation = f"an order to many outputs (function {pdu[0]})"
        if len(pdu) != 5:
            return request
        address, value = struct.unpack(">HH", pdu[1:])
        request.detail = (address, value)
        if pdu[0] == self.outputs.function:
            self.read_order(request, address, value)
        elif pdu[0] == self.door_function and address in self.door_addresses:
            request.kind = "status"
            if value == 1 and len(self.door_addresses) == self.options.lockers:
                request.lock = address - self.doors.get("first", 0) + 1
        return request

    def read_order(self, request, address, value):
        request.lock, energises, _, problem = self.outputs.order(address, value)
        request.is_order = problem is None
        if problem is None and energises:
            request.kind = "open"
        elif problem is None and self.outputs.is_inverted and request.board in self.banks:
            if not self.lock(request).is_on:
                request.violation = "a release of a coil that is not on, of an inverted board"

    def carry_out(self, request, does, jams):
        if request.detail is None:
            return self.refuse(request, ILLEGAL_FUNCTION)
        if self.unit_register is not None and request.detail[0] == self.unit_register:
            return self.be_numbered(request)
        if request.command == self.outputs.function:
            return self.obey(request, does, jams)
        if request.command in self.reads:
            return self.show(request)
        return self.refuse(request, ILLEGAL_FUNCTION)

    def be_numbered(self, request):
        """Tells the board's unit, or takes another one: the answer comes from the new one, with the register zeroed."""
        _, value = request.detail
        if request.command == READ_REGISTERS:
            return lambda board, lock: self.wrap(request, board, struct.pack(">BBH", READ_REGISTERS, 2, request.board))
        if request.command != WRITE_REGISTER or value not in self.boards or value in self.banks:
            return self.refuse(request, ILLEGAL_VALUE)
        self.banks[value] = self.banks.pop(request.board)
        return lambda board, lock: self.wrap(request, value, struct.pack(">BHH", WRITE_REGISTER, 0, value))

    def obey(self, request, does, jams):
        address, value = request.detail
        _, energises, ms, problem = self.outputs.order(address, value)
        if problem:
            return self.refuse(request, problem)
        if does and energises:
            self.lock(request).fire(ms, jams, is_watched=True)
        elif does:
            self.lock(request).release()
        shown = value if self.outputs.repeats_value else value ^ 0xFFFF

        def reply(board, lock):
            named = address + lock - request.lock
            return self.wrap(request, board, struct.pack(">BHH", request.command, named, shown))

        return reply

    def show(self, request):
        address, count = request.detail
        if not 1 <= count <= MOST_AT_ONCE[request.command]:
            return self.refuse(request, ILLEGAL_VALUE)
        table, bank = self.reads[request.command], self.banks[request.board]
        if any(one not in table for one in range(address, address + count)):
            return self.refuse(request, ILLEGAL_ADDRESS)
        values = [table[one](bank) for one in range(address, address + count)]
        if request.command in BIT_READS:
            packed = sum(value << place for place, value in enumerate(values)).to_bytes((count + 7) // 8, "little")
        else:
            packed = struct.pack(f">{count}H", *values)
        pdu = bytes([request.command, len(packed)]) + packed
        return lambda board, lock: self.wrap(request, board, pdu)

    def refuse(self, request, code):
        pdu = bytes([request.command | 0x80, code])
        return lambda board, lock: self.wrap(request, board, pdu)


class ModbusRtu(Modbus):
    by_silence = True

    def is_whole(self, buffer):
        """Whether a frame has certainly ended, for boards that answer at once."""
        return len(buffer) == 8 and crc(buffer[:6]) == buffer[6:] and 1 <= buffer[1] <= 6

    def unwrap(self, frame):
        return (frame[0], frame[1:-2]) if len(frame) >= 4 and crc(frame[:-2]) == frame[-2:] else None

    def wrap(self, request, board, pdu):
        frame = bytes([board]) + pdu
        return frame + crc(frame)

    def spoil(self, reply):
        return reply[:-2] + bytes(byte ^ 0x5A for byte in reply[-2:])


class ModbusTcp(Modbus):
    is_serial = False
    HEAD = struct.Struct(">HHHB")

    def cut(self, buffer):
        if len(buffer) < self.HEAD.size:
            return 0, 0
        _, protocol, length, _ = self.HEAD.unpack(buffer[:self.HEAD.size])
        if protocol != 0 or not 2 <= length <= 254:
            return len(buffer), 0
        return 0, 6 + length if len(buffer) >= 6 + length else 0

    def unwrap(self, frame):
        # Frames that `cut` calls junk come here too.
        return (frame[6], frame[7:]) if len(frame) > 7 and self.cut(frame) == (0, len(frame)) else None

    def wrap(self, request, board, pdu):
        transaction = int.from_bytes(request.frame[:2], "big")
        return self.HEAD.pack(transaction, 0, len(pdu) + 1, board) + pdu

    def spoil(self, reply):
        """There is no check in such a frame; the number of the transaction is what tells a reply by."""
        return bytes([reply[0] ^ 0x5A, reply[1] ^ 0x5A]) + reply[2:]
