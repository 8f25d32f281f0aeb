"""The kernel's Bluetooth sockets, as far as Python's socket module does not reach: ATT over L2CAP by an LE address, and raw HCI."""

import ctypes
import fcntl
import os
import select
import socket
import struct
import time

ATT_CHANNEL = 4
PUBLIC, RANDOM = 1, 2
ADDRESS_TYPES = {"public": PUBLIC, "random": RANDOM}
HCIDEVUP, HCIGETDEVINFO = 0x400448C9, 0x800448D3
SOL_HCI, HCI_FILTER = 0, 2
SOL_BLUETOOTH, BT_SECURITY, SECURITY_LOW = 274, 4, 1
COMMAND, EVENT = 1, 4
COMMAND_COMPLETE, LE_META, ADVERTISING_REPORT = 0x0E, 0x3E, 0x02
EALREADY = 114

libc = ctypes.CDLL(None, use_errno=True)


class L2CAPAddress(ctypes.LittleEndianStructure):
    """struct sockaddr_l2."""
    _fields_ = [
        ("family", ctypes.c_uint16), ("psm", ctypes.c_uint16), ("address", ctypes.c_uint8 * 6), ("channel", ctypes.c_uint16),
        ("address_type", ctypes.c_uint8)]


def address_bytes(text):
    """Lowest byte first, as on the link."""
    return bytes.fromhex(text.replace(":", ""))[::-1]


def address_text(data):
    return ":".join(f"{one:02X}" for one in reversed(data))


def att_address(address=bytes(6), kind=PUBLIC):
    return L2CAPAddress(socket.AF_BLUETOOTH, 0, (ctypes.c_uint8 * 6)(*address), ATT_CHANNEL, kind)


def call(function, number, address):
    if function(number, ctypes.byref(address), ctypes.sizeof(address)):
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem))


def att_socket(own_address=bytes(6), kind=PUBLIC):
    """Bound to a controller by its address; to any without."""
    found = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_SEQPACKET, socket.BTPROTO_L2CAP)
    try:
        call(libc.bind, found.fileno(), att_address(own_address, kind))
    except OSError:
        found.close()
        raise
    return found


def connect(address, kind, seconds=20):
    """An ATT connection to a peripheral; `address` as text, `kind` a name."""
    found = att_socket()
    try:
        found.setsockopt(SOL_BLUETOOTH, BT_SECURITY, struct.pack("=BB", SECURITY_LOW, 0))
        # Of the whole connecting, which blocks.
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("@ll", seconds, 0))
        call(libc.connect, found.fileno(), att_address(address_bytes(address), ADDRESS_TYPES[kind]))
    except OSError:
        found.close()
        raise
    return found


class HCI:
    """One controller by its number, with the rights of root."""

    def __init__(self, number):
        self.number = number
        self.socket = socket.socket(socket.AF_BLUETOOTH, socket.SOCK_RAW, socket.BTPROTO_HCI)
        self._up()
        self.socket.bind((number,))
        # What answers commands, and what is advertised: of other events there are many, and nobody reads them in between.
        wanted = 1 << COMMAND_COMPLETE | 1 << LE_META
        self.socket.setsockopt(SOL_HCI, HCI_FILTER, struct.pack("=IQHxx", 1 << EVENT, wanted, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def _up(self):
        try:
            fcntl.ioctl(self.socket, HCIDEVUP, self.number)
        except OSError as problem:
            if problem.errno != EALREADY:
                raise

    def address(self):
        information = bytearray(struct.pack("=H", self.number) + bytes(254))
        fcntl.ioctl(self.socket, HCIGETDEVINFO, information)
        return bytes(information[10:16])

    def event(self, seconds):
        """The next event: its code and parameters; None where there is none."""
        if not select.select([self.socket], [], [], max(0, seconds))[0]:
            return None
        packet = self.socket.recv(512)
        return packet[1], packet[3:]

    def command_only(self, group, number, parameters=b""):
        """Without waiting for what becomes of it."""
        opcode = group << 10 | number
        self.socket.send(struct.pack("<BHB", COMMAND, opcode, len(parameters)) + parameters)
        return opcode

    def command(self, group, number, parameters=b"", seconds=5):
        """Raises unless it succeeds."""
        while self.event(0) is not None:
            pass
        opcode = self.command_only(group, number, parameters)
        end = time.monotonic() + seconds
        while (found := self.event(end - time.monotonic())) is not None:
            code, values = found
            if code == COMMAND_COMPLETE and struct.unpack_from("<H", values, 1)[0] == opcode:
                if values[3]:
                    raise OSError(f"HCI command {group:#x} {number:#x}: status {values[3]:#x}")
                return values[4:]
        raise TimeoutError(f"HCI command {group:#x} {number:#x}: no answer")

    # Low energy, as it was before extended advertising

    LE = 0x08

    def advertise(self, data, response):
        """Connectable, by the controller's public address."""
        self.command(self.LE, 0x06, struct.pack("<HHBBB6sBB", 160, 160, 0, 0, 0, bytes(6), 7, 0))
        for number, content in ((0x08, data), (0x09, response)):
            self.command(self.LE, number, bytes([len(content)]) + content.ljust(31, b"\0"))
        self.set_advertising(True)

    def set_advertising(self, is_on):
        self.command(self.LE, 0x0A, bytes([is_on]))

    def scan(self, seconds, is_enough):
        """What is advertised: by address and whether it is a scan response, the data. Ends early where `is_enough` of it."""
        self.command(self.LE, 0x0B, struct.pack("<BHHBB", 1, 96, 96, 0, 0))
        self.command(self.LE, 0x0C, b"\x01\x00")
        found, end = {}, time.monotonic() + seconds
        try:
            while not is_enough(found) and (event := self.event(end - time.monotonic())) is not None:
                code, values = event
                if code != LE_META or values[0] != ADVERTISING_REPORT:
                    continue
                kind, _, address, size = struct.unpack_from("<BB6sB", values, 2)
                found[address_text(address), kind == 4] = values[11:11 + size]
        finally:
            self.command(self.LE, 0x0C, b"\x00\x00")
        return found
