"""What was asked, what the daemon has promised, and whether it keeps its word.

A promise is made by a reply. Whoever was told an operation may ask for it for ever, also after any kill; whoever was told how
it ended must be told the same by every repeat; whoever was told that nothing fired may rely on that.
"""

import json

# Outcomes that say that the coil was on.
FIRED = {"opened", "already-open", "opened-late", "pulsed", "jammed"}
# Refusals before anything was accepted, which leave the key free. Everything else is a surprise in these lives.
AT_THE_DOOR = {"BUSY", "EXPIRED", "CONFLICT", "STOPPING"}
# How an accepted open may end without an outcome.
ENDS = {"EXPIRED", "CANCELLED", "LINK_DOWN", "TIMED_OUT", "REFUSED", "STOPPING", "OUTPUT_STUCK", "CONFLICT"}


class Answer:
    """What one reply, or one look at an operation, says."""

    def __init__(self, operation=None, final=None, is_replayed=None, refusal=None):
        self.operation, self.final, self.is_replayed, self.refusal = operation, final, is_replayed, refusal

    @staticmethod
    def of(reply):
        if "result" in reply:
            return Answer._of_result(reply["result"])
        error = reply["error"]
        details = error["data"]["details"]
        if "operation" in details:
            return Answer(details["operation"], Answer._failure(error), details.get("replayed"))
        return Answer(refusal=(error["data"]["code"], error["message"]))

    @staticmethod
    def _of_result(result):
        result = dict(result)
        is_replayed = result.pop("replayed", None)
        # How long it was thought to take is no part of what came of it.
        result.pop("estimateMs", None)
        if result["state"] == "pending":
            return Answer(result["operation"], None, is_replayed)
        if "error" in result:
            return Answer(result["operation"], Answer._failure(result["error"]), is_replayed)
        return Answer(result["operation"], result, is_replayed)

    @staticmethod
    def _failure(error):
        """The same whether a reply is that error or an operation holds it."""
        return {"code": error["data"]["code"], "message": error["message"], "fired": error["data"]["fired"]}


def coils_of(final):
    """The least and the most coils that an ending may have had, by locker; of an `open` under None."""
    if "fired" in final:
        return {None: {"no": (0, 0), "yes": (1, 1), "unknown": (0, 1)}[final["fired"]]}
    if "outcome" in final:
        return {None: _of_outcome(final)}
    return {entry["locker"]["address"]: _of_outcome(entry) for entry in final["results"]}


def _of_outcome(entry):
    if "error" in entry:
        return {"no": (0, 0), "yes": (1, 1), "unknown": (0, 1)}[entry["error"]["data"]["fired"]]
    if entry["outcome"] in FIRED:
        return (1, 1)
    return (0, 0) if entry["outcome"] == "skipped" else (0, 1)


class Promise:
    """Everything that was asked under one key, and what was promised."""

    def __init__(self, key, method, params):
        self.key, self.method, self.params = key, method, params
        self.operation = self.final = None
        # Requests without a reply: from there on the key may or may not stand for an operation.
        self.unanswered = self.fresh = self.replayed = 0
        # Lockers that a `cancel` has promised not to fire.
        self.kept_from_firing = set()
        self.coils = 0
        # Found again in the life after the one that promised it.
        self.is_confirmed = False

    @property
    def lockers(self):
        return [self.params["locker"]] if self.method == "open" else self.params["lockers"]

    @property
    def standing(self):
        """What is known when a request leaves: replies to several may be read in another order than they were given."""
        return (self.operation, self.final)

    def take(self, reply, standing):
        """Takes in a reply to a request that left when so much was known; yields what it breaks."""
        answer = Answer.of(reply)
        if answer.refusal:
            code, message = answer.refusal
            if standing[0]:
                yield f"key {self.key} of {self.operation} was refused: {code} {message}"
            elif code not in AT_THE_DOOR or code == "CONFLICT" and "out of service" not in message:
                yield f"{self.method} {self.params} was refused: {code} {message}"
            return
        if answer.is_replayed:
            self.replayed += 1
        else:
            self.fresh += 1
            if self.fresh > 1:
                yield f"key {self.key} was accepted {self.fresh} times: {reply}"
        yield from self.compare(answer, standing)

    def compare(self, answer, standing):
        """Holds what is said now against what was said before."""
        if self.operation and self.operation != answer.operation:
            yield f"key {self.key} was {self.operation} and is {answer.operation}"
        self.operation = answer.operation
        if answer.final is None:
            if standing[1]:
                yield f"{self.operation} had ended and is pending: {json.dumps(self.final)}"
            return
        if not answer.final.keys() & {"fired", "outcome", "results"}:
            yield f"{self.operation} ended in no way at all: {json.dumps(answer.final)}"
            return
        code = answer.final.get("code")
        if code and (code not in ENDS or "journal" in answer.final["message"]):
            yield f"{self.operation} ended with {json.dumps(answer.final)}"
        if self.final and self.final != answer.final and not self._is_amended(answer.final):
            yield f"{self.operation} ended with {json.dumps(self.final)} and now with {json.dumps(answer.final)}"
        self.final = answer.final

    def _is_amended(self, now):
        """A door that opened only after its open was called jammed is said to have: the one thing that may change."""
        before = self.final.get("outcome")
        return before == "jammed" and now.get("outcome") == "opened-late"

    def coil_problems(self):
        """Whether the coils that were seen are as many as were promised; for an `open`."""
        least, most = 0, 1
        if self.final:
            least, most = coils_of(self.final)[None]
        elif not self.operation and not self.unanswered:
            most = 0
        if self.kept_from_firing:
            most = 0
        if not least <= self.coils <= most:
            yield (f"key {self.key} ({self.operation}) fired {self.coils} times, want {least} to {most}; "
                   f"it ended with {json.dumps(self.final)}")


