"""Who connects to a tower: makes tokens as the server does, begins a session, gives commands, and believes nothing that is not authentic.

`wire` is a connection: `write(bytes)`, and `read(seconds)`, which gives what one notification brought, or None when nothing came or
the tower is gone.
"""

import hashlib
import os
import time

import link
from link import FIELDS, Refused


class Server:
    """Makes tokens with one key of one tower."""

    def __init__(self, tower, key):
        """`key`: id, rotation and secret."""
        self.tower = tower
        self.key = key

    @classmethod
    def from_keys(cls, tower, keys):
        """With the newest of the keys of a key file."""
        newest = max((one for one in keys if one.get("state", "installed") == "installed"), key=lambda one: (one["id"], one["rotation"]))
        return cls(tower, (newest["id"], newest["rotation"], bytes.fromhex(newest["secret"])))

    def seal(self, message, **fields):
        return link.seal_token(self.key, self.tower, os.urandom(link.BLOCK), message, **fields)

    def session_token(self, permissions=(1,), now=None, lasts=600):
        """Payload, signature and seed."""
        now, seed = int(time.time() if now is None else now), os.urandom(32)
        payload, auth = self.seal(
            "requestSessionPayload", timestamp=now, expires=now + lasts, permissions=list(permissions), clientID="probe", sessionSeed=seed)
        return payload, auth, seed

    def open_token(self, locker=None, now=None, lasts=300, **more):
        """Payload and signature."""
        now = int(time.time() if now is None else now)
        chosen = {} if locker is None else {"lockerID": locker}
        fields = {"timestamp": now, "expires": now + lasts, "tokenID": os.urandom(16), **chosen, **more}
        return self.seal("openLockerPayload", **fields)

    def opened(self, payload, auth, kind):
        """What a tower sealed."""
        number, rotation, secret = self.key
        return link.open_sealed({(number, rotation): secret}, self.tower, payload, auth, kind)


class Answered(Exception):
    """A tower's error; `code` is its name."""

    def __init__(self, fields):
        self.code = next((name for name, number in link.CODES.items() if number == fields.get("errorCode")), "?")
        super().__init__(f"{self.code}: {fields.get('errorMessage')}")


class Silent(Exception):
    """The tower does not answer, or is gone."""


class Client:
    def __init__(self, wire, tower, wait=10.0):
        self.wire = wire
        self.tower = tower
        self.wait = wait
        self.framer = link.Framer()
        self.waiting = []
        self.outgoing = self.incoming = None

    def send(self, content):
        self.wire.write(link.framed(content))

    def receive(self):
        """The content of the next frame."""
        end = time.monotonic() + self.wait
        while not self.waiting:
            data = self.wire.read(end - time.monotonic())
            if data is None:
                raise Silent("no answer")
            self.waiting += self.framer.take(data)
        return self.waiting.pop(0)

    def request(self, token, now=None, **other):
        """The content of a requestSession, and its nonce."""
        payload, auth, _ = token
        nonce = os.urandom(16)
        fields = {
            "version": link.VERSION, "timestamp": int(time.time() if now is None else now), "requestNonce": nonce, "payload": payload,
            "payloadAuth": auth, **other}
        return link.packet("requestSession", **fields), nonce

    def begin(self, token, now=None, **other):
        request, nonce = self.request(token, now, **other)
        self.send(request)
        self.take_grant(self.receive(), request, nonce, token[2])

    def take_grant(self, content, request, nonce, seed):
        message, fields = link.unpack(content)
        if message == "sessionError":
            raise Answered(fields)
        if message != "grantSession" or fields["version"] != link.VERSION:
            raise Refused(f"a {message} of version {fields.get('version')}", "versionUnknown")
        keys = link.Keys(seed, nonce + fields["grantNonce"], "grant", self.tower)
        digest = hashlib.sha256(request).digest()
        keys.check(
            fields["payloadAuth"], "grant", digest, fields["version"], fields["timestamp"], fields["grantNonce"], fields["payload"])
        _, granted = link.unpack(keys.decrypt(fields["payload"]))
        self.outgoing, self.incoming = (
            link.Channel(granted["sessionID"], granted["sessionKey"], self.tower, way) for way in ("to-tower", "from-tower"))

    def sealed(self, message, sequence=None, **fields):
        """The content of a command's packet."""
        return self.outgoing.seal(os.urandom(link.BLOCK), message, sequence, **fields)

    def answer(self):
        """The next authentic answer: its message and fields."""
        content = self.receive()
        if FIELDS["type"] in link.decode_map(content):
            raise Answered(link.unpack(content)[1])
        message, fields = self.incoming.open(content)
        del fields["sequence"]
        if message == "error":
            raise Answered(fields)
        return message, fields

    def command(self, message, **fields):
        self.send(self.sealed(message, **fields))
        return self.answer()

    def open(self, token):
        """Opens by token; returns the locker."""
        _, fields = self.command("openLockerWithToken", payload=token[0], payloadAuth=token[1])
        return fields["lockerID"]
