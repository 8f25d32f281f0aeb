"""What can be wrong with a tower or its link, switched on while it runs.

A fault stays for a number of occasions; `times` of -1 is until it is cleared. It passes over the first `after` occasions: what a
tower sends first in a session is the grant, so that `after` 1 is the answer to the first command. Some have a value.
"""

from dataclasses import dataclass

import link

KINDS = {
    "disconnectBeforeFiring": "the connection ends when a lock would fire; the token is not used up",
    "disconnectAfterFiring": "the lock fires, and the connection ends instead of an answer",
    "loseNotification": "an answer is not sent",
    "halfNotification": "only the first half of an answer is sent",
    "oddPieces": "an answer comes in pieces of 1, 2, 3, 5, 7, 11... bytes",
    "wrongTag": "an answer, or a grant, that somebody without the key could have made",
    "replayOldAnswer": "the first answer of this session once more, instead of the one that is due",
    "wrongSequence": "an answer with the number of the next command",
    "batteryCritical": "no lock fires for want of current",
    "lockersBusy": "another lock fires just now",
    "syncBusy": "another session synchronises",
    "sessionBusy": "no session now",
    "slowAnswer": "an answer comes `value` seconds later (5)",
    "garbage": "bytes that are no frame instead of an answer; with value `content`, a frame of what is no CBOR",
    "downgradeGrant": "a grant of version 0: with value `sealed` the tower means it, otherwise it was changed on the way",
}
PIECES = (1, 2, 3, 5, 7, 11, 13, 17, 19, 23)


@dataclass
class Fault:
    times: int
    value: object
    after: int


class Faults:
    def __init__(self):
        self.active = {}

    def set(self, name, times=1, value=None, after=0):
        if name not in KINDS:
            raise ValueError(f"no fault {name}; there are {', '.join(sorted(KINDS))}")
        self.active[name] = Fault(int(times), value, int(after))

    def clear(self):
        self.active = {}

    def value(self, name):
        return self.active[name].value if name in self.active else None

    def take(self, name):
        """Whether it is one of the occasions."""
        if name not in self.active:
            return False
        fault = self.active[name]
        if fault.after > 0:
            fault.after -= 1
            return False
        if fault.times > 0:
            fault.times -= 1
            if fault.times == 0:
                del self.active[name]
        return True


def with_wrong_tag(content, name):
    """The content with one bit of its tag, or of the tag of a grant, changed."""
    numbers = link.decode(content)
    tag = numbers[link.FIELDS[name]]
    return link.encode({**numbers, link.FIELDS[name]: tag[:-1] + bytes([tag[-1] ^ 1])})


def with_version(content, version):
    return link.encode({**link.decode(content), link.FIELDS["version"]: version})


def pieces(data, limit, is_odd):
    """What a link that takes `limit` bytes at once makes of data."""
    found, number = [], 0
    while data:
        size = min(PIECES[number % len(PIECES)], limit) if is_odd else limit
        found.append(data[:size])
        data, number = data[size:], number + 1
    return found


def deliver(content, faults, wire):
    """Sends the content of one frame over `wire`, as the faults want it.

    `wire` has `limit()` bytes at once, `send(bytes)`, and `later(seconds, function)`.
    """
    data = link.framed(content)
    garbage = faults.value("garbage")
    if faults.take("garbage"):
        data = link.framed(b"\xff\xfe no packet") if garbage == "content" else b"\xff" * 40
    if faults.take("loseNotification"):
        return
    if faults.take("halfNotification"):
        data = data[:len(data) // 2]
    parts = pieces(data, wire.limit(), faults.take("oddPieces"))

    def send():
        for part in parts:
            wire.send(part)

    seconds = faults.value("slowAnswer")
    if faults.take("slowAnswer"):
        wire.later(5 if seconds is None else float(seconds), send)
    else:
        send()
