"""Four families of locker boards with a serial protocol of their own.

A family cuts what comes on the line into frames, reads a frame as a Request, carries it out, and makes the reply: a function of
the board and the lock that the reply is to name, because a fault may want others in it.
"""

import math
import time
from dataclasses import dataclass
from functools import reduce
from operator import xor

FEEDBACK, NO_FEEDBACK = 0x11, 0x00


@dataclass
class Request:
    frame: bytes
    kind: str = "other"
    board: int | None = None
    lock: int | None = None
    is_order: bool = False
    violation: str | None = None
    command: int | None = None
    # Whatever else the family has read out of the frame.
    detail: object = None


def xor_of(data):
    return reduce(xor, data, 0)


def with_xor(*data):
    return bytes([*data, xor_of(data)])


class Family:
    boards = range(1, 256)
    default_boards = "1"
    most_lockers = 255
    # Whether silence ends a frame, rather than its own length.
    by_silence = False
    is_serial = True
    heads = b""

    def __init__(self, options, banks):
        self.options = options
        self.banks = banks

    def lock(self, request):
        return self.banks[request.board].lock(request.lock)

    def other_board(self, board):
        return board + 1 if board + 1 in self.boards else self.boards[0]

    def junk(self, buffer):
        """How many bytes stand before the first that could begin a frame."""
        return next((index for index, byte in enumerate(buffer) if byte in self.heads), len(buffer))

    def cut(self, buffer):
        """The number of bytes before a frame, and the length of the frame; 0 while it is not whole."""
        junk = self.junk(buffer)
        return junk, 0 if junk else self.length(buffer)

    def refuse(self, request, code):
        """The reply of a board that will not; None where the protocol has no such reply."""
        return None

    def spoil(self, reply):
        """The reply with a wrong check."""
        return reply[:-1] + bytes([reply[-1] ^ 0x5A])

    def push(self, lock):
        return None


class KrCu16(Family):
    boards = range(16)
    default_boards = "0"
    most_lockers = 16
    heads = b"\x02"

    STATUS, UNLOCK, STATUS_OF_ALL, UNLOCK_ALL, REPLY = 0x30, 0x31, 0x32, 0x33, 0x35

    def cut(self, buffer):
        junk = self.junk(buffer)
        if not junk and len(buffer) >= 5 and buffer[3] != 0x03:
            junk = 1
        return junk, 5 if not junk and len(buffer) >= 5 else 0

    def parse(self, frame):
        request = Request(frame)
        if len(frame) != 5 or frame[3] != 0x03 or sum(frame[:4]) & 0xFF != frame[4]:
            return request
        request.board, request.command, request.detail = frame[1] >> 4, frame[2], frame[1] & 0x0F
        if request.command in (self.STATUS, self.STATUS_OF_ALL):
            request.kind = "status"
        elif request.command == self.UNLOCK:
            request.kind, request.lock, request.is_order = "open", (frame[1] & 0x0F) + 1, True
        elif request.command == self.UNLOCK_ALL:
            request.kind, request.is_order, request.violation = "open", True, "an order that opens all locks (0x33)"
        return request

    def carry_out(self, request, does, jams):
        bank = self.banks[request.board]
        if request.kind == "other":
            return None
        if request.command == self.UNLOCK and self.lock(request) is None:
            return None
        if request.is_order and does:
            for lock in bank.locks if request.lock is None else [self.lock(request)]:
                lock.fire(self.options.pulse_ms, jams)
        if request.command == self.UNLOCK_ALL:
            return None
        bits = sum(1 << lock.number - 1 for lock in bank.locks if not lock.is_open())

        def reply(board, lock):
            low = request.detail if lock is None else lock - 1 & 0x0F
            body = bytes([0x02, board << 4 | low, self.REPLY, bits & 0xFF, bits >> 8, 0, 0, 0x03])
            return body + bytes([sum(body) & 0xFF])

        return reply


