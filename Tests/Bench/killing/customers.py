"""Those who ask for doors while the daemon is being killed."""

import asyncio

from control import Connection, Gone
from ledger import Answer, flags_of

# How often each thing is done, in proportion.
MANNERS = {"fresh": 40, "impatient": 14, "hurried": 8, "together": 14, "again": 24, "cancel": 5, "open_all": 3, "service": 6}
# Keys that a repeat is usually chosen from; now and then it is any key ever used.
RECENT_KEYS = 40


class Customers:
    """Several connections that ask side by side until the daemon is gone or somebody says stop."""

    def __init__(self, site, ledger, random, count=5):
        self.site, self.ledger, self.random, self.count = site, ledger, random, count
        self.is_stopping = False
        # Locks would do the same, but a customer that finds somebody busy rather does something else.
        self.is_opening_all = self.is_servicing = False
        self.asked = 0
        self.next_key = 0

    async def work(self):
        self.is_stopping = self.is_opening_all = self.is_servicing = False
        await asyncio.gather(*(self._customer(number) for number in range(self.count)))

    def stop(self):
        """Nobody asks for anything new; what is under way is waited for."""
        self.is_stopping = True

    async def repeat_everything(self):
        """Every key once more. What was never answered may be accepted now; nothing else fires."""
        self.is_opening_all = False
        queue = list(reversed(self.ledger.promises))

        async def customer():
            line = await Connection.to(self.site.socket)
            while queue:
                promise = queue.pop()
                if promise.method == "open" or promise.final:
                    await self._ask(line, promise)
                else:
                    await self._ask_all(line, promise)
            await line.close()

        await asyncio.gather(*(customer() for _ in range(8)))

    async def _customer(self, number):
        try:
            line = await Connection.to(self.site.socket)
        except Gone:
            return
        try:
            while not self.is_stopping and not line.is_gone:
                (manner,) = self.random.choices(list(MANNERS), MANNERS.values())
                await getattr(self, f"_{manner}")(line)
                # A person needs a moment, and all in step would never meet in the same queue.
                await asyncio.sleep(self.random.uniform(0, 0.01))
        except Gone:
            pass
        finally:
            await line.close()

    async def _ask(self, line, promise, **terms):
        """One request under a key. Without an answer nobody knows whether it was accepted."""
        promise.unanswered += 1
        self.asked += 1
        self.ledger.touched.add(promise)
        standing = promise.standing
        reply = await line.call(promise.method, key=promise.key, **promise.params, **terms)
        promise.unanswered -= 1
        self.ledger.take(promise, reply, standing)
        return reply

    def _new(self):
        self.next_key += 1
        key = f"k-{self.next_key}"
        # The token is for the record of the coils; to the daemon it is a part of the request like any other.
        return self.ledger.promise(
            "open", key, locker=self.random.choice(self.site.addresses), token={"payload": key, "payloadAuth": "none"})

    async def _fresh(self, line):
        await self._ask(line, self._new())

    async def _impatient(self, line):
        """Does not wait for the end, and looks it up later."""
        promise = self._new()
        await self._ask(line, promise, waitMs=self.random.choice((0, 0, 5)))
        if promise.operation and self.random.random() < 0.5:
            await self._look(line, promise)

    async def _hurried(self, line):
        await self._ask(line, self._new(), deadlineMs=self.random.randrange(1, 60))

    async def _together(self, line):
        """The same key by several at once: on this line, and on lines of their own."""
        promise = self._new()
        others = []
        try:
            others = [await Connection.to(self.site.socket) for _ in range(self.random.randrange(1, 3))]
            lines = [line, line, *others]
            replies = await asyncio.gather(*(self._ask(one, promise) for one in lines), return_exceptions=True)
            for reply in replies:
                if isinstance(reply, BaseException):
                    raise reply
        finally:
            for other in others:
                await other.close()

    async def _again(self, line):
        """A key of before, perhaps of several lives ago."""
        promises = self.ledger.promises
        if not promises:
            return
        if self.random.random() < 0.8:
            promises = promises[-RECENT_KEYS:]
        promise = self.random.choice(promises)
        if promise.method == "open":
            await self._ask(line, promise)
        else:
            await self._ask_all(line, promise)

    async def _look(self, line, promise):
        standing = promise.standing
        reply = await line.call("operation", operation=promise.operation)
        if "error" in reply:
            self.ledger.problems.append(f"operation {promise.operation}: {reply['error']['message']}")
        else:
            self.ledger.problems += promise.compare(Answer.of(reply), standing)

    async def _cancel(self, line):
        promise = self._new()
        await self._ask(line, promise, waitMs=0)
        if not promise.operation:
            return
        reply = await line.call("cancel", operation=promise.operation)
        if "error" in reply:
            self.ledger.problems.append(f"cancel of {promise.operation}: {reply['error']['message']}")
        else:
            promise.kept_from_firing |= {locker["address"] for locker in reply["result"]["notFired"]}

    async def _open_all(self, line):
        """Some lockers of one controller, whose coils have no key of their own."""
        link = self.random.choice(self.site.links)
        lockers = sorted(self.random.sample(link.addresses, self.random.randrange(2, 6)))
        self.next_key += 1
        await self._ask_all(line, self.ledger.promise("open-all", f"k-{self.next_key}", lockers=lockers))

    async def _ask_all(self, line, promise):
        # One at a time: their coils can only be told apart by when they were fired.
        if self.is_opening_all:
            return
        self.is_opening_all = True
        try:
            await self._ask(line, promise)
        finally:
            self.is_opening_all = False

    async def _service(self, line):
        """Flags of the last locker of each controller, so that most of the site goes on serving; one change at a time."""
        if self.is_servicing:
            return
        self.is_servicing = True
        try:
            await self._flag(line, self.random.choice(self.site.links).addresses[-1])
        finally:
            self.is_servicing = False

    async def _flag(self, line, address):
        wanted = (self.random.random() < 0.5, self.random.random() < 0.5)
        code = f"c-{self.random.randrange(1000)}" if wanted[0] else None
        self.ledger.flags_asked.setdefault(address, []).append((*wanted, code))
        params = {"reasonCode": code} if code else {}
        reply = await line.call("service", locker=address, outOfService=wanted[0], brokenLock=wanted[1], **params)
        if "result" in reply:
            self.ledger.flags[address] = flags_of(reply["result"])
            self.ledger.flags_asked[address] = []
        elif reply["error"]["data"]["code"] != "STOPPING":
            self.ledger.problems.append(f"service of {address}: {reply['error']['message']}")
