#!/usr/bin/env python3
"""Clients that go away: nobody computes for them any more, and nobody else is disturbed.

A client leaves in three ways (FIN, RST, its sending half only) at four places: in the engine's queue, in the prefill,
in the decode, inside a guest. What is left of its work shows in /metrics alone.

At most two further steps hold its rows: the engine counts them, job by job, and no quantile is taken. The count of a
job begins when the server's socket thread has seen the client leave and tells the engine, before anything else is
done about it, and goes up with each step that ends from then on and held rows of that job; so the step that runs just
then is one of them. realm_cancelled_jobs_total has the jobs by that count, and "more" must stay 0.

That an answer of /metrics comes after the leaving was seen follows from their order: one thread looks at both.
REALM_ROUNDS: how often each test goes round."""
import os
import socket
import struct
import sys
import threading
import unittest

import bed  # noqa: F401
import house
from live import WAIT, Server, read_all, soon
from test_run import FOREVER

ROUNDS = int(os.environ.get("REALM_ROUNDS", "50"))
TOKENS, ROWS, CANCELLED = "realm_generated_tokens_total", "realm_engine_rows_total", "realm_cancelled_jobs_total"
BUSY = ("realm_requests_under_way", "realm_sequences_running", "realm_sequences_waiting", "realm_guests_live",
        "realm_kv_blocks_used")
GUEST_CPU, KILLS = "realm_guest_cpu_seconds_total", "realm_guests_ended_by_limit_total"

CHAT = "/v1/chat/completions"
HI = [{"role": "user", "content": "hello"}]
LONG = {"model": "tiny", "messages": HI, "max_tokens": 1900, "temperature": 1, "seed": 1, "stream": True}
WIDE = [{"role": "user", "content": "water " * 230}]  # each letter is a token


def fin(link):
    link.shutdown(socket.SHUT_RDWR)


def rst(link):
    link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    link.close()


def half(link):
    """Closes its sending side and reads on: for HTTP's clients, too, that means gone."""
    link.shutdown(socket.SHUT_WR)


WAYS = (fin, rst, half)


