"""The driver `ble-tower` through the whole daemon, against towers that share no code with it."""

import json
import os
import subprocess
import tempfile
import time
from pathlib import Path

from daemon import PROGRAMS, Daemon, Refused
from registry import scenario
from towers import ID, KEY, BumbleTower, BumbleTowers, KernelTower, bring_up
from wall import Wall, eventually, expect, expect_between

LINK = """
driver = "ble-tower"
[link]
adapter = "hci0"
idle_s = {idle}
[[controller]]
id = "north"
tower = "{tower}"
address = "{address}"
address_type = "{kind}"
key_file = "{keys}"
tower_pulse_ms = {pulse}
lockers = 8
first_id = 1
bank = "main"
power = "main"
poll_ms = {poll}
door_wait_ms = 3000
rest_ms = 0
opens_per_minute = 6000
duty_percent = 100
burst_ms = 600000
"""


def link(peer, idle=10, poll=500, tower=ID, keys=None, pulse=500):
    path = Path(keys or peer.key_file)
    path.chmod(0o600)
    return LINK.format(tower=tower, address=peer.address, kind=peer.address_type, keys=path, idle=idle, poll=poll, pulse=pulse)


class Site(Daemon):
    """The daemon with one tower."""

    def __init__(self, peer, **options):
        super().__init__(Wall(), {"towers": link(peer, **options)})


