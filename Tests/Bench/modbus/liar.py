#!/usr/bin/env python3
"""A Modbus peer that misbehaves on purpose. Plain Python: no Modbus library would send such frames.

It answers like an 8-locker board, except for the requests with function --function (default 5), of which the first
--times (default: all) meet the --mode:

    silent           takes the request and never answers
    late             answers after --delay seconds, on whatever the connection is then used for
    wrong-tid        answers with another transaction number
    wrong-protocol   answers with another protocol number
    wrong-unit       answers for another unit
    wrong-address    repeats another address
    wrong-value      repeats another value
    wrong-function   answers another function
    half             sends half of the answer and falls silent
    trickle          sends the answer byte by byte, half a second apart
    double           sends the answer twice
    reset            closes with a reset instead of answering
    close            closes in order instead of answering
    exception        answers --code
    random           sends --seed'ed random bytes
    gateway          (whatever the function) has a board as unit 5, and says exception 11 for every other
    deaf             (whatever the function) accepts and never reads

With --rtu it serves a serial line instead of TCP, where the modes that are about connections and headers mean nothing.
With --count the doors show, in binary, how often they were asked for: which question an answer belongs to.

Prints `listening PORT`, then a JSON line for each request: {"event":"request","at":…,"connection":1,"hex":"…"}.
SIGUSR1 makes it print {"event":"mark"}: everything before that has been printed.
Ends on SIGTERM, or with --with-parent when its parent is gone.
"""

import argparse
import json
import os
import random
import signal
import socket
import struct
import sys
import threading
import time
import tty

LOCKERS = 8
say_lock = threading.Lock()


def say(**what):
    with say_lock:
        print(json.dumps(what, separators=(",", ":")), flush=True)


