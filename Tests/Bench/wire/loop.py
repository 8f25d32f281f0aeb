"""The simulator's one thread: files to read, times to keep, signals, and the lines it prints."""

import heapq
import itertools
import json
import os
import select
import signal
import time


def say(**what):
    print(json.dumps(what, separators=(",", ":")), flush=True)


class Timer:
    def __init__(self, call):
        self.call = call

    def cancel(self):
        self.call = None


class Loop:
    """Everything happens in here one after the other, so that nothing needs a lock."""

    def __init__(self):
        self.timers = []
        self.order = itertools.count()
        self.readers = {}
        self.has_ended = False
        self.marks = 0
        self.wake, wake_writer = os.pipe()
        os.set_blocking(self.wake, False)
        os.set_blocking(wake_writer, False)
        signal.set_wakeup_fd(wake_writer)
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.watch(self.wake, self.take_signals)

    def at(self, when, call):
        timer = Timer(call)
        heapq.heappush(self.timers, (when, next(self.order), timer))
        return timer

    def after(self, seconds, call):
        return self.at(time.monotonic() + seconds, call)

    def watch(self, file, call):
        self.readers[file] = call

    def unwatch(self, file):
        self.readers.pop(file, None)

    def take_signals(self):
        for number in os.read(self.wake, 256):
            if number == signal.SIGUSR1:
                self.marks += 1
            else:
                self.has_ended = True

    def run_due(self):
        # What a call asks for "now" waits for the next round: bytes that lie ready come first.
        now = time.monotonic()
        while self.timers and self.timers[0][0] <= now:
            _, _, timer = heapq.heappop(self.timers)
            if timer.call:
                timer.call()

    def run(self):
        while not self.has_ended:
            limit = max(0.0, self.timers[0][0] - time.monotonic()) if self.timers else None
            ready, _, _ = select.select(list(self.readers), [], [], limit)
            for file in ready:
                # An earlier one of this round may have closed it.
                if call := self.readers.get(file):
                    call()
            self.run_due()
            # Last of all, because a mark promises that everything before it has been printed.
            for _ in range(self.marks):
                say(event="mark")
            self.marks = 0

    def end_with_parent(self, parent):
        if os.getppid() != parent:
            self.has_ended = True
        self.after(0.5, lambda: self.end_with_parent(parent))
