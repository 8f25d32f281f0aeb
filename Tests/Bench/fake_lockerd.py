"""A daemon that answers by script: a peer for lockerctl that shares no code with lockerd.

usage: fake_lockerd.py SOCKET SCRIPT
       fake_lockerd.py --export AUDIT      print that audit, an entry a line

SCRIPT is a JSON file: for each method a list of answers, used one after the other, the last one for ever. An answer is a
list of actions:

    {"result": VALUE}         reply with it            {"text": STRING}    reply with this very text as the result
    {"error": VALUE}          reply with an error      {"line": STRING}    send this very line
    {"notify": METHOD, "params": VALUE}                {"sleep": SECONDS}
    {"set": {METHOD: ANSWERS}}  from now on            {"close": true}     end the connection
    {"audit": AUDIT}          the page of it that the request asks for

An AUDIT is {"count": N}, a chain of N entries, with, if wanted, "from": the oldest that is kept, and "damage": what somebody has
done to it, a word of `damaged`.

A batch is answered by the actions of the method "*". Requests are written to standard output, one line each, after the line "ready".
"""

import hashlib
import json
import socketserver
import sys
import threading
import time

VERSION = {"daemon": "lockerd", "version": "9.9.9", "protocol": {"major": 1, "minor": 0}}
lock = threading.Lock()


def text_of(entry):
    return json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def hash_of(entry):
    covered = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(text_of(covered).encode()).hexdigest()


def chain(count):
    """Pairs of an open and what came of it, after the entry with which every start of a daemon begins."""
    entries, previous = [], "0" * 64
    for number in range(1, count + 1):
        entry = {
            "n": number, "at": "2026-11-21T08:15:%02d.042Z" % (number % 60), "monotonicMs": 1000 * number,
            "bootId": "b1", "machineBootId": "m1", "clockSynchronized": number > 1, "peer": None, "act": "started",
        }
        if number > 1:
            locker = (number // 2 - 1) % 3 + 1
            entry["operation"] = "op-b1-%d" % (number // 2)
            entry["locker"] = {"id": 100 + locker, "address": "wall/%d" % locker}
        if number > 1 and number % 2 == 0:
            peer = {"uid": 1000, "gid": 1000, "pid": 812, "process": "kiosk"}
            entry.update(act="open", peer=peer, reason="Abholung für Müller", key="k%d" % number)
        elif number > 1:
            entry.update(act="outcome", outcome="opened", evidence="door-sensor", door="open", attempts=1, doorMs=812)
        entry["previous"] = previous
        previous = entry["hash"] = hash_of(entry)
        entries.append(entry)
    return entries


def damaged(entries, damage):
    """The same after somebody was at it."""
    middle = len(entries) // 2
    if damage == "edited":
        entries[middle]["at"] = "2026-11-21T09:00:00.000Z"
    elif damage == "rehashed":
        entries[middle]["at"] = "2026-11-21T09:00:00.000Z"
        entries[middle]["hash"] = hash_of(entries[middle])
    elif damage == "hole":
        del entries[middle]
    elif damage == "tail":
        del entries[-2:]
    elif damage == "beginning":
        del entries[:2]
    elif damage == "order":
        entries[middle], entries[middle + 1] = entries[middle + 1], entries[middle]
    elif damage == "twice":
        entries.insert(middle, entries[middle])
    elif damage == "end":
        entries[-1]["at"] = "2026-11-21T09:00:00.000Z"
        entries[-1]["hash"] = hash_of(entries[-1])
    elif damage == "all":
        entries.clear()
    return entries


def audit(spec):
    """The entries as they are after the damage, and where the journal remembers that they begin and end."""
    entries = chain(spec["count"])
    head = {"n": len(entries), "hash": entries[-1]["hash"] if entries else "0" * 64}
    kept = entries[spec.get("from", 1) - 1:]
    first = {"n": spec.get("from", 1), "previous": kept[0]["previous"] if kept else head["hash"]}
    return damaged(kept, spec.get("damage")), first, head


def page(spec, params):
    entries, first, head = audit(spec)
    locker = params.get("locker")
    wanted = [
        entry for entry in entries
        if entry["n"] > params.get("since", 0)
        and (locker is None or locker in (entry.get("locker") or {}).values())
    ]
    parts = [text_of(entry) for entry in wanted[:params.get("limit", 1000)]]
    return '{"first":%s,"entries":[%s],"head":%s}' % (json.dumps(first), ",".join(parts), json.dumps(head))


class Client(socketserver.StreamRequestHandler):
    def handle(self):
        self.out = threading.Lock()
        for line in self.rfile:
            with lock:
                sys.stdout.write(line.decode())
                sys.stdout.flush()
            try:
                request = json.loads(line)
            except ValueError:
                self.send('{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"not JSON"}}')
                continue
            if isinstance(request, list):
                request = {"method": "*"}
            if isinstance(request, dict):
                threading.Thread(target=self.answer, args=(request,), daemon=True).start()

    def send(self, text):
        with self.out:
            try:
                self.wfile.write(text.encode() + b"\n")
                self.wfile.flush()
            except OSError:
                pass

    def reply(self, request, member, text):
        if "id" in request:
            self.send('{"jsonrpc":"2.0","id":%s,"%s":%s}' % (json.dumps(request["id"]), member, text))

    def answer(self, request):
        with lock:
            answers = script.get(request["method"])
            if answers:
                actions = answers.pop(0) if len(answers) > 1 else answers[0]
            elif request["method"] == "version":
                actions = [{"result": VERSION}]
            else:
                actions = [{"error": {"code": -32601, "message": "no method " + request["method"]}}]
        for action in actions:
            if "result" in action:
                self.reply(request, "result", json.dumps(action["result"]))
            elif "text" in action:
                self.reply(request, "result", action["text"])
            elif "audit" in action:
                self.reply(request, "result", page(action["audit"], request.get("params") or {}))
            elif "error" in action:
                self.reply(request, "error", json.dumps(action["error"]))
            elif "line" in action:
                self.send(action["line"])
            elif "notify" in action:
                note = {"jsonrpc": "2.0", "method": action["notify"], "params": action["params"]}
                self.send(json.dumps(note))
            elif "sleep" in action:
                time.sleep(action["sleep"])
            elif "set" in action:
                with lock:
                    script.update(action["set"])
            elif "close" in action:
                self.connection.shutdown(2)


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 16


if sys.argv[1] == "--export":
    for item in audit(json.loads(sys.argv[2]))[0]:
        print(text_of(item))
    sys.exit()

with open(sys.argv[2]) as file:
    script = json.load(file)
server = Server(sys.argv[1], Client)
print("ready", flush=True)
server.serve_forever()
