#!/usr/bin/env python3
"""A line with locker boards on it: what they answer, when, and what they do wrong when told to.

    wireboard.py (--device PATH | --pty LINK | --tcp PORT) --family FAMILY [--boards 1,2] [--lockers N] [--fault SPEC]...

Independent of lockerd on purpose: it shares no code with the drivers it is there to judge. README.md has all options.

Prints `listening WHERE`, then a JSON line for each thing that happens; `at` is the monotonic clock in seconds:

    {"event":"request","at":…,"hex":"02 00 30 03 35","kind":"open|status|other","board":1,"lock":3}   its first byte has come
    {"event":"reply","at":…,"hex":"…","fault":null}      its last byte has gone
    {"event":"push","at":…,"hex":"…"}                    the same of what comes unasked
    {"event":"fired","at":…,"board":1,"lock":3,"ms":500} a coil is on; ms is null where an order has to end it
    {"event":"fell","at":…,"board":1,"lock":3}           and off again
    {"event":"violation","at":…,"what":"…"}              something that nobody should do to such a board
    {"event":"unplugged","at":…} {"event":"plugged","at":…}

SIGUSR1 makes it print {"event":"mark"}: everything before that has been printed.
Ends on SIGTERM and SIGINT, or with --with-parent when its parent is gone.
"""

import argparse
import os
import random
import sys
import time

from families import FAMILIES
from faults import Fault, Faults
from lockers import Bank
from loop import Loop, say
from modbus import PLAIN_BOARD, ModbusRtu, ModbusTcp, load_profile
from ports import Device, Pty, Tcp

# Start, eight data bits, and two more for parity and stop: what Modbus counts for a character.
BITS = 11
# A frame ends after 3.5 characters of silence, but a scheduler may well hold the rest of one back for so long.
LEAST_SILENCE_S = 0.005
# The rest of a frame with a length of its own is waited for so long.
PATIENCE_S = 0.05
BURST_S = 0.002


class Sending:
    """A reply on its way."""

    def __init__(self, data, fault=None, is_reply=True, generation=None):
        self.data = data
        self.fault = fault
        self.is_reply = is_reply
        self.generation = generation
        self.sent = 0
        # When its first byte leaves.
        self.start = None


