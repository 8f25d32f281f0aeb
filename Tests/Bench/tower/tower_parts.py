"""What a tower of docs/tower-link.md consists of: lockers, keys, a log, and the checks of a command's fields."""

from dataclasses import dataclass, field

from link import EVENTS, FIELDS, Refused


@dataclass
class Locker:
    """One locker; `fires` counts how often its lock was told to open."""
    id: int
    type: int = 1
    available: bool = True
    token: str = ""
    is_open: bool = False
    # Its lock fires, and its door stays shut.
    is_jammed: bool = False
    fires: int = 0


@dataclass
class Key:
    """Until when a key may be used is told twice: by the key itself (`expires`), and by who lets it go out (`until`)."""
    secret: bytes
    state: str = "installed"
    until: int | None = None
    expires: int | None = None

    def is_usable(self, now):
        ends = [end for end in (self.until, self.expires) if end is not None]
        return self.state != "revoked" and all(now < end for end in ends)


class Ring:
    """A tower's keys by id and rotation."""

    MOST = 16

    def __init__(self, keys=()):
        """`keys`: as key files have them."""
        self.keys = {
            (one["id"], one["rotation"]): Key(
                bytes.fromhex(one["secret"]), one.get("state", "installed"), one.get("until"), one.get("expires"))
            for one in keys}

    def usable(self, now):
        return {name: key.secret for name, key in self.keys.items() if key.is_usable(now)}

    def newest(self, now):
        """What the tower itself seals with: id, rotation and secret."""
        names = [name for name, key in self.keys.items() if key.state == "installed" and key.is_usable(now)]
        if not names:
            raise Refused("no key is left", "keyInvalid")
        return *max(names), self.keys[max(names)].secret

    def install(self, number, rotation, secret, now, previous_until, expires):
        older = [name for name in self.keys if name[0] == number]
        if any(name[1] >= rotation for name in older):
            raise Refused("a rotation that is not newer", "keyInvalid")
        if len(self.keys) >= self.MOST:
            raise Refused("no room for a key", "memory")
        for name in older:
            self.sunset(*name, now if previous_until is None else previous_until)
        self.keys[number, rotation] = Key(secret, expires=expires)

    def sunset(self, number, rotation, until):
        key = self._known(number, rotation)
        if key.state != "revoked":
            key.state, key.until = "sunset", until if key.until is None else min(until, key.until)

    def revoke(self, number, rotation):
        self._known(number, rotation).state = "revoked"

    def _known(self, number, rotation):
        if (number, rotation) not in self.keys:
            raise Refused("no such key", "keyInvalid")
        return self.keys[number, rotation]


@dataclass
class Log:
    """Events by name of their fields; their ids count from 1 and are never used again."""

    events: list = field(default_factory=list)
    next_id: int = 1
    # An answer has at most this many.
    AT_ONCE = 16
    MOST = 4096

    def add(self, kind, now, **more):
        self.events.append({"eventID": self.next_id, "eventKind": EVENTS[kind], "eventTime": now, **more})
        self.next_id += 1
        del self.events[:-self.MOST]

    @property
    def first_id(self):
        return self.events[0]["eventID"] if self.events else self.next_id

    def page(self, start):
        """The first events from `start` on: the id of the first one, and the events."""
        found = [one for one in self.events if one["eventID"] >= start][:self.AT_ONCE]
        return (found[0]["eventID"] if found else max(start, self.next_id)), found

    def forget_below(self, first_wanted):
        if first_wanted > self.next_id:
            raise Refused("events that have not been yet", "messageItemRange")
        self.events = [one for one in self.events if one["eventID"] >= first_wanted]


def numbered(event):
    """An event as it is sent."""
    return {FIELDS[name]: value for name, value in event.items()}


@dataclass(frozen=True)
class Want:
    """What a field of a command has to be; `least` and `most` are of the number, or of the length in bytes."""
    kind: type
    least: int = 0
    most: int = 2**63 - 1
    is_optional: bool = False

    def check(self, name, fields):
        if name not in fields:
            if self.is_optional:
                return
            raise Refused(f"without {name}", "messageItemMissing")
        value = fields[name]
        if type(value) is not self.kind:
            raise Refused(f"{name} of another type", "messageItemType")
        size = value if self.kind is int else len(value.encode() if self.kind is str else value) if self.kind is not bool else 0
        if not self.least <= size <= self.most:
            raise Refused(f"{name} out of range", "messageItemRange")


def check_fields(wants, fields):
    for name, want in wants.items():
        want.check(name, fields)
