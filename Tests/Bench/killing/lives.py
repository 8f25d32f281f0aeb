"""The lives of one site: each a start, some work, and an end that nobody was prepared for."""

import asyncio
import time

from control import Connection, Gone
from customers import Customers
from ledger import Ledger
from lockersite import Link, LockerSite
from processes import Trouble, orphans, orphans_gone
from witness import Witness

STEPS = ("accepted", "intending", "intended", "ordering", "reported", "judged", "ending", "ended")
# Ends, in proportion. A module's death is followed by the core's, or by an orderly stop; `told` is the core's death in the
# moment in which a subscriber hears of something.
ENDS = {"step": 36, "core": 20, "told": 14, "both": 12, "module": 12, "early": 6}
TELLING = {"operation.done", "lock.fired", "service.changed"}
# How long a life works before it is ended, and how long one waits for a step that does not come.
LONGEST_WORK_S, STEP_PATIENCE_S = 0.25, 0.8
# Share of lives that begin while modules of the one before may still be there.
HASTY = 0.3
# A life that takes longer hangs.
LIFE_LIMIT_S = 60.0
ENOUGH_PROBLEMS = 20


def links():
    """Half of the lockers have boards that time pulses themselves; a few lockers have faults that make outcomes differ."""
    return [
        Link("wall", 101, 14, "board", pulse_ms=20, faults={5: "jam", 6: "no-sensor", 7: "refuse"}),
        Link("yard", 201, 10, "host", pulse_ms=30, faults={3: "reply-lost", 4: "no-sensor"}),
    ]


