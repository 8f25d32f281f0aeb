#!/usr/bin/env python3
"""Prints the test vectors of the tower link: vectors.py [--check FILE].

Everything random is fixed, so that every implementation has to come to the same bytes. With --check it compares with a file and ends
with 1 where they differ.
"""

import json
import sys

import link


def pattern(first, count):
    return bytes((first + index) % 256 for index in range(count))


TOWER = bytes.fromhex("0100000000000175")
KEY = (3, 2, pattern(0x40, 32))
NOW = 1_780_000_000
# So that the counter of AES-CTR runs over its lower 32 and 64 bits.
BLOCK = bytes.fromhex("00112233445566778899aabbffffffff")
OTHER_BLOCK = bytes.fromhex("0011223344556677ffffffffffffffff")


def session_token():
    seed = pattern(0x80, 32)
    payload, auth = link.seal_token(
        KEY, TOWER, BLOCK, "requestSessionPayload", timestamp=NOW, expires=NOW + 3600, permissions=[1, 4], clientID="kiosk 7",
        sessionSeed=seed)
    return {"permissions": [1, 4], "client": "kiosk 7", "duration": 3600, "seed": seed, "block": BLOCK, "payload": payload, "payloadAuth": auth}


def open_token():
    identity = pattern(0x10, 16)
    payload, auth = link.seal_token(
        KEY, TOWER, OTHER_BLOCK, "openLockerPayload", timestamp=NOW, expires=NOW + 300, tokenID=identity, lockerID=14, lockerAvailable=True,
        clientInfo="order 4711, ü")
    return {
        "locker": 14, "leavesAvailable": True, "clientInfo": "order 4711, ü", "duration": 300, "id": identity, "block": OTHER_BLOCK,
        "payload": payload, "payloadAuth": auth}


def session(token, opens):
    request_nonce, grant_nonce, session_id, session_key = pattern(0x20, 16), pattern(0x30, 16), pattern(0x01, 8), pattern(0xC0, 32)
    request = link.packet(
        "requestSession", version=link.VERSION, timestamp=NOW + 5, requestNonce=request_nonce, payload=token["payload"],
        payloadAuth=token["payloadAuth"])
    grant = link.grant(request, token["seed"], TOWER, NOW + 6, grant_nonce, session_id, session_key, BLOCK)
    to_tower = link.Channel(session_id, session_key, TOWER, "to-tower")
    from_tower = link.Channel(session_id, session_key, TOWER, "from-tower")
    exchange = []
    for block, answer_block, command, fields, answer, answer_fields in (
        (BLOCK, OTHER_BLOCK, "openLockerWithToken", {"payload": opens["payload"], "payloadAuth": opens["payloadAuth"]}, "lockerOpened",
         {"lockerID": 14}),
        (pattern(0x55, 16), pattern(0x65, 16), "checkAllLockerDoors", {}, "allLockerDoorStates", {"doorsOpen": bytes([0x02, 0x40])}),
        (pattern(0x75, 16), pattern(0x85, 16), "terminateSession", {"errorCode": 0}, "acknowledge", {}),
    ):
        exchange.append({
            "command": command, "block": block, "content": to_tower.seal(block, command, **fields),
            "answer": answer, "answerContent": from_tower.seal(answer_block, answer, **answer_fields)})
    return {
        "requestAt": NOW + 5, "requestNonce": request_nonce, "request": request, "grant": grant, "sessionID": session_id,
        "sessionKey": session_key, "exchange": exchange, "framedRequest": link.framed(request)}


def vectors():
    token, opens = session_token(), open_token()
    number, rotation, secret = KEY
    return {
        "tower": TOWER, "now": NOW, "key": {"id": number, "rotation": rotation, "secret": secret}, "numbers": link.NUMBERS,
        "sessionToken": token, "openToken": opens, "session": session(token, opens)}


def main():
    text = json.dumps(vectors(), default=bytes.hex, indent=2, ensure_ascii=False) + "\n"
    if sys.argv[1:2] != ["--check"]:
        print(text, end="")
        return 0
    with open(sys.argv[2], encoding="utf-8") as file:
        if file.read() == text:
            return 0
    print(f"{sys.argv[2]} is not what the document's protocol gives")
    return 1


if __name__ == "__main__":
    sys.exit(main())
