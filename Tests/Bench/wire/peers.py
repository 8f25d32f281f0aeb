"""Modbus masters that share no code with the simulator: pymodbus, and mbpoll, which stands on libmodbus."""

import re
import subprocess

from bench import LIMIT_S, Sim, expect


def pymodbus_client(sim):
    # Only here, so that everything else can be checked without it.
    from pymodbus.client import ModbusSerialClient, ModbusTcpClient
    if sim.is_tcp:
        client = ModbusTcpClient("127.0.0.1", port=int(sim.where), timeout=LIMIT_S, retries=0)
    else:
        client = ModbusSerialClient(sim.where, baudrate=9600, timeout=LIMIT_S, retries=0)
    expect(client.connect(), True, "connection")
    return client


def pymodbus_exchange(sim, profile, unit):
    client = pymodbus_client(sim)
    try:
        if profile == "eletechsup-n4d8b08":
            expect(client.read_holding_registers(0x81, count=8, device_id=unit).registers, [1] * 8)
            client.write_register(3, 0x0500, device_id=unit)
            expect(client.read_holding_registers(1, count=8, device_id=unit).registers, [0, 0, 1, 0, 0, 0, 0, 0])
            expect(client.read_holding_registers(0x81, count=8, device_id=unit).registers, [1, 1, 0, 1, 1, 1, 1, 1])
            expect(sim.wait("fired")["ms"], 1000)
        elif profile == "cu48-inverted":
            expect(client.write_coil(46, False, device_id=unit).isError(), False)
            expect(client.read_coils(0, count=48, device_id=unit).bits, [index != 46 for index in range(48)])
            expect(client.write_coil(46, True, device_id=unit).isError(), False)
            expect(sim.wait("fell")["lock"], 47)
        else:
            expect(client.write_coil(2, True, device_id=unit).isError(), False)
            expect(client.read_coils(0, count=6, device_id=unit).bits[:6], [False, False, True] + [False] * 3)
            is_open_high = profile != "kincony-kc868-ha"
            wanted = [(index == 2) == is_open_high for index in range(6)]
            expect(client.read_discrete_inputs(0, count=6, device_id=unit).bits[:6], wanted)
            expect(client.write_coil(2, False, device_id=unit).isError(), False)
            expect(client.read_coils(0, count=6, device_id=unit).bits[:6], [False] * 6)
            expect(client.write_coil(200, True, device_id=unit).exception_code, 2)
        expect(sim.names("violation"), [])
    finally:
        client.close()


PEER_PROFILES = [
    ("generic-coil-8", 1), ("eletechsup-n4d8b08", 1), ("cu48-inverted", 1), ("kincony-kc868-ha", 10)]


def pymodbus_rtu():
    for profile, unit in PEER_PROFILES:
        with Sim(f"--family modbus --profile {profile} --boards {unit}", client=False) as sim:
            pymodbus_exchange(sim, profile, unit)


def pymodbus_tcp():
    for profile, unit in PEER_PROFILES:
        with Sim(f"--family modbus --profile {profile} --boards {unit}", where="tcp", client=False) as sim:
            pymodbus_exchange(sim, profile, unit)


def mbpoll(sim, unit, *words):
    """The values it read, by their addresses."""
    place = ["-m", "tcp", "-p", sim.where] if sim.is_tcp else ["-m", "rtu", "-b", "9600", "-P", "none"]
    done = subprocess.run(
        ["mbpoll", *place, "-a", str(unit), "-0", "-1", "-o", "1", *words[:-1], "127.0.0.1" if sim.is_tcp else sim.where,
         *words[-1].split()], capture_output=True, text=True, timeout=5)
    if done.returncode:
        raise AssertionError(f"mbpoll: {done.stdout}{done.stderr}")
    return {int(address): int(value, 0) for address, value in re.findall(r"\[(\d+)\]:\s+(\w+)", done.stdout)}


def mbpoll_exchange(sim, profile, unit):
    if profile == "eletechsup-n4d8b08":
        mbpoll(sim, unit, "-t", "4", "-r", "3", "1280")
        expect(mbpoll(sim, unit, "-t", "4", "-r", "129", "-c", "8", ""), {129 + index: int(index != 2) for index in range(8)})
    elif profile == "cu48-inverted":
        mbpoll(sim, unit, "-t", "0", "-r", "46", "0")
        expect(mbpoll(sim, unit, "-t", "0", "-r", "0", "-c", "48", ""), {index: int(index != 46) for index in range(48)})
        mbpoll(sim, unit, "-t", "0", "-r", "46", "1")
    else:
        mbpoll(sim, unit, "-t", "0", "-r", "2", "1")
        closed = int(profile == "kincony-kc868-ha")
        wanted = {index: 1 - closed if index == 2 else closed for index in range(6)}
        expect(mbpoll(sim, unit, "-t", "1", "-r", "0", "-c", "6", ""), wanted)
        mbpoll(sim, unit, "-t", "0", "-r", "2", "0")
    sim.count(fired=1, violation=0)


def mbpoll_rtu():
    for profile, unit in PEER_PROFILES:
        with Sim(f"--family modbus --profile {profile} --boards {unit}", client=False) as sim:
            mbpoll_exchange(sim, profile, unit)


def mbpoll_tcp():
    for profile, unit in [*PEER_PROFILES, ("waveshare-eth-relay-8", 1)]:
        with Sim(f"--family modbus --profile {profile} --boards {unit}", where="tcp", client=False) as sim:
            mbpoll_exchange(sim, profile, unit)


PEER_CHECKS = [pymodbus_rtu, pymodbus_tcp, mbpoll_rtu, mbpoll_tcp]
