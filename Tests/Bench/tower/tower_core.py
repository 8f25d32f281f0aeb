"""A tower of docs/tower-link.md without its radio: what a client writes goes in, what the tower notifies comes out.

    tower = Tower.from_setup({"tower": "0100000000000175", "name": "TOWER-01", "keys": [...]})
    connection = tower.connect(wire)
    connection.receive(b"...")

`wire` is one connection of some link: `limit()` bytes at once, `send(bytes)`, `later(seconds, function)`, and `drop()`.

Every door that comes open is in `tower.opened` with the time and the reason, whoever opened it: a door that is not there stayed shut.
"""

import hashlib
import json
import os
import time
from dataclasses import dataclass, field

import link
from link import FIELDS, Refused
from tower_commands import COMMANDS
from tower_faults import Faults, deliver, with_version, with_wrong_tag
from tower_parts import Locker, Log, Ring, Want, check_fields

LONGEST_CLIENT = 64
LONGEST_INFO = 500
CRITICAL_MILLIVOLTS = 4400
TEMPERATURES = (-300, 700)
REQUEST = {
    "version": Want(int, -2**63), "timestamp": Want(int, -2**63), "requestNonce": Want(bytes, 16, 16),
    "payload": Want(bytes, 0, link.LONGEST_TOKEN), "payloadAuth": Want(bytes, 0, link.LONGEST_TOKEN)}
SESSION_TOKEN = {
    "permissions": Want(list, 1, 16), "clientID": Want(str, 0, LONGEST_CLIENT), "sessionSeed": Want(bytes, 32, 32)}
OPEN_TOKEN = {
    "tokenID": Want(bytes, 16, 16), "lockerID": Want(int, is_optional=True), "lockerAvailable": Want(bool, is_optional=True),
    "clientInfo": Want(str, 0, LONGEST_INFO, is_optional=True)}
PERMISSIONS = range(6)
COMPANY = b"\xff\xff"


class Disconnected(Exception):
    """The tower ends the connection in the middle of something."""


@dataclass
class Session:
    id: bytes
    client: str
    permissions: frozenset
    expires: int
    incoming: link.Channel
    outgoing: link.Channel
    # What was opened last, and what that locker was before.
    last_opened: int | None = None
    before: tuple | None = None
    first_answer: bytes | None = None


