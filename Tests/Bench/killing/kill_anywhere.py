#!/usr/bin/env python3
"""Kills lockerd and its modules anywhere, again and again, and looks whether what they promised is kept.

    kill_anywhere.py --lockerd .build/debug/lockerd --kills 200 [--seed 7] [--minutes 5]

A site of 24 simulated lockers over two links is started, asked for doors by several customers side by side, killed, looked at
and started again on the same folder. Core, module or both are killed at a random moment; a debug build also ends itself at
each named step of an open (LOCKERD_END_AT). After each life, and again at the end, independent witnesses are asked: the
simulator's record of its coils, the journal's file through Python's own SQLite, the chain of the audit, and the replies.

What must hold, after any kill: no key fires twice. No coil is on beyond its pulse. Nothing fires that the journal did not know
of before, and nothing at a start. Every operation that was told is found again, ends, and ends the same for every repeat. The
audit's chain has no gap, and its head fits. Event numbers go on without gap or repeat. Service flags stay.

A pulse is traced to its request by a token: each open carries its key as its token too, which the daemon hands on unread and
the simulator writes beside the coil. An `open-all` has no token, so its coils are held against its intents, locker by locker.

The last line has the figures. Ends with 1 when anything did not hold, and then keeps the folder.
"""

import argparse
import asyncio
import random
import shutil
import sys
import time

sys.dont_write_bytecode = True
from control import Gone  # noqa: E402
from lives import Lives  # noqa: E402
from lockersite import temporary_folder  # noqa: E402
from plants import plants  # noqa: E402
from processes import Trouble, adopt_orphans  # noqa: E402

# With a new site now and then a long run does not end with a journal that takes longer to read than a life lasts.
LIVES_OF_A_SITE = 800


class Figures:
    """Sums over all sites of a run."""

    def __init__(self):
        self.sums = {}
        self.problems = []
        self.longest = 0.0

    def add(self, lives):
        for name, count in lives.counts.items():
            self.sums[name] = self.sums.get(name, 0) + count
        self.problems += lives.ledger.problems
        self.longest = max(self.longest, lives.witness.coils.longest)

    def line(self, seed, seconds):
        sums = dict(self.sums)
        steps = {name: sums.pop(name) for name in list(sums) if name.startswith("at ")}
        kills = ", ".join(f"{sums.pop(name)} {name}" for name in ("core", "module", "both"))
        named = ", ".join(f"{name[3:]} {count}" for name, count in steps.items())
        others = ", ".join(f"{count} {name}" for name, count in sums.items() if name not in ("lives", "kills"))
        return (f"kill-anywhere: {sums['lives']} lives, {sums['kills']} kills ({kills}, {sum(steps.values())} at a step: "
                f"{named}), {others}, longest pulse {self.longest:.0f} ms, {len(self.problems)} violations, "
                f"seed {seed}, {seconds:.0f} s")


async def run(options, figures):
    """Sites until there were enough kills, time is up, or something did not hold."""
    deadline = time.monotonic() + options.minutes * 60
    rng = random.Random(options.seed)
    kills = 0
    while kills < options.kills and time.monotonic() < deadline and not figures.problems:
        folder = temporary_folder(options.folder)
        lives = Lives(folder, options.lockerd, rng, with_steps=not options.no_steps)
        try:
            kills += await lives.run(min(options.kills - kills, LIVES_OF_A_SITE), deadline)
        finally:
            await lives.close()
            figures.add(lives)
            if figures.problems or sys.exc_info()[0]:
                print(f"evidence: {folder}", file=sys.stderr)
            else:
                shutil.rmtree(folder)


async def show_plants(options):
    """Breaks each promise once; returns those that nobody noticed."""
    missed = []
    for name, plant in plants().items():
        folder = temporary_folder(options.folder)
        lives = Lives(folder, options.lockerd, random.Random(options.seed), not options.no_steps, plant)
        try:
            await lives.run(options.kills, time.monotonic() + options.minutes * 60)
        finally:
            await lives.close()
            shutil.rmtree(folder)
        found = [problem for problem in lives.ledger.problems if any(words in problem for words in plant.words)]
        print(f"planted: {name}; {f'found: {found[0][:120]}' if found else 'NOT FOUND'}", flush=True)
        if not found:
            missed.append(name)
            print(f"instead: {lives.ledger.problems[:5]}", file=sys.stderr)
    return missed


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--lockerd", required=True, help="the program; simulator-module is beside it")
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=24 * 60, help="end then, with fewer kills (default: a day)")
    parser.add_argument("--seed", type=int, help="for the same choices again; the machine's pace is its own")
    parser.add_argument("--no-steps", action="store_true", help="for a release build, which knows no LOCKERD_END_AT")
    parser.add_argument("--folder", help="where sites are made (default: the temporary folder)")
    parser.add_argument("--plants", action="store_true", help="break promises on purpose, and see that each is noticed")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.randrange(1_000_000)
    return options


def main():
    options = arguments()
    adopt_orphans()
    if options.plants:
        return 1 if asyncio.run(show_plants(options)) else 0
    figures = Figures()
    began = time.monotonic()
    try:
        asyncio.run(run(options, figures))
    except (Trouble, Gone) as trouble:
        print(f"kill_anywhere.py: seed {options.seed}: {trouble}", file=sys.stderr)
        return 1
    finally:
        for problem in figures.problems[:50]:
            print(f"violation: {problem}", file=sys.stderr)
    print(figures.line(options.seed, time.monotonic() - began), flush=True)
    return 1 if figures.problems else 0


if __name__ == "__main__":
    sys.exit(main())