class Lives:
    def __init__(self, folder, lockerd, random, with_steps=True, plant=None):
        self.random, self.with_steps, self.plant = random, with_steps, plant
        self.site = LockerSite(folder, lockerd, links())
        self.ledger = Ledger()
        self.witness = Witness(self.site, self.ledger, random)
        self.customers = Customers(self.site, self.ledger, random)
        self.daemon = None
        # Processes that were killed from here, of all lives.
        self.killed = set()
        self.lives = 0
        self.kills = {"core": 0, "module": 0, "both": 0, **{f"at {step}": 0 for step in STEPS}}
        self.step, self.next_step = None, 0
        self.missed_steps = 0

    async def run(self, kills, deadline):
        """Lives until there were so many kills; then one that ends in order. Returns how many there were."""
        while sum(self.kills.values()) < kills and time.monotonic() < deadline:
            await self._one_life(self._choose_end())
            if len(self.ledger.problems) >= (1 if self.plant else ENOUGH_PROBLEMS):
                return sum(self.kills.values())
        await self._last_life()
        return sum(self.kills.values())

    def _choose_end(self):
        ends = {end: share for end, share in ENDS.items() if end != "step" or self.with_steps}
        (end,) = self.random.choices(list(ends), ends.values())
        return end

    async def _one_life(self, end):
        self.lives += 1
        try:
            await asyncio.wait_for(self._live(end), LIFE_LIMIT_S)
        except asyncio.TimeoutError:
            raise Trouble(f"a life took more than {LIFE_LIMIT_S:g} s; its log: {self.site.log}") from None
        except Gone as gone:
            # The witness asks before anybody is killed.
            self.ledger.problems.append(f"the connection ended before the kill: {gone}; {self.site.log_tail()}")
        await self._bury()

    async def _live(self, end):
        env = {}
        if end == "step":
            self.step = STEPS[self.next_step % len(STEPS)]
            self.next_step += 1
            env["LOCKERD_END_AT"] = f"{self.step}:{self.random.randrange(1, 14)}"
        daemon = self.daemon = await self.site.start(env)
        if end == "early":
            await asyncio.sleep(self.random.uniform(0, 0.15))
            daemon.kill()
            self.kills["core"] += 1
            self._check_status(await daemon.ended(), end)
            return
        if not await daemon.ready():
            raise Trouble(f"lockerd ended with status {await daemon.ended()} at its start: {self.site.log_tail()}")
        self._spoil("start")
        self.witness.look_before_requests(daemon)
        await self.witness.look_at_start()
        events = await self.witness.subscribe()
        work = asyncio.create_task(self.customers.work())
        try:
            await getattr(self, f"_end_by_{end}")(daemon)
        finally:
            self.customers.stop()
            await work
            await events.close()
        self._check_status(await daemon.ended(), end)

    def _check_status(self, status, end):
        """It ends by SIGKILL, or in order; a crash is neither."""
        if status not in ((-9, 0) if end == "module" else (-9,)):
            self.ledger.problems.append(f"lockerd ended with status {status}: {self.site.log_tail()}")

    async def _work_a_while(self):
        await asyncio.sleep(self.random.uniform(0, LONGEST_WORK_S))

    async def _end_by_core(self, daemon):
        await self._work_a_while()
        daemon.kill()
        self.kills["core"] += 1

    async def _end_by_told(self, daemon):
        """What was told must be true afterwards, and whoever is told is quick."""
        left = self.random.randrange(1, 20)

        def count(event):
            nonlocal left
            left -= event["type"] in TELLING
            if left == 0:
                daemon.kill()

        self.witness.on_event = count
        await daemon.ended(STEP_PATIENCE_S)
        self.witness.on_event = None
        daemon.kill()
        self.kills["core"] += 1

    async def _end_by_both(self, daemon):
        await self._work_a_while()
        modules = daemon.look()
        if self.random.random() < 0.5:
            daemon.kill_modules(modules)
            daemon.kill()
        else:
            daemon.kill()
            daemon.kill_modules(modules)
        self.kills["both"] += 1

    async def _end_by_module(self, daemon):
        """The core goes on with its other link, and with this one once it is back."""
        await self._work_a_while()
        modules = daemon.look()
        if modules:
            daemon.kill_modules([self.random.choice(modules)])
            self.kills["module"] += 1
        await asyncio.sleep(self.random.uniform(0, 0.5))
        daemon.look()
        if self.random.random() < 0.3:
            self.customers.stop()
            daemon.terminate()
        else:
            daemon.kill()
            self.kills["core"] += 1

    async def _end_by_step(self, daemon):
        """The daemon ends itself."""
        if await daemon.ended(STEP_PATIENCE_S) is not None:
            self.kills[f"at {self.step}"] += 1
            return
        # Few opens passed that step in time.
        daemon.kill()
        self.kills["core"] += 1
        self.missed_steps += 1
        if self.missed_steps > 30 and not any(self.kills[f"at {step}"] for step in STEPS):
            raise Trouble("no life ended at its step: is this a debug build? Otherwise give --no-steps")

    async def _bury(self, check="quick_check"):
        """Asks the witnesses. The modules, which see that their core is gone, are waited for, but not before a hasty start."""
        daemon = self.daemon
        daemon.kill()
        await daemon.ended()
        self.killed |= daemon.killed
        living = ()
        if check == "quick_check" and self.random.random() < HASTY:
            living = orphans()
        else:
            late = await orphans_gone()
            self.ledger.problems += [f"module {pid} outlived its core" for pid in late]
        self._spoil("behind")
        self.witness.look_behind(self.killed, living, check)
        self._spoil("next")
        daemon.close()
        self.daemon = None

    def _spoil(self, when):
        """Breaks a promise on the daemon's behalf, where this run is to show that the witnesses notice."""
        if self.plant:
            self.plant.try_it(self, when)

    async def _last_life(self):
        """Everything that was ever promised, once more, and an orderly end."""
        self.lives += 1
        daemon = self.daemon = await self.site.serve()
        self.witness.look_before_requests(daemon)
        await self.witness.look_at_start()
        events = await self.witness.subscribe()
        line = await Connection.to(self.site.socket)
        known = [promise for promise in self.ledger.promises if promise.operation]
        await self.witness.find_again(line, known)
        await self.customers.repeat_everything()
        await self.witness.hear_everything(line)
        await line.close()
        await events.close()
        daemon.terminate()
        if (status := await daemon.ended()) != 0:
            self.ledger.problems.append(f"lockerd stopped with status {status}: {self.site.log_tail()}")
        await self._bury(check="integrity_check")
        self.witness.look_at_everything()

    @property
    def counts(self):
        """Figures, by name."""
        return {
            "lives": self.lives, "kills": sum(self.kills.values()), **self.kills, "opens asked": self.customers.asked,
            **self.ledger.counts, "coil pulses": self.witness.pulses, "events": self.witness.last_seq,
            "audit entries": self.witness.kept.count}

    async def close(self):
        """Leaves nothing running, whatever happened."""
        if self.daemon:
            self.daemon.kill()
            await self.daemon.ended()
        await orphans_gone(limit=0)
