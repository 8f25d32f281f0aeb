"""The commands that a tower carries out: their fields, who may give them, and what they do.

Each takes the tower, the session and the fields, and returns the answer's message and fields.
"""

from dataclasses import dataclass
from typing import Callable

import link
from link import Refused
from tower_parts import Want, check_fields, numbered

SYNC, PICKUP, DELIVERY, OWNER, TECHNICIAN, DEVELOPER = range(6)
INFO = Want(str, 0, 500)
TOKEN = Want(bytes, 0, link.LONGEST_TOKEN)
NOBODY = -1


@dataclass(frozen=True)
class Command:
    """Without permissions every session may give it."""
    permissions: frozenset
    wants: dict
    carry_out: Callable


COMMANDS = {}


def command(name, *permissions, **wants):
    def add(function):
        COMMANDS[name] = Command(frozenset(permissions), wants, function)
        return function
    return add


def optional(want):
    return Want(want.kind, want.least, want.most, is_optional=True)


# Opening

def open_for(session, tower, locker, reason, token=None, available=None, label=None):
    """`available` and `label`: what the locker is afterwards; None leaves it as it is."""
    session.last_opened, session.before = locker.id, (locker.available, locker.token)
    if available is not None:
        locker.available = available
    if label is not None:
        locker.token = label
    tower.fire(locker, reason, session, token)
    return "lockerOpened", {"lockerID": locker.id}


@command("openLockerWithToken", payload=TOKEN, payloadAuth=TOKEN)
def open_locker_with_token(tower, session, fields):
    claims = tower.open_claims(fields["payload"], fields["payloadAuth"])
    is_chosen = "lockerID" not in claims
    locker = tower.free_locker() if is_chosen else tower.locker(claims["lockerID"])
    tower.check_fit()
    if locker is None:
        return "lockerOpened", {"lockerID": NOBODY}
    # Before the lock fires: whatever happens then, this token opens nothing more.
    tower.used_tokens[claims["tokenID"]] = claims["expires"]
    return open_for(
        session, tower, locker, "token", claims["tokenID"], claims.get("lockerAvailable", False if is_chosen else None))


@command(
    "openAvailableLocker", DELIVERY, OWNER, TECHNICIAN, lockerType=optional(Want(int)), lockerToken=optional(Want(str, 0, 64)),
    lockerAvailable=optional(Want(bool)), clientInfo=optional(INFO))
def open_available_locker(tower, session, fields):
    locker = tower.free_locker(fields.get("lockerType"))
    tower.check_fit()
    if locker is None:
        return "lockerOpened", {"lockerID": NOBODY}
    return open_for(
        session, tower, locker, "available", None, fields.get("lockerAvailable", False), fields.get("lockerToken", ""))


def last_opened(tower, session):
    if session.last_opened is None:
        raise Refused("this session has opened nothing", "nothingOpenedYet")
    return tower.locker(session.last_opened)


@command("reopenLocker")
def reopen_locker(tower, session, _):
    locker = last_opened(tower, session)
    tower.check_fit()
    tower.fire(locker, "reopen", session)
    return "lockerOpened", {"lockerID": locker.id}


@command("fireLock", TECHNICIAN, lockerID=Want(int))
def fire_lock(tower, session, fields):
    locker = tower.locker(fields["lockerID"])
    tower.check_fit()
    return open_for(session, tower, locker, "fireLock")


@command("revertLockerState", DELIVERY, clientInfo=optional(INFO))
def revert_locker_state(tower, session, _):
    locker = last_opened(tower, session)
    locker.available, locker.token = session.before
    return "acknowledge", {}


@command("tapLocker", TECHNICIAN, tapInterval=Want(int, 1, 10_000), tapCount=Want(int, 1, 20))
def tap_locker(tower, session, fields):
    """Too short to open."""
    locker = last_opened(tower, session)
    tower.taps.append({"locker": locker.id, "interval": fields["tapInterval"], "count": fields["tapCount"]})
    return "acknowledge", {}


# Asking

@command("checkLockerDoor")
def check_locker_door(tower, session, _):
    return "lockerDoorState", {"doorOpen": last_opened(tower, session).is_open}