class Ledger:
    """All promises of one site."""

    def __init__(self):
        self.promises = []
        self.by_key = {}
        # Asked for since the last start.
        self.touched = set()
        # Service flags by locker: what was acknowledged, and what was asked for since without an answer.
        self.flags, self.flags_asked = {}, {}
        self.problems = []
        # Coils without a key belong to an `open-all`, by locker.
        self.loose_coils = {}

    def promise(self, method, key, **params):
        promise = Promise(key, method, params)
        self.promises.append(promise)
        self.by_key[key] = promise
        return promise

    def take(self, promise, reply, standing):
        self.problems += promise.take(reply, standing)

    def take_coils(self, coils):
        """Counts each pulse on the key it was fired for."""
        for coil in coils:
            if not coil.is_on:
                continue
            if coil.key is None:
                self.loose_coils[coil.locker] = self.loose_coils.get(coil.locker, 0) + 1
                continue
            promise = self.by_key.get(coil.key)
            if not promise or promise.params.get("locker") != coil.locker:
                self.problems.append(f"nobody asked for {coil}")
                continue
            promise.coils += 1
            if promise.coils > 1:
                self.problems.append(f"fired twice: {coil}")

    def end_life(self):
        """Promises of the life that has ended, whose coils can be counted now: nothing of it can fire any more."""
        touched, self.touched = self.touched, set()
        for promise in touched:
            if promise.method == "open":
                self.problems += promise.coil_problems()
        return touched

    def open_all_problems(self):
        """Whether the coils without a key are as many as every `open-all` together may have had."""
        bounds = {}
        for promise in self.promises:
            if promise.method == "open":
                continue
            said = coils_of(promise.final) if promise.final else {}
            for locker in promise.lockers:
                least, most = bounds.get(locker, (0, 0))
                one = said.get(locker, (0, 1))
                bounds[locker] = (least + one[0], most + one[1])
        for locker in bounds.keys() | self.loose_coils.keys():
            least, most = bounds.get(locker, (0, 0))
            count = self.loose_coils.get(locker, 0)
            if not least <= count <= most:
                yield f"open-all fired {locker} {count} times, want {least} to {most}"

    def flag_problems(self, lockers):
        """Holds the service flags of a `status` against those that were acknowledged."""
        for locker in lockers:
            address, now = locker["address"], flags_of(locker)
            allowed = [self.flags.get(address, (False, False, None)), *self.flags_asked.get(address, [])]
            if now not in allowed:
                yield f"the flags of {address} are {now}, want one of {allowed}"
            self.flags[address] = now
        self.flags_asked = {}

    @property
    def counts(self):
        """Figures for the last line."""
        opens = [promise for promise in self.promises if promise.operation]
        return {
            "acknowledged": len(opens),
            "unknown": sum(1 for promise in opens if (promise.final or {}).get("outcome") == "unknown"),
            "replayed": sum(promise.replayed for promise in opens),
        }


def flags_of(locker):
    return (locker["outOfService"], locker["brokenLock"], locker["reasonCode"])
