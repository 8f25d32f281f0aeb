"""Towers with Bluetooth, tried by a central that is not the daemon's: what opens, what stays shut, and what goes wrong when told to."""

import json

from registry import scenario
from towers import ID, KEY, BumbleTower, BumbleTowers, KernelTower
from wall import eventually, expect

SERVICE = "9ecadc240ee5a9e093f3a3b50100406e"
OTHER = "0100000000000176"


def opens_by_token(tower):
    (told,) = tower.probe("read")
    expect(told, {"mtu": 247, "towerID": ID, "towerName": tower.name, "firmwareVersion": "1.0.0"}, "what can be read")
    (told,) = tower.probe("read", mtu=23)
    expect((told["mtu"], told["towerName"]), (23, tower.name), "what can be read in parts")
    expect(tower.doors(), [], "doors before")
    (found,) = tower.probe("open", 3)
    expect(found.get("opened"), 3, f"the answer {found}")
    print(f"{type(tower).__name__}: session {found['session_s']} s, open {found['open_s']} s")
    (found,) = tower.probe("open", 5, mtu=23)
    expect(found.get("opened"), 5, f"the answer {found}, where the link takes 20 bytes at once")
    expect([(one["locker"], one["reason"], one["client"]) for one in tower.ask("opened")["opened"]], [
        (3, "token", "probe"), (5, "token", "probe")], "doors that came open")
    kinds = [one["eventKind"] for one in tower.ask("events")["events"]]
    expect(kinds, ["boot", "lockerAccess", "lockerAccess"], "the log")


def nobody_is_connected(tower):
    """A link stays for two seconds without a client, and the next one would get it: also when the tower is about to end it."""
    eventually("nobody is connected", lambda: tower.ask("state")["links"] == 0)


def refuses(tower):
    """Whoever never had a right opens nothing; whoever had one opens once."""
    def attack(which):
        found = tower.probe("attack", which)
        nobody_is_connected(tower)
        expect([one for one in found if one["answered"] != one["due"]], [], f"attacks: {which}")
        return len(found)

    count = attack("never")
    if count < 20:
        raise AssertionError(f"only {count} attacks")
    expect(tower.doors(), [], "doors that came open")
    # The clock decides, and it is the tower's.
    tower.ask("clock", shift=400)
    (found,) = tower.probe("open", 1)
    expect(found.get("refused"), "messageExpired", "a session by a clock that differs")
    tower.ask("clock", shift=0)
    expect(tower.doors(), [], "doors that came open")
    expect(attack("again"), 2, "attacks by who had a right")
    expect(tower.doors(), [3, 4], "doors that came open")


def has_faults(tower):
    """Each fault, what the central makes of it, and how many doors came open until then."""
    def expect_refused(code, doors, **fault):
        tower.ask("set_fault", **fault)
        (found,) = tower.probe("open", 7)
        expect(found.get("refused"), code, f"the answer with {fault}: {found}")
        expect(len(tower.doors()), doors, f"doors that came open after {fault}")

    expect_refused("lockersBusy", 0, name="lockersBusy")
    expect_refused("batteryCritical", 0, name="batteryCritical")
    expect_refused("lockersBusy", 0, name="sessionBusy")
    expect_refused("Silent", 0, name="disconnectBeforeFiring")
    nobody_is_connected(tower)
    expect_refused("Silent", 1, name="disconnectAfterFiring")
    nobody_is_connected(tower)
    # The first thing that is sent is the grant.
    expect_refused("signatureInvalid", 1, name="wrongTag")
    expect_refused("versionUnknown", 1, name="downgradeGrant")
    expect_refused("messageInvalid", 1, name="garbage")
    # The second is the answer: by then the door is open.
    expect_refused("signatureInvalid", 2, name="wrongTag", after=1)
    expect_refused("messageReplayed", 3, name="wrongSequence")
    expect_refused("Silent", 4, name="loseNotification", after=1)
    expect_refused("Silent", 5, name="halfNotification", after=1)
    tower.ask("set_fault", name="oddPieces", times=-1)
    tower.ask("set_fault", name="slowAnswer", value=1, after=1)
    (found,) = tower.probe("open", 7)
    expect((found.get("opened"), found.get("open_s", 0) >= 1), (7, True), f"the answer in odd pieces, a second late: {found}")
    tower.ask("clear_faults")
    tower.ask("door", locker=7, action="close")
    (found,) = tower.probe("open", 7)
    expect(found.get("opened"), 7, f"the answer after all that {found}")
    expect(tower.doors(), [7] * 7, "doors that came open")
    expect("doorClosed" in [one["eventKind"] for one in tower.ask("events")["events"]], True, "a door closed, says the log")