@command("checkAllLockerDoors")
def check_all_locker_doors(tower, _, __):
    doors = bytearray(max(tower.lockers) // 8 + 1)
    for locker in tower.lockers.values():
        doors[locker.id // 8] |= locker.is_open << locker.id % 8
    return "allLockerDoorStates", {"doorsOpen": bytes(doors)}


@command("findAvailableLockers")
def find_available_lockers(tower, _, __):
    counts = {}
    for locker in tower.lockers.values():
        if locker.available and not locker.is_open:
            counts[locker.type] = counts.get(locker.type, 0) + 1
    return "foundLockers", {"lockerTypeMap": counts}


@command("readDeviceStatus")
def read_device_status(tower, _, __):
    return "deviceStatus", {
        "temperature": tower.temperature, "batteryMillivolts": tower.millivolts, "clockTime": tower.now(),
        "towerDisabled": tower.is_disabled}


@command("addClientEvent", clientInfo=INFO)
def add_client_event(tower, _, __):
    tower.note("client")
    return "acknowledge", {}


@command("terminateSession", errorCode=Want(int))
def terminate_session(*_):
    return "acknowledge", {}


# The log, and what a courier carries

@command("readEvents", OWNER, TECHNICIAN, syncEventStart=Want(int))
def read_events(tower, _, fields):
    first, events = tower.log.page(fields["syncEventStart"])
    return "eventsRead", {
        "syncEventStart": first, "syncEventCount": len(events), "events": [numbered(one) for one in events]}


def check_free_to_sync(tower):
    if tower.faults.take("syncBusy"):
        raise Refused("another session synchronises", "syncBusy")


@command("requestSyncStatus", SYNC)
def request_sync_status(tower, _, __):
    check_free_to_sync(tower)
    return "syncStatus", {
        "syncEventStart": tower.log.first_id, "syncEventCount": len(tower.log.events), "syncCommandStart": tower.next_command}


@command("syncPull", SYNC, syncEventStart=Want(int))
def sync_pull(tower, _, fields):
    check_free_to_sync(tower)
    first, events = tower.log.page(fields["syncEventStart"])
    which = {"syncEventStart": first, "syncEventCount": len(events)}
    payload, auth = tower.sealed("syncEventsPayload", **which, events=[numbered(one) for one in events])
    return "syncEvents", {**which, "payload": payload, "payloadAuth": auth}


@command("markSeenEvents", SYNC, syncEventStart=Want(int))
def mark_seen_events(tower, _, fields):
    check_free_to_sync(tower)
    tower.log.forget_below(fields["syncEventStart"])
    return "acknowledge", {}


@command("syncPush", SYNC, payload=TOKEN, payloadAuth=TOKEN)
def sync_push(tower, _, fields):
    check_free_to_sync(tower)
    batch = link.open_sealed(
        tower.ring.usable(tower.now()), tower.id, fields["payload"], fields["payloadAuth"], "syncCommandsPayload")
    check_fields({"syncCommandStart": Want(int, 1), "syncCommandCount": Want(int), "syncBatch": Want(list)}, batch)
    start, orders = batch["syncCommandStart"], batch["syncBatch"]
    if len(orders) != batch["syncCommandCount"]:
        raise Refused("a batch of another length", "messageItemRange")
    if start > tower.next_command:
        raise Refused(f"commands from {tower.next_command} on are missing", "messageItemRange")
    for order in orders[tower.next_command - start:]:
        # It has had its number, even where it cannot be carried out: those behind it shall not wait for ever.
        tower.next_command += 1
        carry_out_order(tower, order)
    return "acknowledge", {}


# What a server orders

NAMES = {"keyID": Want(int), "keyRotation": Want(int)}


def install_key(tower, fields):
    check_fields({
        **NAMES, "keyData": Want(bytes, 32, 32), "expires": Want(int, is_optional=True), "keyExpires": Want(int, is_optional=True)}, fields)
    tower.ring.install(
        fields["keyID"], fields["keyRotation"], fields["keyData"], tower.now(), fields.get("expires"), fields.get("keyExpires"))
    tower.note("keyUpdate")


def sunset_key(tower, fields):
    check_fields({**NAMES, "expires": Want(int)}, fields)
    tower.ring.sunset(fields["keyID"], fields["keyRotation"], fields["expires"])
    tower.note("keyUpdate")


def revoke_key(tower, fields):
    check_fields(NAMES, fields)
    tower.ring.revoke(fields["keyID"], fields["keyRotation"])
    tower.note("keyUpdate")


def set_clock(tower, fields):
    check_fields({"clockTime": Want(int)}, fields)
    tower.clock_shift += fields["clockTime"] - tower.now()


ORDERS = {"installKey": install_key, "sunsetKey": sunset_key, "revokeKey": revoke_key, "setClock": set_clock}


def carry_out_order(tower, order):
    try:
        if not isinstance(order, dict):
            raise Refused("no packet")
        name, fields = link.named(order)
        if name not in ORDERS:
            raise Refused(f"no order: {name}", "messageUnknown")
        ORDERS[name](tower, fields)
    except Refused as refused:
        tower.note("error", errorCode=link.CODES[refused.code])
