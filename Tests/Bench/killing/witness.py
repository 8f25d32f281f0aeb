"""Looks at everything a life left behind, and at everything the next one says, and names what does not fit."""

import asyncio
import collections

from control import Connection
from evidence import AuditChain, CoilRecord, JournalCopy
from ledger import Answer, flags_of

# How much longer than its pulse a coil may be on where the module times it: two busy cores wake it late.
HOST_ALLOWANCE_MS = 400
# A subscriber asks for so many events once more, which must be the same as before.
OVERLAP = 20
# Operations of long ago that are looked up in each life, beside all of the last one.
SAMPLE = 12
# Requests in flight on one connection.
AT_ONCE = 32


class Witness:
    def __init__(self, site, ledger, random):
        self.site, self.ledger, self.random = site, ledger, random
        self.problems = ledger.problems
        self.coils = CoilRecord(site.coils)
        self.pulses = 0
        # The audit twice: as the file holds it, and as the daemon tells it.
        self.kept, self.told = AuditChain(), AuditChain()
        self.unconfirmed = []
        self.recent_events = collections.deque(maxlen=500)
        self.last_seq = 0
        # The first event of its kind, by operation; for `lock.fired` by operation and locker.
        self.done, self.fired = {}, {}
        # The flags that the newest `service.changed` named, by locker, and the status of this life's beginning.
        self.flags_told, self.status = {}, None
        # Called with each new event.
        self.on_event = None

    # MARK: Behind a life

    def look_behind(self, killed, living=(), check="quick_check"):
        """The daemon is gone: compares coils, journal and promises. Some of its modules may be `living`, and write later."""
        journal = JournalCopy(self.site.state, self.site.folder)
        try:
            self._take(self.coils.news(), journal, killed, living)
            self.problems += journal.problems(check)
            if not journal.is_empty:
                self.problems += self.kept.follow(entry for _, entry in journal.audit(self.kept.number))
                if journal.audit_head != (self.kept.number, self.kept.hash):
                    self.problems.append(f"the head of the audit is {journal.audit_head}, its end {self.kept.number}")
        finally:
            journal.close()
        self.unconfirmed += [promise for promise in self.ledger.end_life() if promise.operation]

    def _take(self, coils, journal, killed, living):
        on = [coil for coil in coils if coil.is_on]
        self.pulses += len(on)
        self.ledger.take_coils(on)
        self.problems += self.coils.overlong(
            coils, lambda address: self.site.link(address).pulse_ms, killed, living, HOST_ALLOWANCE_MS)
        for coil in on:
            if coil.key and (journal.is_empty or not journal.is_intended(coil.key, coil.locker)):
                self.problems.append(f"fired without an intent in the journal: {coil}")
        loose = self.ledger.loose_coils
        if any(coil.key is None for coil in on):
            intents = {} if journal.is_empty else journal.intents_of_open_alls()
            self.problems += [
                f"open-all fired {address} {count} times with {intents.get(address, 0)} intents"
                for address, count in loose.items() if count > intents.get(address, 0)]

    # MARK: Before a life

    def look_before_requests(self, daemon):
        """Nobody has asked for anything yet, so nothing may have fired. Lines of modules that outlived their core may come."""
        offset = self.coils.offset
        for coil in self.coils.news():
            if coil.pid in daemon.modules:
                self.problems.append(f"fired at start-up: {coil}")
        self.coils.offset = offset

    async def look_at_start(self):
        """What was promised before must be found again."""
        line = await Connection.to(self.site.socket)
        try:
            await self._follow_audit(line)
            self.status = await line.result("status")
            self.problems += self.ledger.flag_problems(self.status["lockers"])
            if "journal-broken" in [cause["code"] for cause in self.status["causes"]]:
                self.problems.append(f"the journal is broken at the start: {self.status['causes']}")
            wanted, self.unconfirmed = self.unconfirmed, []
            known = [promise for promise in self.ledger.promises if promise.operation]
            wanted += self.random.sample(known, min(SAMPLE, len(known)))
            await self.find_again(line, wanted)
        finally:
            await line.close()

    async def find_again(self, line, promises):
        """Each by its operation; one of an earlier life has come to an end."""
        for start in range(0, len(promises), AT_ONCE):
            part = promises[start:start + AT_ONCE]
            replies = await asyncio.gather(*(line.call("operation", operation=one.operation) for one in part))
            for promise, reply in zip(part, replies):
                if "error" in reply:
                    self.problems.append(f"{promise.operation} is lost: {reply['error']['message']}")
                    continue
                answer = Answer.of(reply)
                if answer.final is None:
                    self.problems.append(f"{promise.operation} of an earlier life is pending")
                self.problems += promise.compare(answer, promise.standing)

    async def _follow_audit(self, line):
        while True:
            page = await line.result("audit", since=self.told.number, limit=500)
            self.problems += self.told.follow(page["entries"])
            if not page["entries"]:
                break
        head = page["head"]
        if (head["n"], head["hash"]) != (self.told.number, self.told.hash):
            self.problems.append(f"the head of the audit is said to be {head}, its end {self.told.number}")

    # MARK: At the end

    async def hear_everything(self, line):
        """Waits until the subscriber has heard of all there is, and looks for what nobody was told."""
        newest = (await line.result("status", lockers=[self.site.addresses[0]]))["seq"]
        await self._hear(newest)
        for promise in self.ledger.promises:
            if not promise.final:
                continue
            told = self.done.get(promise.operation)
            if told is None:
                self.problems.append(f"nobody was told that {promise.operation} ended")
            elif promise.method == "open" and not is_same_end(told, promise.final):
                self.problems.append(f"{promise.operation} ended with {promise.final}, and subscribers heard {told}")

    async def _hear(self, seq):
        for _ in range(1000):
            if self.last_seq >= seq:
                return
            await asyncio.sleep(0.01)
        self.problems.append(f"the subscriber heard of event {self.last_seq} last, the newest is {seq}")

    def look_at_everything(self):
        """Nothing fires any more: every promise against every coil, and the audit from its first entry to its last."""
        for promise in self.ledger.promises:
            if promise.method == "open":
                self.problems += promise.coil_problems()
        self.problems += self.ledger.open_all_problems()
        journal = JournalCopy(self.site.state, self.site.folder)
        try:
            entries = [entry for _, entry in journal.audit()]
        finally:
            journal.close()
        whole = AuditChain()
        self.problems += whole.follow(entries)
        if whole.hash != self.kept.hash:
            self.problems.append("the audit is another one than it was")
        asked = {entry.get("key") for entry in entries if entry["act"] in ("open", "open-all")}
        ended = {entry.get("operation") for entry in entries if entry["act"] in ("outcome", "recovered")}
        for promise in self.ledger.promises:
            if promise.operation and promise.key not in asked:
                self.problems.append(f"the audit does not know who asked for {promise.operation}")
            if promise.coils and promise.operation not in ended:
                self.problems.append(f"the audit does not know how {promise.operation} ended, which fired")

    # MARK: During a life

    async def subscribe(self):
        """Goes on where the last life's events ended; the connection ends with the daemon."""
        since = max(0, self.last_seq - OVERLAP)
        again = collections.deque(event for event in self.recent_events if event["seq"] > since)
        line = await Connection.to(self.site.socket, lambda message: self._note(message["params"], again))
        reply = await line.call("subscribe", since=since)
        if "error" in reply:
            self.problems.append(f"subscribe since {since}: {reply['error']['message']}")
            return line
        # Who only listens must come to the same flags as who asks.
        await self._hear(self.status["seq"])
        for locker in self.status["lockers"]:
            told = self.flags_told.get(locker["address"])
            if told and told != flags_of(locker):
                self.problems.append(f"the flags of {locker['address']} are {flags_of(locker)}; the last event said {told}")
        return line

    def _note(self, event, again):
        if again:
            before = again.popleft()
            if before != event:
                self.problems.append(f"event {before} is told again as {event}")
            return
        if event["seq"] != self.last_seq + 1:
            self.problems.append(f"event {event['seq']} ({event['type']}) follows {self.last_seq}")
        self.last_seq = event["seq"]
        self.recent_events.append(event)
        operation = event.get("operation")
        if event["type"] == "operation.done":
            self._once(self.done, operation, event)
        elif event["type"] == "lock.fired":
            self._once(self.fired, (operation, event["locker"]["id"]), event)
        elif event["type"] == "service.changed":
            self.flags_told[event["locker"]["address"]] = flags_of(event)
        if self.on_event:
            self.on_event(event)

    def _once(self, seen, what, event):
        if what in seen:
            self.problems.append(f"a second {event['type']}: {event} after {seen[what]}")
        seen[what] = event


def is_same_end(event, final):
    """Whether an `operation.done` and the open's end agree. A door that opened late is told by an event of its own."""
    if "fired" in final:
        return event.get("error", {}).get("data", {}).get("code") == final["code"]
    return event.get("outcome") == final["outcome"] or final["outcome"] == "opened-late"
