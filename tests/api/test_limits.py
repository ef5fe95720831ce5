#!/usr/bin/env python3
"""Limits on what comes from outside: each at its boundary and one beyond, and every number far beyond. Whatever is
sent, the server lives and its next answer is right."""
import json
import threading
import time
import unittest

import bed
import house
from live import Server, read_all, soon, status_of

HEAD = b"Host: localhost\r\n"
LAST = b"Connection: close\r\n"
MIB = 1 << 20
HI = [{"role": "user", "content": "hi"}]
SHORT = {"type": "json_schema", "name": "x", "schema": {"enum": [1]}}
ASKS = {  # what each endpoint is asked with; it ends after a few tokens whatever max_tokens says
    "/v1/chat/completions": {"model": "tiny", "messages": HI, "stop": ["e", "a", "o", "w"], "max_tokens": 4},
    "/v1/completions": {"model": "tiny", "prompt": "hi", "stop": ["e", "a", "o", "w"], "max_tokens": 4},
    "/v1/responses": {"model": "tiny", "input": "hi", "max_output_tokens": 4, "text": {"format": SHORT}},
    "/v1/embeddings": {"model": "tiny", "input": "hi"},
}
SAMPLING = {"temperature": 2, "top_p": 1, "presence_penalty": 2, "frequency_penalty": 2, "seed": None, "top_k": None,
            "min_p": None, "repetition_penalty": None}
FIELDS = {  # each numeric field of each endpoint, and its largest value (None: not of interest here)
    "/v1/chat/completions": {**SAMPLING, "n": 8, "max_tokens": None, "max_completion_tokens": None, "top_logprobs": 20},
    "/v1/completions": {**SAMPLING, "n": 8, "max_tokens": None, "logprobs": 20, "best_of": None},
    "/v1/responses": {**SAMPLING, "max_output_tokens": None, "top_logprobs": 20},
    "/v1/embeddings": {"dimensions": None},
}
BESIDE = {"top_logprobs": {"logprobs": True}, "n": {"temperature": 1}}
VALUES = (-1, 0, 2**31, 2**63, 1e308, -1e308, 0.5, "1", None, [], {}, True)
NEVER = (2**63, 1e308, "1", [], {})  # of no field
NOTHING = object()


def expected(value, most):
    """-> the statuses that are right"""
    if value is None or value == most and not isinstance(value, bool):
        return (200,)
    return (400,) if value in NEVER or most is not None and value == most + 1 else (200, 400)


def inside(path):
    """Numbers within a field: it is the one to be named."""
    fields = {"logit_bias": lambda v: {"5": v}}
    if path == "/v1/completions":
        fields["prompt"] = lambda v: [v]
    return {"input": lambda v: [v]} if path == "/v1/embeddings" else fields


