"""What towers log, and what else they can do, through the whole daemon."""

import json
import os
import subprocess
import time

from ble_driver_scenarios import Site, token
from daemon import PROGRAMS, Refused
from registry import scenario
from towers import PYTHON, TOWERS, BumbleTower
from wall import eventually, expect


def events_of(site, since=0):
    """All events of the tower's log since the first, in order."""
    client = site.client()
    client.call("subscribe", since=since, types=["controller.event", "controller.parcel"])
    client.call("version")
    return [event["params"] for _, event in client.events]


def numbers(events):
    return [event["number"] for event in events if event["type"] == "controller.event"]


@scenario("tower")
def what_a_tower_has_logged_becomes_events_once():
    with BumbleTower() as peer:
        # Long before anybody came: more than one page, with each kind of trouble.
        for _ in range(12):
            peer.ask("door", locker=2, action="force")
            peer.ask("door", locker=2, action="close")
        peer.ask("set", temperature=-120)
        due = len(peer.ask("events")["events"])
        with Site(peer) as site:
            site.eventually("north", "ready", 20)
            eventually("all of it is told", lambda: numbers(events_of(site)) == list(range(1, due + 1)), 60)
            kinds = [event["kind"] for event in events_of(site) if event["type"] == "controller.event"]
            expect((kinds[0], kinds.count("forced-door"), kinds.count("door-closed")), ("boot", 12, 12), "kinds")
            eventually("the tower has forgotten it", lambda: len(peer.ask("events")["events"]) == 0, 30)
            site.open("north/4", token=token(peer.key_file, "--locker", 4, "--client", "parcel 17"))
            eventually("the access is told", lambda: numbers(events_of(site))[-1:] > [due], 60)
            (event,) = [one for one in events_of(site) if one.get("number") == due + 1]
            expect((event["kind"], event["locker"]["address"], event["missed"]), ("access", "north/4", 0), "the access")
            # And the same for the tower's server, whom nobody else can read.
            parcels = [one for one in events_of(site) if one["type"] == "controller.parcel"]
            covered = [number for one in parcels for number in range(one["first"], one["last"] + 1)]
            expect(covered, list(range(1, covered[-1] + 1)), "entries that are in parcels, each once")
            expect(len(covered) >= due, True, f"how many ({len(covered)} of {due})")


@scenario("tower")
def a_daemon_that_dies_between_reading_and_forgetting_tells_nothing_twice():
    with BumbleTower() as peer:
        site = Site(peer)
        try:
            site.start()
            site.eventually("north", "ready", 20)
            told = 0
            for turn in range(6):
                for _ in range(9):
                    peer.ask("door", locker=3, action="force")
                    peer.ask("door", locker=3, action="close")
                # What a tower acknowledges is not heard: it is asked to forget again and again, or never.
                peer.ask("set_fault", name="loseNotification", times=1, after=turn)
                time.sleep(0.2 * turn)
                os.kill(site.process.pid, 9)
                site.process.wait()
                eventually("nobody is left", lambda: not site.processes("ble-tower-module"), 20)
                peer.ask("clear_faults")
                site.start()
                site.eventually("north", "ready", 30)
                found = numbers(events_of(site))
                expect(found, list(range(1, len(found) + 1)), f"numbers after death {turn}")
                expect(len(found) >= told, True, "events that are still there")
                told = len(found)
            due = 1 + 6 * 18
            eventually("all of it is told", lambda: len(numbers(events_of(site))) >= due, 90)
            found = numbers(events_of(site))
            expect(found, list(range(1, len(found) + 1)), "numbers at the end")
            parcels = [one for one in events_of(site) if one["type"] == "controller.parcel"]
            covered = [number for one in parcels for number in range(one["first"], one["last"] + 1)]
            expect(covered, list(range(1, len(covered) + 1)), "entries that are in parcels, each once")
        finally:
            site.stop()


