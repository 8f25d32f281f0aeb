#!/usr/bin/env python3
"""Holds the tower to docs/tower-link.md without a radio: to the golden vectors, to every attack and fault, and to its commands.

    check_tower.py GOLDEN.json

Prints `ok NAME` or `failed NAME: why` for each check, and ends with 1 where one has failed.
"""

import json
import sys
import time
import traceback
from random import Random

sys.dont_write_bytecode = True
import attacks  # noqa: E402
import link  # noqa: E402
from link import FIELDS, Refused  # noqa: E402
from tower_client import Answered, Client, Server, Silent  # noqa: E402
from tower_core import Tower  # noqa: E402

CHECKS = {}
TOWER = "0100000000000175"
KEY = {"id": 3, "rotation": 2, "secret": bytes(range(0x40, 0x60)).hex(), "state": "installed"}


def check(function):
    CHECKS[function.__name__] = function
    return function


def expect(found, wanted, what):
    if found != wanted:
        raise AssertionError(f"{what}: found {found!r}, wanted {wanted!r}")


def expect_error(code, action):
    try:
        found = action()
    except (Answered, Refused) as problem:
        return expect(problem.code, code, "the error")
    raise AssertionError(f"no error, but {found!r}")


class Pipe:
    """A link without a radio: both ends of a connection. Nothing is late on it."""

    def __init__(self, tower, limit=244):
        self.size = limit
        self.notified = []
        self.sizes = []
        self.is_gone = False
        self.later_calls = []
        self.connection = tower.connect(self)

    # As the tower sees it

    def limit(self):
        return self.size

    def send(self, data):
        self.notified.append(data)
        self.sizes.append(len(data))

    def later(self, seconds, function):
        self.later_calls.append((seconds, function))

    def drop(self):
        self.is_gone = True

    # As the client sees it

    def write(self, data):
        for start in range(0, len(data), self.size):
            self.connection.receive(data[start:start + self.size])

    def read(self, _):
        return self.notified.pop(0) if self.notified else None


class Bench:
    def __init__(self, permissions=(1,), limit=244, **setup):
        self.tower = Tower.from_setup({"tower": TOWER, "keys": [KEY], **setup})
        self.server = Server.from_keys(self.tower.id, [KEY])
        self.limit = limit
        self.client = self.begun(permissions)

    def connect(self):
        return Client(Pipe(self.tower, self.limit), self.tower.id)

    def begun(self, permissions=(1,)):
        client = self.connect()
        client.begin(self.server.session_token(permissions, self.tower.now()), self.tower.now())
        return client

    def opened(self):
        return [one["locker"] for one in self.tower.opened]


@check
def takes_what_the_vectors_have():
    with open(sys.argv[1], encoding="utf-8") as file:
        golden = json.load(file)
    tower = Tower.from_setup({"tower": golden["tower"], "keys": [{**golden["key"], "state": "installed"}]})
    tower.clock_shift = golden["now"] + 6 - int(time.time())
    pipe = Pipe(tower)
    pipe.write(bytes.fromhex(golden["session"]["framedRequest"]))
    expect(link.unpack(link.decode(pipe.read(0)))[0], "grantSession", "the answer to the vectors' request")
    opening = golden["openToken"]
    claims = tower.open_claims(bytes.fromhex(opening["payload"]), bytes.fromhex(opening["payloadAuth"]))
    expect((claims["lockerID"], claims["tokenID"].hex()), (opening["locker"], opening["id"]), "the open token")
    session = golden["session"]
    identity, key = bytes.fromhex(session["sessionID"]), bytes.fromhex(session["sessionKey"])
    incoming = link.Channel(identity, key, tower.id, "to-tower")
    outgoing = link.Channel(identity, key, tower.id, "from-tower")
    for one in session["exchange"]:
        expect(incoming.open(bytes.fromhex(one["content"]))[0], one["command"], "a command")
        expect(outgoing.open(bytes.fromhex(one["answerContent"]))[0], one["answer"], "an answer")


@check
def withstands_every_attack():
    bench = Bench()
    for name, found, due in attacks.run_all(bench.connect, bench.server):
        expect(found, due, name)
    expect(bench.opened(), list(attacks.LAWFUL.values()), "doors that came open")
    bench.tower.clock_shift = 1000
    late = bench.server.open_token(1)
    client = bench.begun()
    expect_error("messageExpired", lambda: client.open(late))
    bench.tower.clock_shift = 0
    expect(len(bench.opened()), len(attacks.LAWFUL), "doors that came open")


@check
def does_not_take_a_used_token_when_the_clock_is_set_back():
    bench = Bench()
    token = bench.server.open_token(5)
    bench.client.open(token)
    bench.tower.clock_shift = 1000
    expect_error("messageExpired", lambda: bench.begun().open(token))
    other = bench.server.open_token(6, now=bench.tower.now())
    bench.begun().open(other)
    bench.tower.clock_shift = 0
    expect_error("messageExpired", lambda: bench.begun().open(token))
    expect(bench.opened(), [5, 6], "doors that came open")


