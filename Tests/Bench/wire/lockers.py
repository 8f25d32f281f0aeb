"""What hangs on a board: coils that open doors, and sensors that see them."""

import time

from loop import say

# The longest pulse the project lets a computer hold, 5 s, and some time for the order that ends it.
HELD_TOO_LONG_S = 5.5


class Lock:
    def __init__(self, board, number, options, loop, moved):
        self.board = board
        self.number = number
        self.options = options
        self.loop = loop
        self.moved = moved
        self.is_on = False
        self.is_door_open = False
        self.stuck = None
        self.fall = None
        self.alarm = None
        self.last_fired = None

    def is_open(self):
        """What the sensor says."""
        return self.is_door_open if self.stuck is None else self.stuck

    def fire(self, ms, jams, is_watched=False):
        """Energises for `ms`, or until somebody releases. A watched coil may not be held for ever."""
        now = time.monotonic()
        say(event="fired", at=now, board=self.board, lock=self.number, ms=ms)
        self.last_fired = now
        if self.fall:
            self.fall.cancel()
            self.fall = None
        if ms is not None:
            self.stop_alarm()
            self.fall = self.loop.after(ms / 1000, self.release)
        elif is_watched and self.alarm is None:
            self.alarm = self.loop.after(HELD_TOO_LONG_S, self.complain)
        self.is_on = True
        if not jams:
            self.delay(self.options.open_delay_ms / 1000, self.open)

    def release(self):
        if self.fall:
            self.fall.cancel()
            self.fall = None
        self.stop_alarm()
        if self.is_on:
            self.is_on = False
            say(event="fell", at=time.monotonic(), board=self.board, lock=self.number)

    def stop_alarm(self):
        if self.alarm:
            self.alarm.cancel()
            self.alarm = None

    def complain(self):
        # The timer is kept: one complaint for each time a coil is held.
        say(event="violation", at=time.monotonic(),
            what=f"coil of lock {self.number} of board {self.board} on for more than {HELD_TOO_LONG_S} s")

    def delay(self, seconds, call):
        # Without a delay it is done before the reply is made, which shows it then.
        if seconds > 0:
            self.loop.after(seconds, call)
        else:
            call()

    def open(self):
        if self.is_door_open:
            return
        self.is_door_open = True
        if self.options.close_after > 0:
            self.loop.after(self.options.close_after, self.close)
        self.tell()

    def close(self):
        self.is_door_open = False
        self.tell()

    def tell(self):
        if self.stuck is None:
            self.moved(self)


class Bank:
    """The locks of one board."""

    def __init__(self, number, options, loop, moved):
        self.number = number
        self.locks = [Lock(number, index + 1, options, loop, moved) for index in range(options.lockers)]

    def lock(self, number):
        return self.locks[number - 1] if number is not None and 1 <= number <= len(self.locks) else None
