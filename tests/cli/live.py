"""A live realm serve of a test's own settings: asked by plain HTTP and JSON, watched through its log and /metrics."""
import atexit
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import tempfile
import time

from house import BIN

WAIT = 120  # of what must come; no test is decided by it


def soon(what, ready, wait=WAIT):
    """Asks `ready` until it answers something true. -> that"""
    end = time.monotonic() + wait
    while True:
        got = ready()
        if got:
            return got
        assert time.monotonic() < end, f"it never came: {what}"
        time.sleep(0.005)


class Server:
    """Its log goes to a file: so it never waits for a reader."""

    def __init__(self, case, *args, env=None):
        fd, self.log_file = tempfile.mkstemp(prefix="serve-", suffix=".log", dir=case.work)
        self.run = subprocess.Popen([BIN, "serve", "--port", "0", *map(str, args)], env={**case.env, **(env or {})},
                                    stdin=subprocess.DEVNULL, stderr=fd)
        os.close(fd)
        atexit.register(self.kill)  # when a test failed before its end
        self.port = int(self.until(r"listening on http://[^\s\"]*:(\d+)[\s\"]")[1])
        self.url = f"http://127.0.0.1:{self.port}"

    def log(self):
        with open(self.log_file, errors="replace") as file:
            return file.read()

    def until(self, pattern):
        """Waits for what the log must say. -> the match"""
        def look():
            over = self.run.poll() is not None  # before reading: what it said last counts
            found = re.search(pattern, self.log())
            assert found or not over, f"the server ended with {self.run.returncode}:\n{self.log()}"
            return found
        return soon(pattern, look)

    # ---- whole requests

    def ask(self, method, path, body=None, headers=None):
        """-> status, headers, body text"""
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT)
        data = json.dumps(body) if isinstance(body, (dict, list)) else body
        link.request(method, path, data, headers or {})
        reply = link.getresponse()
        text = reply.read().decode()
        link.close()
        return reply.status, {k.lower(): v for k, v in reply.getheaders()}, text

    def json(self, method, path, body=None, headers=None, status=200):
        got, fields, text = self.ask(method, path, body, headers)
        assert got == status, f"{path}: {got} {text}"
        assert fields["content-type"] == "application/json" and fields["x-request-id"].startswith("req-"), fields
        return json.loads(text)

    def events(self, path, body, headers=None):
        """-> the data of a stream's events; the last is [DONE]"""
        status, fields, text = self.ask("POST", path, {**body, "stream": True}, headers)
        assert status == 200 and fields["content-type"] == "text/event-stream", text
        data = [part.removeprefix("data: ") for part in text.split("\n\n") if part]
        assert data[-1] == "[DONE]", data
        return [json.loads(d) for d in data[:-1]]

    def metrics(self):
        """-> {name: value summed over its labels} and {name{labels}: value}; the numbers of buckets stay out"""
        status, _, text = self.ask("GET", "/metrics")
        assert status == 200, text
        out = {}
        for line in text.splitlines():
            found = re.fullmatch(r"([A-Za-z_:][\w:]*)(\{.*\})? ([^ ]+)", line)
            if found and not found[1].endswith("_bucket"):
                out[found[1]] = out.get(found[1], 0) + float(found[3])
                if found[2]:
                    out[found[1] + found[2]] = float(found[3])
        return out

    # ---- bytes

    def dial(self, source=None):
        """-> a socket; source: the address it comes from"""
        return socket.create_connection(("127.0.0.1", self.port), WAIT, (source, 0) if source else None)

    def post(self, path, body, dial=None):
        """Sends a request and reads nothing. -> the socket"""
        link = dial or self.dial()
        data = json.dumps(body).encode()
        link.sendall(b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
                     % (path.encode(), len(data), data))
        return link

    def raw(self, data):
        """Sends bytes and reads to the end. -> the first status, all that came"""
        with self.dial() as link:
            try:
                link.sendall(data)
            except OSError:
                pass  # refused before it had all
            return status_of(read_all(link))

    # ---- the end

    def signal(self, which=signal.SIGTERM):
        self.run.send_signal(which)

    def alive(self):
        return self.run.poll() is None

    def kill(self):
        if self.alive():
            self.run.kill()
            self.run.wait()

    def stop(self):
        """The end that every server must be able to come to."""
        try:
            if self.alive():
                self.signal()
            self.run.wait(WAIT)
        finally:
            self.kill()
        assert self.run.returncode == 0, self.log()
        assert "Sanitizer" not in self.log(), self.log()


def read_all(link):
    out = b""
    while True:
        try:
            more = link.recv(65536)
        except ConnectionError:
            more = b""
        if not more:
            return out
        out += more


def status_of(data):
    found = re.match(rb"HTTP/1\.1 (\d{3}) ", data)
    return (int(found[1]) if found else None), data