@dataclass
class Tower:
    id: bytes
    name: str
    ring: Ring
    lockers: dict
    firmware: str = "1.0.0"
    log: Log = field(default_factory=Log)
    faults: Faults = field(default_factory=Faults)
    opened: list = field(default_factory=list)
    taps: list = field(default_factory=list)
    # Ids of tokens that opened something, until they expire.
    used_tokens: dict = field(default_factory=dict)
    # No token that ends before is taken any more, though the clock be set back: it may be one that was forgotten.
    forgotten_until: int = 0
    clock_shift: int = 0
    millivolts: int = 6000
    # In tenths of a degree.
    temperature: int = 215
    is_disabled: bool = False
    next_command: int = 1
    connections: set = field(default_factory=set)

    @classmethod
    def from_setup(cls, setup):
        """`setup`: tower, keys (or key_file); name, firmware and lockers if they are not the usual ones."""
        keys = setup.get("keys")
        if keys is None:
            with open(setup["key_file"], encoding="utf-8") as file:
                keys = json.load(file)["keys"]
        lockers = setup.get("lockers") or [{"id": number, "type": 1 if number < 8 else 2} for number in range(16)]
        tower = cls(
            bytes.fromhex(setup["tower"]), setup.get("name", "TOWER-01"), Ring(keys), {one["id"]: Locker(**one) for one in lockers},
            setup.get("firmware", "1.0.0"))
        tower.log.add("boot", tower.now())
        return tower

    def now(self):
        return int(time.time()) + self.clock_shift

    def connect(self, wire):
        return Connection(self, wire)

    def note(self, kind, **more):
        self.log.add(kind, self.now(), **more)

    def information(self):
        """What characteristic 6E400004 gives."""
        return link.encode({
            FIELDS["towerID"]: self.id, FIELDS["towerName"]: self.name, FIELDS["firmwareVersion"]: self.firmware})

    def advertised(self):
        """The content of the manufacturer's data."""
        return COMPANY + bytes([link.VERSION]) + self.id + bytes(int(part) for part in self.firmware.split("."))

    def sealed(self, message, **fields):
        return link.seal_token(self.ring.newest(self.now()), self.id, os.urandom(link.BLOCK), message, **fields)

    # Doors

    def locker(self, number):
        if number not in self.lockers:
            raise Refused(f"no locker {number}", "lockerNotFound")
        return self.lockers[number]

    def free_locker(self, kind=None):
        """The first free one whose door is shut; None where there is none."""
        return next(
            (one for one in self.lockers.values() if one.available and not one.is_open and kind in (None, one.type)), None)

    def check_fit(self):
        """Whether locks can fire at all."""
        if self.is_disabled:
            raise Refused("disabled", "towerDisabled")
        if self.millivolts < CRITICAL_MILLIVOLTS or self.faults.take("batteryCritical"):
            self.note("battery", batteryMillivolts=self.millivolts)
            raise Refused("the battery is low", "batteryCritical")
        coldest, hottest = TEMPERATURES
        if not coldest <= self.temperature <= hottest:
            self.note("temperature", temperature=self.temperature)
            raise Refused("not at this temperature", "temperatureTooLow" if self.temperature < coldest else "temperatureTooHigh")
        if self.faults.take("lockersBusy"):
            raise Refused("another lock fires", "lockersBusy")
        if self.faults.take("disconnectBeforeFiring"):
            raise Disconnected

    def fire(self, locker, reason, session, token=None):
        """The one place in which a lock is told to open. Its door opens."""
        locker.fires += 1
        self.note("lockerAccess", lockerID=locker.id)
        if not locker.is_jammed:
            self.come_open(locker, reason, client=session.client, token=token and token.hex())
        if self.faults.take("disconnectAfterFiring"):
            raise Disconnected

    def come_open(self, locker, reason, **more):
        locker.is_open = True
        self.opened.append({"at": time.time(), "towerTime": self.now(), "locker": locker.id, "reason": reason, **more})

    def move_door(self, number, action):
        """By hand: open (after its lock fired), close, force, wrong (another one than was fired), jam, unjam."""
        locker = self.locker(number)
        if action in ("force", "wrong"):
            self.note("forcedDoor" if action == "force" else "wrongDoor", lockerID=number)
            self.come_open(locker, action)
        elif action == "open":
            self.come_open(locker, action)
        elif action == "close":
            if locker.is_open:
                self.note("doorClosed", lockerID=number)
            locker.is_open = False
        elif action in ("jam", "unjam"):
            locker.is_jammed = action == "jam"
        else:
            raise ValueError(f"a door cannot {action}")

    # Tokens

    def session_claims(self, payload, auth):
        now = self.now()
        claims = link.open_token(self.ring.usable(now), self.id, payload, auth, "requestSessionPayload", now)
        check_fields(SESSION_TOKEN, claims)
        if any(type(one) is not int or one not in PERMISSIONS for one in claims["permissions"]):
            raise Refused("permissions that are not known", "messageItemRange")
        return claims

    def open_claims(self, payload, auth):
        now = self.now()
        claims = link.open_token(self.ring.usable(now), self.id, payload, auth, "openLockerPayload", now)
        check_fields(OPEN_TOKEN, claims)
        self._forget_tokens(now)
        if claims["expires"] <= self.forgotten_until:
            raise Refused("expired before the clock was set back", "messageExpired")
        if claims["tokenID"] in self.used_tokens:
            raise Refused("used", "tokenUsed")
        return claims

    def _forget_tokens(self, now):
        over = [one for one, expires in self.used_tokens.items() if expires <= now]
        self.forgotten_until = max([self.forgotten_until, *(self.used_tokens.pop(one) for one in over)])


