#!/usr/bin/env python3
"""A complete lockerd driver. Its lockers are entries in a dictionary; put your hardware into fire()."""
import json, signal, sys, time

CAN = {"pulseTiming": "board", "evidence": "echo", "maximumTogether": 1, "polarityKnown": True, "doorSensors": True}
walls = {}  # controller id -> {locker number: {"sensor": True, "door": "closed"}}

def fire(controller, number, seconds):
    """Energise one coil; return when it is off, or when a board that times its pulses has said yes."""
    walls[controller][number]["door"] = "open"

def refusal(code, message):
    return ValueError({"code": -32000, "message": message, "data": {"code": code, "fired": "no", "sent": "no"}})

def answer(method, params, read_at):
    if method == "hello":
        return {"protocol": {"major": 1, "minor": 0}, "module": "python-driver", "version": "1.0"}
    if method == "configure":
        for c in params["controllers"]:
            walls[c["id"]] = {x["number"]: {"sensor": x.get("sensor", True), "door": "closed"} for x in c["lockers"]}
        return {"controllers": [{"id": c["id"], "capabilities": CAN} for c in params["controllers"]]}
    if method in ("cancel", "ping"):
        return {}
    if method not in ("start", "open", "doors", "stop"):
        raise ValueError({"code": -32601, "message": f'no method "{method}"'})
    wall = walls.get(params["controller"])
    if wall is None:
        raise refusal("UNKNOWN_CONTROLLER", f'no controller "{params["controller"]}" on this link')
    if method == "doors":
        return {"doors": [{"locker": n, "door": x["door"], "ageMs": 0} for n, x in wall.items() if x["sensor"]]}
    if method == "open":
        if params["locker"] not in wall:
            raise refusal("UNKNOWN_LOCKER", f'no locker {params["locker"]} on {params["controller"]}')
        locker = wall[params["locker"]]
        before = locker["door"]
        if time.monotonic() - read_at >= params.get("withinMs", float("inf")) / 1000:  # the last look before firing
            raise refusal("EXPIRED", "the deadline passed before the lock could fire")
        fire(params["controller"], params["locker"], params["pulseMs"] / 1000)
        seen = {"doorBefore": before, "doorAfter": locker["door"]} if locker["sensor"] else {}
        return {"evidence": "echo", **seen, "busMs": 0, "pulseMs": params["pulseMs"]}
    return {}  # start and stop: nothing to do for a dictionary

signal.signal(signal.SIGTERM, lambda *_: sys.exit())
for line in sys.stdin:  # ends when the daemon closes the line; switch your coils off after it
    read_at = time.monotonic()
    request = json.loads(line)
    reply = {"jsonrpc": "2.0", "id": request.get("id")}
    try:
        reply["result"] = answer(request["method"], request.get("params", {}), read_at)
    except ValueError as error:
        reply["error"] = error.args[0]
    if "id" in request:
        print(json.dumps(reply), flush=True)
