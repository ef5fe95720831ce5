"""Many connections from one thread, by raw sockets: what realm-load does not do. A Crowd asks once on each and keeps
every byte of the answers; Drips never come to the end of their requests."""
import collections
import itertools
import json
import select
import socket
import sys
import threading
import time

READ = 65536


class Link:
    """One connection and what came on it."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 60)
        self.got, self.over, self.why, self.sent = bytearray(), False, "", 0

    def read(self):
        """Takes what is there; the end of the stream or a failure is the end of the link."""
        while not self.over:
            try:
                more = self.socket.recv(READ)
            except BlockingIOError:
                return
            except OSError as why:
                more, self.why = b"", why.strerror
            self.got += more
            self.over = not more

    def status(self):
        """Of the answer; 0: none came."""
        return int(self.got[9:12]) if self.got[:9] == b"HTTP/1.1 " else 0


class Crowd:
    """Use with `with`: it closes what is open."""

    def __init__(self, port):
        self.port, self.poll, self.links = port, select.epoll(), {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for link in self.links.values():
            link.socket.close()
        self.poll.close()

    def ask(self, n, body):
        """n chat requests, each on a connection of its own. -> their links"""
        data = json.dumps(body).encode()
        request = (b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                   b"Connection: close\r\nContent-Length: %d\r\n\r\n%s" % (len(data), data))
        made = []
        for _ in range(n):
            link = Link(self.port)
            link.socket.sendall(request)
            link.socket.setblocking(False)
            self.links[link.socket.fileno()] = link
            self.poll.register(link.socket, select.EPOLLIN)
            made.append(link)
        return made

    def read(self, wait):
        """What comes within so many seconds."""
        for fd, _ in self.poll.poll(wait, 1024):
            link = self.links[fd]
            link.read()
            if link.over:
                self.poll.unregister(fd)

    def until(self, what, ready, patience):
        """Reads until `ready` answers something true."""
        end = time.monotonic() + patience
        while not ready():
            if time.monotonic() > end:
                sys.exit(f"not within {patience:g} seconds: {what}")
            self.read(0.1)


class Drips(threading.Thread):
    """n connections whose request comes byte by byte, one each `ms`: no head is ever complete. Who is refused or cut
    begins anew. Use with `with`."""

    SLICES = 10  # of the time between two bytes: so that not all send at once
    HEAD = b"GET /health HTTP/1.1\r\nHost: localhost\r\nX-Drip: " + b"drip " * 2000

    def __init__(self, port, n, ms):
        super().__init__(daemon=True)
        self.port, self.n, self.seconds = port, n, ms / 1000
        self.ends = collections.Counter()  # how connections ended: an HTTP status, or "cut"
        self.sent, self.stop = 0, threading.Event()

    def begin(self):
        link = Link(self.port)
        link.socket.setblocking(False)
        return link

    def drip(self, link):
        """-> the link to go on with"""
        link.read()
        if not link.over and not link.got:
            try:
                link.socket.send(self.HEAD[link.sent:link.sent + 1])
                link.sent += 1
                self.sent += 1
                return link
            except BlockingIOError:
                return link
            except OSError:
                pass
        self.ends[str(link.status() or "cut")] += 1
        link.socket.close()
        return self.begin()

    def run(self):
        links = [self.begin() for _ in range(self.n)]
        due = time.monotonic()
        for at in itertools.count():
            due += self.seconds / self.SLICES
            if self.stop.wait(max(0.0, due - time.monotonic())):
                break
            for i in range(at % self.SLICES, self.n, self.SLICES):
                links[i] = self.drip(links[i])
        for link in links:
            link.socket.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.join()

    def report(self):
        return {"clients": self.n, "bytes": self.sent, "ends": dict(self.ends)}
