#!/usr/bin/env python3
"""Checks the wire simulator: bytes worked out by hand, each fault, the pace, and peers that share no code with it.

    .venv/bin/python3 Tests/Bench/wire/selfcheck.py [WORD]

Prints one line for each check, and ends with status 1 when one has failed. With WORD only checks with that word in their names
are made. Wants pymodbus, mbpoll and socat.
"""

import errno
import os
import re
import signal
import socket
import sys
import time
import tty
from pathlib import Path

from bench import LIMIT_S, PROGRAM, Sim, clean_up, expect, link, start, stop
from golden import (
    A80,
    FAULTS,
    GOLDEN,
    KR,
    KR_ASK,
    KR_CLOSED,
    KR_OPEN3,
    KR_OPENED3,
    RTU,
    WKLY,
    WKLY_OPEN1,
    WKLY_OPENED1,
)
from peers import PEER_CHECKS

CHECKS = []


def check(function):
    CHECKS.append(function)
    return function


def golden(name, where):
    words, table = GOLDEN[name]
    with Sim(words, where=where) as sim:
        for request, reply in table:
            sim.expect(request, reply) if reply else expect(sim.ask(request), "", f"reply to {request}")
        sim.count(request=len(table) + any(request.startswith("FF") for request, _ in table))
        expect(sim.names("violation"), [])


for _name in GOLDEN:
    def _golden(name=_name):
        golden(name, "tcp" if name == "modbus-tcp" else "pty")
    _golden.__name__ = f"golden_{_name}"
    check(_golden)


@check
def golden_over_tcp():
    """The same bytes behind a serial device server."""
    golden("winnsen", "tcp")
    with Sim(RTU, "--rtu-over-tcp --profile waveshare-relay-8", where="tcp") as sim:
        sim.expect("01 05 02 00 00 07 8D B0", "01 05 02 00 00 07 8D B0")


@check
def faults():
    for family, fault, request, reply, fired in FAULTS:
        with Sim(family, "--fault", fault) as sim:
            answer = sim.ask(request)
            if not re.fullmatch(reply, answer):
                raise AssertionError(f"{fault} of {family}: found {answer!r}, wanted {reply!r}")
            sim.count(fired=fired)
            if answer and "stuck" not in fault:
                expect(sim.names("reply")[0]["fault"], fault.partition("=")[0])


@check
def fault_late():
    with Sim(KR, "--fault late=200,on=open") as sim:
        began = time.monotonic()
        sim.write(KR_OPEN3)
        sim.wait("fired")
        expect(time.monotonic() - began < 0.15, True, "acts at once")
        expect(sim.read(9), KR_OPENED3)
        expect(0.2 <= time.monotonic() - began < 0.5, True, "answers late")


@check
def fault_choice():
    """Which requests a fault meets."""
    with Sim(KR, "--boards 0,1 --fault silence,on=status,board=0,first=2,count=1 --fault reply-lost,lock=5") as sim:
        sim.expect(KR_ASK, KR_CLOSED)
        sim.expect("02 10 30 03 45", "02 10 35 FF FF 00 00 03 48")
        sim.expect(KR_OPEN3, KR_OPENED3)
        expect(sim.ask(KR_ASK), "")
        sim.expect(KR_ASK, "02 00 35 FB FF 00 00 03 34")
        expect(sim.ask("02 04 31 03 3A"), "")
        sim.count(fired=2)


@check
def fault_unplug_pty():
    with Sim(KR, "--fault unplug=0.3,first=2,count=1") as sim:
        sim.expect(KR_ASK, KR_CLOSED)
        sim.write(KR_ASK)
        sim.wait("unplugged")
        time.sleep(0.05)
        expect(os.path.islink(sim.where), False, "the link")
        sim.wait("plugged")
        os.close(sim.file)
        sim.connect()
        sim.expect(KR_ASK, KR_CLOSED)