class Leaving(house.Case):
    args = ("--prefix-cache", "off")  # each prompt is computed, however often it comes

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls, *cls.args)
        cls.server.json("POST", CHAT, {"model": "tiny", "messages": HI, "max_tokens": 1})  # the model is loaded

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def idle(self):
        """Waits until nothing is under way, and no block is kept for it. -> the metrics"""
        def look():
            now = self.server.metrics()
            return now if not any(now[name] for name in BUSY) else None
        return soon("nothing is under way", look)

    def left(self, link, way):
        """-> the metrics of an answer that came after the server has seen it"""
        way(link)
        return self.server.metrics()

    def gone(self, link, way):
        """What a client of only half a connection gets is its end, not an answer."""
        if way is half:
            self.assertNotIn(b"[DONE]", read_all(link))
        link.close()

    def same(self, before, after):
        self.assertEqual(after[KILLS], before[KILLS], "a limit has ended what the leaving should have")

    def ended(self, before, after):
        """-> how many jobs somebody asked to end. None had rows in more than two further steps."""
        series = {n: f'{CANCELLED}{{steps="{n}"}}' for n in ("0", "1", "2", "more")}
        counts = {n: after[name] - before[name] for n, name in series.items()}
        print(f"{self.id()}: jobs by further steps: {counts}", file=sys.stderr)
        self.assertEqual(counts["more"], 0, counts)
        return sum(counts.values())

    def narrow(self):
        """A client that reads little: an answer with log-probabilities cannot all lie between the two."""
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.settimeout(WAIT)
        link.connect(("127.0.0.1", self.server.port))
        return link

    def test_decode(self):
        before = self.idle()
        for at in range(ROUNDS):
            ask = {**LONG, "seed": at, "logprobs": True, "top_logprobs": 20}
            link, way = self.server.post(CHAT, ask, self.narrow()), WAYS[at % 3]
            self.assertTrue(link.recv(1))
            self.left(link, way)
            after = self.idle()
            self.gone(link, way)
        self.assertEqual(self.ended(before, after), ROUNDS)
        self.same(before, after)
        self.assertLess(after[TOKENS] - before[TOKENS], ROUNDS * 900)

    def test_prefill(self):
        """Eight prompts that take more than twenty steps together. The client leaves after the first of them; of what
        would be left, most is never computed."""
        whole = 8 * self.server.json("POST", "/tokenize", {"model": "tiny", "messages": WIDE})["count"]
        self.assertGreater(whole, 20 * 512, "a step has 512 rows")
        before = after = self.idle()
        for at in range(ROUNDS):
            ask = {**LONG, "messages": WIDE, "n": 8, "stream": at % 2 == 0, "max_tokens": 300}
            link, start = self.server.post(CHAT, ask), after[ROWS]
            soon("a step was made", lambda: self.server.metrics()[ROWS] > start)
            self.left(link, WAYS[at % 3])
            after = self.idle()
            self.gone(link, WAYS[at % 3])
        self.same(before, after)
        self.assertLess(after[ROWS] - before[ROWS], ROUNDS * whole / 2, f"rows computed; whole ones have {ROUNDS * whole}")
        self.assertTrue(ROUNDS <= self.ended(before, after) <= 8 * ROUNDS, "what had begun has ended, and once")
        self.assertLess(after[TOKENS] - before[TOKENS], ROUNDS * 60, "whole ones have 2,400")

    def test_guest(self):
        """A guest that computes and calls nobody: it is stopped where it is."""
        path = self.work / "forever.wasm"
        path.write_bytes(FOREVER)
        self.realm("program", "add", path, "--name", "forever", "--replace")
        before = self.idle()
        for at in range(ROUNDS):
            link = self.server.post(CHAT, {**LONG, "model": "forever", "stream": at % 2 == 0})
            soon("it runs", lambda: self.server.metrics()["realm_guests_live"])
            self.left(link, WAYS[at % 3])
            after = self.idle()
            self.gone(link, WAYS[at % 3])
        self.same(before, after)
        self.assertEqual(self.ended(before, after), 0, "it has no job")
        self.assertLess(after[GUEST_CPU] - before[GUEST_CPU], ROUNDS, "alone each would have had its 30 s")

    def test_guest_with_a_job(self):
        """A guest that computes while its model writes: the worker is inside it, the engine in a step."""
        self.realm("program", "add", house.GUESTS / "spin.wasm", "--name", "spin", "--replace")
        before = self.idle()
        for at in range(ROUNDS):
            link = self.server.post(CHAT, {**LONG, "model": "spin@tiny", "stream": at % 2 == 0})
            soon("its model writes", lambda: self.server.metrics()["realm_sequences_running"])
            self.left(link, WAYS[at % 3])
            after = self.idle()
            self.gone(link, WAYS[at % 3])
        self.same(before, after)
        self.assertEqual(self.ended(before, after), ROUNDS)

    def test_others_are_not_disturbed(self):
        """Streams that stay say what they say alone, to the byte of their text, while others come and go."""
        asks = [{**LONG, "seed": 100 + i, "max_tokens": 400, "messages": HI if i % 2 else WIDE} for i in range(3)]
        alone = [self.text(a) for a in asks]
        before, got = self.idle(), {}
        for at in range(max(ROUNDS // 5, 1)):
            stay = [threading.Thread(target=lambda i=i, a=a: got.update({(at, i): self.text(a)}))
                    for i, a in enumerate(asks)]
            for t in stay:
                t.start()
            for k in range(5):
                with self.server.post(CHAT, {**LONG, "seed": k, "messages": WIDE if k % 2 else HI}) as link:
                    if k % 3:
                        self.assertTrue(link.recv(1))
                    self.left(link, WAYS[(at + k) % 3])
            for t in stay:
                t.join()
        after = self.idle()
        self.assertEqual(len(got), 3 * max(ROUNDS // 5, 1))
        for (at, i), text in got.items():
            self.assertEqual(text, alone[i], f"round {at}")
        self.same(before, after)
        self.assertGreater(self.ended(before, after), 0)
        others = after[TOKENS] - before[TOKENS] - len(got) * 400
        self.assertLess(others, ROUNDS * 600, "what those who left were computed for; whole ones have 1,900 each")

    def text(self, ask):
        return "".join(c["delta"].get("content") or "" for e in self.server.events(CHAT, ask) for c in e["choices"])


class Queued(Leaving):
    """Room for keys and values of one long sequence only: others wait for it in the engine's queue."""

    args = ("--kv-memory", "2MiB", "--prefix-cache", "off")  # prompts that share blocks would not wait
    # those of a server with room:
    test_decode = test_prefill = test_guest = test_guest_with_a_job = test_others_are_not_disturbed = None

    def waiting(self):
        return self.server.metrics()["realm_sequences_waiting"]

    def test_queue(self):
        """A long text is under way all the time. In the few rounds in which it ended just then, the client leaves while
        its own prompt is computed."""
        before, hogs, waited = self.idle(), [], 0
        for at in range(ROUNDS):
            if not hogs or not hogs[-1].is_alive():
                hogs.append(threading.Thread(target=self.text, args=({**LONG, "messages": WIDE, "max_tokens": 600},)))
                hogs[-1].start()
                soon("it runs", lambda: self.server.metrics()["realm_sequences_running"])
            link = self.server.post(CHAT, {**LONG, "messages": WIDE, "seed": at, "stream": at % 2 == 0})
            waited += soon("it waits", lambda: self.waiting() or (0.0 if hogs[-1].is_alive() else -1)) > 0
            self.left(link, WAYS[at % 3])
            soon("it is gone", lambda: self.server.metrics()["realm_requests_under_way"] <= hogs[-1].is_alive())
            soon("nobody waits", lambda: not self.waiting())
            self.gone(link, WAYS[at % 3])
        hogs[-1].join()
        after = self.idle()
        self.assertGreater(waited, ROUNDS * 0.7)
        self.assertTrue(waited <= self.ended(before, after) <= ROUNDS, "each that waited, once")
        self.assertLess(after[TOKENS] - before[TOKENS], len(hogs) * 600 + ROUNDS * 50, "a whole one has 600")


if __name__ == "__main__":
    unittest.main(verbosity=2)
