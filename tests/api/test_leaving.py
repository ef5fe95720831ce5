#!/usr/bin/env python3
"""Clients that go away: nobody computes for them any more, and nobody else is disturbed.

A client leaves in three ways (FIN, RST, its sending half only) at four places: in the engine's queue, in the prefill,
in the decode, inside a guest. What is left of its work shows in /metrics alone: tokens, steps, blocks, guests. That
an answer of /metrics comes after the leaving was seen follows from their order: one thread looks at both.
REALM_ROUNDS: how often each test goes round."""
import os
import socket
import struct
import threading
import unittest

import bed  # noqa: F401
import house
from live import Server, read_all, soon
from test_run import FOREVER

ROUNDS = int(os.environ.get("REALM_ROUNDS", "50"))
TOKENS, STEPS = "realm_generated_tokens_total", "realm_engine_steps_total"
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
    args = ()

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

    def few(self, counts, what):
        """At most 2 further steps. A machine that stops a thread just then may make it some more, now and then; a
        stream that goes on makes it more than a thousand."""
        ordered = sorted(counts)
        self.assertLessEqual(ordered[len(ordered) * 8 // 10], 2, f"{what}: {counts}")
        self.assertLess(ordered[-1], 500, f"{what}: {counts}")

    def same(self, before, after):
        self.assertEqual(after[KILLS], before[KILLS], "a limit has ended what the leaving should have")

    def test_decode(self):
        steps, tokens, before = [], [], self.idle()
        for at in range(ROUNDS):
            link, way = self.server.post(CHAT, {**LONG, "seed": at}), WAYS[at % 3]
            self.assertTrue(link.recv(1))
            seen = self.left(link, way)
            after = self.idle()
            steps.append(after[STEPS] - seen[STEPS])
            tokens.append(after[TOKENS] - seen[TOKENS])
            self.gone(link, way)
        self.few(steps, "steps")
        self.few(tokens, "tokens")
        self.same(before, after)
        self.assertLess(after[TOKENS] - before[TOKENS], ROUNDS * 900)

    def test_prefill(self):
        """Its prompt alone takes several steps; whole answers, of which not a byte has come."""
        before = self.idle()
        for at in range(ROUNDS):
            link = self.server.post(CHAT, {**LONG, "messages": WIDE, "stream": at % 2 == 0, "max_tokens": 300})
            if at % 4 > 1:
                soon("it is computed", lambda: self.server.metrics()["realm_sequences_running"])
            self.left(link, WAYS[at % 3])
            self.gone(link, WAYS[at % 3])
        after = self.idle()
        self.same(before, after)
        self.assertLess(after[TOKENS] - before[TOKENS], ROUNDS * 60, "a whole one has 300")

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
        self.assertLess(after[GUEST_CPU] - before[GUEST_CPU], ROUNDS, "alone each would have had its 30 s")

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
        others = after[TOKENS] - before[TOKENS] - len(got) * 400
        self.assertLess(others, ROUNDS * 600, "what those who left were computed for; whole ones have 1,900 each")

    def text(self, ask):
        return "".join(c["delta"].get("content") or "" for e in self.server.events(CHAT, ask) for c in e["choices"])


class Queued(Leaving):
    """Room for keys and values of one long sequence only: others wait for it in the engine's queue."""

    args = ("--kv-memory", "2MiB", "--prefix-cache", "off")  # prompts that share blocks would not wait
    test_decode = test_prefill = test_guest = test_others_are_not_disturbed = None  # those of a server with room

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
            soon("it waits", lambda: self.server.metrics()["realm_sequences_waiting"] or not hogs[-1].is_alive())
            waited += hogs[-1].is_alive()
            self.left(link, WAYS[at % 3])
            soon("it is gone", lambda: self.server.metrics()["realm_requests_under_way"] <= hogs[-1].is_alive())
            self.gone(link, WAYS[at % 3])
        hogs[-1].join()
        after = self.idle()
        self.assertGreater(waited, ROUNDS * 0.7)
        self.assertLess(after[TOKENS] - before[TOKENS], len(hogs) * 600 + ROUNDS * 50, "a whole one has 600")


if __name__ == "__main__":
    unittest.main(verbosity=2)
