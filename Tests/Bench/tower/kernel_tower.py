#!/usr/bin/env python3
"""A tower of docs/tower-link.md on one of the kernel's own controllers, without a Bluetooth stack beside the kernel's.

    kernel_tower.py --controller 1 --tower 0100000000000175 --name TOWER-02 --key-file FILE --control /run/tower

ATT over the kernel's L2CAP sockets, legacy advertising by raw HCI: needs the rights of root. With `btvirt -L -l2` there are two
controllers in memory; a central uses the other. Prints `ready TOWER ADDRESS` when it advertises, under its controller's public
address. tower_control.py says how it is steered.
"""

import argparse
import asyncio
import select
import sys

import att_server
import tower_control
from kernel_bluetooth import HCI, address_text, att_socket

LONGEST_NAME = 13
PARTING_S = 0.05


def part(kind, content):
    """One part of what is advertised."""
    return bytes([len(content) + 1, kind]) + content


class Wire:
    """One connection, as the tower sees it: an ATT server on a socket."""

    def __init__(self, radio, connected):
        self.radio = radio
        self.socket = connected
        self.socket.setblocking(False)
        tower = radio.tower
        self.tower_side = tower.connect(self)
        radio.wires.add(self)
        self.server = att_server.Server(tower.information, self._written, self._subscribed, radio.mtu)
        asyncio.get_running_loop().add_reader(self.socket, self._readable)

    def limit(self):
        return self.server.mtu - 3

    def send(self, data):
        if self.socket.fileno() >= 0 and self.server.configuration[0] & 1:
            self.radio.traffic.note(self.radio.tower, "notified", data)
            self._put(self.server.notification(data))

    def later(self, seconds, function):
        asyncio.get_running_loop().call_later(seconds, function)

    def drop(self):
        """Closing the socket alone would leave the connection for two seconds."""
        if self.socket.fileno() < 0:
            return
        asyncio.get_running_loop().remove_reader(self.socket)
        # Who is connected loses what it has not read yet when the connection ends.
        asyncio.get_running_loop().call_later(PARTING_S, self.radio.disconnect, self)

    def gone(self):
        asyncio.get_running_loop().remove_reader(self.socket)
        self.tower_side.close()
        self.socket.close()
        self.radio.wires.discard(self)
        self.radio.traffic.note(self.radio.tower, "disconnected")
        self.radio.advertise_again()

    def _put(self, packet):
        """Notifications are few: where the socket is full for a moment, waiting is all there is to do."""
        while True:
            try:
                self.socket.send(packet)
                return
            except BlockingIOError:
                select.select([], [self.socket], [], 1)
            except OSError:
                return

    def _readable(self):
        try:
            request = self.socket.recv(1024)
        except BlockingIOError:
            return
        except OSError:
            request = b""
        if not request:
            self.gone()
            return
        answer = self.server.answer(request)
        if answer:
            self._put(answer)

    def _written(self, data):
        self.radio.traffic.note(self.radio.tower, "written", data)
        self.tower_side.receive(data)

    def _subscribed(self, is_notified):
        self.radio.traffic.note(self.radio.tower, "subscribed" if is_notified else "unsubscribed")
        if is_notified:
            self.tower_side.begin_anew()


class Radio:
    """A tower on a controller of the kernel's."""

    def __init__(self, tower, options, traffic):
        self.tower = tower
        self.traffic = traffic
        self.mtu = options.mtu
        self.is_on = False
        self.wires = set()
        self.hci = HCI(options.controller)
        self.address = self.hci.address()
        self.listening = att_socket(self.address)
        self.listening.listen(4)
        self.listening.setblocking(False)
        asyncio.get_running_loop().add_reader(self.listening, self._accept)

    async def advertise(self, is_on):
        if is_on and not self.is_on:
            name = self.tower.name.encode()
            self.hci.advertise(
                part(0x01, b"\x06") + part(0x07, att_server.SERVICE_UUIDS[0]),
                part(0xFF, self.tower.advertised()) + part(0x09 if len(name) <= LONGEST_NAME else 0x08, name[:LONGEST_NAME]))
        elif self.is_on and not is_on:
            self._set_advertising(False)
        self.is_on = is_on

    def advertise_again(self):
        """A controller stops advertising when somebody connects."""
        if self.is_on:
            self._set_advertising(True)

    def _set_advertising(self, is_on):
        try:
            self.hci.set_advertising(is_on)
        except TimeoutError:
            raise
        except OSError:
            # Refused, because it is so already.
            pass

    def disconnect(self, wire):
        """Ends the connection under a socket at once."""
        SOL_L2CAP, L2CAP_CONNINFO, USER_ENDED = 6, 0x02, 0x13
        try:
            handle = wire.socket.getsockopt(SOL_L2CAP, L2CAP_CONNINFO, 8)[:2]
            self.hci.command_only(0x01, 0x06, handle + bytes([USER_ENDED]))
        except OSError as problem:
            print(f"tower: not disconnected: {problem}", file=sys.stderr, flush=True)
        wire.socket.close()
        self.wires.discard(wire)
        self.traffic.note(self.tower, "disconnected")
        asyncio.get_running_loop().call_later(0.1, self.advertise_again)

    def _accept(self):
        try:
            connected, _ = self.listening.accept()
        except OSError:
            return
        self.traffic.note(self.tower, "connected")
        Wire(self, connected)


async def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--controller", type=int, default=1, help="its number: 1 is hci1")
    tower_control.add_arguments(parser)
    options = parser.parse_args()
    if not options.tower or not options.key_file:
        parser.error("want --tower and --key-file")
    ((name, tower),) = tower_control.towers_of([tower_control.setup_of(options)]).items()
    radio = Radio(tower, options, tower_control.Traffic(options.log))
    await radio.advertise(True)
    await tower_control.Control({name: radio}).serve(options.control, (name, address_text(radio.address)))


if __name__ == "__main__":
    asyncio.run(main())