@check
def fault_unplug_tcp():
    with Sim("--family modbus --fault unplug=1,count=1", where="tcp") as sim:
        sim.write("00 01 00 00 00 06 01 02 00 00 00 08")
        gone = sim.wait("unplugged")["at"]
        is_refused = False
        while not is_refused and time.monotonic() < gone + 1:
            with socket.socket() as client:
                is_refused = client.connect_ex(("127.0.0.1", int(sim.where))) == errno.ECONNREFUSED
        # A machine that was busy for so long proves nothing.
        expect(is_refused or time.monotonic() > gone + 1, True, "still listens")
        sim.wait("plugged")
        sim.socket.close()
        sim.connect()
        sim.expect("00 01 00 00 00 06 01 02 00 00 00 08", "00 01 00 00 00 04 01 02 01 00")


@check
def fault_unplug_device():
    near, far = os.openpty()
    tty.setraw(far)
    try:
        with Sim(KR, "--fault unplug=0.2,count=1", where=os.ttyname(far)) as sim:
            sim.file = os.dup(near)
            expect(sim.ask(KR_ASK), "")
            sim.wait("plugged")
            sim.expect(KR_ASK, KR_CLOSED)
    finally:
        os.close(near)
        os.close(far)


@check
def device_of_socat():
    near, far = link("near"), link("far")
    socat = start(["socat", f"pty,raw,echo=0,link={near}", f"pty,raw,echo=0,link={far}"])
    end = time.monotonic() + LIMIT_S
    while not (os.path.exists(near) and os.path.exists(far)) and time.monotonic() < end:
        time.sleep(0.01)
    with Sim("--family wkly --boards 0 --lockers 4 --baud 19200", where=far) as sim:
        sim.file = os.open(near, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(sim.file)
        sim.expect(WKLY_OPEN1, WKLY_OPENED1)
    stop(socat)


@check
def pace():
    character = 11 / 9600
    with Sim("--family kr-cu16") as sim:
        for _ in range(5):
            began = time.monotonic()
            sim.write(KR_ASK)
            expect(sim.read(9), KR_CLOSED)
            # How soon it may come, and no more: a busy machine reads late.
            whole = time.monotonic() - began
            expect(whole >= 14 * character + 0.003, True, f"whole exchange of {whole:.4f} s")
            time.sleep(0.02)
        sim.write(KR_ASK)
        request, reply = sim.wait("request"), sim.wait("reply")
        expect(reply["at"] - request["at"] >= 9 * character + 5 * character + 0.003, True, "reply after request")
        sim.read(9)
        expect(sim.names("violation"), [])


@check
def pace_of_rtu():
    """Silence ends a frame, so two requests in one go are none."""
    with Sim("--family modbus --profile generic-coil-8 --baud 115200") as sim:
        began = time.monotonic()
        sim.expect("01 02 00 00 00 08 79 CC", "01 02 01 00 A1 88")
        expect(time.monotonic() - began >= 0.0055, True, "silence")
        expect(sim.ask("01 02 00 00 00 08 79 CC" * 2), "")


@check
def violations_of_time():
    # So slow that a busy machine is in time all the same.
    with Sim("--family kr-cu16 --baud 150") as sim:
        sim.write(KR_ASK)
        sim.read(2)
        sim.write(KR_ASK)
        expect("collision" in sim.wait("violation")["what"], True)
        sim.read(7)
        sim.write(KR_ASK)
        expect("sooner" in sim.wait("violation")["what"], True)
        # The one that collided is lost; the first one's reply was passed over on the way.
        sim.wait("reply")
        sim.count(request=2, violation=2)


@check
def violations_of_orders():
    for family, request, fired in [
        (KR, "02 00 33 03 38", 16),
        (A80, "8A 01 00 11 9A", 16),
        (A80, "9A 01 01 11 8B", 1),
        (A80, "90 01 07 00 00 11 87", 0),
        (WKLY, "57 4B 4C 59 08 00 80 81", 4),
        (WKLY, "57 4B 4C 59 09 00 86 01 87", 0),
        (WKLY, "57 4B 4C 59 09 00 87 01 86", 0),
        (WKLY, "57 4B 4C 59 09 00 88 01 89", 1),
        (WKLY, "57 4B 4C 59 09 00 89 01 88", 0),
    ]:
        with Sim(family, "--close-after 0") as sim:
            sim.ask(request)
            sim.count(fired=fired, violation=1)


@check
def coils_and_doors():
    """A pulse ends by itself, a door opens late and closes, and both are told unasked."""
    with Sim("--family 8a80 --no-pace --push --pulse-ms 100 --open-delay-ms 60 --close-after 0.2") as sim:
        sim.expect("8A 01 01 11 9B", "8A 01 01 11 9B 82 01 01 00 82 82 01 01 11 93")
        times = [sim.names(name)[0]["at"] for name in ("fired", "fell")]
        expect(0.1 <= times[1] - times[0] < 0.15, True, "pulse")
        sim.count(fired=1, fell=1, push=2, violation=0)
    with Sim(WKLY, "--push --close-after 0 --no-open-reply") as sim:
        expect(sim.ask(WKLY_OPEN1), "57 4B 4C 59 0A 00 85 01 00 87")
    with Sim("--family wkly --boards 0 --push --close-after 0") as sim:
        # With the pace of a line as well, the reply comes before what it has moved.
        expect(sim.ask(WKLY_OPEN1), WKLY_OPENED1 + " 57 4B 4C 59 0A 00 85 01 00 87")


@check
def inverted_board():
    with Sim("--family modbus --profile cu48-inverted", where="tcp") as sim:
        sim.expect("00 01 00 00 00 06 01 05 00 02 FF 00", "00 01 00 00 00 06 01 05 00 02 FF 00")
        sim.count(fired=0, fell=0, violation=1)
        sim.expect("00 02 00 00 00 06 01 05 00 02 00 00", "00 02 00 00 00 06 01 05 00 02 00 00")
        sim.expect("00 03 00 00 00 06 01 01 00 00 00 08", "00 03 00 00 00 04 01 01 01 FB")
        sim.expect("00 04 00 00 00 06 01 05 00 02 FF 00", "00 04 00 00 00 06 01 05 00 02 FF 00")
        sim.count(fired=1, fell=1, violation=1)


CHECKS += PEER_CHECKS


@check
def shipped_profiles():
    boards = Path(PROGRAM).parents[3] / "Plugins/Modbus/boards"
    for path in sorted(boards.glob("*.toml")):
        with Sim(f"--family modbus --profile {path.stem}", client=False):
            pass


@check
def end():
    """In order, with the link gone, for a signal."""
    for number in (signal.SIGTERM, signal.SIGINT):
        sim = Sim(KR)
        sim.child.send_signal(number)
        expect(sim.child.wait(timeout=LIMIT_S), 0, "status")
        expect(os.path.islink(sim.where), False, "the link")
        os.close(sim.file)


@check
def held_coil():
    """Made last and begun first, since it takes 5.5 s."""
    expect("more than 5.5 s" in held.wait("violation", 7.0)["what"], True)
    held.expect("00 02 00 00 00 06 01 05 00 02 00 00", "00 02 00 00 00 06 01 05 00 02 00 00")
    held.count(fired=1, fell=1, violation=1)
    held.__exit__()


def main():
    global held
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    chosen = [one for one in CHECKS if word in one.__name__]
    if held_coil in chosen:
        held = Sim("--family modbus --profile generic-coil-8", where="tcp")
        held.expect("00 01 00 00 00 06 01 05 00 02 FF 00", "00 01 00 00 00 06 01 05 00 02 FF 00")
    began, failed = time.monotonic(), 0
    for one in chosen:
        try:
            one()
            print(f"ok    {one.__name__}", flush=True)
        except Exception as problem:  # One failure is no reason to keep the others to itself.
            failed += 1
            print(f"FAIL  {one.__name__}: {type(problem).__name__}: {problem}", flush=True)
    clean_up()
    print(f"{len(chosen) - failed} of {len(chosen)} checks in {time.monotonic() - began:.1f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
