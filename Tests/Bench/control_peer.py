"""An independent client of the control socket, in Python's standard library (and jsonschema for `--schema`).

    control_peer.py SOCKET                      speaks to a daemon and checks what it says
    control_peer.py SOCKET --schema GOLDEN...   also has jsonschema compare replies and golden conversations with `schema`

It wants a site that has the lockers 101 (`wall/1`), 102 and 201 (`cellar/1`) with door sensors. Prints `ok` and what it
counted; ends with 1 and the reason at the first thing that is not as docs/protocol.md says.
"""

import json
import re
import socket
import sys
import threading


class Peer:
    """One connection with a reader thread: replies by id, notifications in order."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.condition = threading.Condition()
        self.replies = {}
        self.notifications = []
        self.ended = False
        self.next_id = 0
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        for line in self.socket.makefile("rb"):
            message = json.loads(line.decode("utf-8"))
            with self.condition:
                if "method" in message:
                    self.notifications.append(message)
                else:
                    self.replies[json.dumps(message.get("id"))] = message
                self.condition.notify_all()
        with self.condition:
            self.ended = True
            self.condition.notify_all()

    def wait(self, what, found):
        with self.condition:
            if not self.condition.wait_for(found, timeout=20):
                sys.exit(f"not within 20 s: {what}")

    def send(self, method, params=None, id=None):
        if id is None:
            self.next_id += 1
            id = self.next_id
        request = {"jsonrpc": "2.0", "id": id, "method": method}
        if params is not None:
            request["params"] = params
        self.socket.sendall(json.dumps(request, ensure_ascii=False).encode() + b"\n")
        return json.dumps(id)

    def reply(self, key):
        self.wait(f"reply {key}", lambda: key in self.replies)
        return self.replies.pop(key)

    def call(self, method, params=None):
        return self.reply(self.send(method, params))


def want(condition, what):
    if not condition:
        sys.exit(what)


def converse(path):
    """Walks through the protocol; returns every exchange as (method, params, reply) and the notifications."""
    peer = Peer(path)
    exchanges = []

    def call(method, params=None):
        reply = peer.call(method, params)
        exchanges.append((method, params or {}, reply))
        return reply

    version = call("version")["result"]
    want(version["daemon"] == "lockerd" and version["protocol"]["major"] == 1, f"version: {version}")
    start = call("subscribe", {"since": 0})["result"]
    whole = call("status")["result"]
    want(whole["bootId"] == start["bootId"], "status and subscribe name different boots")
    for locker in whole["lockers"]:
        for name in (locker["address"], locker["id"]):
            one = call("status", {"lockers": [name]})["result"]
            want([l["address"] for l in one["lockers"]] == [locker["address"]], f"status of {name}: {one}")
            want([c["id"] for c in one["controllers"]] == [locker["controller"]], f"controllers of {name}")

    # Requests run side by side, ids may be anything, and text is UTF-8.
    keys = [peer.send("open", {"locker": 101, "reason": "Tür prüfen ✓", "key": "k-1"}, id="ä/1"),
            peer.send("open", {"locker": "wall/2"}, id=2.5), peer.send("status", {"lockers": [101]}, id=-1)]
    first, second, third = (peer.reply(key) for key in keys)
    want(first["result"]["outcome"] == "opened" and second["result"]["outcome"] == "opened", f"{first} {second}")
    want("lockers" in third["result"], f"{third}")
    again = call("open", {"locker": "wall/1", "reason": "Tür prüfen ✓", "key": "k-1"})["result"]
    want(again["replayed"] and again["operation"] == first["result"]["operation"], f"replay: {again}")
    want(call("open", {"locker": 102, "key": "k-1"})["error"]["data"]["code"] == "KEY_REUSED", "KEY_REUSED")
    want(call("operation", {"operation": again["operation"]})["result"]["state"] == "done", "operation")
    want(call("cancel", {"operation": again["operation"]})["result"]["fired"][0]["id"] == 101, "cancel")
    everything = call("open-all", {"bank": "west"})["result"]
    want(everything["summary"]["opened"] == everything["total"], f"open-all: {everything}")
    call("service", {"locker": 201, "outOfService": True, "reasonCode": "test"})
    want(call("open", {"locker": 201})["error"]["data"]["code"] == "CONFLICT", "CONFLICT")
    call("service", {"locker": 201, "outOfService": False})
    call("controllers")
    call("restart", {"controller": "cellar"})
    call("reload")
    call("heartbeat", {"deviceId": "peer", "state": "ok", "free": [1, {"x": None}]})
    for method, params, number in (("opne", None, -32601), ("open", {}, -32602), ("open", {"locker": None}, -32602),
                                   ("audit", None, -32000), ("status", {"lockers": ["no/1"]}, -32000)):
        want(call(method, params)["error"]["code"] == number, f"{method} {params}: want {number}")

    # Every event up to now comes, numbered without a gap.
    last = call("status", {"lockers": []})["result"]["seq"]

    def seqs():
        return [n["params"]["seq"] for n in list(peer.notifications) if n["method"] == "event"]

    peer.wait("all events", lambda: seqs() and seqs()[-1] >= last)
    seen = seqs()
    want(seen == list(range(1, len(seen) + 1)), f"events: {seen}")
    progress = [n["params"]["done"] for n in peer.notifications if n["method"] == "progress"]
    want(progress == list(range(1, everything["total"] + 1)), f"progress: {progress}")

    peer.socket.shutdown(socket.SHUT_WR)
    other = Peer(path)
    other.send("version")
    other.socket.shutdown(socket.SHUT_WR)
    other.wait("the end after a half-close", lambda: other.ended)
    want(len(other.replies) == 1, "a half-closed client did not get its reply")
    return exchanges, peer.notifications


def plain(value):
    """A golden value with its placeholders replaced by something of the right type."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, str):
        if value in ("<ms>", "<seq>", "<uid>"):
            return 7
        value = value.replace("<time>", "2026-01-02T03:04:05.678Z")
        return re.sub(r"<op(-\d)?>", "op-1-1", value)
    return value


