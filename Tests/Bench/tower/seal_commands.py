#!/usr/bin/env python3
"""Seals orders as a tower's server does: seal_commands.py KEY_FILE START CLOCK. Prints {"payload":...,"payloadAuth":...}.

The batch has one order, number START, which sets the tower's clock to CLOCK seconds more than this machine's.
"""

import json
import sys
import time

import link
from link import FIELDS, MESSAGES
from tower_client import Server


def main():
    path, start, ahead = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        setup = json.load(file)
    server = Server.from_keys(bytes.fromhex(setup["tower"]), setup["keys"])
    order = {FIELDS["type"]: MESSAGES["setClock"], FIELDS["clockTime"]: int(time.time()) + int(ahead)}
    payload, auth = server.seal("syncCommandsPayload", syncCommandStart=int(start), syncCommandCount=1, syncBatch=[order])
    print(json.dumps({"payload": payload.hex(), "payloadAuth": auth.hex()}))


if __name__ == "__main__":
    main()
