#!/usr/bin/env python3
"""A locker board on pymodbus, over TCP or a serial line: coils that fire locks, discrete inputs that are doors.

Firing coil N opens door N (discrete input N becomes 1); after --close-after seconds it closes by itself. An order to
--flash-base + N is a pulse that the board ends: its value counts tenths of a second. With --registers coil N is behind holding
register N: 1 is on, 0 is off.

Prints `listening WHERE` when it serves, then one JSON line for each coil order and each coil that falls by itself:

    {"event":"write","at":12.345,"unit":1,"coil":2,"value":65280,"on":true,"flash":false}
    {"event":"fell","at":12.645,"unit":1,"coil":2}

`at` is the monotonic clock in seconds. SIGUSR1 makes it print {"event":"mark"}: everything before that has been printed.
"""

import argparse
import asyncio
import json
import logging
import os
import signal
import struct
import sys
import time

from pymodbus.exceptions import NoSuchIdException
from pymodbus.framer import FramerType
from pymodbus.pdu import ExceptionResponse, ModbusPDU
from pymodbus.pdu.bit_message import (
    ReadCoilsRequest,
    ReadCoilsResponse,
    ReadDiscreteInputsRequest,
    ReadDiscreteInputsResponse,
)
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadHoldingRegistersResponse
from pymodbus.server import ModbusSerialServer, ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

ON = 0xFF00
OFF = 0x0000
ILLEGAL_FUNCTION = 1
ILLEGAL_ADDRESS = 2
ILLEGAL_VALUE = 3


def say(**what):
    print(json.dumps(what, separators=(",", ":")), flush=True)


def value_of(is_on, options):
    """What reads or writes a coil."""
    on, off = (1, 0) if options.registers else (ON, OFF)
    return on if is_on else off


class Board:
    """The lockers of one unit."""

    def __init__(self, unit, options):
        self.unit = unit
        self.options = options
        self.coils = [False] * options.lockers
        self.opened_at = [None] * options.lockers
        self.falls = [None] * options.lockers
        self.requests = 0

    def note_request(self):
        """Counts a request; raises when the board has gone silent."""
        self.requests += 1
        limit = self.options.silent_after
        if limit is not None and self.requests > limit:
            raise NoSuchIdException("silent on purpose")

    def doors(self):
        now = time.monotonic()
        stay = self.options.close_after
        return [
            at is not None and (stay == 0 or now < at + stay) for at in self.opened_at
        ]

    def write(self, address, value):
        """Carries out an order; returns an exception code, or None."""
        base = self.options.flash_base
        lockers = len(self.coils)
        on = value_of(True, self.options)
        if 0 <= address < lockers and value in (on, OFF):
            coil, is_flash = address, False
        elif base <= address < base + lockers:
            coil, is_flash = address - base, True
        else:
            return ILLEGAL_ADDRESS if not 0 <= address < lockers else ILLEGAL_VALUE
        is_on = value > 0 if is_flash else value == on
        say(event="write", at=time.monotonic(), unit=self.unit, coil=coil, value=value,
            on=is_on, flash=is_flash)
        if coil in self.options.exceptions and is_on:
            return self.options.exceptions[coil]
        if coil in self.options.stuck and not is_on:
            return 4
        if is_flash and self.options.ignore_flash:
            return None
        self.set(coil, is_on)
        if is_flash and is_on:
            loop = asyncio.get_running_loop()
            self.falls[coil] = loop.call_later(value / 10, self.fall, coil)
        if is_on and coil in self.options.reply_lost:
            raise NoSuchIdException("silent on purpose")
        return None

    def set(self, coil, is_on):
        if self.falls[coil]:
            self.falls[coil].cancel()
            self.falls[coil] = None
        if is_on and not self.coils[coil] and coil not in self.options.jam:
            self.opened_at[coil] = time.monotonic()
        self.coils[coil] = is_on

    def fall(self, coil):
        self.falls[coil] = None
        self.coils[coil] = False
        say(event="fell", at=time.monotonic(), unit=self.unit, coil=coil)