class Line:
    """Keeps the time of a serial line, which neither a pty nor a socket does."""

    def __init__(self, options, loop, port):
        self.options = options
        self.loop = loop
        self.port = port
        self.banks = {number: Bank(number, options, loop, self.moved) for number in options.boards}
        self.family = options.family_class(options, self.banks)
        self.faults = Faults(options.fault, self.banks)
        self.random = random.Random(options.seed)
        self.is_paced = self.family.is_serial and not options.no_pace
        self.character = BITS / options.baud if self.is_paced else 0.0
        self.silence = (3.5 * BITS / options.baud if options.baud <= 19200 else 0.00175) if self.is_paced else 0.0
        self.buffer = bytearray()
        self.began = self.heard = 0.0
        # The end of the last reply: what comes sooner than a silence after it has come too soon.
        self.quiet_since = self.wrote = -1.0
        self.patience = None
        self.sending = None
        self.waiting = []
        port.received = self.received
        port.changed = self.changed

    # Requests

    def received(self, data):
        now = time.monotonic()
        if self.is_paced and self.sending and self.sending.is_reply:
            end = self.sending.start + len(self.sending.data) * self.character
            if now < end:
                # A board that sends does not listen.
                self.violation(f"collision: {data.hex(' ')} came while a reply was being sent")
                return
            # Whoever held this program up is at fault: by now the rest would have been heard, and the line left alone after it.
            self.sending.sent = len(self.sending.data)
            self.send_more(self.sending.start)
        if not self.buffer:
            self.began = now
            if self.is_paced and now < self.quiet_since + self.silence:
                self.violation(f"a request {(now - self.quiet_since) * 1000:.2f} ms after a reply, "
                               f"sooner than {self.silence * 1000:.2f} ms")
        self.buffer += data
        self.heard = max(now, self.heard) + len(data) * self.character
        if self.patience:
            self.patience.cancel()
            self.patience = None
        if self.family.by_silence:
            if self.options.no_pace and self.family.is_whole(self.buffer):
                self.take(len(self.buffer))
            else:
                end = max(now + LEAST_SILENCE_S, self.heard + self.silence)
                self.patience = self.loop.at(end, lambda: self.take(len(self.buffer)))
            return
        self.cut()
        if self.buffer:
            self.patience = self.loop.at(max(now, self.heard) + PATIENCE_S, lambda: self.take(len(self.buffer)))

    def cut(self):
        while self.buffer:
            junk, length = self.family.cut(self.buffer)
            if not junk and not length:
                return
            self.take(junk or length)

    def take(self, length):
        """Frames with a length of their own are cut early, and count once their last byte would have come."""
        frame = bytes(self.buffer[:length])
        del self.buffer[:length]
        began, arrived = self.began, self.heard - len(self.buffer) * self.character
        self.began = arrived
        generation = self.port.generation
        if arrived <= time.monotonic():
            self.handle(frame, began, arrived, generation)
        else:
            self.loop.at(arrived, lambda: self.handle(frame, began, arrived, generation))

    def handle(self, frame, began, arrived, generation):
        if self.port.is_unplugged:
            return
        request = self.family.parse(frame)
        say(event="request", at=began, hex=frame.hex(" "), kind=request.kind, board=request.board, lock=request.lock)
        if request.violation:
            self.violation(request.violation)
        is_present = request.board in self.banks
        struck = self.faults.strike(request, is_present)
        if "local-echo" in struck:
            self.port.write(frame)
        if not is_present:
            return
        if "unplug" in struck:
            say(event="unplugged", at=time.monotonic())
            self.port.unplug(struck["unplug"], lambda: say(event="plugged", at=time.monotonic()))
            return
        reply = self.reply_to(request, struck)
        if reply is None:
            return
        start = time.monotonic()
        if self.is_paced:
            silence = self.silence if self.family.by_silence else 0.0
            start = max(start, arrived + silence + self.options.turnaround_ms / 1000)
        start += struck.get("late", 0.0) / 1000
        sending = Sending(reply, "+".join(struck) or None, True, None if self.family.is_serial else generation)
        self.loop.at(start, lambda: self.send(sending))

    # Replies

    def reply_to(self, request, struck):
        """Does what is asked, as far as the faults let it. The bytes to send, or None."""
        if "silence" in struck:
            return None
        if "refuse" in struck:
            make = self.family.refuse(request, struck["refuse"])
        else:
            make = self.family.carry_out(request, "ignored" not in struck, "jam" in struck)
        if make is None or "reply-lost" in struck:
            return None
        board, lock = request.board, request.lock
        if "other-address" in struck:
            board = self.family.other_board(board)
        if "other-lock" in struck and lock is not None:
            lock = lock % max(self.options.lockers, 2) + 1
        reply = make(board, lock)
        if "bad-check" in struck:
            reply = self.family.spoil(reply)
        if "duplicate" in struck:
            reply = self.garbled(reply, make(self.family.other_board(board), lock))
        if "garbage" in struck:
            reply = self.random.randbytes(self.random.randrange(1, 2 * len(reply)))
        if "half" in struck:
            reply = reply[:len(reply) // 2]
        return struck.get("noise", b"") + reply

    @staticmethod
    def garbled(one, other):
        """Two drivers on one pair of wires, a byte apart: the one that pulls low wins."""
        both = bytes(mine & theirs for mine, theirs in zip(one + b"\xff", b"\xff" + other))
        # Zeros or ones alone may leave a reply as it was, and that would be no garbling.
        return both if one not in both else bytes(mine ^ theirs for mine, theirs in zip(one + b"\0", b"\0" + other))

    def moved(self, lock):
        frame = self.family.push(lock) if self.options.push else None
        if frame is None:
            return
        # Not before the reply to what moved the door.
        delay = self.options.turnaround_ms / 1000 if self.is_paced else 0.0
        sending = Sending(frame, is_reply=False)
        self.loop.at(max(time.monotonic(), self.heard) + delay,
                     lambda: self.loop.after(0, lambda: self.send(sending)))

    def send(self, sending):
        if self.port.is_unplugged or sending.generation not in (None, self.port.generation):
            return
        if self.sending:
            self.waiting.append(sending)
        elif not self.is_paced:
            self.wrote = time.monotonic()
            self.port.write(sending.data)
            self.sent(sending)
        else:
            self.sending = sending
            self.send_more(time.monotonic())

    def send_more(self, start):
        """No byte before its time: each burst goes when its last byte would have arrived."""
        sending = self.sending
        sending.start = start
        rest = sending.data[sending.sent:]
        if not rest:
            self.sending = None
            self.sent(sending)
            if self.waiting:
                self.send(self.waiting.pop(0))
            return
        burst = rest[:max(1, int(BURST_S / self.character))]

        def write():
            if self.sending is not sending:
                return
            # Before it is written: whoever reads it may be quicker than the rest of this program.
            self.wrote = time.monotonic()
            self.port.write(burst)
            sending.sent += len(burst)
            self.send_more(start)

        self.loop.at(start + (sending.sent + len(burst)) * self.character, write)

    def sent(self, sending):
        now = time.monotonic()
        if sending.is_reply:
            self.quiet_since = self.wrote
            say(event="reply", at=now, hex=sending.data.hex(" "), fault=sending.fault)
        else:
            say(event="push", at=now, hex=sending.data.hex(" "))

    def changed(self):
        """Another client, or none: what the one before it left unfinished is nobody's."""
        self.buffer.clear()
        self.heard = 0.0
        if self.port.is_unplugged:
            self.sending = None
            self.waiting.clear()
        if self.patience:
            self.patience.cancel()
            self.patience = None

    @staticmethod
    def violation(what):
        say(event="violation", at=time.monotonic(), what=what)


def numbers(word):
    return [int(part, 0) for part in word.split(",")]


def make_parser():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--device", metavar="PATH", help="serve an existing terminal")
    where.add_argument("--pty", metavar="LINK", help="make a pty pair and link its far end here")
    where.add_argument("--tcp", metavar="PORT", type=int, help="listen on 127.0.0.1; 0 is any port")
    parser.add_argument("--rtu-over-tcp", action="store_true", help="modbus with --tcp: RTU frames")
    parser.add_argument("--with-parent", action="store_true", help="end when the parent process is gone")
    parser.add_argument("--family", required=True, choices=[*FAMILIES, "modbus"])
    parser.add_argument("--profile", metavar="NAME", help="modbus: a file in Plugins/Modbus/boards, or a path to one")
    parser.add_argument("--boards", type=numbers, metavar="N,N", help="default 1, and 0 for kr-cu16")
    parser.add_argument("--lockers", type=int, metavar="N", help="of each board; default 16, or the profile's")
    parser.add_argument("--pulse-ms", type=int, default=500, metavar="MS")
    parser.add_argument("--close-after", type=float, default=2.0, metavar="S", help="0 is never")
    parser.add_argument("--open-delay-ms", type=float, default=0.0, metavar="MS")
    parser.add_argument("--baud", type=int, default=9600)
    parser.add_argument("--no-pace", action="store_true", help="answer at once")
    parser.add_argument("--turnaround-ms", type=float, default=3.0, metavar="MS")
    parser.add_argument("--state-order", choices=["highest-first", "lowest-first"], default="highest-first",
                        help="8a80: of the bytes of all states")
    parser.add_argument("--active-is", choices=["closed", "open"], default="closed",
                        help="8a80: what 0x11 and bit 1 mean")
    parser.add_argument("--push", action="store_true", help="8a80, wkly: tell unasked when a door moves")
    parser.add_argument("--cooldown-ms", type=float, default=0.0, metavar="MS", help="winnsen")
    parser.add_argument("--no-open-reply", action="store_true", help="wkly: 0x82 is never answered")
    parser.add_argument("--fault", type=Fault, action="append", default=[], metavar="SPEC",
                        help="KIND[=ARG][,on=open|status|other|any][,board=N][,lock=N][,first=N][,count=N]")
    parser.add_argument("--seed", type=int, default=1, help="of the garbage")
    return parser


def parse(words):
    parser = make_parser()
    options = parser.parse_args(words)
    is_modbus = options.family == "modbus"
    if not is_modbus and (options.profile or options.rtu_over_tcp):
        parser.error("--profile and --rtu-over-tcp are for modbus")
    if options.baud < 50:
        parser.error("--baud wants 50 or more")
    if is_modbus:
        is_tcp = options.tcp is not None and not options.rtu_over_tcp
        options.family_class = ModbusTcp if is_tcp else ModbusRtu
        try:
            options.board_profile = load_profile(options.profile) if options.profile else PLAIN_BOARD
        except (OSError, ValueError) as problem:
            parser.error(f"--profile: {problem}")
    else:
        options.family_class = FAMILIES[options.family]
        options.board_profile = {}
    family = options.family_class
    options.lockers = options.lockers or options.board_profile.get("lockers", 16)
    options.boards = options.boards or numbers(family.default_boards)
    if not all(number in family.boards for number in options.boards):
        parser.error(f"--boards of {options.family} are {family.boards[0]}-{family.boards[-1]}")
    if not 1 <= options.lockers <= family.most_lockers:
        parser.error(f"--lockers of {options.family} are 1-{family.most_lockers}")
    return options


def main():
    options = parse(sys.argv[1:])
    parent = os.getppid()
    loop = Loop()
    try:
        if options.device:
            port = Device(loop, options.device, options.baud)
        else:
            port = Pty(loop, options.pty) if options.pty else Tcp(loop, options.tcp)
    except (OSError, OverflowError) as problem:
        sys.exit(f"wireboard: cannot serve: {problem}")
    Line(options, loop, port)
    print(f"listening {port.where}", flush=True)
    if options.with_parent:
        loop.end_with_parent(parent)
    try:
        loop.run()
    except BrokenPipeError:
        # Whoever read the events has gone. Nothing may be printed any more, not even at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        port.close()


if __name__ == "__main__":
    main()