class Connection:
    """A client that is connected: at most one session, which ends with it."""

    def __init__(self, tower, wire):
        self.tower = tower
        self.wire = wire
        self.framer = link.Framer()
        self.session = None
        tower.connections.add(self)

    def begin_anew(self):
        """The client has asked for notifications: whoever it is now, what an earlier one left behind is not its own."""
        self.framer = link.Framer()
        self.session = None

    def close(self):
        """The link is gone."""
        self.session = None
        self.tower.connections.discard(self)

    def drop(self):
        self.close()
        self.wire.drop()

    def receive(self, data):
        if self not in self.tower.connections:
            return
        try:
            for content in self.framer.take(data):
                self._take(content)
        except Refused as refused:
            # Where the next frame would begin, nobody knows.
            self._refuse(refused)
            self.drop()
        except Disconnected:
            self.drop()

    def _take(self, content):
        try:
            numbers = link.decode_map(content)
            if FIELDS["type"] not in numbers:
                self._take_command(content)
            else:
                message, fields = link.named(numbers)
                if message != "requestSession":
                    raise Refused(f"a {message} outside of a session", "noSession")
                self._begin(content, fields)
        except Refused as refused:
            self._refuse(refused)

    def _refuse(self, refused):
        """Whatever a tower says outside of a session, ends it."""
        self.session = None
        self.tower.note("error", errorCode=link.CODES[refused.code])
        self._send(link.packet("sessionError", errorCode=link.CODES[refused.code], errorMessage=str(refused)))

    def _send(self, content):
        deliver(content, self.tower.faults, self.wire)

    def _begin(self, request, fields):
        tower = self.tower
        check_fields(REQUEST, fields)
        if fields["version"] != link.VERSION:
            raise Refused(f"version {fields['version']}", "versionUnknown")
        if abs(fields["timestamp"] - tower.now()) > link.CLOCK_SKEW:
            raise Refused("the clocks differ", "messageExpired")
        claims = tower.session_claims(fields["payload"], fields["payloadAuth"])
        if tower.faults.take("sessionBusy"):
            raise Refused("busy", "lockersBusy")
        identity, key = os.urandom(8), os.urandom(32)
        incoming, outgoing = (link.Channel(identity, key, tower.id, way) for way in ("to-tower", "from-tower"))
        self.session = Session(
            identity, claims["clientID"], frozenset(claims["permissions"]), claims["expires"], incoming, outgoing)
        self._send(self._grant(request, claims["sessionSeed"], identity, key))

    def _grant(self, request, seed, identity, key):
        faults = self.tower.faults
        downgrade = faults.value("downgradeGrant")
        is_downgraded = faults.take("downgradeGrant")
        version = 0 if is_downgraded and downgrade == "sealed" else link.VERSION
        content = link.grant(
            request, seed, self.tower.id, self.tower.now(), os.urandom(16), identity, key, os.urandom(link.BLOCK), version)
        if is_downgraded:
            content = with_version(content, 0)
        return with_wrong_tag(content, "payloadAuth") if faults.take("wrongTag") else content

    def _take_command(self, content):
        session = self.session
        if session is None:
            raise Refused("no session", "noSession")
        try:
            message, fields = session.incoming.open(content)
        except Refused as refused:
            # Only what is authentic and next in number is worth an answer that is.
            if refused.code != "messageUnknown":
                raise
            self._answer(session, "error", errorCode=link.CODES[refused.code], errorMessage=str(refused))
            return
        if self.tower.now() >= session.expires:
            raise Refused("the session's token is over", "messageExpired")
        try:
            answer, values = self._carry_out(session, message, fields)
        except Refused as refused:
            self.tower.note("error", errorCode=link.CODES[refused.code])
            answer, values = "error", {"errorCode": link.CODES[refused.code], "errorMessage": str(refused)}
        self._answer(session, answer, **values)
        if message == "terminateSession":
            self.session = None

    def _carry_out(self, session, message, fields):
        if message not in COMMANDS:
            raise Refused(f"no command: {message}", "messageUnknown")
        command = COMMANDS[message]
        if command.permissions and not command.permissions & session.permissions:
            raise Refused("not allowed", "permissionMissing")
        check_fields(command.wants, fields)
        return command.carry_out(self.tower, session, fields)

    def _answer(self, session, message, **fields):
        faults = self.tower.faults
        number = session.incoming.last + (1 if faults.take("wrongSequence") else 0)
        content = session.outgoing.seal(os.urandom(link.BLOCK), message, number, **fields)
        if faults.take("wrongTag"):
            content = with_wrong_tag(content, "tag")
        if session.first_answer is None:
            session.first_answer = content
        elif faults.take("replayOldAnswer"):
            content = session.first_answer
        self._send(content)
