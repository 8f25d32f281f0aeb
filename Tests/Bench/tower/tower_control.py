"""What programs that play towers have in common: which towers there are, a log of what went over the link, and a socket to steer them.

On the socket each line is a request, an object with `method`, and each is answered with one line: {"ok": true, ...} or
{"error": "..."}. `tower` names one by its id; without it the first is meant.

    {"method":"state"}                                     lockers, doors, keys, battery, clock, sessions; `links` outlive their clients
    {"method":"opened"}                                    every door that came open: at, locker, reason
    {"method":"set_fault","name":"wrongTag","times":2}     see tower_faults.py; also `after` and `value`
    {"method":"clear_faults"}
    {"method":"door","locker":3,"action":"close"}          open, close, force, wrong, jam, unjam
    {"method":"set","millivolts":4000,"temperature":-310,"is_disabled":true}
    {"method":"set_locker","locker":3,"available":false,"type":2,"token":"x"}
    {"method":"events"}                                    the log by names
    {"method":"clock","shift":1000}                        seconds from the machine's clock
    {"method":"drop"}                                      ends the connections
    {"method":"advertise","on":false}
    {"method":"stop"}
"""

import asyncio
import json
import os
import sys
import time

from link import EVENTS
from tower_core import Tower

SETTABLE = {"millivolts": int, "temperature": int, "is_disabled": bool}
SETTABLE_OF_LOCKER = {"available": bool, "type": int, "token": str}
NAMES_OF_EVENTS = {number: name for name, number in EVENTS.items()}


def add_arguments(parser):
    parser.add_argument("--tower", help="its id: sixteen hexadecimal digits")
    parser.add_argument("--name", default="TOWER-01")
    parser.add_argument("--firmware", default="1.0.0")
    parser.add_argument("--key-file", help="its keys as `lockerctl` keeps them: {\"tower\":..., \"keys\":[...]}")
    parser.add_argument("--mtu", type=int, default=247)
    parser.add_argument("--control", help="a Unix socket to steer it")
    parser.add_argument("--log", help="a file for what goes over the link, one JSON line each")


def setup_of(options):
    return {"tower": options.tower, "name": options.name, "firmware": options.firmware, "key_file": options.key_file}


class Traffic:
    """The log of what goes over the link."""

    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8") if path else None

    def note(self, tower, what, data=b""):
        if self.file:
            line = {"at": time.time(), "tower": tower.id.hex(), "what": what, "bytes": data.hex()}
            print(json.dumps(line), file=self.file, flush=True)


class Control:
    """`radios`: by the tower's id, each with `tower`, `wires` that are connected, and `advertise(is_on)` to be awaited."""

    def __init__(self, radios):
        self.radios = radios
        self.stopped = asyncio.Event()

    async def serve(self, path, ready):
        """Prints `ready` as soon as somebody can ask, and serves until `stop`."""
        server = None
        if path:
            if os.path.exists(path):
                os.unlink(path)
            server = await asyncio.start_unix_server(self._serve_client, path)
        print("ready", *ready, flush=True)
        await self.stopped.wait()
        if server:
            server.close()
            os.unlink(path)

    async def _serve_client(self, reader, writer):
        while line := await reader.readline():
            try:
                answer = {"ok": True, **(await self.answer(json.loads(line)) or {})}
            except Exception as problem:
                answer = {"error": f"{type(problem).__name__}: {problem}"}
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()
        writer.close()

    async def answer(self, request):
        method = request.pop("method")
        name = request.pop("tower", None)
        radio = self.radios[name] if name else next(iter(self.radios.values()))
        if method == "advertise":
            return await radio.advertise(bool(request["on"]))
        if method == "stop":
            return self.stopped.set()
        if method == "state":
            return {**state(radio.tower), "links": len(radio.wires)}
        return METHODS[method](radio.tower, **request)


def state(tower):
    return {
        "tower": tower.id.hex(), "name": tower.name, "firmware": tower.firmware, "clock": tower.now(),
        "millivolts": tower.millivolts, "temperature": tower.temperature, "is_disabled": tower.is_disabled,
        "connections": len(tower.connections), "sessions": sum(one.session is not None for one in tower.connections),
        "next_command": tower.next_command, "used_tokens": len(tower.used_tokens), "taps": tower.taps,
        "faults": {name: fault.times for name, fault in tower.faults.active.items()},
        "lockers": [vars(one) for one in tower.lockers.values()],
        "keys": [
            {"id": number, "rotation": rotation, "state": key.state, "until": key.until, "expires": key.expires}
            for (number, rotation), key in tower.ring.keys.items()]}


def events(tower):
    return {"events": [{**one, "eventKind": NAMES_OF_EVENTS[one["eventKind"]]} for one in tower.log.events]}


def drop(tower):
    for connection in list(tower.connections):
        connection.drop()


def set_clock(tower, shift):
    tower.clock_shift = int(shift)


def set_values(tower, **values):
    for name, value in values.items():
        setattr(tower, name, SETTABLE[name](value))


def set_locker(tower, locker, **values):
    for name, value in values.items():
        setattr(tower.locker(locker), name, SETTABLE_OF_LOCKER[name](value))


METHODS = {
    "events": events, "drop": drop, "clock": set_clock, "set": set_values, "set_locker": set_locker,
    "opened": lambda tower: {"opened": tower.opened},
    "set_fault": lambda tower, name, **more: tower.faults.set(name, **more),
    "clear_faults": lambda tower: tower.faults.clear(),
    "door": lambda tower, locker, action: tower.move_door(locker, action),
}


def towers_of(setups):
    """The towers by id; ends the program where a setup is none."""
    try:
        towers = [Tower.from_setup(setup) for setup in setups]
    except (OSError, KeyError, TypeError, ValueError) as problem:
        sys.exit(f"tower: not a tower: {type(problem).__name__}: {problem}")
    return {tower.id.hex(): tower for tower in towers}
