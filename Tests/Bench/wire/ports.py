"""Where a line is served: an existing terminal, a pty pair of its own, or a TCP port. All of them can be unplugged."""

import os
import socket
import termios
import tty

# A terminal that has gone, as when the socat behind it ended, is looked for so often.
RETRY_S = 0.1


class Port:
    """`received` gets the bytes that come, `changed` is called when whoever is at the other end is another one."""

    def __init__(self, loop):
        self.loop = loop
        self.received = lambda data: None
        self.changed = lambda: None
        self.is_unplugged = False
        self.generation = 0
        self.file = None

    def take(self):
        try:
            data = os.read(self.file, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.received(data)
        else:
            self.lost()

    def write(self, data):
        if self.file is None:
            return
        try:
            os.write(self.file, data)
        except OSError:
            # Nobody reads, or nobody is there. A line does not keep what nobody takes.
            pass

    def lost(self):
        """The other end has hung up."""
        self.close()
        self.generation += 1
        self.changed()

    def unplug(self, seconds, plugged):
        self.is_unplugged = True
        self.close()
        self.generation += 1
        self.changed()

        def plug():
            self.is_unplugged = False
            self.open()
            plugged()

        self.loop.after(seconds, plug)

    def close(self):
        if self.file is not None:
            self.loop.unwatch(self.file)
            os.close(self.file)
            self.file = None


class Device(Port):
    def __init__(self, loop, path, baud):
        super().__init__(loop)
        self.path = path
        self.speed = getattr(termios, f"B{baud}", None)
        self.where = path
        self.connect()

    def connect(self):
        file = os.open(self.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            tty.setraw(file)
            # A pty takes any rate, a real port has to be told.
            if self.speed is not None:
                settings = termios.tcgetattr(file)
                settings[4] = settings[5] = self.speed
                termios.tcsetattr(file, termios.TCSANOW, settings)
            # What was sent while this end was unplugged never arrived.
            termios.tcflush(file, termios.TCIOFLUSH)
        except termios.error as problem:
            os.close(file)
            raise OSError(f"{self.path}: {problem}") from None
        self.file = file
        self.loop.watch(file, self.take)

    def open(self):
        if self.is_unplugged or self.file is not None:
            return
        try:
            self.connect()
        except OSError:
            self.loop.after(RETRY_S, self.open)

    def lost(self):
        super().lost()
        self.loop.after(RETRY_S, self.open)


class Pty(Port):
    def __init__(self, loop, link):
        super().__init__(loop)
        self.link = link
        self.where = link
        self.slave = None
        self.open()

    def open(self):
        self.file, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.file, False)
        if os.path.islink(self.link):
            os.unlink(self.link)
        os.symlink(os.ttyname(self.slave), self.link)
        self.loop.watch(self.file, self.take)

    def close(self):
        if self.slave is None:
            return
        # The next pair may get the same number: the link goes first, so that it never leads to a stranger.
        if os.path.islink(self.link):
            os.unlink(self.link)
        os.close(self.slave)
        self.slave = None
        super().close()


class Tcp(Port):
    """One client at a time; the next one waits until the one before it has gone."""

    def __init__(self, loop, port):
        super().__init__(loop)
        self.number = port
        self.listener = None
        self.client = None
        self.open()
        self.where = str(self.number)

    def open(self):
        self.listener = socket.create_server(("127.0.0.1", self.number))
        self.number = self.listener.getsockname()[1]
        self.loop.watch(self.listener.fileno(), self.accept)

    def accept(self):
        self.client, _ = self.listener.accept()
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.client.setblocking(False)
        self.file = self.client.fileno()
        self.generation += 1
        self.changed()
        self.loop.unwatch(self.listener.fileno())
        self.loop.watch(self.file, self.take)

    def hang_up(self):
        if self.client is not None:
            self.loop.unwatch(self.file)
            self.client.close()
            self.client = self.file = None

    def lost(self):
        self.hang_up()
        self.generation += 1
        self.changed()
        self.loop.watch(self.listener.fileno(), self.accept)

    def close(self):
        self.hang_up()
        if self.listener is not None:
            self.loop.unwatch(self.listener.fileno())
            self.listener.close()
            self.listener = None
