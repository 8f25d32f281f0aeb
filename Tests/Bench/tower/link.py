"""The tower link of docs/tower-link.md a second time: shares no code and no library with the daemon's.

Seals and opens tokens and sessions, seen from the tower as well as from who connects to it. Values are dicts of names as the document's
table has them; `NUMBERS` holds the table.
"""

import hashlib
import hmac
import json
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

NUMBERS = json.loads((Path(__file__).parent / "numbers.json").read_text())
MESSAGES, FIELDS, CODES, EVENTS = NUMBERS["messages"], NUMBERS["fields"], NUMBERS["codes"], NUMBERS["events"]
NAMES_OF_MESSAGES = {number: name for name, number in MESSAGES.items()}
NAMES_OF_FIELDS = {number: name for name, number in FIELDS.items()}
VERSION = 1
TAG, BLOCK = 16, 16
LONGEST_TOKEN = 1024
DEEPEST = 8
CLOCK_SKEW = 300


class Refused(Exception):
    """What is refused, and by which check; `code` is the name of the error that a tower answers with."""

    def __init__(self, why, code="messageInvalid"):
        super().__init__(why)
        self.code = code


def encode(value):
    # Keys are never negative here, so the order of RFC 7049, which cbor2 has, is that of RFC 8949.
    return cbor2.dumps(value, canonical=True)


def is_used(value, depth=0):
    """Whether a value is of the kinds that occur."""
    if depth > DEEPEST:
        return False
    if value is None or isinstance(value, (bool, bytes, str)):
        return True
    if isinstance(value, int):
        return -2**63 <= value < 2**63
    if isinstance(value, (list, tuple)):
        return all(is_used(one, depth + 1) for one in value)
    return isinstance(value, dict) and all(
        type(key) is int and is_used(key, depth + 1) and is_used(one, depth + 1) for key, one in value.items())


def decode(data):
    """Takes nothing but the one form of a value."""
    try:
        value = cbor2.loads(data)
        is_deterministic = encode(value) == data
    except Exception as problem:
        raise Refused(f"malformed: {problem}") from None
    if not is_deterministic or not is_used(value):
        raise Refused("malformed: not in its only form")
    return value


def decode_map(data):
    value = decode(data)
    if not isinstance(value, dict):
        raise Refused("malformed: no map")
    return value


def packet(message, **fields):
    return encode({FIELDS["type"]: MESSAGES[message], **{FIELDS[name]: value for name, value in fields.items()}})


def unpack(data):
    """The message's name and its fields by name."""
    return named(decode_map(data))


def named(numbers):
    """A packet that is decoded already: the message's name and its fields by name."""
    kind = numbers.get(FIELDS["type"])
    if type(kind) is not int:
        raise Refused("malformed: no packet")
    if kind not in NAMES_OF_MESSAGES:
        raise Refused(f"a message {kind}", "messageUnknown")
    fields = {NAMES_OF_FIELDS[number]: value for number, value in numbers.items() if number in NAMES_OF_FIELDS}
    return NAMES_OF_MESSAGES[fields.pop("type")], fields


def framed(content):
    return encode(content)


class Framer:
    """Puts together what the link cuts."""

    LONGEST = 8192
    # How many bytes a length has after the first byte of a head, and the least that needs so many.
    HEADS = {0x58: (1, 24), 0x59: (2, 256)}

    def __init__(self):
        self.buffer = b""

    def take(self, data):
        """The contents that are complete with `data`."""
        self.buffer += data
        contents = []
        while (length := self._head()) is not None:
            start, count = length
            if len(self.buffer) < start + count:
                break
            contents.append(self.buffer[start:start + count])
            self.buffer = self.buffer[start + count:]
        return contents

    def _head(self):
        """Where the first content starts and how long it is; None where that is not known yet."""
        if not self.buffer:
            return None
        first = self.buffer[0]
        if 0x40 <= first <= 0x57:
            return 1, first - 0x40
        if first not in self.HEADS:
            raise Refused("malformed: no frame")
        size, least = self.HEADS[first]
        if len(self.buffer) < 1 + size:
            return None
        count = int.from_bytes(self.buffer[1:1 + size], "big")
        if not least <= count <= self.LONGEST:
            raise Refused("malformed: the head of a frame")
        return 1 + size, count


