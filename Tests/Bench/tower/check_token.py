#!/usr/bin/env python3
"""Takes a token as a tower does: check_token.py KEYFILE TOKENFILE. Prints what it says as JSON, or why it is refused."""

import json
import sys
import time

import link

KINDS = ("openLockerPayload", "requestSessionPayload")


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        keys = json.load(file)
    with open(sys.argv[2], encoding="utf-8") as file:
        token = json.load(file)
    ring = {(key["id"], key["rotation"]): bytes.fromhex(key["secret"]) for key in keys["keys"] if key["state"] == "installed"}
    reason = None
    for kind in KINDS:
        try:
            fields = link.open_token(
                ring, bytes.fromhex(keys["tower"]), bytes.fromhex(token["payload"]), bytes.fromhex(token["payloadAuth"]), kind, time.time())
            print(json.dumps({"kind": kind, **fields}, default=bytes.hex))
            return 0
        except link.Refused as refused:
            reason = reason or refused
    print(f"refused: {reason}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
