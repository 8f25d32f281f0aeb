"""A client of the control socket that asks many things at once, in Python's standard library alone."""

import asyncio
import json


class Gone(Exception):
    """The connection ended before the answer came: nobody knows what became of the request."""


class Connection:
    """One connection; replies go to whoever asked, notifications to `note`."""

    def __init__(self, reader, writer, note):
        self.reader, self.writer, self.note = reader, writer, note
        self.waiting = {}
        self.last_id = 0
        self.is_gone = False
        self.task = asyncio.create_task(self._read())

    @staticmethod
    async def to(path, note=None):
        """Connects; an audit page is one long line, so the limit is generous."""
        try:
            reader, writer = await asyncio.open_unix_connection(path, limit=64 << 20)
        except OSError as error:
            raise Gone(str(error)) from None
        return Connection(reader, writer, note or (lambda message: None))

    async def _read(self):
        try:
            while line := await self.reader.readline():
                message = json.loads(line)
                if "method" in message:
                    self.note(message)
                else:
                    future = self.waiting.pop(message.get("id"), None)
                    if future and not future.done():
                        future.set_result(message)
        except (OSError, ValueError):
            # A line that was cut by a kill is no line.
            pass
        finally:
            self.is_gone = True
            self.writer.close()
            for future in self.waiting.values():
                if not future.done():
                    future.set_exception(Gone("the connection ended"))
            self.waiting = {}

    def send(self, method, **params):
        """Sends a request; the future is its reply."""
        future = asyncio.get_running_loop().create_future()
        if self.is_gone:
            future.set_exception(Gone("the connection has ended"))
            return future
        self.last_id += 1
        self.waiting[self.last_id] = future
        request = {"jsonrpc": "2.0", "id": self.last_id, "method": method, "params": params}
        self.writer.write(json.dumps(request).encode() + b"\n")
        return future

    async def call(self, method, **params):
        """The whole reply, error or not."""
        return await self.send(method, **params)

    async def result(self, method, **params):
        """The result of a request that must succeed."""
        reply = await self.call(method, **params)
        if "result" not in reply:
            raise Gone(f"{method} {params}: {reply.get('error')}")
        return reply["result"]

    async def close(self):
        self.writer.close()
        await asyncio.gather(self.task, return_exceptions=True)
