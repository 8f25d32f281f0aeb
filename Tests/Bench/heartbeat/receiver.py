#!/usr/bin/env python3
"""An upstream for heartbeats, with nothing but the Python standard library.

It shares no code with lockerd: the demo and the tests use it to show that beats really arrive. It prints
`listening PORT`, then one line for each beat it took, and ends on SIGTERM or SIGINT.
"""

import argparse
import hmac
import http.server
import json
import signal
import ssl
import sys
import threading
import time

LARGEST_BEAT = 1_000_000  # bytes; a beat of a large site takes about 100,000


class Upstream:
    """What the receiver was told to do, and what came so far."""

    def __init__(self, options):
        self.options = options
        self.lock = threading.Lock()
        self.requests = 0

    def number_of_request(self):
        with self.lock:
            self.requests += 1
            return self.requests

    def token(self):
        if self.options.token_file is None:
            return None
        with open(self.options.token_file, encoding="utf-8") as file:
            return file.read().strip()

    def take(self, beat, headers):
        with self.lock:
            print(summary(beat), flush=True)
            if self.options.log:
                entry = {
                    "beat": beat,
                    "idempotencyKey": headers.get("Idempotency-Key"),
                    "userAgent": headers.get("User-Agent"),
                    "contentType": headers.get("Content-Type"),
                }
                with open(self.options.log, "a", encoding="utf-8") as file:
                    file.write(json.dumps(entry) + "\n")


def summary(beat):
    """One line for people: `beat site=demo seq=3 state=online health=ok controllers=2 opens=opened:4`."""
    opens = [
        f"{name}:{count}"
        for name, count in beat["opens"].items()
        if name not in ("since", "sinceSeq") and count
    ]
    return (
        f"beat site={beat['site']} seq={beat['seq']} state={beat['state']} health={beat['health']} "
        f"controllers={len(beat['controllers'])} opens={','.join(opens) or 'none'}"
    )


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    timeout = 30

    @property
    def upstream(self):
        return self.server.upstream

    def do_POST(self):  # the name is http.server's
        options = self.upstream.options
        number = self.upstream.number_of_request()
        body = self.body()
        if body is None:
            return
        if options.delay:
            time.sleep(options.delay)
        token = self.upstream.token()
        given = self.headers.get("Authorization", "")
        if token is not None and not hmac.compare_digest(given, f"Bearer {token}"):
            self.reply(401, {"error": "wrong token"}, {"WWW-Authenticate": "Bearer"})
        elif number <= options.fail:
            headers = {} if options.retry_after is None else {"Retry-After": options.retry_after}
            self.reply(options.fail_status, {"error": "told to fail"}, headers)
            print(f"request {number} refused as told", file=sys.stderr, flush=True)
        else:
            self.take(body)

    def body(self):
        try:
            length = int(self.headers.get("Content-Length", ""))
        except ValueError:
            length = -1
        if not 0 <= length <= LARGEST_BEAT:
            self.close_connection = True
            self.reply(411 if length < 0 else 413, {"error": "no usable Content-Length"}, {})
            return None
        return self.rfile.read(length)

    def take(self, body):
        try:
            beat = json.loads(body)
            summary(beat)
        except (ValueError, KeyError, TypeError, AttributeError) as problem:
            self.reply(400, {"error": f"not a beat: {problem!r}"}, {})
            return
        self.upstream.take(beat, self.headers)
        self.reply(self.upstream.options.status, {"taken": beat["seq"]}, {})

    def reply(self, status, value, headers):
        text = json.dumps(value).encode()
        text += b" " * max(0, self.upstream.options.pad - len(text))
        if status == 204:
            text = b""
        try:
            self.send_response(status)
            for name, content in headers.items():
                self.send_header(name, content)
            if 300 <= status < 400:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:
            self.close_connection = True  # the client has given up waiting

    def log_message(self, format, *arguments):  # the names are http.server's
        pass


class Server(http.server.ThreadingHTTPServer):
    """A server that takes each connection, TLS handshake included, in a thread of its own."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, options):
        self.upstream = Upstream(options)
        self.tls = None
        if options.tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*options.tls)
        super().__init__((options.host, options.port), Handler)

    def process_request_thread(self, request, client_address):
        if self.tls:
            try:
                request.settimeout(Handler.timeout)
                request = self.tls.wrap_socket(request, server_side=True)
            except OSError as problem:
                print(f"no TLS with {client_address[0]}: {problem}", file=sys.stderr, flush=True)
                request.close()
                return
        super().process_request_thread(request, client_address)

    def handle_error(self, request, client_address):
        print(f"{client_address[0]}: {sys.exc_info()[1]!r}", file=sys.stderr, flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--token-file", help="the bearer token wanted; read anew for every request")
    parser.add_argument("--log", help="file that gets one JSON line for every beat taken")
    parser.add_argument("--fail", type=int, default=0, help="refuse that many requests first")
    parser.add_argument("--fail-status", type=int, default=500, help="status of those refusals")
    parser.add_argument("--retry-after", help="Retry-After header of those refusals")
    parser.add_argument("--status", type=int, default=200, help="status for beats that are taken")
    parser.add_argument("--delay", type=float, default=0, help="seconds before every reply")
    parser.add_argument("--pad", type=int, default=0, help="least bytes of a reply's body")
    parser.add_argument("--tls", nargs=2, metavar=("CERT", "KEY"), help="serve https")
    options = parser.parse_args()

    server = Server(options)
    # shutdown() waits for the serving loop, so it must not run inside the signal handler's thread.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"listening {server.server_address[1]}", flush=True)
    server.serve_forever(poll_interval=0.1)
    server.server_close()


if __name__ == "__main__":
    main()
