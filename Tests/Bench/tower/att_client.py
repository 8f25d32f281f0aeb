"""The least of an ATT client: finds the service of docs/tower-link.md by its UUIDs on a connected socket, and uses it."""

import select
import struct
import time

from att_server import CONFIGURATION, SERVICE_UUIDS

WRITTEN, NOTIFIED, READ = SERVICE_UUIDS[1:]
ERROR, NOTIFICATION = 0x01, 0x1B
NOT_FOUND = 0x0A


class ATTError(Exception):
    def __init__(self, request, code):
        super().__init__(f"request {request:#04x}: error {code:#04x}")
        self.code = code


class Central:
    """What tower_client.py calls a wire."""

    def __init__(self, connected, mtu=247):
        self.socket = connected
        self.notifications = []
        self.mtu = 23
        (most,) = struct.unpack("<H", self.ask(struct.pack("<BH", 0x02, mtu))[1:3])
        self.mtu = max(23, min(most, mtu))
        self.handles = self._discovered()
        self._configure(1)

    def close(self):
        self.socket.close()

    # One request at a time

    def _packet(self, seconds):
        """The next packet; None where there is none, or nobody to send one."""
        if not select.select([self.socket], [], [], max(0, seconds))[0]:
            return None
        try:
            return self.socket.recv(1024) or None
        except OSError:
            return None

    def ask(self, request, seconds=10):
        self.socket.send(request)
        end = time.monotonic() + seconds
        while (packet := self._packet(end - time.monotonic())) is not None:
            if packet[0] == NOTIFICATION:
                self.notifications.append(packet[3:])
            elif packet[0] == ERROR and packet[1] == request[0]:
                raise ATTError(request[0], packet[4])
            elif packet[0] == request[0] + 1:
                return packet
        raise TimeoutError(f"request {request[0]:#04x}: no answer")

    # Discovery

    def _discovered(self):
        """Handles by UUID, and that of the notifications' configuration."""
        found = self.ask(struct.pack("<BHHH", 0x06, 1, 0xFFFF, 0x2800) + SERVICE_UUIDS[0])
        first, last = struct.unpack_from("<HH", found, 1)
        handles, start = {}, first
        while start <= last:
            try:
                packet = self.ask(struct.pack("<BHHH", 0x08, start, last, 0x2803))
            except ATTError as problem:
                if problem.code != NOT_FOUND:
                    raise
                break
            size = packet[1]
            for place in range(2, len(packet), size):
                declared, _, handle = struct.unpack_from("<HBH", packet, place)
                handles[packet[place + 5:place + size]] = handle
                start = declared + 1
        handles[CONFIGURATION] = self._configuration(handles[NOTIFIED] + 1, last)
        return handles

    def _configuration(self, start, last):
        while start <= last:
            packet = self.ask(struct.pack("<BHH", 0x04, start, last))
            size = 4 if packet[1] == 1 else 18
            for place in range(2, len(packet), size):
                (handle,) = struct.unpack_from("<H", packet, place)
                if packet[place + 2:place + size] == struct.pack("<H", CONFIGURATION):
                    return handle
                start = handle + 1
        raise ATTError(0x04, NOT_FOUND)

    def _configure(self, value):
        self.ask(struct.pack("<BHH", 0x12, self.handles[CONFIGURATION], value))

    # What the service is for

    def information(self):
        """What can be read, in as many parts as it takes."""
        handle = self.handles[READ]
        found = self.ask(struct.pack("<BH", 0x0A, handle))[1:]
        is_more = len(found) == self.mtu - 1
        while is_more:
            part = self.ask(struct.pack("<BHH", 0x0C, handle, len(found)))[1:]
            found += part
            is_more = len(part) == self.mtu - 1
        return found

    def write(self, data):
        size = self.mtu - 3
        for start in range(0, len(data), size):
            self.socket.send(struct.pack("<BH", 0x52, self.handles[WRITTEN]) + data[start:start + size])

    def read(self, seconds):
        end = time.monotonic() + seconds
        while not self.notifications:
            packet = self._packet(end - time.monotonic())
            if packet is None:
                return None
            if packet[0] == NOTIFICATION:
                self.notifications.append(packet[3:])
        return self.notifications.pop(0)
