#!/usr/bin/env python3
"""Pulls the cable between the Modbus module and a board, at the moment when the order to energise is about to leave.

Module and board get a network namespace each, joined by a pair of virtual interfaces; the machine's own network is not
touched. Needs iproute2, util-linux, and the right to make namespaces.

What happens: the module opens locker 3. Once the doors have been read the cable is pulled, so the order to energise reaches
nobody. With --kill the module is killed while it waits for the answer. --away seconds later the cable is back; for
--watch seconds more everything that reaches the board is collected.

Prints {"event":"order","hex":"01 05 …"} for each order that reached the board, {"event":"open","error":…} for how the open
ended, and `done` at the end. `--probe` only tries whether the two namespaces can be had.
"""

import argparse
import json
import os
import queue
import subprocess
import sys
import threading
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
NEAR, FAR, PORT = "10.77.0.1", "10.77.0.2", 15020
READS_DOORS = "01 02"
ORDERS = "01 05"

LINK = {"transport": "tcp", "host": FAR, "port": PORT, "spacing_ms": 500, "response_ms": 1000}
BOARD = {
    "coils": {"pulse": "host", "off_is_safe": True},
    "doors": {"read": "discrete-inputs"},
}


def say(**what):
    print(json.dumps(what, separators=(",", ":")), flush=True)


class Lines:
    """The lines of a child, as they come."""

    def __init__(self, stream):
        self.queue = queue.Queue()
        threading.Thread(target=self.read, args=(stream,), daemon=True).start()

    def read(self, stream):
        for line in stream:
            self.queue.put(line.strip())

    def next(self, limit=20.0):
        return self.queue.get(timeout=limit)


class Bench:
    def __init__(self, module):
        self.children = []
        self.reads = 0
        self.is_cut = threading.Event()
        self.board = self.start(
            ["unshare", "--net", sys.executable, "-u", f"{FOLDER}/liar.py", "--with-parent", "--host", "0.0.0.0",
             "--port", str(PORT)])
        lines = Lines(self.board.stdout)
        lines.next()  # Its namespace exists once it listens.
        self.join()
        threading.Thread(target=self.follow, args=(lines,), daemon=True).start()
        self.module = self.start([module]) if module else None
        self.answers = Lines(self.module.stdout) if module else None
        self.id = 0

    def start(self, command):
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.children.append(child)
        return child

    def join(self):
        ip("link", "set", "lo", "up")
        ip("link", "add", "near", "type", "veth", "peer", "name", "far", "netns", str(self.board.pid))
        ip("addr", "add", f"{NEAR}/24", "dev", "near")
        ip("link", "set", "near", "up")
        self.far("addr", "add", f"{FAR}/24", "dev", "far")
        self.plug("up")
        # As if the cable were that behind a switch: a machine that has lost its own holds packets back for a while to ask who
        # has the address, and nobody can take those back.
        (link,) = json.loads(self.far("-j", "link", "show", "far"))
        ip("neigh", "replace", FAR, "lladdr", link["address"], "dev", "near", "nud", "permanent")

    def far(self, *words):
        return run("nsenter", f"--net=/proc/{self.board.pid}/ns/net", "ip", *words)

    def plug(self, state):
        self.far("link", "set", "far", state)

    def follow(self, lines):
        while True:
            event = json.loads(lines.next(None))
            request = event.get("hex", "")[18:]
            if request.startswith(ORDERS):
                say(event="order", hex=request)
            if request.startswith(READS_DOORS):
                self.reads += 1
                # The first look is not that of the open.
                if self.reads == 2:
                    # The board says what it was asked before it has answered; the order leaves half a second later.
                    time.sleep(0.1)
                    self.plug("down")
                    self.is_cut.set()

    def send(self, method, **params):
        self.id += 1
        self.module.stdin.write(
            json.dumps({"jsonrpc": "2.0", "id": self.id, "method": method, "params": params}) + "\n")
        return self.id

    def call(self, method, **params):
        number = self.send(method, **params)
        while True:
            answer = json.loads(self.answers.next())
            if answer.get("id") == number:
                return answer

    def begin(self):
        self.call("hello", protocol={"major": 1, "minor": 0}, daemon="cable", version="0", kind="driver", name="bench")
        lockers = [{"number": number} for number in range(1, 9)]
        wall = {"id": "wall", "options": {"unit": 1}, "board": BOARD, "lockers": lockers}
        self.call("configure", link={"name": "bench", "options": LINK}, controllers=[wall])
        self.call("start", controller="wall")
        if "result" not in self.call("doors", controller="wall"):
            sys.exit("cable: the board cannot be read")

    def end(self):
        for child in reversed(self.children):
            child.kill()
            child.wait()


def run(*command):
    return subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True).stdout


def ip(*words):
    run("ip", *words)


def play(bench, options):
    bench.begin()
    # The doors are read, then half a second passes, then the order leaves.
    number = bench.send("open", controller="wall", locker=3, pulseMs=1000)
    if not bench.is_cut.wait(10):
        sys.exit("cable: the doors were not read")
    back = time.monotonic() + options.away
    if options.kill:
        time.sleep(0.8)
        bench.module.kill()
    time.sleep(max(0, back - time.monotonic()))
    bench.plug("up")
    end = time.monotonic() + options.watch
    if not options.kill:
        while json.loads(line := bench.answers.next()).get("id") != number:
            pass
        say(event="open", error=json.loads(line).get("error", {}).get("data"))
    while time.monotonic() < end:
        if not options.kill:
            bench.call("doors", controller="wall")
        time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--module", help="the executable of the Modbus module")
    parser.add_argument("--kill", action="store_true")
    parser.add_argument("--away", type=float, default=2.5)
    parser.add_argument("--watch", type=float, default=3.0)
    parser.add_argument("--probe", action="store_true")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not options.inside:
        os.execvp("unshare", [
            "unshare", "--map-root-user", "--net", sys.executable, "-u", os.path.abspath(__file__), *sys.argv[1:],
            "--inside"])
    bench = None
    try:
        bench = Bench(None if options.probe else options.module)
        if not options.probe:
            play(bench, options)
    finally:
        if bench:
            bench.end()
    print("done", flush=True)


if __name__ == "__main__":
    main()