class A80(Family):
    """The 8A/80 family. `8A` opens, `80` asks, `82` comes unasked; `9A` holds and `90` opens several."""

    boards = range(1, 32)
    heads = b"\x8a\x80\x9a\x90"
    OPEN, ASK, MOVED, HOLD, MANY = 0x8A, 0x80, 0x82, 0x9A, 0x90

    def length(self, buffer):
        # How long an order for several is depends on the board: silence ends it.
        return 5 if buffer[0] != self.MANY and len(buffer) >= 5 else 0

    def parse(self, frame):
        request = Request(frame)
        if len(frame) > 3 and frame[0] == self.MANY:
            # Right or wrong in its check: nobody should try.
            request.kind, request.board, request.is_order = "open", frame[1], True
            request.violation = "an order that opens many locks (0x90)"
            return request
        if len(frame) != 5 or frame[0] not in (self.OPEN, self.ASK, self.HOLD) or xor_of(frame[:-1]) != frame[-1]:
            return request
        request.command, request.board, channel, what = frame[:4]
        request.lock = channel or None
        if request.command == self.ASK:
            request.kind = "status" if what == 0x33 else "other"
        elif what == 0x11:
            request.kind, request.is_order = "open", True
            if request.command == self.HOLD:
                request.violation = "an order that keeps a coil on without end (0x9A)"
            elif not channel:
                request.violation = "an order that opens all locks (0x8A, channel 0)"
        elif request.command == self.HOLD:
            request.is_order = True
        return request

    def carry_out(self, request, does, jams):
        if request.command is None or request.kind == "other" and not request.is_order:
            return None
        bank = self.banks[request.board]
        locks = bank.locks if request.lock is None else [self.lock(request)]
        if None in locks:
            return None
        if request.is_order and does:
            for lock in locks:
                if request.kind == "open":
                    lock.fire(None if request.command == self.HOLD else self.options.pulse_ms, jams)
                else:
                    lock.release()
        if request.lock is None and request.command == self.ASK:
            states = self.states(bank)
            return lambda board, lock: with_xor(self.ASK, board, *states, 0x33)
        # An order for all channels has no channel to tell of: it is repeated as it came.
        state = FEEDBACK if request.lock is None else self.state(locks[0])
        return lambda board, lock: with_xor(request.command, board, lock or 0, state)

    def is_active(self, lock):
        return lock.is_open() == (self.options.active_is == "open")

    def state(self, lock):
        return FEEDBACK if self.is_active(lock) else NO_FEEDBACK

    def states(self, bank):
        size = max(3, math.ceil(len(bank.locks) / 8))
        bits = sum(1 << lock.number - 1 for lock in bank.locks if self.is_active(lock))
        return bits.to_bytes(size, "big" if self.options.state_order == "highest-first" else "little")

    def push(self, lock):
        return with_xor(self.MOVED, lock.board, lock.number, self.state(lock))


class Winnsen(Family):
    heads = b"\x90"
    UNLOCK, STATUS = 0x05, 0x12
    FAILED, DONE, COOLING = 0x00, 0x01, 0x02

    def cut(self, buffer):
        junk = self.junk(buffer)
        if not junk and len(buffer) >= 2 and buffer[1] != 6:
            junk = 1
        return junk, 6 if not junk and len(buffer) >= 6 else 0

    def parse(self, frame):
        request = Request(frame)
        if len(frame) != 6 or frame[:2] != b"\x90\x06" or frame[5] != 0x03:
            return request
        request.command, request.board, request.lock = frame[2:5]
        if request.command == self.UNLOCK:
            request.kind, request.is_order = "open", True
        elif request.command == self.STATUS:
            request.kind = "status"
        return request

    def carry_out(self, request, does, jams):
        lock = self.lock(request)
        if request.kind == "open":
            return self.unlocked(self.FAILED if lock is None else self.unlock(lock, does, jams))
        if request.kind == "status" and lock:
            state = int(lock.is_open())
            return lambda board, lock: bytes([0x90, 0x07, 0x80 | self.STATUS, board, state, lock, 0x03])
        return None

    def unlock(self, lock, does, jams):
        last = lock.last_fired
        if last is not None and time.monotonic() < last + self.options.cooldown_ms / 1000:
            return self.COOLING
        if does:
            lock.fire(self.options.pulse_ms, jams)
        return self.DONE

    def unlocked(self, state):
        return lambda board, lock: bytes([0x90, 0x07, 0x80 | self.UNLOCK, board, lock, state, 0x03])

    def refuse(self, request, code):
        return self.unlocked(self.FAILED) if request.kind == "open" else None