def golden(path):
    """(method, params, reply) and notifications of one golden file."""
    asked, exchanges, notifications = {}, [], []
    for line in open(path, encoding="utf-8"):
        if line[:2] not in ("> ", "< "):
            continue
        try:
            message = plain(json.loads(line[2:]))
        except json.JSONDecodeError:
            continue
        for one in message if isinstance(message, list) else [message]:
            if not isinstance(one, dict):
                continue
            if line[0] == ">":
                asked[json.dumps(one.get("id"))] = one
            elif "method" in one:
                notifications.append(one)
            elif one.get("id") is not None:
                request = asked[json.dumps(one["id"])]
                exchanges.append((request["method"], request.get("params", {}), one))
            else:
                exchanges.append((None, {}, one))
    return exchanges, notifications


def compare(document, exchanges, notifications):
    """Has jsonschema look at everything; returns how many values it accepted."""
    from jsonschema import Draft202012Validator

    for schema in document["$defs"].values():
        Draft202012Validator.check_schema(schema)

    def validator(schema):
        Draft202012Validator.check_schema(schema)
        return Draft202012Validator({"$schema": document["$schema"], "$defs": document["$defs"], "allOf": [schema]})

    methods = {name: {part: validator(schema) for part, schema in parts.items()}
               for name, parts in document["methods"].items()}
    kinds = {name: validator(schema) for name, schema in document["notifications"].items()}
    errors = validator(document["error"])
    count = 0

    def check(validator, value, what):
        nonlocal count
        problem = next(iter(validator.iter_errors(value)), None)
        if problem:
            sys.exit(f"{what}: {problem.message} at {problem.json_path} in {json.dumps(value)}")
        count += 1

    for method, params, reply in exchanges:
        if "error" in reply:
            check(errors, reply["error"], f"error of {method}")
            if reply["error"]["code"] == -32602 and method in methods:
                want(not methods[method]["params"].is_valid(params), f"{method} {params}: refused, but the schema takes it")
                count += 1
                continue
        if method in methods:
            check(methods[method]["params"], params, f"params of {method}")
            if "result" in reply:
                check(methods[method]["result"], reply["result"], f"result of {method}")
    for notification in notifications:
        check(kinds[notification["method"]], notification["params"], notification["method"])
    return count


def main():
    path = sys.argv[1]
    exchanges, notifications = converse(path)
    counted = ""
    if "--schema" in sys.argv:
        document = Peer(path).call("schema")["result"]
        accepted = compare(document, exchanges, notifications)
        for file in sys.argv[sys.argv.index("--schema") + 1:]:
            accepted += compare(document, *golden(file))
        counted = f", {accepted} values by schema"
    print(f"ok: {len(exchanges)} exchanges, {len(notifications)} notifications{counted}")


main()