class Keys:
    """Of one purpose: authenticity and secrecy."""

    def __init__(self, secret, salt, purpose, tower):
        def derive(use, length):
            info = f"lockerd-tower/1 {purpose} {use} ".encode() + tower
            return HKDF(hashes.SHA256(), length, salt, info).derive(secret)

        self.authentication, self.encryption = derive("authenticate", 32), derive("encrypt", 16)

    def _cipher(self, block):
        return Cipher(algorithms.AES(self.encryption), modes.CTR(block)).encryptor()

    def encrypt(self, plain, block):
        return block + self._cipher(block).update(plain)

    def decrypt(self, sealed):
        if len(sealed) < BLOCK:
            raise Refused("malformed: too short to be sealed")
        return self._cipher(sealed[:BLOCK]).update(sealed[BLOCK:])

    def tag(self, *values):
        return hmac.digest(self.authentication, encode(list(values)), "sha256")[:TAG]

    def check(self, tag, *values):
        if not isinstance(tag, bytes) or not hmac.compare_digest(tag, self.tag(*values)):
            raise Refused("not authentic", "signatureInvalid")


def seal_token(key, tower, block, message, **fields):
    """`key`: id, rotation and secret. Returns payload and payload_auth."""
    number, rotation, secret = key
    keys = Keys(secret, tower, "token", tower)
    payload = keys.encrypt(packet(message, towerID=tower, **fields), block)
    tag = keys.tag("token", number, rotation, payload)
    return payload, encode({FIELDS["keyID"]: number, FIELDS["keyRotation"]: rotation, FIELDS["tag"]: tag})


def open_sealed(ring, tower, payload, auth, kind):
    """What only the holder of a tower key can have made: the fields of a payload of this kind for this tower."""
    if len(payload) > LONGEST_TOKEN or len(auth) > LONGEST_TOKEN:
        raise Refused("too long", "messageItemRange")
    signature = decode_map(auth)
    number, rotation = signature.get(FIELDS["keyID"]), signature.get(FIELDS["keyRotation"])
    if type(number) is not int or type(rotation) is not int:
        raise Refused("malformed: no key is named")
    if (number, rotation) not in ring:
        raise Refused("no such key", "keyInvalid")
    keys = Keys(ring[number, rotation], tower, "token", tower)
    keys.check(signature.get(FIELDS["tag"]), "token", number, rotation, payload)
    message, fields = unpack(keys.decrypt(payload))
    if message != kind:
        raise Refused(f"a {message}")
    if fields.get("towerID") != tower:
        raise Refused("another tower's", "towerWrong")
    return fields


def open_token(ring, tower, payload, auth, kind, now):
    """`ring`: secrets by id and rotation, those that may still be used."""
    fields = open_sealed(ring, tower, payload, auth, kind)
    issued, expires = fields.get("timestamp"), fields.get("expires")
    if type(issued) is not int or type(expires) is not int:
        raise Refused("malformed: no times")
    if now >= expires:
        raise Refused("expired", "messageExpired")
    if issued > now + CLOCK_SKEW:
        raise Refused("not yet valid", "messageExpired")
    return fields


def grant(request, seed, tower, timestamp, grant_nonce, session_id, session_key, block, version=VERSION):
    """The content of a grantSession in answer to the content of a requestSession."""
    _, asked = unpack(request)
    keys = Keys(seed, asked["requestNonce"] + grant_nonce, "grant", tower)
    inner = packet("grantSessionPayload", timestamp=timestamp, sessionID=session_id, sessionKey=session_key)
    payload = keys.encrypt(inner, block)
    tag = keys.tag("grant", hashlib.sha256(request).digest(), version, timestamp, grant_nonce, payload)
    return packet("grantSession", version=version, timestamp=timestamp, grantNonce=grant_nonce, payload=payload, payloadAuth=tag)


class Channel:
    """One direction of a session."""

    def __init__(self, session_id, session_key, tower, direction):
        self.session_id = session_id
        self.keys = Keys(session_key, session_id, direction, tower)
        self.last = 0

    def seal(self, block, message, sequence=None, **fields):
        self.last = self.last + 1 if sequence is None else sequence
        wrapper = self.keys.encrypt(packet(message, sequence=self.last, **fields), block)
        return encode({
            FIELDS["sessionID"]: self.session_id, FIELDS["wrapper"]: wrapper,
            FIELDS["tag"]: self.keys.tag("packet", self.session_id, wrapper)})

    def open(self, content):
        outer = decode_map(content)
        wrapper = outer.get(FIELDS["wrapper"])
        if outer.get(FIELDS["sessionID"]) != self.session_id or not isinstance(wrapper, bytes):
            raise Refused("not of this session", "sessionUnknown")
        self.keys.check(outer.get(FIELDS["tag"]), "packet", self.session_id, wrapper)
        numbers = decode_map(self.keys.decrypt(wrapper))
        sequence = numbers.get(FIELDS["sequence"])
        if type(sequence) is not int or sequence != self.last + 1:
            raise Refused("replayed, or out of order", "messageReplayed")
        self.last += 1
        return named(numbers)