def server(peer, *words):
    """What the tower's server makes: sealed orders."""
    done = subprocess.run([PYTHON, TOWERS / "seal_commands.py", peer.key_file, *map(str, words)], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise AssertionError(done.stderr)
    return json.loads(done.stdout)


@scenario("tower")
def a_tower_does_what_else_it_can():
    with BumbleTower() as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        expect(site.controller("north")["capabilities"]["actions"], ["available", "forget", "last-door", "log", "relay", "revert", "tap"], "actions")
        free = site.call("act", controller="north", action="available")["available"]
        expect(sum(free.values()), 16, f"free lockers ({free})")
        try:
            site.call("act", controller="north", action="last-door", locker="north/5")
            raise AssertionError("it knows of an open that was not")
        except Refused as problem:
            expect(problem.code, "REFUSED", f"the door of nothing ({problem})")
        site.open("north/5")
        expect(site.call("act", controller="north", action="last-door", locker="north/5")["door"], "open", "the door that was opened last")
        peer.ask("door", locker=5, action="close")
        expect(site.call("act", controller="north", action="last-door", locker="north/5")["door"], "closed", "the same when it is closed")
        site.call("act", controller="north", action="tap", locker="north/5", intervalMs=200, count=3)
        site.call("act", controller="north", action="revert", locker="north/5", clientInfo="did not fit")
        try:
            site.call("act", controller="north", action="revert", locker="north/6")
            raise AssertionError("it takes back what was not")
        except Refused as problem:
            expect(problem.code, "REFUSED", f"another locker ({problem})")
        # Orders of the server, carried by who cannot read them; once, however often they are carried.
        sealed = server(peer, 1, 20)
        for _ in range(2):
            site.call("act", controller="north", action="relay", **sealed)
        expect(peer.ask("state")["next_command"], 2, "the number of the server's next order")
        changed = {**sealed, "payloadAuth": sealed["payloadAuth"][:-2] + "00"}
        try:
            site.call("act", controller="north", action="relay", **changed)
            raise AssertionError("it takes orders of somebody else")
        except Refused as problem:
            expect(problem.code, "REFUSED", f"orders of somebody else ({problem})")
        done = subprocess.run([PROGRAMS / "lockerctl", "--socket", site.path, "act", "north", "available"], capture_output=True, text=True, timeout=60)
        expect((done.returncode, "free" in done.stdout), (0, True), f"lockerctl act ({done.stdout}{done.stderr})")


@scenario("tower")
def a_door_that_was_opened_last_is_opened_again_without_a_new_token():
    with BumbleTower() as peer, Site(peer) as site:
        site.eventually("north", "ready", 20)
        expect(site.open("north/5", token=token(peer.key_file, "--locker", 5))["outcome"], "opened", "an open by token")
        peer.ask("door", locker=5, action="close")
        eventually("the door is closed", lambda: site.locker("north/5")["door"] == "closed")
        expect(site.open("north/5", again=True)["outcome"], "opened", "the same door again")
        for locker, why in (("north/6", "a door that was not the last"), ("north/5", "the last door, in a session that has ended")):
            if locker == "north/5":
                peer.ask("drop")
                eventually("the session is over", lambda: peer.ask("state")["links"] == 0 or site.controller("north")["state"] != "ready", 30)
                site.eventually("north", "ready", 30)
            try:
                site.open(locker, again=True)
                raise AssertionError(f"{why} was opened")
            except Refused as problem:
                expect((problem.code, problem.data["fired"]), ("REFUSED", "no"), why)
        expect(peer.doors(), [5, 5], "doors that came open")


@scenario("radio")
def a_session_is_begun_anew_before_it_ends():
    with BumbleTower() as peer, Site(peer, poll=5000) as site:
        site.eventually("north", "ready", 20)
        client = site.client()
        client.call("subscribe", types=["controller.state"])
        # A session ends with its token, after an hour; nobody is to notice.
        for _ in range(5):
            time.sleep(1500)
            expect(site.open("north/2")["outcome"] in ("opened", "already-open"), True, "an open after half an hour more")
            peer.ask("door", locker=2, action="close")
        client.call("version")
        expect(client.events, [], "changes of the tower's state in two hours")
