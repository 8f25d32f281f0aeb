"""What independent witnesses say: the record of the coils, the journal's file, and the arithmetic of the audit.

Nothing here asks the daemon anything. The file is read with Python's own SQLite, hashes are Python's own.
"""

import hashlib
import json
import shutil
import sqlite3

GENESIS = "0" * 64


class Coil:
    """One line of the simulator's record."""

    def __init__(self, line):
        entry = json.loads(line)
        self.locker = f"{entry['controller']}/{entry['locker']}"
        self.is_on = entry["coil"] == "on"
        self.at, self.pid, self.timing = entry["monotonicMs"], entry["pid"], entry["timing"]
        # The customers give each key as its open's token too, so a pulse says by itself which request fired it.
        self.key = entry.get("token")

    def __str__(self):
        return f"{self.locker} {'on' if self.is_on else 'off'} at {self.at} by pid {self.pid}, key {self.key}"


class CoilRecord:
    """The simulator's file, which every life and every module goes on with; read from where the last look ended."""

    def __init__(self, path):
        self.path, self.offset = path, 0
        self.open_pulses = {}
        self.longest = 0.0

    def news(self):
        """Lines that have come since the last look."""
        with open(self.path, "rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole = data[:data.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [Coil(line) for line in whole.splitlines()]

    def overlong(self, coils, pulse_of, killed, living, allowance):
        """What was on for longer than it may, of `coils` and what was on before.

        A board ends its pulse by itself, and its record says so at once. A pulse that the module times needs the module: of
        one that was killed within a pulse nobody can tell more, because the simulated board died with it. Modules that are
        `living` may still be at it.
        """
        for coil in coils:
            place = (coil.pid, coil.locker)
            began = self.open_pulses.pop(place, None)
            if coil.is_on:
                if began:
                    yield f"{coil} while it was on already, since {began.at}"
                self.open_pulses[place] = coil
            elif began:
                length = coil.at - began.at
                self.longest = max(self.longest, length)
                if length > pulse_of(coil.locker) + allowance:
                    yield f"{began} was on for {length:.1f} ms"
        for (pid, _), coil in self.open_pulses.items():
            if pid not in killed and pid not in living:
                yield f"{coil} was never switched off, and its module was not killed"
        self.open_pulses = {place: coil for place, coil in self.open_pulses.items() if place[0] in living}


class JournalCopy:
    """The journal's file as a kill left it, read from a copy: the next start must find the original untouched.

    Make it only when the daemon is gone; the log beside the database is half of the truth.
    """

    def __init__(self, state, folder):
        self.path = folder / "journal-copy.sqlite"
        for end in ("", "-wal"):
            source, target = state / f"journal.sqlite{end}", folder / f"journal-copy.sqlite{end}"
            target.unlink(missing_ok=True)
            if source.exists():
                shutil.copyfile(source, target)
        (folder / "journal-copy.sqlite-shm").unlink(missing_ok=True)
        self.db = sqlite3.connect(self.path, isolation_level=None)

    @property
    def is_empty(self):
        """Killed before the first commit."""
        return not self.rows("SELECT 1 FROM sqlite_master WHERE name = 'meta'") or not self.rows("SELECT 1 FROM meta")

    def rows(self, sql, *arguments):
        return self.db.execute(sql, arguments).fetchall()

    def is_intended(self, key, address):
        """Whether an open under that key was written down as about to fire that locker."""
        rows = self.rows("SELECT lockers FROM operations WHERE key = ? AND kind = 'open' AND intended", key)
        return any(address in self.names(lockers).values() for (lockers,) in rows)

    @staticmethod
    def names(lockers):
        """Address by id, from the flat list that an operation's row holds."""
        flat = json.loads(lockers)
        return dict(zip(flat[::2], flat[1::2]))

    def intents_of_open_alls(self):
        """How often each locker was about to be fired for an `open-all`, by address."""
        counts = {}
        for lockers, number in self.rows(
                "SELECT o.lockers, s.locker FROM operations o JOIN shots s ON s.operation = o.n"
                " WHERE o.kind = 'open-all' AND s.intended"):
            address = self.names(lockers).get(number)
            counts[address] = counts.get(address, 0) + 1
        return counts

    def problems(self, check="quick_check"):
        """What is wrong with the file as a file, and with numbers that must have no gaps."""
        (verdict,), *_ = self.rows(f"PRAGMA {check}")
        if verdict != "ok":
            yield f"the journal's file: {verdict}"
        if self.is_empty:
            return
        for key, count in self.rows(
                "SELECT key, count(*) FROM operations WHERE key IS NOT NULL GROUP BY key HAVING count(*) > 1"):
            yield f"key {key} stands for {count} operations"
        (first, last, count), = self.rows("SELECT min(seq), max(seq), count(*) FROM events")
        (head,), = self.rows("SELECT seq FROM meta")
        if count and (last - first + 1 != count or head != last):
            yield f"{count} events are numbered {first} to {last}, the head says {head}"

    def audit(self, after=0):
        """Entries after a number, as (number, object)."""
        return [(number, json.loads(entry))
                for number, entry in self.rows("SELECT n, entry FROM audit WHERE n > ? ORDER BY n", after)]

    @property
    def audit_head(self):
        (row,) = self.rows("SELECT audit_n, audit_hash FROM meta")
        return row

    def close(self):
        self.db.close()


class AuditChain:
    """Walks along the audit: each entry names the hash of the one before, from the first to the head."""

    def __init__(self):
        self.number, self.hash = 0, GENESIS
        self.count = 0

    @staticmethod
    def hash_of(entry):
        bare = {name: value for name, value in entry.items() if name != "hash"}
        text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def follow(self, entries):
        """Goes on with entries; says what does not fit."""
        for entry in entries:
            if entry["n"] != self.number + 1:
                yield f"audit entry {entry['n']} follows {self.number}"
            if entry["previous"] != self.hash:
                yield f"audit entry {entry['n']} names another hash before it"
            if self.hash_of(entry) != entry["hash"]:
                yield f"audit entry {entry['n']} has another hash than it says"
            self.number, self.hash = entry["n"], entry["hash"]
            self.count += 1
