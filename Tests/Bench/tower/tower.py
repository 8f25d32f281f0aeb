#!/usr/bin/env python3
"""Towers of docs/tower-link.md on bumble's Bluetooth stack, with the kernel beside them on a link in memory.

    tower.py vhci --tower 0100000000000175 --name TOWER-01 --address F0:F1:F2:F3:F4:F5 --key-file FILE --control /run/tower
    tower.py vhci --tower-file ONE.json --tower-file OTHER.json --control /run/tower

The transport (`vhci`, or another of bumble's) gets a controller for the kernel; each tower has a controller and a stack of its own.
A tower file is {"tower", "name", "address", "firmware", "keys" or "key_file", "lockers"}. With --legacy nobody knows of extended
advertising: towers advertise 31 bytes, and say the rest when they are scanned.

Prints `ready TOWER...` when all of them advertise. tower_control.py says how they are steered.
"""

import argparse
import asyncio
import json
import sys

from bumble import hci
from bumble.controller import Controller
from bumble.core import UUID, AdvertisingData
from bumble.device import AdvertisingEventProperties, AdvertisingParameters, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport import open_transport
from bumble.transport.common import AsyncPipeSink

import tower_control

SERVICE, WRITTEN, NOTIFIED, READ = (UUID(f"6E40000{number}-B5A3-F393-E0A9-E50E24DCCA9E") for number in (1, 2, 3, 4))
INTERVAL_MS = 100.0
LONGEST_LEGACY_NAME = 13
PARTING_S = 0.05
EXTENDED = hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
PRIVACY = hci.LeFeatureMask.LL_PRIVACY


class Air(LocalLink):
    """The link in memory, as far as bumble's is not like one."""

    def send_acl_data(self, sender_controller, destination_address, transport, data):
        """Sent by the address of the connection. bumble names the random one, even where somebody connects by the public one."""
        source = next(
            (one.self_address for one in sender_controller.le_connections.values() if one.peer_address == destination_address),
            sender_controller.random_address)
        receiver = self.find_le_controller(destination_address)
        if receiver is not None:
            asyncio.get_running_loop().call_soon(receiver.on_link_acl_data, source, transport, data)

    def scan_response(self, address):
        """What who advertises by this address answers to a scan."""
        for one in self.controllers:
            if one.le_legacy_advertiser.enabled and one.le_legacy_advertiser.address == address:
                return one.le_legacy_advertiser.scan_response_data
        return b""


class Scanner(Controller):
    """The kernel's controller. bumble's own reports the advertisement again where the scan response should be."""

    ACTIVE = 1

    def send_hci_packet(self, packet):
        """A kernel that was told of extended advertising or of privacy waits for the longer of two events, and where it does not come
        takes the connection for one that failed, though it uses it, and never ends it."""
        if isinstance(packet, hci.HCI_LE_Connection_Complete_Event) and self.le_features & (EXTENDED | PRIVACY):
            packet = hci.HCI_LE_Enhanced_Connection_Complete_Event(
                status=packet.status, connection_handle=packet.connection_handle, role=packet.role,
                peer_address_type=packet.peer_address_type, peer_address=packet.peer_address,
                local_resolvable_private_address=Address.ANY, peer_resolvable_private_address=Address.ANY,
                connection_interval=packet.connection_interval, peripheral_latency=packet.peripheral_latency,
                supervision_timeout=packet.supervision_timeout, central_clock_accuracy=packet.central_clock_accuracy)
        super().send_hci_packet(packet)

    def on_advertising_pdu(self, pdu):
        address = pdu.advertiser_address
        if self.le_scan_enable and self.le_features & EXTENDED:
            kind = hci.HCI_LE_Extended_Advertising_Report_Event.EventType.CONNECTABLE_ADVERTISING
            self.send_hci_packet(hci.HCI_LE_Extended_Advertising_Report_Event([
                hci.HCI_LE_Extended_Advertising_Report_Event.Report(
                    event_type=kind, address_type=address.address_type, address=address, primary_phy=hci.Phy.LE_1M,
                    secondary_phy=hci.Phy.LE_1M, advertising_sid=0, tx_power=0, rssi=-50, periodic_advertising_interval=0,
                    direct_address_type=0, direct_address=Address.ANY, data=pdu.data)]))
        elif self.le_scan_enable:
            kinds = hci.HCI_LE_Advertising_Report_Event.EventType
            self._report(kinds.ADV_IND, address, pdu.data)
            if self.le_scan_type == self.ACTIVE:
                self._report(kinds.SCAN_RSP, address, self.link.scan_response(address))
        pending = self.pending_le_connection
        if pending and pending.peer_address == address:
            self.create_le_connection(address)

    def _report(self, kind, address, data):
        self.send_hci_packet(hci.HCI_LE_Advertising_Report_Event([hci.HCI_LE_Advertising_Report_Event.Report(
            event_type=kind, address_type=address.address_type, address=address, data=data, rssi=-50)]))


class Wire:
    """One connection, as the tower sees it."""

    def __init__(self, radio, connection):
        self.radio = radio
        self.connection = connection
        self.is_gone = False

    def limit(self):
        return self.connection.att_mtu - 3

    def send(self, data):
        if not self.is_gone:
            self.radio.traffic.note(self.radio.tower, "notified", data)
            self._run(self.radio.device.notify_subscriber(self.connection, self.radio.notified, data))

    def later(self, seconds, function):
        asyncio.get_running_loop().call_later(seconds, function)

    def drop(self):
        if not self.is_gone:
            self._run(self._disconnect())

    async def _disconnect(self):
        # Who is connected loses what it has not read yet when the connection ends.
        await asyncio.sleep(PARTING_S)
        if self.is_gone:
            return
        try:
            await self.connection.disconnect()
        except Exception as problem:
            print(f"tower: not disconnected: {problem}", file=sys.stderr, flush=True)

    def _run(self, coroutine):
        task = asyncio.get_running_loop().create_task(coroutine)
        self.radio.tasks.add(task)
        task.add_done_callback(self.radio.tasks.discard)


