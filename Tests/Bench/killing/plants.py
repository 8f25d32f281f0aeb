"""Broken promises that are planted to see that they are found: a witness that never complains proves nothing.

Each plant spoils one thing behind the daemon's back, once there is something to spoil, and names words of the violation that
must follow.
"""

import json
import shutil
import sqlite3
import time

# Lives that leave something to spoil behind them.
QUIET_LIVES = 3


class Plant:
    """When: before the witness looks `behind` a life, after it has and before the `next`, or at its `start`."""

    def __init__(self, words, spoil, when="behind"):
        self.words, self.spoil, self.when = words, spoil, when
        self.is_done = False

    def try_it(self, lives, when):
        """Spoils as soon as it can; a `spoil` that finds nothing to spoil says False."""
        if not self.is_done and when == self.when and lives.lives > QUIET_LIVES:
            self.is_done = self.spoil(lives) is not False


def change(lives, sql, *arguments):
    """Changes the journal's file between two lives; False where it had nothing to change."""
    db = sqlite3.connect(lives.site.state / "journal.sqlite")
    with db:
        count = db.execute(sql, arguments).rowcount
    db.close()
    return count > 0


def forget_everything(lives):
    shutil.rmtree(lives.site.state)


def write_coil(lives, locker, key, pid, length=20.0):
    controller, number = locker.split("/")
    now = time.clock_gettime(time.CLOCK_BOOTTIME) * 1000
    with open(lives.site.coils, "a") as file:
        for coil, at in (("on", now), ("off", now + length)):
            entry = {"atMs": 0, "monotonicMs": at, "pid": pid, "controller": controller, "locker": int(number),
                     "coil": coil, "timing": "board"}
            file.write(json.dumps({**entry, "token": key} if key and coil == "on" else entry) + "\n")


def fired_open(lives):
    """An open that was told to have fired."""
    promises = [one for one in lives.ledger.promises if one.method == "open" and one.final and one.coils == 1]
    return promises[-1] if promises else None


def fire_again(lives):
    if not (promise := fired_open(lives)):
        return False
    write_coil(lives, promise.params["locker"], promise.key, pid=1)


def fire_at_start(lives):
    write_coil(lives, "wall/1", None, pid=next(iter(lives.daemon.modules)))


def fire_for_long(lives):
    write_coil(lives, "wall/1", None, pid=1, length=900.0)


def fire_for_nobody(lives):
    write_coil(lives, "wall/2", None, pid=1)


def fire_cancelled(lives):
    """Of this life, whose coils the witness counts right after this."""
    promises = [one for one in lives.ledger.touched if one.kept_from_firing and one.coils == 0]
    if not promises:
        return False
    write_coil(lives, promises[0].params["locker"], promises[0].key, pid=1)


def end_again(lives):
    """The newest end of an operation, told under a new number."""
    is_added = change(
        lives, "INSERT INTO events SELECT (SELECT max(seq) + 1 FROM events), at_ms, type, locker, address, controllers, members"
        " FROM events WHERE type = 'operation.done' ORDER BY seq DESC LIMIT 1")
    return is_added and change(lives, "UPDATE meta SET seq = (SELECT max(seq) FROM events)")


def forget_intents(lives):
    """Of an open that nobody has looked at yet: the witness reads the file right after this."""
    coils = lives.witness.coils
    offset = coils.offset
    keys = [coil.key for coil in coils.news() if coil.is_on and coil.key]
    coils.offset = offset
    return bool(keys) and change(lives, "UPDATE operations SET intended = 0 WHERE key = ?", keys[-1])


def change_outcome(lives):
    promise = fired_open(lives)
    return promise is not None and change(
        lives, "UPDATE operations SET result = replace(result, '\"attempts\":1', '\"attempts\":2') WHERE key = ?"
        " AND result LIKE '%\"attempts\":1,%'", promise.key)


def forget_operation(lives):
    promise = fired_open(lives)
    return promise is not None and change(lives, "DELETE FROM operations WHERE key = ?", promise.key)


def change_audit(lives):
    return change(lives, "UPDATE audit SET entry = replace(entry, '\"uid\":', '\"uid\":1') WHERE n ="
                  " (SELECT max(n) FROM audit WHERE entry LIKE '%\"uid\":%')")


def cut_audit(lives):
    return change(lives, "DELETE FROM audit WHERE n = (SELECT max(n) FROM audit)")


def lose_event(lives):
    return change(lives, "DELETE FROM events WHERE seq = (SELECT max(seq) - 3 FROM events)")


def lose_flags(lives):
    if not any(flags[0] for flags in lives.ledger.flags.values()):
        return False
    return change(lives, "UPDATE lockers SET kept = replace(kept, '\"outOfService\":true', '\"outOfService\":false')"
                  " WHERE kept LIKE '%\"outOfService\":true%'")


def plants():
    """By name."""
    return {
        "forgotten state": Plant(["is lost", "fired twice", "the head of the audit"], forget_everything, "next"),
        "second pulse": Plant(["fired twice"], fire_again),
        "pulse at the start": Plant(["fired at start-up"], fire_at_start, "start"),
        "long pulse": Plant(["was on for 900"], fire_for_long),
        "pulse for nobody": Plant(["open-all fired wall/2"], fire_for_nobody),
        "cancelled pulse": Plant(["fired 1 times, want 0 to 0"], fire_cancelled),
        "second ending": Plant(["a second operation.done"], end_again, "next"),
        "forgotten intent": Plant(["fired without an intent"], forget_intents),
        "changed outcome": Plant(["and now with"], change_outcome),
        # A customer may repeat its key before anybody asks for it, and is taken for a new one.
        "forgotten operation": Plant(["is lost", "was accepted 2 times"], forget_operation),
        "changed audit": Plant(["has another hash than it says"], change_audit),
        "cut audit": Plant(["the head of the audit"], cut_audit),
        "lost event": Plant(["events are numbered", "follows"], lose_event),
        "lost flags": Plant(["the flags of"], lose_flags),
    }
