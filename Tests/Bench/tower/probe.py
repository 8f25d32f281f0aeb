#!/usr/bin/env python3
"""A central that is not the daemon's: finds a tower, connects to it through the kernel, and uses it as somebody with a server's keys can.

    probe.py --key-file FILE --address F0:F1:F2:F3:F4:F5 --type random COMMAND [ARGUMENT]

    find                    what it advertises, with legacy scanning; needs the rights of root
    read                    what its characteristic gives
    open LOCKER             opens by token
    command NAME [FIELDS]   one command of docs/tower-link.md, its fields as JSON (bytes as {"hex":"..."}); --permissions 0,4
    attack [never|again]    what attacks.py has: those that never had a right to a door, or who had one once

Prints JSON lines, and ends with 1 where the tower refused what it should not, or did not refuse what it should.
"""

import argparse
import json
import sys
import time

sys.dont_write_bytecode = True
import attacks  # noqa: E402
import link  # noqa: E402
from att_client import Central  # noqa: E402
from kernel_bluetooth import HCI, connect  # noqa: E402
from tower_client import Answered, Client, Server, Silent  # noqa: E402


def say(**what):
    print(json.dumps(what, default=bytes.hex), flush=True)


class Probe:
    def __init__(self, options):
        with open(options.key_file, encoding="utf-8") as file:
            keys = json.load(file)
        self.tower = bytes.fromhex(keys["tower"])
        self.server = Server.from_keys(self.tower, keys["keys"])
        self.options = options
        self.central = None

    def connected(self):
        """A new connection each time; the one before is closed."""
        if self.central:
            self.central.close()
        for attempt in range(3):
            try:
                self.central = Central(connect(self.options.address, self.options.type), self.options.mtu)
                return self.central
            except (OSError, TimeoutError) as problem:
                # The tower may have ended the last connection a moment ago.
                last = problem
                time.sleep(0.3)
        raise last

    def client(self):
        return Client(self.connected(), self.tower)

    def begun(self):
        client = self.client()
        permissions = [int(one) for one in self.options.permissions.split(",")]
        client.begin(self.server.session_token(permissions))
        return client

    def find(self):
        """The advertisement and the scan response."""
        address = self.options.address.upper()
        with HCI(self.options.controller) as hci:
            found = hci.scan(10, lambda found: {(address, False), (address, True)} <= found.keys())
        say(advertised=found.get((address, False), b""), response=found.get((address, True), b""))

    def read(self):
        central = self.connected()
        information = link.decode_map(central.information())
        say(mtu=central.mtu, **{link.NAMES_OF_FIELDS[number]: value for number, value in information.items()})

    def open(self, locker):
        began = time.monotonic()
        client = self.begun()
        middle = time.monotonic()
        opened = client.open(self.server.open_token(int(locker)))
        say(opened=opened, session_s=round(middle - began, 3), open_s=round(time.monotonic() - middle, 3))

    def command(self, name, fields="{}"):
        values = json.loads(fields, object_hook=lambda one: bytes.fromhex(one["hex"]) if one.keys() == {"hex"} else one)
        message, answer = self.begun().command(name, **values)
        say(answer=message, **{name: str(value) if isinstance(value, (dict, list)) else value for name, value in answer.items()})

    def attack(self, which="all"):
        is_good = True
        for name, found, due in attacks.run_all(self.client, self.server, which):
            is_good = is_good and found == due
            say(attack=name, answered=found, due=due)
        if not is_good:
            sys.exit(1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key-file", required=True)
    parser.add_argument("--address", required=True)
    parser.add_argument("--type", choices=("public", "random"), default="random")
    parser.add_argument("--controller", type=int, default=0)
    parser.add_argument("--mtu", type=int, default=247)
    parser.add_argument("--permissions", default="1")
    parser.add_argument("command", choices=("find", "read", "open", "command", "attack"))
    parser.add_argument("arguments", nargs="*")
    options = parser.parse_args()
    try:
        getattr(Probe(options), options.command)(*options.arguments)
    except (Answered, Silent, link.Refused) as problem:
        say(refused=getattr(problem, "code", type(problem).__name__), why=str(problem))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