def requests(boards, registers):
    """The request classes that serve `boards` in place of pymodbus's own data store."""

    def board(pdu):
        if pdu.dev_id not in boards:
            raise NoSuchIdException("no such unit")
        found = boards[pdu.dev_id]
        found.note_request()
        return found

    def answer(pdu, bits, response):
        chosen = bits[pdu.address:pdu.address + pdu.count]
        if pdu.count == 0 or len(chosen) != pdu.count:
            return ExceptionResponse(pdu.function_code, ILLEGAL_ADDRESS)
        return response(dev_id=pdu.dev_id, transaction_id=pdu.transaction_id, bits=chosen)

    class ReadCoils(ReadCoilsRequest):
        async def datastore_update(self, context, device_id):
            return answer(self, board(self).coils, ReadCoilsResponse)

    class ReadDoors(ReadDiscreteInputsRequest):
        async def datastore_update(self, context, device_id):
            found = board(self)
            if found.options.door_exception:
                return ExceptionResponse(self.function_code, found.options.door_exception)
            return answer(self, found.doors(), ReadDiscreteInputsResponse)

    class WriteCoil(ModbusPDU):
        """Function 5 with its value as it came: pymodbus's own class knows on and off only."""

        function_code = 5
        rtu_frame_size = 8
        value = 0

        def decode(self, data):
            self.address, self.value = struct.unpack(">HH", data[:4])

        def encode(self):
            return struct.pack(">HH", self.address, self.value)

        async def datastore_update(self, context, device_id):
            refusal = board(self).write(self.address, self.value)
            if refusal:
                return ExceptionResponse(self.function_code, refusal)
            reply = type(self)(
                dev_id=self.dev_id, transaction_id=self.transaction_id, address=self.address)
            reply.value = self.value
            return reply

    class WriteRegister(WriteCoil):
        function_code = 6

    class ReadRegisters(ReadHoldingRegistersRequest):
        async def datastore_update(self, context, device_id):
            found = board(self)
            if not registers:
                return ExceptionResponse(self.function_code, ILLEGAL_FUNCTION)
            chosen = found.coils[self.address:self.address + self.count]
            if self.count == 0 or len(chosen) != self.count:
                return ExceptionResponse(self.function_code, ILLEGAL_ADDRESS)
            return ReadHoldingRegistersResponse(
                dev_id=self.dev_id, transaction_id=self.transaction_id,
                registers=[value_of(is_on, found.options) for is_on in chosen])

    if registers:
        return [ReadRegisters, ReadDoors, WriteRegister]
    return [ReadCoils, ReadDoors, WriteCoil, ReadRegisters]


def parse(words):
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--tcp", type=int, metavar="PORT", help="listen there; 0 is any free port")
    where.add_argument("--rtu", metavar="DEVICE", help="serve a serial line")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--unit", type=int, action="append", help="default 1; may be repeated")
    parser.add_argument("--lockers", type=int, default=8)
    parser.add_argument("--close-after", type=float, default=2.0, help="seconds; 0 is never")
    parser.add_argument("--flash-base", type=lambda word: int(word, 0), default=0x0200)
    parser.add_argument("--registers", action="store_true",
                        help="coils behind holding registers, functions 3 and 6")
    faults = parser.add_argument_group("faults (coils count from 0)")
    faults.add_argument("--silent-after", type=int, metavar="N",
                        help="answer N requests of each unit, then none")
    faults.add_argument("--exception", action="append", default=[], metavar="COIL[:CODE]",
                        help="refuse to energise the coil; default code 2")
    faults.add_argument("--door-exception", type=int, metavar="CODE",
                        help="refuse to read the doors")
    faults.add_argument("--jam", type=int, action="append", default=[], metavar="COIL",
                        help="the door stays closed")
    faults.add_argument("--stuck", type=int, action="append", default=[], metavar="COIL",
                        help="refuse to switch the coil off")
    faults.add_argument("--reply-lost", type=int, action="append", default=[], metavar="COIL",
                        help="energise the coil and answer nothing")
    faults.add_argument("--ignore-flash", action="store_true",
                        help="answer pulse orders and do nothing")
    faults.add_argument("--with-parent", action="store_true",
                        help="end when the process that started this one is gone")
    options = parser.parse_args(words)
    if options.tcp is not None and not 0 <= options.tcp <= 65535:
        parser.error("--tcp wants 0-65535")
    options.unit = options.unit or [1]
    pairs = [word.partition(":") for word in options.exception]
    options.exceptions = {int(coil): int(code or ILLEGAL_ADDRESS) for coil, _, code in pairs}
    return options


async def watch_parent(parent, end):
    while os.getppid() == parent:
        await asyncio.sleep(0.5)
    end.set()


async def serve(options):
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, lambda: say(event="mark"))
    boards = {unit: Board(unit, options) for unit in options.unit}
    # The store behind it is never asked; a server wants to be given one.
    unused = SimDevice(
        id=options.unit[0], simdata=SimData(address=0, values=0, datatype=DataType.REGISTERS))
    # Units that are not there stay silent, as on a real line.
    common = {"custom_pdu": requests(boards, options.registers), "ignore_missing_devices": True}
    if options.rtu:
        server = ModbusSerialServer(
            unused, framer=FramerType.RTU, port=options.rtu, baudrate=options.baud, **common)
    else:
        server = ModbusTcpServer(unused, address=(options.host, options.tcp), **common)
    try:
        await server.serve_forever(background=True)
    except RuntimeError:
        where = options.rtu or f"port {options.tcp} of {options.host}"
        sys.exit(f"board: cannot serve {where}: taken, missing or not permitted")
    where = options.rtu or server.transport.sockets[0].getsockname()[1]
    print(f"listening {where}", flush=True)
    watcher = asyncio.create_task(watch_parent(os.getppid(), end)) if options.with_parent else None
    await end.wait()
    if watcher:
        watcher.cancel()
    await server.shutdown()


def main():
    options = parse(sys.argv[1:])
    # Requests for missing units and closed connections are everyday business here.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