@scenario("ble")
def tower_opens_by_token():
    with BumbleTower() as tower:
        opens_by_token(tower)


@scenario("ble")
def kernel_tower_opens_by_token():
    with KernelTower(name="TOWER-02") as tower:
        opens_by_token(tower)


@scenario("ble")
def tower_refuses():
    with BumbleTower() as tower:
        refuses(tower)


@scenario("ble")
def kernel_tower_refuses():
    with KernelTower() as tower:
        refuses(tower)


@scenario("ble")
def tower_has_faults():
    with BumbleTower() as tower:
        has_faults(tower)


@scenario("ble")
def kernel_tower_has_faults():
    with KernelTower() as tower:
        has_faults(tower)


@scenario("ble")
def towers_are_found():
    """Advertising as it was before it was extended, which any scanner understands."""
    for kind, options in ((BumbleTower, {"legacy": True}), (KernelTower, {})):
        with kind(name="TOWER-WITH-A-LONG-NAME", firmware="1.4.2", **options) as tower:
            (found,) = tower.probe("find")
            expect(found["advertised"], "020106" + "1107" + SERVICE, "the advertisement")
            wanted = "0fff" + "ffff" + "01" + ID + "010402" + "0e08" + b"TOWER-WITH-A-".hex()
            expect(found["response"], wanted, "the scan response")
            tower.ask("advertise", on=False)
            (found,) = tower.probe("find")
            expect(found, {"advertised": "", "response": ""}, "a tower that does not advertise")
            tower.ask("advertise", on=True)
            (found,) = tower.probe("open", 2)
            expect(found.get("opened"), 2, "the answer afterwards")


@scenario("ble")
def a_tower_keeps_out_the_tokens_of_its_neighbour():
    setups = [
        {"tower": ID, "name": "ONE", "address": "F0:F1:F2:F3:F4:F5"}, {"tower": OTHER, "name": "TWO", "address": "F0:F1:F2:F3:F4:F6"}]
    with BumbleTowers(*setups) as towers:
        for number, locker in ((0, 1), (1, 2)):
            (found,) = towers.probe_one(number, "open", locker)
            expect(found.get("opened"), locker, f"the answer {found}")
        # The same key, and tokens for the other one.
        (found,) = towers.probe("open", 9, address=setups[1]["address"], key_file=towers.folder / "keys0.json")
        expect(found.get("refused"), "signatureInvalid", f"the answer {found}")
        expect((towers.doors(tower=ID), towers.doors(tower=OTHER)), ([1], [2]), "doors that came open")


@scenario("ble")
def a_log_is_read_through_the_air():
    with KernelTower() as tower:
        for _ in range(20):
            tower.probe("open", 1)
        (found,) = tower.probe("command", "readEvents", json.dumps({"syncEventStart": 1}), permissions="4")
        expect((found["answer"], found["syncEventStart"], found["syncEventCount"]), ("eventsRead", 1, 16), "the first page")
        (found,) = tower.probe("command", "readEvents", json.dumps({"syncEventStart": 17}), permissions="4")
        expect((found["syncEventStart"], found["syncEventCount"]), (17, 5), "the second page")
        (found,) = tower.probe("command", "syncPull", json.dumps({"syncEventStart": 20}), permissions="0")
        expect((found["answer"], found["syncEventStart"], found["syncEventCount"]), ("syncEvents", 20, 2), "what a courier gets")
        expect(KEY["secret"] in json.dumps(found), False, "no secret")