@check
def opens_and_tells_of_doors():
    bench = Bench((1, 2, 4))
    client = bench.client
    expect(client.command("findAvailableLockers")[1], {"lockerTypeMap": {1: 8, 2: 8}}, "free lockers")
    expect_error("nothingOpenedYet", lambda: client.command("reopenLocker"))
    expect_error("nothingOpenedYet", lambda: client.command("checkLockerDoor"))
    expect(client.open(bench.server.open_token(14, lockerAvailable=True)), 14, "by token")
    expect(client.open(bench.server.open_token()), 0, "by token, a free one")
    expect(client.command("openAvailableLocker", lockerType=2, lockerToken="x")[1], {"lockerID": 8}, "a free one")
    expect(client.command("openAvailableLocker", lockerType=9)[1], {"lockerID": -1}, "none")
    expect((bench.tower.lockers[8].available, bench.tower.lockers[8].token), (False, "x"), "locker 8")
    client.command("revertLockerState", clientInfo="again")
    expect((bench.tower.lockers[8].available, bench.tower.lockers[8].token), (True, ""), "locker 8, reverted")
    expect(client.command("checkAllLockerDoors")[1], {"doorsOpen": bytes([0x01, 0x41])}, "doors")
    bench.tower.move_door(8, "close")
    expect(client.command("checkLockerDoor")[1], {"doorOpen": False}, "a door")
    expect(client.command("reopenLocker")[1], {"lockerID": 8}, "again")
    client.command("tapLocker", tapInterval=200, tapCount=3)
    expect(client.command("fireLock", lockerID=2)[1], {"lockerID": 2}, "fired")
    expect_error("lockerNotFound", lambda: client.command("fireLock", lockerID=99))
    expect([(one["locker"], one["reason"]) for one in bench.tower.opened], [
        (14, "token"), (0, "token"), (8, "available"), (8, "reopen"), (2, "fireLock")], "doors that came open")
    client.command("addClientEvent", clientInfo="hello")
    status = client.command("readDeviceStatus")[1]
    expect((status["batteryMillivolts"], status["towerDisabled"]), (6000, False), "the status")


@check
def checks_fields_and_permissions():
    bench = Bench((4,))
    client = bench.client
    expect_error("messageItemMissing", lambda: client.command("fireLock"))
    expect_error("messageItemType", lambda: client.command("fireLock", lockerID="1"))
    expect_error("messageItemRange", lambda: client.command("fireLock", lockerID=-1))
    expect_error("messageUnknown", lambda: client.command("deviceInfo"))
    for message in ("requestSyncStatus", "syncPull", "syncPush", "markSeenEvents", "revertLockerState"):
        expect_error("permissionMissing", lambda: client.command(message))
    pickup = bench.begun((1,))
    for message in ("openAvailableLocker", "tapLocker", "fireLock", "readEvents"):
        expect_error("permissionMissing", lambda: pickup.command(message))
    bench.tower.is_disabled = True
    expect_error("towerDisabled", lambda: client.command("fireLock", lockerID=1))
    expect(bench.opened(), [], "doors that came open")


@check
def gives_its_log_openly_and_sealed():
    bench = Bench((0, 4))
    client = bench.client
    for _ in range(20):
        client.command("addClientEvent", clientInfo="")
    page = client.command("readEvents", syncEventStart=1)[1]
    expect((page["syncEventStart"], page["syncEventCount"], len(page["events"])), (1, 16, 16), "a page")
    expect(page["events"][0][FIELDS["eventKind"]], link.EVENTS["boot"], "the first event")
    pulled = client.command("syncPull", syncEventStart=17)[1]
    inside = bench.server.opened(pulled["payload"], pulled["payloadAuth"], "syncEventsPayload")
    expect((inside["syncEventStart"], inside["syncEventCount"], inside["events"][0][FIELDS["eventID"]]), (17, 5, 17), "what was sealed")
    client.command("markSeenEvents", syncEventStart=20)
    expect(client.command("requestSyncStatus")[1], {"syncEventStart": 20, "syncEventCount": 2, "syncCommandStart": 1}, "the status")
    expect(client.command("readEvents", syncEventStart=22)[1], {"syncEventStart": 22, "syncEventCount": 0, "events": []}, "no page")
    expect_error("messageItemRange", lambda: client.command("markSeenEvents", syncEventStart=23))


