"""What somebody would try who wants a door open without the right to it. Each attack names the error that it has to be answered with.

An attack takes a function that connects anew and returns a Client, the server of the tower, and returns the name of the error; `now`
in it is the tower's time. Doors that were opened rightfully on the way are in `LAWFUL`.
"""

import os
import time

import link
from link import FIELDS
from tower_client import Answered, Server, Silent

# Name: what it does, and the error that is due.
ATTACKS = {}
# Attacks that open this locker with a good token first, and then try it again.
LAWFUL = {"replayed_token": 3, "replayed_packet": 4}


def attack(due):
    def add(function):
        ATTACKS[function.__name__] = (function, due)
        return function
    return add


def begun(connect, server):
    client = connect()
    client.begin(server.session_token())
    return client


def error_of(action):
    """The name of the error that an action is answered with; of what it opened otherwise."""
    try:
        return f"nothing refused: {action()}"
    except Answered as answered:
        return answered.code


def try_token(connect, server, token):
    client = begun(connect, server)
    return error_of(lambda: client.open(token))


def try_session(connect, token, **other):
    client = connect()
    return error_of(lambda: client.begin(token, **other))


# Tokens

@attack("signatureInvalid")
def forged_token(connect, server):
    number, rotation, _ = server.key
    return try_token(connect, server, Server(server.tower, (number, rotation, os.urandom(32))).open_token(1))


@attack("signatureInvalid")
def changed_token(connect, server):
    """One bit of the locker's number, as far as somebody can find it who cannot read it."""
    payload, auth = server.open_token(1)
    return try_token(connect, server, (payload[:-1] + bytes([payload[-1] ^ 1]), auth))


@attack("tokenUsed")
def replayed_token(connect, server):
    token = server.open_token(LAWFUL["replayed_token"])
    client = begun(connect, server)
    client.open(token)
    client = begun(connect, server)
    return error_of(lambda: client.open(token))


@attack("signatureInvalid")
def truncated_token(connect, server):
    payload, auth = server.open_token(1)
    return try_token(connect, server, (payload[:-1], auth))


@attack("messageInvalid")
def truncated_signature(connect, server):
    payload, auth = server.open_token(1)
    return try_token(connect, server, (payload, auth[:-1]))


@attack("signatureInvalid")
def token_of_another_tower(connect, server):
    """Of a tower that has the same key."""
    other = bytes([server.tower[0] ^ 1]) + server.tower[1:]
    return try_token(connect, server, Server(other, server.key).open_token(1))


@attack("towerWrong")
def token_that_names_another_tower(connect, server):
    other = bytes([server.tower[0] ^ 1]) + server.tower[1:]
    number, rotation, secret = server.key
    now = int(time.time())
    keys = link.Keys(secret, server.tower, "token", server.tower)
    payload = keys.encrypt(link.packet(
        "openLockerPayload", towerID=other, timestamp=now, expires=now + 300, tokenID=os.urandom(16), lockerID=1), os.urandom(16))
    auth = link.encode({
        FIELDS["keyID"]: number, FIELDS["keyRotation"]: rotation, FIELDS["tag"]: keys.tag("token", number, rotation, payload)})
    return try_token(connect, server, (payload, auth))


@attack("messageExpired")
def expired_token(connect, server):
    return try_token(connect, server, server.open_token(1, now=time.time() - 301, lasts=300))


@attack("messageExpired")
def token_of_the_future(connect, server):
    return try_token(connect, server, server.open_token(1, now=time.time() + 400))


@attack("keyInvalid")
def token_of_another_rotation(connect, server):
    number, rotation, secret = server.key
    return try_token(connect, server, Server(server.tower, (number, rotation + 1, secret)).open_token(1))


@attack("messageInvalid")
def session_token_instead(connect, server):
    payload, auth, _ = server.session_token()
    return try_token(connect, server, (payload, auth))


@attack("messageItemRange")
def endless_token(connect, server):
    return try_token(connect, server, server.open_token(1, clientInfo="x" * 1100))


# Sessions

@attack("versionUnknown")
def downgraded_request(connect, server):
    return try_session(connect, server.session_token(), version=0)


@attack("messageExpired")
def request_of_another_day(connect, server):
    return try_session(connect, server.session_token(), timestamp=int(time.time()) - 301)


@attack("signatureInvalid")
def forged_session_token(connect, server):
    number, rotation, _ = server.key
    return try_session(connect, Server(server.tower, (number, rotation, os.urandom(32))).session_token())


@attack("messageExpired")
def expired_session_token(connect, server):
    return try_session(connect, server.session_token(now=time.time() - 700))


@attack("noSession")
def command_without_a_session(connect, server):
    client = connect()
    payload, auth = server.open_token(1)
    client.send(link.packet("openLockerWithToken", sequence=1, payload=payload, payloadAuth=auth))
    return error_of(client.answer)


@attack("noSession")
def command_of_a_session_that_ended(connect, server):
    client = begun(connect, server)
    client.command("terminateSession", errorCode=0)
    return error_of(lambda: client.open(server.open_token(1)))


@attack("permissionMissing")
def lock_without_permission(connect, server):
    client = begun(connect, server)
    return error_of(lambda: client.command("fireLock", lockerID=1))


# Packets

@attack("messageReplayed")
def replayed_packet(connect, server):
    client = begun(connect, server)
    payload, auth = server.open_token(LAWFUL["replayed_packet"])
    content = client.sealed("openLockerWithToken", payload=payload, payloadAuth=auth)
    client.send(content)
    client.answer()
    client.send(content)
    return error_of(client.answer)


@attack("messageReplayed")
def reordered_packets(connect, server):
    """The second command comes first."""
    client = begun(connect, server)
    payload, auth = server.open_token(1)
    client.sealed("checkAllLockerDoors")
    client.send(client.sealed("openLockerWithToken", payload=payload, payloadAuth=auth))
    return error_of(client.answer)


@attack("signatureInvalid")
def changed_packet(connect, server):
    client = begun(connect, server)
    payload, auth = server.open_token(1)
    numbers = link.decode_map(client.sealed("openLockerWithToken", payload=payload, payloadAuth=auth))
    wrapper = numbers[FIELDS["wrapper"]]
    client.send(link.encode({**numbers, FIELDS["wrapper"]: wrapper[:-1] + bytes([wrapper[-1] ^ 1])}))
    return error_of(client.answer)


@attack("signatureInvalid")
def packet_sent_back(connect, server):
    """What the tower itself sealed."""
    client = begun(connect, server)
    client.send(client.sealed("checkAllLockerDoors"))
    client.send(client.receive())
    return error_of(client.answer)


@attack("nothing")
def truncated_frame(connect, server):
    """Most of a packet, and then silence: nothing happens."""
    client = begun(connect, server)
    payload, auth = server.open_token(1)
    client.wait = 1.0
    client.wire.write(link.framed(client.sealed("openLockerWithToken", payload=payload, payloadAuth=auth))[:-1])
    try:
        return error_of(client.answer)
    except Silent:
        return "nothing"


@attack("messageInvalid")
def noise(connect, server):
    client = connect()
    client.wire.write(b"\xff" * 20)
    return error_of(client.answer)


def run_all(connect, server, which="all"):
    """(name, error, error that is due) of every attack: of `never` a door comes open, `again` are those that had a right once."""
    for name, (function, due) in ATTACKS.items():
        if which == "all" or (which == "again") == (name in LAWFUL):
            yield name, function(connect, server), due
