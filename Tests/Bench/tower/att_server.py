"""The least of an ATT server that offers the service of docs/tower-link.md: bytes of a request in, bytes of an answer out."""

import struct

SERVICE_UUIDS = [bytes.fromhex(f"6E40000{number}B5A3F393E0A9E50E24DCCA9E")[::-1] for number in (1, 2, 3, 4)]
PRIMARY, CHARACTERISTIC, CONFIGURATION = 0x2800, 0x2803, 0x2902
SERVICE, WRITTEN, NOTIFIED, CONFIGURED, READ = 0x20, 0x22, 0x24, 0x25, 0x27
LAST = READ
# What a characteristic lets one do.
CAN_READ, CAN_WRITE_COMMAND, CAN_NOTIFY = 0x02, 0x04, 0x10
INVALID_HANDLE, READ_REFUSED, WRITE_REFUSED, INVALID_PDU, UNSUPPORTED, INVALID_OFFSET, NOT_FOUND, WRONG_GROUP = (
    1, 2, 3, 4, 6, 7, 0x0A, 0x10)
BASE = bytes.fromhex("00000000-0000-1000-8000-00805F9B34FB".replace("-", ""))[::-1]


class Failure(Exception):
    def __init__(self, code, handle=0):
        super().__init__(code)
        self.code, self.handle = code, handle


def declaration(properties, handle, uuid):
    return struct.pack("<BH", properties, handle) + uuid


def short(uuid):
    """A UUID of 16 bits as the number it is; longer ones as they are."""
    if len(uuid) == 16 and uuid[:12] == BASE[:12] and uuid[14:] == BASE[14:]:
        return int.from_bytes(uuid[12:14], "little")
    return int.from_bytes(uuid, "little") if len(uuid) == 2 else uuid


class Server:
    """One connection's. `written` is given what is written, `subscribed` whether notifications are wanted."""

    def __init__(self, information, written, subscribed, most=247):
        self.information = information
        self.written = written
        self.subscribed = subscribed
        self.most = most
        self.mtu = 23
        self.configuration = b"\0\0"
        service, *uuids = SERVICE_UUIDS
        self.types = {
            SERVICE: PRIMARY, WRITTEN - 1: CHARACTERISTIC, WRITTEN: uuids[0], NOTIFIED - 1: CHARACTERISTIC, NOTIFIED: uuids[1],
            CONFIGURED: CONFIGURATION, READ - 1: CHARACTERISTIC, READ: uuids[2]}
        self.constants = {
            SERVICE: service, WRITTEN - 1: declaration(CAN_WRITE_COMMAND, WRITTEN, uuids[0]),
            NOTIFIED - 1: declaration(CAN_NOTIFY, NOTIFIED, uuids[1]), READ - 1: declaration(CAN_READ, READ, uuids[2])}

    def notification(self, data):
        return struct.pack("<BH", 0x1B, NOTIFIED) + data

    def answer(self, request):
        """What is sent back; None for commands."""
        handler = self.HANDLERS.get(request[0])
        if handler is None:
            # A command that is not known is left alone.
            return None if request[0] & 0x40 else self._error(request, UNSUPPORTED)
        try:
            return handler(self, request)
        except Failure as failure:
            return self._error(request, failure.code, failure.handle)
        except (struct.error, IndexError):
            return self._error(request, INVALID_PDU)

    def _error(self, request, code, handle=0):
        return struct.pack("<BBHB", 0x01, request[0], handle, code)

    def _value(self, handle):
        if handle not in self.types:
            raise Failure(INVALID_HANDLE, handle)
        if handle == READ:
            return self.information()
        if handle == CONFIGURED:
            return self.configuration
        if handle not in self.constants:
            raise Failure(READ_REFUSED, handle)
        return self.constants[handle]

    def _within(self, request):
        """The handles of a range that are there."""
        first, last = struct.unpack_from("<HH", request, 1)
        if not 0 < first <= last:
            raise Failure(INVALID_HANDLE, first)
        found = [handle for handle in sorted(self.types) if first <= handle <= last]
        if not found:
            raise Failure(NOT_FOUND, first)
        return first, found

    def _list(self, code, entries):
        """Entries of one length, as many as fit."""
        size = len(entries[0])
        same = []
        for entry in entries:
            if len(entry) != size or 2 + size * (len(same) + 1) > self.mtu:
                break
            same.append(entry)
        return bytes([code, size]) + b"".join(same)

    def _exchange(self, request):
        (wanted,) = struct.unpack_from("<H", request, 1)
        self.mtu = max(23, min(wanted, self.most))
        return struct.pack("<BH", 0x03, self.most)

    def _find_information(self, request):
        first, handles = self._within(request)
        is_short = isinstance(self.types[handles[0]], int)
        answer = bytes([0x05, 1 if is_short else 2])
        for handle in handles:
            kind = self.types[handle]
            entry = struct.pack("<H", handle) + (struct.pack("<H", kind) if isinstance(kind, int) else kind)
            if isinstance(kind, int) != is_short or len(answer) + len(entry) > self.mtu:
                break
            answer += entry
        return answer

    def _find_by_type(self, request):
        first, handles = self._within(request)
        (kind,) = struct.unpack_from("<H", request, 5)
        if SERVICE not in handles or kind != PRIMARY or short(request[7:]) != SERVICE_UUIDS[0]:
            raise Failure(NOT_FOUND, first)
        return struct.pack("<BHH", 0x07, SERVICE, LAST)

    def _read_by_group(self, request):
        first, handles = self._within(request)
        if short(request[5:]) != PRIMARY:
            raise Failure(WRONG_GROUP, first)
        if SERVICE not in handles:
            raise Failure(NOT_FOUND, first)
        return self._list(0x11, [struct.pack("<HH", SERVICE, LAST) + SERVICE_UUIDS[0]])

    def _read_by_type(self, request):
        first, handles = self._within(request)
        kind = short(request[5:])
        found = [handle for handle in handles if self.types[handle] == kind]
        if not found:
            raise Failure(NOT_FOUND, first)
        longest = min(self.mtu - 4, 253)
        return self._list(0x09, [struct.pack("<H", handle) + self._value(handle)[:longest] for handle in found])

    def _read(self, request):
        (handle,) = struct.unpack_from("<H", request, 1)
        return b"\x0b" + self._value(handle)[:self.mtu - 1]

    def _read_blob(self, request):
        handle, offset = struct.unpack_from("<HH", request, 1)
        value = self._value(handle)
        if offset > len(value):
            raise Failure(INVALID_OFFSET, handle)
        return b"\x0d" + value[offset:offset + self.mtu - 1]

    def _write(self, request):
        (handle,) = struct.unpack_from("<H", request, 1)
        if handle != CONFIGURED:
            raise Failure(WRITE_REFUSED if handle in self.types else INVALID_HANDLE, handle)
        self.configuration = request[3:5].ljust(2, b"\0")
        self.subscribed(bool(self.configuration[0] & 1))
        return b"\x13"

    def _write_command(self, request):
        (handle,) = struct.unpack_from("<H", request, 1)
        if handle == WRITTEN:
            self.written(request[3:])

    HANDLERS = {
        0x02: _exchange, 0x04: _find_information, 0x06: _find_by_type, 0x08: _read_by_type, 0x0A: _read, 0x0C: _read_blob,
        0x10: _read_by_group, 0x12: _write, 0x52: _write_command}