@check
def carries_out_what_the_server_orders_once():
    bench = Bench((0, 1))
    client, server = bench.client, bench.server

    def order(message, **fields):
        return link.decode(link.packet(message, **fields))

    def push(start, *orders):
        payload, auth = server.seal("syncCommandsPayload", syncCommandStart=start, syncCommandCount=len(orders), syncBatch=list(orders))
        return client.command("syncPush", payload=payload, payloadAuth=auth)[0]

    secret = bytes(range(32))
    first = [order("installKey", keyID=3, keyRotation=3, keyData=secret, expires=bench.tower.now() + 60), order("fireLock", lockerID=1)]
    expect(push(1, *first), "acknowledge", "the answer")
    expect(bench.tower.next_command, 3, "the next number")
    expect(bench.begun().open(Server(bench.tower.id, (3, 3, secret)).open_token(9)), 9, "by the new key")
    expect(client.open(server.open_token(10)), 10, "by the key that goes out")
    push(1, *first, order("revokeKey", keyID=3, keyRotation=3))
    expect(bench.tower.next_command, 4, "the next number after a replay")
    expect_error("keyInvalid", lambda: client.open(Server(bench.tower.id, (3, 3, secret)).open_token(9)))
    expect_error("messageItemRange", lambda: push(9, order("setClock", clockTime=1)))
    push(4, order("setClock", clockTime=bench.tower.now() + 120))
    expect_error("keyInvalid", lambda: client.open(server.open_token(11)))
    expect(bench.opened(), [9, 10], "doors that came open")


OF_WHATEVER_IS_SENT = ("wrongTag", "loseNotification", "halfNotification", "slowAnswer", "oddPieces", "garbage")


@check
def has_faults():
    bench = Bench()
    faults = bench.tower.faults

    def after(name, value=None):
        faults.set(name, 1, value)
        # Of what is sent the grant is the first.
        faults.active[name].after = int(name in OF_WHATEVER_IS_SENT)
        return bench.begun(), bench.server.open_token(7)

    for name, code in (("wrongTag", "signatureInvalid"), ("wrongSequence", "messageReplayed"), ("batteryCritical", "batteryCritical"),
                       ("lockersBusy", "lockersBusy")):
        client, token = after(name)
        expect_error(code, lambda: client.open(token))
    expect(bench.opened(), [7, 7], "an answer that is wrong has opened nevertheless")
    for name in ("loseNotification", "halfNotification", "slowAnswer", "disconnectAfterFiring", "disconnectBeforeFiring"):
        client, token = after(name)
        client.wait = 0.1
        try:
            raise AssertionError(f"{name}: opened {client.open(token)}")
        except Silent:
            expect(client.wire.is_gone, name.startswith("disconnect"), f"{name}: gone")
    expect(bench.opened(), [7] * 6, "all but one opened")
    expect(bench.begun().open(token), 7, "a token that was not used up")
    client, token = after("oddPieces")
    client.open(token)
    expect(client.wire.sizes[1:6], [1, 2, 3, 5, 7], "pieces")
    client, token = after("garbage")
    expect_error("messageInvalid", lambda: client.open(token))
    client, token = after("replayOldAnswer")
    client.open(token)
    expect_error("messageReplayed", lambda: client.command("checkAllLockerDoors"))
    for value in ("sealed", None):
        faults.set("downgradeGrant", 1, value)
        expect_error("versionUnknown", bench.begun)
    faults.set("sessionBusy", 2)
    for _ in range(2):
        expect_error("lockersBusy", bench.begun)
    bench.begun()


@check
def withstands_noise():
    """Whatever is changed in what a client writes, no door comes open, unless it was not changed at all."""
    random = Random(4711)
    for _ in range(400):
        bench = Bench()
        payload, auth = bench.server.open_token(1)
        data = bytearray(link.framed(bench.client.sealed("openLockerWithToken", payload=payload, payloadAuth=auth)))
        kind = random.randrange(3)
        if kind == 0:
            data[random.randrange(len(data))] ^= 1 << random.randrange(8)
        elif kind == 1:
            del data[random.randrange(len(data))]
        else:
            data[random.randrange(len(data)):] = random.randbytes(random.randrange(300))
        bench.client.wire.write(bytes(data))
        expect(bench.opened(), [], f"doors that came open by {data.hex()}")


@check
def says_who_it_is():
    tower = Tower.from_setup({"tower": TOWER, "keys": [KEY], "firmware": "1.4.2"})
    expect(tower.advertised().hex(), "ffff01" + TOWER + "010402", "what is advertised")
    expect(link.decode(tower.information())[FIELDS["firmwareVersion"]], "1.4.2", "what can be read")


@check
def puts_frames_together_however_they_are_cut():
    for limit in (1, 20, 244):
        bench = Bench(limit=limit)
        expect(bench.client.open(bench.server.open_token(3)), 3, f"in pieces of {limit}")


def main():
    failed = 0
    for name, function in CHECKS.items():
        try:
            function()
            print(f"ok {name}")
        except Exception as problem:
            failed = 1
            place = traceback.extract_tb(problem.__traceback__)[-1]
            print(f"failed {name}: {problem or type(problem).__name__} ({place.filename}, line {place.lineno})")
    return failed


if __name__ == "__main__":
    sys.exit(main())