class Peer:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.lock = threading.Lock()
        self.coils = [False] * LOCKERS
        self.doors = [False] * LOCKERS
        self.strikes = 0
        self.connections = 0
        self.questions = 0

    def strikes_now(self, function):
        with self.lock:
            if function != self.options.function:
                return False
            self.strikes += 1
            return self.options.times == 0 or self.strikes <= self.options.times

    def reply(self, pdu):
        """The honest answer."""
        function, address, value = struct.unpack(">BHH", pdu[:5])
        with self.lock:
            if function == 2 and self.options.count:
                self.questions += 1
                return bytes([2, 1, self.questions % 256])
            if function in (1, 2):
                bits = (self.coils if function == 1 else self.doors)[address:address + value]
                if len(bits) != value:
                    return bytes([function | 0x80, 2])
                packed = sum(bit << index for index, bit in enumerate(bits))
                size = (value + 7) // 8
                return bytes([function, size]) + packed.to_bytes(size, "little")
            if function == 5 and address < LOCKERS:
                self.coils[address] = value == 0xFF00
                if value == 0xFF00:
                    self.doors[address] = True
                return pdu[:5]
        return bytes([function | 0x80, 1])

    def serve(self, connection):
        with self.lock:
            self.connections += 1
            number = self.connections
        if self.options.mode == "deaf":
            time.sleep(3600)
        buffer = b""
        while True:
            try:
                more = connection.recv(4096)
            except OSError:
                return
            if not more:
                return
            buffer += more
            while len(buffer) >= 6 and len(buffer) >= 6 + (size := int.from_bytes(buffer[4:6])):
                frame, buffer = buffer[:6 + size], buffer[6 + size:]
                say(event="request", at=time.monotonic(), connection=number, hex=frame.hex(" "))
                if not self.answer(connection, frame):
                    return

    def answer(self, connection, frame):
        head, unit, pdu = frame[:4], frame[6], frame[7:]
        reply = self.reply(pdu)
        if self.options.mode == "gateway" and unit != 5:
            reply = bytes([pdu[0] | 0x80, 11])
        whole = self.wrap(head, unit, reply)
        try:
            if self.strikes_now(pdu[0]):
                return self.strike(connection, head, unit, reply, whole)
            connection.sendall(whole)
        except OSError:
            return False
        return True

    @staticmethod
    def wrap(head, unit, reply):
        return head + struct.pack(">HB", len(reply) + 1, unit) + reply

    def strike(self, connection, head, unit, reply, whole):
        mode = self.options.mode
        changed = bytearray(reply)
        if mode == "late":
            time.sleep(self.options.delay)
        elif mode == "wrong-tid":
            whole = self.wrap(b"\x12\x34" + head[2:], unit, reply)
        elif mode == "wrong-protocol":
            whole = self.wrap(head[:2] + b"\x00\x07", unit, reply)
        elif mode == "wrong-unit":
            whole = self.wrap(head, unit + 1, reply)
        elif mode == "wrong-address":
            changed[2] ^= 1
            whole = self.wrap(head, unit, bytes(changed))
        elif mode == "wrong-value":
            changed[3] ^= 0x0F
            whole = self.wrap(head, unit, bytes(changed))
        elif mode == "wrong-function":
            changed[0] = 6
            whole = self.wrap(head, unit, bytes(changed))
        elif mode == "half":
            whole = whole[:len(whole) // 2]
        elif mode == "double":
            whole += whole
        elif mode == "exception":
            whole = self.wrap(head, unit, bytes([reply[0] | 0x80, self.options.code]))
        elif mode == "random":
            whole = self.random.randbytes(self.random.randrange(1, 300))
        elif mode == "silent":
            whole = b""
        elif mode == "trickle":
            for byte in whole:
                connection.sendall(bytes([byte]))
                time.sleep(0.5)
            return True
        elif mode == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
            return False
        elif mode == "close":
            connection.close()
            return False
        connection.sendall(whole)
        return True


class SerialPeer(Peer):
    """The same on a line without connections. Every request it knows has eight bytes."""

    def serve(self, line):
        buffer = b""
        while True:
            buffer += line.recv(256)
            while len(buffer) >= 8:
                frame, buffer = buffer[:8], buffer[8:]
                say(event="request", at=time.monotonic(), connection=1, hex=frame.hex(" "))
                self.answer(line, bytes(6) + frame[:-2])

    @staticmethod
    def wrap(head, unit, reply):
        frame = bytes([unit]) + reply
        checksum = 0xFFFF
        for byte in frame:
            checksum ^= byte
            for _ in range(8):
                checksum = checksum >> 1 ^ (0xA001 if checksum & 1 else 0)
        return frame + struct.pack("<H", checksum)


class Line:
    """A terminal with the calls of a socket."""

    def __init__(self, device):
        self.file = os.open(device, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self.file)

    def recv(self, count):
        return os.read(self.file, count)

    def sendall(self, data):
        os.write(self.file, data)


def set_marks():
    while True:
        signal.sigwait({signal.SIGUSR1})
        say(event="mark")


def watch_parent(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--rtu", metavar="DEVICE")
    parser.add_argument("--count", action="store_true")
    parser.add_argument("--mode", default="honest")
    parser.add_argument("--function", type=int, default=5)
    parser.add_argument("--times", type=int, default=0)
    parser.add_argument("--delay", type=float, default=1.0)
    parser.add_argument("--code", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--with-parent", action="store_true")
    options = parser.parse_args()
    # Before any thread: they inherit it, and the signal waits for the one that asks for it.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    threading.Thread(target=set_marks, daemon=True).start()
    if options.with_parent:
        threading.Thread(target=watch_parent, args=(os.getppid(),), daemon=True).start()
    if options.rtu:
        line = Line(options.rtu)
        print(f"listening {options.rtu}", flush=True)
        SerialPeer(options).serve(line)
    peer = Peer(options)
    listener = socket.create_server((options.host, options.port))
    print(f"listening {listener.getsockname()[1]}", flush=True)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=peer.serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    sys.exit(main())