class Radio:
    """One tower's stack."""

    def __init__(self, tower, address, air, number, options, traffic):
        self.tower = tower
        self.traffic = traffic
        self.is_legacy = options.legacy
        self.tasks = set()
        self.wires = {}
        controller = Controller(f"TOWER-{number}", link=air, public_address=f"C0:DE:00:00:00:{number:02X}")
        if options.legacy:
            controller.le_features &= ~EXTENDED
        self.device = Device(name=tower.name, address=Address(address), host=Host(controller, AsyncPipeSink(controller)))
        self.device.gatt_server.max_mtu = options.mtu
        self._add_service()
        self.device.on("connection", self._connected)

    def _add_service(self):
        kinds = Characteristic.Properties
        written = Characteristic(
            WRITTEN, kinds.WRITE_WITHOUT_RESPONSE, Characteristic.WRITEABLE, CharacteristicValue(write=self._written))
        self.notified = Characteristic(NOTIFIED, kinds.NOTIFY, Characteristic.READABLE, b"")
        read = Characteristic(
            READ, kinds.READ, Characteristic.READABLE, CharacteristicValue(read=lambda _: self.tower.information()))
        self.device.add_service(Service(SERVICE, [written, self.notified, read]))
        self.notified.on("subscription", self._subscribed)

    async def start(self):
        await self.device.power_on()
        await self.advertise(True)

    async def advertise(self, is_on):
        await self.device.stop_advertising()
        for one in list(self.device.extended_advertising_sets.values()):
            await one.stop()
            await one.remove()
        if not is_on:
            return
        first = [(AdvertisingData.FLAGS, b"\x06"), (AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS, bytes(SERVICE))]
        name = self.tower.name.encode()
        more = [(AdvertisingData.MANUFACTURER_SPECIFIC_DATA, self.tower.advertised())]
        if not self.is_legacy:
            more.append((AdvertisingData.COMPLETE_LOCAL_NAME, name))
            await self.device.create_advertising_set(
                AdvertisingParameters(
                    AdvertisingEventProperties(is_connectable=True), primary_advertising_interval_min=INTERVAL_MS,
                    primary_advertising_interval_max=INTERVAL_MS),
                random_address=self.device.random_address, advertising_data=bytes(AdvertisingData(first + more)), auto_start=True,
                auto_restart=True)
            return
        is_whole = len(name) <= LONGEST_LEGACY_NAME
        kind = AdvertisingData.COMPLETE_LOCAL_NAME if is_whole else AdvertisingData.SHORTENED_LOCAL_NAME
        more.append((kind, name[:LONGEST_LEGACY_NAME]))
        await self.device.start_advertising(
            auto_restart=True, advertising_data=bytes(AdvertisingData(first)), scan_response_data=bytes(AdvertisingData(more)),
            advertising_interval_min=INTERVAL_MS, advertising_interval_max=INTERVAL_MS)

    def _connected(self, connection):
        self.traffic.note(self.tower, "connected")
        wire = Wire(self, connection)
        self.wires[connection.handle] = self.tower.connect(wire)
        connection.on("disconnection", lambda _: self._disconnected(connection.handle, wire))

    def _disconnected(self, handle, wire):
        self.traffic.note(self.tower, "disconnected")
        wire.is_gone = True
        self.wires.pop(handle).close()

    def _subscribed(self, connection, is_notified, _):
        self.traffic.note(self.tower, "subscribed" if is_notified else "unsubscribed")
        if is_notified:
            self.wires[connection.handle].begin_anew()

    def _written(self, connection, value):
        self.traffic.note(self.tower, "written", bytes(value))
        self.wires[connection.handle].receive(bytes(value))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("transport")
    parser.add_argument("--address", default="F0:F1:F2:F3:F4:F5", help="its random address")
    parser.add_argument("--tower-file", action="append", default=[], metavar="FILE", help="all that can be told of a tower; may be repeated")
    parser.add_argument("--legacy", action="store_true", help="without extended advertising")
    tower_control.add_arguments(parser)
    options = parser.parse_args()
    setups = []
    for path in options.tower_file:
        with open(path, encoding="utf-8") as file:
            setups.append(json.load(file))
    if options.tower:
        setups.append({**tower_control.setup_of(options), "address": options.address})
    if not setups:
        parser.error("want --tower or --tower-file")
    return options, setups


async def main():
    options, setups = arguments()
    towers = tower_control.towers_of(setups)
    air, traffic = Air(), tower_control.Traffic(options.log)
    transport = await open_transport(options.transport)
    kernel = Scanner("KERNEL", host_source=transport.source, host_sink=transport.sink, link=air, public_address="00:11:22:33:44:55")
    if options.legacy:
        kernel.le_features &= ~EXTENDED
    radios = {
        tower.id.hex(): Radio(tower, setup.get("address", options.address), air, number, options, traffic)
        for number, (setup, tower) in enumerate(zip(setups, towers.values(), strict=True), 1)}
    for radio in radios.values():
        await radio.start()
    await tower_control.Control(radios).serve(options.control, radios)


if __name__ == "__main__":
    asyncio.run(main())