class Limits(house.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def tearDown(self):
        self.assertTrue(self.server.alive(), self.server.log())
        self.assertEqual(self.server.json("GET", "/health"), {"status": "ok"})

    # ---- heads

    def line(self, n):
        return self.server.raw(b"GET /livez?" + b"a" * (n - len("GET /livez? HTTP/1.1")) + b" HTTP/1.1\r\n"
                               + HEAD + LAST + b"\r\n")[0]

    def fields(self, n_bytes, n):
        rest = n_bytes - len(HEAD + LAST) - len(b"A: b\r\n") * (n - 3) - len(b"A: \r\n")
        return self.server.raw(b"GET /livez HTTP/1.1\r\n" + HEAD + LAST + b"A: b\r\n" * (n - 3)
                               + b"A: " + b"a" * rest + b"\r\n\r\n")[0]

    def test_request_line(self):
        self.assertEqual([self.line(n) for n in (8192, 8193, 200000)], [200, 414, 414])

    def test_header_fields(self):
        self.assertEqual([self.fields(n, 3) for n in (16384, 16385, 200000)], [200, 431, 431])
        self.assertEqual([self.fields(4000, n) for n in (100, 101)], [200, 431])
        self.assertEqual(self.fields(100000, 10000), 431)

    # ---- bodies

    def status(self, path, body, param=NOTHING):
        status, _, text = self.server.ask("POST", path, body)
        if status >= 400:
            error = json.loads(text)["error"]
            self.assertEqual(set(error), {"message", "type", "param", "code"})
            if param is not NOTHING:
                self.assertTrue(bed.names(error["param"], param), text)
        return status

    def test_body(self):
        for path, ask in ASKS.items():
            for n, status in ((MIB, 200), (MIB + 1, 413)):
                text = json.dumps({**ask, "pad": ""})
                body = text[:-2] + "x" * (n - len(text)) + text[-2:]
                self.assertEqual(self.status(path, body), status, f"{path} {n}")
        with self.server.dial() as link:  # told before the body is sent
            link.sendall(b"POST /v1/completions HTTP/1.1\r\n" + HEAD + b"Content-Length: 1048577\r\n\r\n")
            self.assertEqual(status_of(read_all(link))[0], 413)

    def test_depth(self):
        for path, ask in ASKS.items():
            for n, status in ((63, 200), (64, 400), (100000, 400)):
                for a, b in (("[", "]"), ('{"a":', "}")):
                    deep = a * n + "1" + b * n if n * len(a) < MIB // 4 else "[" * n
                    body = json.dumps(ask)[:-1] + ', "pad": ' + deep + "}"
                    self.assertEqual(self.status(path, body), status, f"{path} {n} {a}")
            self.assertEqual(self.status(path, json.dumps({**ask, "pad": "[" * 1000})), 200, "brackets of a text")

    def test_not_json(self):
        for path in ASKS:
            for body in ("", "{", "[]", "null", "7", '{"a": 1,}', "{'a': 1}", '{"model": "tiny"', "\xff", '{"a": NaN}',
                         '{"a": 1} {', '{"model": "tiny\\u0000"}', '"\\ud800"'):
                self.assertEqual(self.status(path, body), 400, f"{path} {body!r}")
            self.assertEqual(self.status(path, b'{"model": "\xff\xfe"}'), 400)
            self.assertEqual(self.status(path, b'{"model": "tiny"}\0'), 400)

    # ---- lists and texts

    def test_counts(self):
        for path in ("/v1/chat/completions", "/v1/completions"):
            ask = ASKS[path]
            self.assertEqual([self.status(path, {**ask, "n": n}, "n") for n in (1, 8, 9)], [200, 200, 400])
            stops = [f"stop {i}" for i in range(5)]
            for n, status in ((0, 200), (4, 200), (5, 400)):
                self.assertEqual(self.status(path, {**ask, "stop": stops[:n]}, "stop"), status)
            for n, status in ((0, 400), (1, 200), (256, 200), (257, 400)):
                self.assertEqual(self.status(path, {**ask, "stop": "x" * n}, "stop"), status, f"a stop of {n}")
        chat, text = ASKS["/v1/chat/completions"], ASKS["/v1/completions"]
        for n, status in ((20, 200), (21, 400)):
            self.assertEqual(self.status("/v1/chat/completions", {**chat, "logprobs": True, "top_logprobs": n},
                                         "top_logprobs"), status)
            self.assertEqual(self.status("/v1/completions", {**text, "logprobs": n}, "logprobs"), status)

    def test_grammars(self):
        chat, n = ASKS["/v1/chat/completions"], 64 << 10

        def lark(size):
            return 'start: "yes"\n//' + "c" * (size - len('start: "yes"\n//'))

        for size, status in ((n, 200), (n + 1, 400), (n * 4, 400)):
            self.assertEqual(self.status("/v1/chat/completions", {**chat, "lark": lark(size)}, "lark"), status)
            regex = "(?x)yes" + " " * (size - len("(?x)yes")) if status == 200 else "y" * size
            self.assertEqual(self.status("/v1/chat/completions", {**chat, "regex": regex}, "regex"), status)
        for size, status in ((n - 100, 200), (n + 1, 400)):  # as JSON the schema has a few bytes more
            schema = {"enum": [1], "description": "d" * size}
            form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
            self.assertEqual(self.status("/v1/chat/completions", {**chat, "response_format": form}, "response_format"),
                             status)

    def test_prompts(self):
        """As long as the context is; beyond it is 400, and the context is not cut."""
        ids = [300] * 2047
        ask = {"model": "tiny", "prompt": ids, "max_tokens": 1}
        self.assertEqual(self.status("/v1/completions", ask), 200)
        for n in (2049, 100000):
            self.assertEqual(self.status("/v1/completions", {**ask, "prompt": [300] * n}), 400, n)

    # ---- numbers

    def test_every_number(self):
        """Answered, or refused by the field's name."""
        n = 0
        for path, fields in FIELDS.items():
            for field, most in fields.items():
                for value in VALUES if most is None else (*VALUES, most, most + 1):
                    with self.subTest(path=path, field=field, value=value):
                        self.number(path, field, value, expected(value, most))
                    n += 1
            for field, wrap in inside(path).items():
                for value in VALUES:
                    with self.subTest(path=path, field=field, value=wrap(value)):
                        self.number(path, field, wrap(value), (200, 400))
                    n += 1
        self.assertGreater(n, 400)

    def number(self, path, field, value, statuses):
        body = {**ASKS[path], **({} if path == "/v1/responses" else BESIDE.get(field, {})), field: value}
        if field == "max_completion_tokens":
            del body["max_tokens"]
        status, _, text = self.server.ask("POST", path, body)
        self.assertIn(status, statuses, text)
        if status == 400:
            self.assertTrue(bed.names(json.loads(text)["error"]["param"], field), text)

    def test_numbers_that_no_reader_holds(self):
        """Too many digits for any number: still an answer, and about that field."""
        for field in ("max_tokens", "temperature", "seed", "logprobs"):
            for text in ("9" * 30, "-" + "9" * 30, "1e400", "-1e400", "1" + "0" * 400, "9" * 100000):
                body = json.dumps({**ASKS["/v1/completions"], field: 77}).replace(": 77", ": " + text)
                self.assertEqual(self.status("/v1/completions", body, field), 400, text[:40])
        tiny = "0." + "0" * 400 + "1"
        body = json.dumps({**ASKS["/v1/completions"], "max_tokens": 77}).replace(": 77", ": " + tiny)
        self.assertEqual(self.status("/v1/completions", body, "max_tokens"), 400)
        body = json.dumps({**ASKS["/v1/completions"], "unheard_of": 2**64, "seed": 3})
        self.assertEqual(self.status("/v1/completions", body), 200, "what is not known is not looked at")


class Connections(house.Case):
    """A server with limits that can be reached."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls, "--max-connections", "6", "--max-connections-per-ip", "4")

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def works(self, link):
        link.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
        got = b""
        while b'{"status":"ok"}' not in got:
            more = link.recv(65536)
            self.assertTrue(more, got)
            got += more
        self.assertTrue(got.startswith(b"HTTP/1.1 200 "))

    def turned_away(self, link, word):
        with link:
            status, text = status_of(read_all(link))
            self.assertEqual(status, 503)
            self.assertIn(b"retry-after:", text.lower())
            self.assertIn(word, text)

    def test_connections(self):
        links = [self.server.dial("127.0.0.2") for _ in range(4)]
        for link in links:
            self.works(link)
        self.turned_away(self.server.dial("127.0.0.2"), b"too many connections from this address")
        links += [self.server.dial("127.0.0.3") for _ in range(2)]
        for link in links:
            self.works(link)  # those who were there before suffer nothing
        self.turned_away(self.server.dial("127.0.0.4"), b"every connection is in use")
        links.pop(0).close()
        links.append(self.room("127.0.0.4"))
        self.works(links[-1])
        for link in links:
            link.close()

    def room(self, source):
        """Somebody has left: there is room as soon as the server has seen it. -> a socket"""
        end = time.monotonic() + 60
        while time.monotonic() < end:
            link = self.server.dial(source)
            link.sendall(b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n")
            if b" 200 " in link.recv(100):
                link.recv(65536)
                return link
            link.close()
        self.fail("there was never room again")


class Overload(house.Case):
    """What would be answered too late is refused at once. A millisecond is less than any request of these takes, so
    that one at a time is let in."""

    def test_overload(self):
        server = Server(self, "--max-latency-ms", "1")
        ask = {"model": "tiny", "prompt": "water", "max_tokens": 300}
        self.assertEqual(server.ask("POST", "/v1/completions", ask)[0], 200)  # what one takes is known
        for _ in range(3):
            soon("the last one is over", lambda: not server.metrics()["realm_requests_under_way"])
            with server.post("/v1/completions", {**ask, "max_tokens": 1900, "logprobs": 20, "stream": True}) as link:
                self.assertTrue(link.recv(1))  # megabytes that nobody reads: it stays under way
                status, headers, text = server.ask("POST", "/v1/completions", ask)
                self.assertEqual(status, 503, text)
                self.assertGreaterEqual(int(headers["retry-after"]), 1)
                self.assertEqual(json.loads(text)["error"]["type"], "server_error")
                self.assertEqual(server.ask("GET", "/v1/models")[0], 200)  # what computes nothing is not refused
        soon("the last one is over", lambda: not server.metrics()["realm_requests_under_way"])
        self.assertEqual(server.ask("POST", "/v1/completions", ask)[0], 200)
        self.assertGreater(server.metrics()["realm_request_cost_seconds"], 0.0005)
        server.stop()


class Slow(house.Case):
    """10 s for a head, and for the first bytes of a body; then 1,024 bytes/s. All wait at the same time."""

    def test_slow(self):
        server = Server(self)
        post = b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        body = json.dumps({**ASKS["/v1/completions"], "pad": "x" * 60000}).encode()
        asks = {"head": (408, b"GET /livez HTTP/1.1\r\nA: ", 1, b"a" * 1000),
                "body": (408, post + b"Content-Length: %d\r\n\r\n" % len(body), 10, body),
                "good": (200, post + b"Content-Length: %d\r\n\r\n" % len(body), 1000, body)}  # 4,000 bytes/s: 15 s
        got = {}

        def send(name, begin, piece, rest):
            with server.dial() as link:
                link.sendall(begin)
                try:
                    for at in range(0, len(rest), piece):
                        link.sendall(rest[at:at + piece])
                        link.settimeout(0.25)
                        try:
                            got[name] = link.recv(65536)
                            return
                        except TimeoutError:
                            link.settimeout(120)
                except ConnectionError:
                    pass
                got[name] = read_all(link)

        threads = [threading.Thread(target=send, args=(name, *ask[1:])) for name, ask in asks.items()]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual({k: status_of(v)[0] for k, v in got.items()}, {k: a[0] for k, a in asks.items()})
        server.stop()


if __name__ == "__main__":
    unittest.main(verbosity=2)
