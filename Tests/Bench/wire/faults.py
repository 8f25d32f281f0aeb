"""Faults that a board can be told to have: KIND[=ARG][,on=open|status|other|any][,board=N][,lock=N][,first=N][,count=N]"""

import argparse

# What each kind takes after its `=`: None is nothing, a pair is a reader and its default, where there is one.
KINDS = {
    "silence": None,
    "reply-lost": None,
    "garbage": None,
    "noise": (bytes.fromhex, None),
    "bad-check": None,
    "late": (float, None),
    "half": None,
    "other-address": None,
    "other-lock": None,
    "duplicate": None,
    "ignored": None,
    "refuse": (lambda word: int(word, 0), 2),
    "jam": None,
    "stuck-sensor": ({"open": True, "closed": False}.__getitem__, None),
    "unplug": (float, None),
    "local-echo": None,
}


class Fault:
    def __init__(self, word):
        head, *rest = word.split(",")
        self.kind, _, argument = head.partition("=")
        if self.kind not in KINDS:
            raise argparse.ArgumentTypeError(f"no such fault: {self.kind}")
        try:
            self.argument = self.read(argument)
            given = dict(part.split("=") for part in rest)
            self.on = given.pop("on", "any")
            self.board, self.lock, first, self.count = (
                int(given.pop(name)) if name in given else None for name in ("board", "lock", "first", "count"))
        except (KeyError, ValueError):
            raise argparse.ArgumentTypeError(f"cannot read the fault {word}") from None
        if given or self.on not in ("open", "status", "other", "any"):
            raise argparse.ArgumentTypeError(f"cannot read the fault {word}")
        # A sensor is stuck from the start, unless it is said when it gets stuck.
        self.is_standing = self.kind == "stuck-sensor" and self.on == "any" and first is None
        self.first = first or 1
        self.seen = 0

    def read(self, argument):
        reader = KINDS[self.kind]
        if reader is None:
            if argument:
                raise ValueError
            return None
        if not argument and reader[1] is not None:
            return reader[1]
        return reader[0](argument)

    def matches(self, request):
        if self.kind == "ignored" and not request.is_order or self.kind == "jam" and request.kind != "open":
            return False
        return (self.on in ("any", request.kind)
                and self.board in (None, request.board)
                and self.lock in (None, request.lock))

    def strikes(self, request):
        if not self.matches(request):
            return False
        self.seen += 1
        return self.first <= self.seen and (self.count is None or self.seen < self.first + self.count)


class Faults:
    def __init__(self, faults, banks):
        self.faults = faults
        self.banks = banks
        for fault in faults:
            if fault.is_standing:
                for bank in banks.values():
                    if fault.board in (None, bank.number):
                        self.stick(bank, fault.lock, fault.argument)

    @staticmethod
    def stick(bank, number, is_open):
        for lock in bank.locks:
            if number in (None, lock.number):
                lock.stuck = is_open

    def strike(self, request, is_present):
        """The faults that meet this request, each with its argument."""
        struck = {}
        for fault in self.faults:
            # An adapter hears itself whatever is sent; every other fault is a board's.
            if fault.is_standing or not (is_present or fault.kind == "local-echo") or not fault.strikes(request):
                continue
            if fault.kind == "stuck-sensor":
                self.stick(self.banks[request.board], request.lock, fault.argument)
            else:
                struck[fault.kind] = fault.argument
        return struck
