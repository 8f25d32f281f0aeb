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
MESSAGES, FIELDS, CODES = NUMBERS["messages"], NUMBERS["fields"], NUMBERS["codes"]
NAMES_OF_MESSAGES = {number: name for name, number in MESSAGES.items()}
NAMES_OF_FIELDS = {number: name for name, number in FIELDS.items()}
VERSION = 1
TAG, BLOCK = 16, 16


class Refused(Exception):
    """What is refused, and by which check."""


def encode(value):
    # Keys are never negative here, so the order of RFC 7049, which cbor2 has, is that of RFC 8949.
    return cbor2.dumps(value, canonical=True)


def decode(data):
    """Takes nothing but the one form of a value."""
    try:
        value = cbor2.loads(data)
    except Exception as problem:
        raise Refused(f"malformed: {problem}") from None
    if encode(value) != data:
        raise Refused("malformed: not in its only form")
    return value


def packet(message, **fields):
    return encode({FIELDS["type"]: MESSAGES[message], **{FIELDS[name]: value for name, value in fields.items()}})


def unpack(data):
    """The message's name and its fields by name."""
    numbers = decode(data)
    if not isinstance(numbers, dict) or numbers.get(FIELDS["type"]) not in NAMES_OF_MESSAGES:
        raise Refused("malformed: no packet")
    fields = {NAMES_OF_FIELDS[number]: value for number, value in numbers.items() if number in NAMES_OF_FIELDS}
    return NAMES_OF_MESSAGES[fields.pop("type")], fields


def framed(content):
    return encode(content)


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
            raise Refused("not authentic")


def seal_token(key, tower, block, message, **fields):
    """`key`: id, rotation and secret. Returns payload and payload_auth."""
    number, rotation, secret = key
    keys = Keys(secret, tower, "token", tower)
    payload = keys.encrypt(packet(message, towerID=tower, **fields), block)
    tag = keys.tag("token", number, rotation, payload)
    return payload, encode({FIELDS["keyID"]: number, FIELDS["keyRotation"]: rotation, FIELDS["tag"]: tag})


def open_token(ring, tower, payload, auth, kind, now):
    """`ring`: secrets by id and rotation, those that may still be used."""
    signature = decode(auth)
    number, rotation = signature.get(FIELDS["keyID"]), signature.get(FIELDS["keyRotation"])
    if (number, rotation) not in ring:
        raise Refused("no such key")
    keys = Keys(ring[number, rotation], tower, "token", tower)
    keys.check(signature.get(FIELDS["tag"]), "token", number, rotation, payload)
    message, fields = unpack(keys.decrypt(payload))
    if message != kind:
        raise Refused(f"a {message}")
    if fields["towerID"] != tower:
        raise Refused("another tower's")
    if now >= fields["expires"]:
        raise Refused("expired")
    if fields["timestamp"] > now + 300:
        raise Refused("not yet valid")
    return fields


def grant(request, seed, tower, timestamp, grant_nonce, session_id, session_key, block):
    """The content of a grantSession in answer to the content of a requestSession."""
    _, asked = unpack(request)
    keys = Keys(seed, asked["requestNonce"] + grant_nonce, "grant", tower)
    inner = packet("grantSessionPayload", timestamp=timestamp, sessionID=session_id, sessionKey=session_key)
    payload = keys.encrypt(inner, block)
    tag = keys.tag("grant", hashlib.sha256(request).digest(), VERSION, timestamp, grant_nonce, payload)
    return packet("grantSession", version=VERSION, timestamp=timestamp, grantNonce=grant_nonce, payload=payload, payloadAuth=tag)


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
        outer = decode(content)
        wrapper = outer.get(FIELDS["wrapper"])
        if outer.get(FIELDS["sessionID"]) != self.session_id or not isinstance(wrapper, bytes):
            raise Refused("not of this session")
        self.keys.check(outer.get(FIELDS["tag"]), "packet", self.session_id, wrapper)
        message, fields = unpack(self.keys.decrypt(wrapper))
        if fields["sequence"] != self.last + 1:
            raise Refused("replayed, or out of order")
        self.last += 1
        return message, fields
