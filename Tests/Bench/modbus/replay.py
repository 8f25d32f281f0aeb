#!/usr/bin/env python3
"""Answers a driver with the bytes of vectors.json, and with nothing else.

    replay.py --board NAME (--rtu DEVICE | --tcp PORT) [--fault]

Knows no Modbus: a request that stands in the board's vector gets the reply that stands beside it, every other one gets none.
Over TCP the first two bytes of a frame, its number, are those of the request. With --fault the order to open gets the vector's
refusal. Prints `listening WHERE`, then a JSON line for each request: {"event":"request","name":"open","hex":"01 05 …"}, where
`name` is null for one that is not in the vector. SIGUSR1 makes it print {"event":"mark"}.
"""

import argparse
import json
import os
import select
import signal
import socket
import sys
import threading
import time
import tty
from pathlib import Path

VECTORS = Path(__file__).with_name("vectors.json")
# Longer than the silence that ends a frame at any rate in use, shorter than any answer is waited for.
SILENCE_S = 0.03


PRINTING = threading.Lock()


def say(**what):
    with PRINTING:
        print(json.dumps(what, separators=(",", ":")), flush=True)


def mark():
    """Waits for the signal instead of being interrupted by it: a handler runs only once the main thread wakes, and it may be another
    thread that is woken."""
    while True:
        signal.sigwait({signal.SIGUSR1})
        say(event="mark")


class Script:
    def __init__(self, vector, is_fault):
        self.number_bytes = 2 if vector["transport"] == "tcp" else 0
        self.replies = {}
        for name in ("survey", "status", "open", "release"):
            if vector[name]:
                request = bytes.fromhex(vector[name]["request"])
                reply = vector["fault"]["reply"] if is_fault and name == "open" else vector[name]["reply"]
                self.replies[request[self.number_bytes:]] = (name, bytes.fromhex(reply))

    def answer(self, frame):
        count = self.number_bytes
        name, reply = self.replies.get(frame[count:], (None, b""))
        say(event="request", at=time.monotonic(), name=name, hex=frame.hex(" "))
        return frame[:count] + reply[count:] if reply else b""


def serve(handle, script):
    """Until the other end hangs up."""
    frame = b""
    while True:
        ready, _, _ = select.select([handle], [], [], SILENCE_S if frame else None)
        if ready:
            try:
                piece = os.read(handle, 512)
            except OSError:
                return
            if not piece:
                return
            frame += piece
            continue
        os.write(handle, script.answer(frame))
        frame = b""


def watch_parent(parent):
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--rtu", metavar="DEVICE")
    where.add_argument("--tcp", metavar="PORT", type=int)
    parser.add_argument("--board", required=True)
    parser.add_argument("--fault", action="store_true")
    parser.add_argument("--with-parent", action="store_true")
    options = parser.parse_args()
    vector = next((one for one in json.loads(VECTORS.read_text()) if one["board"] == options.board), None)
    if vector is None:
        sys.exit(f"replay: no vector for {options.board}")
    script = Script(vector, options.fault)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    threading.Thread(target=mark, daemon=True).start()
    if options.with_parent:
        threading.Thread(target=watch_parent, args=(os.getppid(),), daemon=True).start()
    if options.rtu:
        handle = os.open(options.rtu, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(handle)
        print(f"listening {options.rtu}", flush=True)
        serve(handle, script)
        return
    with socket.create_server(("127.0.0.1", options.tcp)) as server:
        print(f"listening {server.getsockname()[1]}", flush=True)
        while True:
            connection, _ = server.accept()
            with connection:
                serve(connection.fileno(), script)


if __name__ == "__main__":
    main()