class Wkly(Family):
    boards = range(256)
    most_lockers = 240
    HEAD = b"WKLY"
    heads = HEAD[:1]
    OPEN, STATUS, STATUS_OF_ALL, MOVED = 0x82, 0x83, 0x84, 0x85
    OPEN_ALL, HOLD, LET_GO = 0x80, 0x88, 0x89
    OK, FAILED = 0x00, 0xFF
    VIOLATIONS = {
        0x80: "an order that opens all locks (0x80)",
        0x86: "an order that opens many locks (0x86)",
        0x87: "an order that opens many locks (0x87)",
        0x88: "an order that keeps a coil on without end (0x88)",
        0x89: "an order that ends a coil's being held (0x89)",
    }

    def cut(self, buffer):
        junk = self.junk(buffer)
        if not junk and (not self.HEAD.startswith(buffer[:4]) or len(buffer) > 4 and not 8 <= buffer[4] <= 64):
            junk = 1
        is_whole = not junk and len(buffer) > 4 and len(buffer) >= buffer[4]
        return junk, buffer[4] if is_whole else 0

    def parse(self, frame):
        request = Request(frame)
        if len(frame) < 8 or frame[:4] != self.HEAD or frame[4] != len(frame) or xor_of(frame[:-1]) != frame[-1]:
            return request
        request.board, request.command = frame[5:7]
        data = frame[7:-1]
        request.violation = self.VIOLATIONS.get(request.command)
        if request.command in (self.OPEN, self.STATUS, self.HOLD, self.LET_GO):
            if len(data) != 1:
                request.command = None
                return request
            request.lock = data[0]
        if request.command in (self.STATUS, self.STATUS_OF_ALL):
            request.kind = "status"
        elif request.command == self.OPEN or request.violation:
            request.is_order = True
            request.kind = "other" if request.command == self.LET_GO else "open"
        return request

    def carry_out(self, request, does, jams):
        bank, lock = self.banks[request.board], self.lock(request)
        if request.command == self.STATUS_OF_ALL:
            return self.reply(request, self.OK, doors=[self.door(one) for one in bank.locks])
        if request.command == self.OPEN_ALL:
            for one in bank.locks if does else ():
                one.fire(self.options.pulse_ms, jams)
            return None
        if request.command not in (self.OPEN, self.STATUS, self.HOLD, self.LET_GO):
            return None
        if lock is None:
            return self.refuse(request, None)
        if does and request.command == self.LET_GO:
            lock.release()
        elif does and request.is_order:
            lock.fire(None if request.command == self.HOLD else self.options.pulse_ms, jams)
        if request.command == self.OPEN and self.options.no_open_reply:
            return None
        return self.reply(request, self.OK, self.door(lock))

    @staticmethod
    def door(lock):
        return 0x00 if lock.is_open() else 0x01

    def frame(self, board, command, *data):
        return with_xor(*self.HEAD, 8 + len(data), board, command, *data)

    def reply(self, request, status, door=0x01, doors=None):
        if doors is not None:
            return lambda board, lock: self.frame(board, request.command, status, len(doors), *doors)
        return lambda board, lock: self.frame(board, request.command, status, lock, door)

    def refuse(self, request, code):
        if request.command in (self.OPEN, self.STATUS):
            return self.reply(request, self.FAILED)
        return self.reply(request, self.FAILED, doors=[]) if request.command == self.STATUS_OF_ALL else None

    def push(self, lock):
        return self.frame(lock.board, self.MOVED, lock.number, self.door(lock))


FAMILIES = {"kr-cu16": KrCu16, "8a80": A80, "winnsen": Winnsen, "wkly": Wkly}