def token(path, *words):
    """A token out of a key file, as the daemon's user would make it."""
    done = subprocess.run([PROGRAMS / "lockerctl", "tower", "token", path, *map(str, words)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr)
    made = json.loads(done.stdout)
    return {name: made[name] for name in ("payload", "payloadAuth")}


def keys_of(tower=ID, **changes):
    """A key file of somebody else: another tower's, or with another rotation."""
    path = Path(tempfile.mkdtemp(prefix="keys-")) / "keys.json"
    path.write_text(json.dumps({"tower": tower, "keys": [{**KEY, **changes}]}))
    path.chmod(0o600)
    return path


def refused(site, locker, **params):
    """The code and what it says about the lock, of an open that has to be refused."""
    try:
        result = site.open(locker, **params)
    except Refused as problem:
        return problem.code, problem.data.get("fired")
    raise AssertionError(f"{locker} was not refused: {result}")


def serves(peer):
    with Site(peer) as site:
        site.eventually("north", "ready", 20)
        expect({site.locker(f"north/{n}")["door"] for n in range(1, 9)}, {"closed"}, "doors")
        result = site.open("north/3")
        expect((result["outcome"], result["evidence"]), ("opened", "door-sensor"), "what came of an open by the technician's key")
        result = site.open("north/4", token=token(peer.key_file, "--locker", 4))
        expect(result["outcome"], "opened", "what came of an open by token")
        expect([(one["locker"], one["reason"]) for one in peer.ask("opened")["opened"]], [(3, "fireLock"), (4, "token")], "doors that came open")
        peer.ask("door", locker=3, action="close")
        eventually("the door is closed", lambda: site.locker("north/3")["door"] == "closed")
        expect(site.locker("north/4")["door"], "open", "the other door")


@scenario("tower")
def a_tower_is_a_controller_like_any_other():
    with BumbleTower() as peer:
        serves(peer)


@scenario("radio")
def a_tower_on_the_kernels_own_stack_is_one_too():
    with KernelTower() as peer:
        serves(peer)


@scenario("radio")
def a_small_mtu_is_enough():
    with BumbleTower(mtu=23) as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        expect(site.open("north/2", token=token(peer.key_file, "--locker", 2))["outcome"], "opened", "an open in small pieces")


@scenario("tower")
def tokens_that_are_forged_truncated_cross_tower_expired_or_of_a_wrong_rotation_open_nothing():
    with BumbleTower() as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        good = token(peer.key_file, "--locker", 5)
        flipped = good["payloadAuth"][:-1] + ("0" if good["payloadAuth"][-1] != "0" else "1")
        changed = good["payload"][:-1] + ("0" if good["payload"][-1] != "0" else "1")
        cases = {
            "forged": {**good, "payloadAuth": flipped},
            "changed": {**good, "payload": changed},
            "truncated": {**good, "payload": good["payload"][:-8]},
            "cross-tower": token(keys_of("0100000000000176"), "--locker", 5),
            "of a wrong rotation": token(keys_of(rotation=7), "--locker", 5),
            "of a wrong key": token(keys_of(secret="ab" * 32), "--locker", 5),
            "empty": {"payload": "00", "payloadAuth": "00"},
        }
        for name, bad in cases.items():
            expect(refused(site, "north/5", token=bad), ("REFUSED", "no"), f"a token that is {name}")
        expect(refused(site, "north/5", token={"payload": "no digits", "payloadAuth": "00"}), ("INVALID_REQUEST", "no"), "a token that is none")
        short = token(peer.key_file, "--locker", 5, "--for", 1)
        time.sleep(2)
        expect(refused(site, "north/5", token=short), ("EXPIRED", "no"), "a token that is over")
        expect(peer.doors(), [], "doors that came open")
        # Somebody else's door: it opens, as the token says, and nobody is told that his own has.
        expect(refused(site, "north/6", token=good), ("REFUSED", "no"), "a token for another door")
        expect(refused(site, "north/5", token=good)[0], "REFUSED", "a token that was used")
        expect(peer.doors(), [5], "doors that came open")
        expect(site.open("north/7", token=token(peer.key_file, "--locker", 7))["outcome"], "opened", "a good one after all that")


@scenario("tower")
def packets_that_are_forged_replayed_reordered_or_downgraded_are_not_believed():
    with BumbleTower() as peer, Site(peer, poll=5000) as site:
        site.eventually("north", "ready", 20)
        opened = 0
        for name, options in {
            "wrongTag": {}, "replayOldAnswer": {}, "wrongSequence": {}, "garbage": {}, "halfNotification": {}, "loseNotification": {},
        }.items():
            # The door opens, and what the tower says of it is not to be believed: the door itself is asked, and has the last word.
            peer.ask("set_fault", name=name, **options)
            result = site.open("north/1", waitMs=60_000)
            opened += 1
            expect(result["outcome"] in ("opened", "unknown", "opened-late"), True, f"an open with {name}: {result}")
            expect(peer.doors(), [1] * opened, f"doors that came open with {name}")
            peer.ask("clear_faults")
            peer.ask("door", locker=1, action="close")
            eventually("the door is closed", lambda: site.locker("north/1")["door"] == "closed", 20)
        peer.ask("drop")
        eventually("nobody is connected", lambda: peer.ask("state")["links"] == 0)
        for name in ("downgradeGrant", "wrongTag"):
            # Every time: an attempt that has moved nothing is made again.
            peer.ask("set_fault", name=name, times=-1)
            expect(refused(site, "north/1", waitMs=60_000), ("LINK_DOWN", "no"), f"an open in a session whose grant has {name}")
            peer.ask("clear_faults")
        expect(peer.doors(), [1] * opened, "doors that came open")


@scenario("tower")
def a_tower_that_hangs_up_in_the_middle_leaves_a_truth():
    with BumbleTower() as peer, Site(peer, poll=5000) as site:
        site.eventually("north", "ready", 20)
        peer.ask("set_fault", name="disconnectBeforeFiring")
        result = site.open("north/1")
        expect(result["outcome"], "unknown", f"an open that was not ({result})")
        expect(peer.doors(), [], "doors that came open")
        peer.ask("set_fault", name="disconnectAfterFiring")
        result = site.open("north/1")
        expect(result["outcome"] in ("opened", "unknown", "opened-late"), True, f"an open whose answer is lost ({result})")
        expect(peer.doors(), [1], "doors that came open")
        eventually("the door is told", lambda: site.locker("north/1")["door"] == "open", 20)


@scenario("radio")
def a_tower_that_is_busy_is_asked_again():
    with BumbleTower() as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        peer.ask("set_fault", name="lockersBusy", times=2)
        began = time.monotonic()
        expect(site.open("north/1")["outcome"], "opened", "an open after two times busy")
        expect_between(time.monotonic() - began, 4, 6, "seconds that it took")
        peer.ask("set_fault", name="lockersBusy", times=-1)
        began = time.monotonic()
        expect(refused(site, "north/2", waitMs=60_000), ("BUSY", "no"), "an open of a tower that stays busy")
        expect_between(time.monotonic() - began, 19, 24, "seconds that it was asked again")
        peer.ask("clear_faults")
        peer.ask("set_fault", name="batteryCritical", times=1)
        expect(refused(site, "north/2"), ("REFUSED", "no"), "an open without current")
        expect(peer.doors(), [1], "doors that came open")


@scenario("radio")
def a_tower_that_is_gone_is_a_state_and_comes_back():
    with BumbleTower() as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        peer.ask("advertise", on=False)
        peer.ask("drop")
        found = site.eventually("north", "faulted", 30)
        expect(ID in found["reason"], True, f"the reason ({found['reason']})")
        expect(refused(site, "north/1", waitMs=60_000), ("LINK_DOWN", "no"), "an open of a tower that is gone")
        peer.ask("advertise", on=True)
        site.eventually("north", "ready", 60)
        expect(site.open("north/1")["outcome"], "opened", "an open of a tower that is back")
        expect(peer.doors(), [1], "doors that came open")


@scenario("radio")
def a_tower_that_is_another_one_is_not_opened():
    with BumbleTower() as peer:
        other = "0100000000000999"
        with Site(peer, tower=other, keys=keys_of(other)) as site:
            found = site.eventually("north", "faulted", 20)
            expect(f"it says that it is tower {ID}" in found["reason"], True, f"the reason ({found['reason']})")
            expect(refused(site, "north/1"), ("LINK_DOWN", "no"), "an open")
        expect(peer.doors(), [], "doors that came open")


@scenario("radio")
def a_connection_that_nobody_uses_is_given_back():
    with BumbleTower() as peer, Site(peer, idle=2, poll=60_000) as site:
        site.eventually("north", "ready", 20)
        eventually("the tower is free for others", lambda: peer.ask("state")["links"] == 0, 20)
        (found,) = peer.probe("open", 2)
        expect(found.get("opened"), 2, f"an open of somebody else ({found})")
        eventually("the tower is free again", lambda: peer.ask("state")["links"] == 0, 20)
        expect(site.open("north/3")["outcome"], "opened", "an open of a tower that was let go")


@scenario("tower")
def nobody_is_told_a_secret():
    """In no log, status, argument or environment: neither the key nor what was made of it."""
    with BumbleTower() as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        made = token(peer.key_file, "--locker", 4)
        site.open("north/4", token=made)
        peer.ask("set_fault", name="wrongTag")
        site.open("north/5")
        (module,) = site.processes("ble-tower-module")
        told = {"the log": site.text(), "status": json.dumps([site.call("status"), site.call("controllers")])}
        for pid in (module, site.process.pid):
            for name in ("cmdline", "environ"):
                told[f"{name} of {pid}"] = Path(f"/proc/{pid}/{name}").read_text(errors="replace")
        for name in os.listdir(site.folder / "state"):
            told[name] = (site.folder / "state" / name).read_bytes().decode("latin-1")
        secrets = {"the key": KEY["secret"], "a token": made["payload"], "its signature": made["payloadAuth"]}
        secrets |= {f"{name}, raw": bytes.fromhex(text).decode("latin-1") for name, text in secrets.items()}
        for place, text in told.items():
            for name, secret in secrets.items():
                expect(secret in text or secret.upper() in text, False, f"{name} in {place}")
        # A crash says nothing either.
        os.kill(module, 6)
        eventually("another module is there", lambda: site.processes("ble-tower-module") not in ([], [module]))
        expect(KEY["secret"] in site.text(), False, "the key in what is left of a crash")


def scan(*words, prefix=()):
    return subprocess.run([*prefix, PROGRAMS / "lockerctl", "scan", "ble", "--seconds", "3", *words], capture_output=True, text=True, timeout=60)


@scenario("radio")
def a_scan_finds_towers_by_whichever_way_is_open():
    for options in ({}, {"legacy": True}):
        with BumbleTower(**options) as peer:
            kind = "legacy" if options else "extended"
            # Whoever may look after adapters; whoever may only listen; and nobody.
            ways = {
                (): "management interface",
                ("setpriv", "--bounding-set=-net_admin"): f"raw interface, {kind}",
                ("setpriv", "--reuid=65534", "--clear-groups"): None,
            }
            for prefix, how in ways.items():
                done = scan(prefix=prefix)
                if how is None:
                    expect((done.returncode, "takes the right CAP_NET_RAW or CAP_NET_ADMIN" in done.stderr), (1, True), f"a scan without rights ({done.stderr})")
                    continue
                expect((done.returncode, how in done.stderr), (0, True), f"how it listened, {kind} ({done.stderr})")
                for line in (f'tower = "{ID}"', f'address = "{peer.address}"', 'address_type = "random"', '"TOWER-01", firmware 1.0.0, -50 dBm'):
                    expect(line in done.stdout, True, f"{line} in {done.stdout}")
    done = scan()
    expect((done.returncode, "no Bluetooth adapter" in done.stderr), (1, True), f"a scan without an adapter ({done.stderr})")


@scenario("radio")
def a_draft_of_a_scan_serves():
    """What an installer does: scan, make keys, put both into place."""
    with BumbleTower() as peer, Site(peer) as site:
        draft = scan().stdout
        text = "\n".join(line for line in draft.splitlines() if not line.startswith("#")).replace(f"towers/{ID}.json", str(peer.key_file))
        (site.config / "links.d/towers.toml").write_text(text)
        site.call("reload")
        site.eventually("tower-0175", "ready", 20)
        expect(site.open("tower-0175/2")["outcome"], "opened", "an open")
        expect(peer.doors(), [2], "doors that came open")


@scenario("radio")
def one_adapter_serves_several_towers():
    setups = [{"tower": f"01000000000001{n:02x}", "name": f"TOWER-{n}", "address": f"F0:F1:F2:F3:F4:{n:02X}"} for n in (1, 2, 3)]
    with BumbleTowers(*setups) as peer:
        links = {}
        for number, setup in enumerate(setups):
            keys = peer.folder / f"keys{number}.json"
            keys.chmod(0o600)
            text = LINK.format(tower=setup["tower"], address=setup["address"], kind="random", keys=keys, idle=10, poll=500, pulse=10)
            links[f"tower{number}"] = text.replace('id = "north"', f'id = "tower{number}"').replace("first_id = 1", f"first_id = {1 + 100 * number}")
        with Daemon(Wall(), links) as site:
            for number in range(3):
                site.eventually(f"tower{number}", "ready", 30)
            for turn in range(6):
                expect(site.open(f"tower{turn % 3}/{1 + turn}")["outcome"], "opened", f"open {turn}")
            for number, setup in enumerate(setups):
                expect(peer.doors(tower=setup["tower"]), [1 + number, 4 + number], f"doors of tower {number}")
            # One that is gone keeps no other waiting.
            peer.ask("advertise", on=False, tower=setups[0]["tower"])
            peer.ask("drop", tower=setups[0]["tower"])
            site.eventually("tower0", "faulted", 30)
            began = time.monotonic()
            expect(site.open("tower1/8")["outcome"], "opened", "an open beside a tower that is gone")
            expect_between(time.monotonic() - began, 0, 4, "seconds that it took")


@scenario("radio")
def an_adapter_that_goes_and_comes_is_used_again():
    with BumbleTower() as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        subprocess.run(["hciconfig", "hci0", "down"], check=True)
        found = site.eventually("north", "faulted", 20)
        # The air tells a tower that its client is gone; these controllers forget to.
        peer.ask("drop")
        # The daemon may have the right to switch it on, and does; whoever is quicker, the tower is back.
        subprocess.run(["hciconfig", "hci0", "up"], check=False)
        bring_up(0)
        site.eventually("north", "ready", 60)
        expect(site.open("north/1")["outcome"], "opened", f"an open after that ({found['reason']})")
