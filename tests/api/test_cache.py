#!/usr/bin/env python3
"""Prompts that begin alike are computed once: counts of rows and of cached tokens, and the same texts."""
import threading
import unittest

import bed  # noqa: F401
import house
from live import Server, soon

CHAT, TEXT = "/v1/chat/completions", "/v1/completions"
ROWS, CACHED = "realm_engine_rows_total", "realm_prompt_tokens_cached_total"
PROMPT = "the water in the river is cold and deep and old " * 6
ASK = {"model": "tiny", "prompt": PROMPT, "max_tokens": 5, "temperature": 1, "seed": 3}


class Cache(house.Case):
    def serve(self, *args):
        self.server = Server(self, "--speculate", "off", *args)  # what is guessed ahead counts as rows, too
        self.addCleanup(self.server.stop)

    def complete(self, **more):
        """-> the answer, rows computed for it"""
        before = self.idle()
        got = self.server.json("POST", TEXT, {**ASK, **more})
        return got, self.idle()[ROWS] - before[ROWS]

    def idle(self):
        def look():
            now = self.server.metrics()
            return None if now["realm_requests_under_way"] else now
        return soon("nothing is under way", look)

    def cached(self, got):
        return got["usage"]["prompt_tokens_details"]["cached_tokens"]

    def test_again(self):
        self.serve()
        first, rows = self.complete()
        n = first["usage"]["prompt_tokens"]
        full = (n - 1) // 32 * 32
        self.assertGreater(full, 64)
        self.assertEqual((self.cached(first), rows), (0, n + 4))
        second, rows = self.complete()
        self.assertEqual((self.cached(second), rows), (full, n - full + 4))
        self.assertEqual(second["choices"], first["choices"])
        self.assertEqual(self.server.metrics()[CACHED], full)
        self.assertEqual(self.server.metrics()["realm_kv_blocks_used"], 0)
        other, _ = self.complete(prompt="x" + PROMPT)
        self.assertEqual(self.cached(other), 0)

    def test_other_endpoints(self):
        self.serve()
        chat = {"model": "tiny", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": 2}
        self.assertEqual(self.cached(self.server.json("POST", CHAT, chat)), 0)
        self.assertGreaterEqual(self.cached(self.server.json("POST", CHAT, chat)), 64)
        last = self.server.events(CHAT, {**chat, "stream_options": {"include_usage": True}})[-1]
        self.assertGreaterEqual(self.cached(last), 64)
        got = self.server.json("POST", "/v1/responses", {"model": "tiny", "input": PROMPT, "max_output_tokens": 2})
        self.assertGreaterEqual(got["usage"]["input_tokens_details"]["cached_tokens"], 64)

    def test_choices(self):
        """Eight answers to one prompt take it in once."""
        self.serve()
        got, rows = self.complete(n=8)
        n, made = got["usage"]["prompt_tokens"], got["usage"]["completion_tokens"]
        self.assertEqual(rows, n + 7 * (n - (n - 1) // 32 * 32) + made - 8)
        self.assertEqual(self.cached(got), 0)

    def test_together(self):
        self.serve()
        one, _ = self.complete(prompt="y" + PROMPT)
        before, got = self.idle(), []
        links = [threading.Thread(target=lambda: got.append(self.server.json("POST", TEXT, ASK))) for _ in range(16)]
        for t in links:
            t.start()
        for t in links:
            t.join()
        n, made = one["usage"]["prompt_tokens"], sum(a["usage"]["completion_tokens"] for a in got)
        self.assertLessEqual(self.idle()[ROWS] - before[ROWS], n + 15 * 32 + made)
        self.assertEqual(len({a["choices"][0]["text"] for a in got}), 1)

    def test_off(self):
        self.serve("--prefix-cache", "off")
        first, rows = self.complete()
        second, again = self.complete()
        self.assertEqual((self.cached(second), again), (0, rows))
        self.assertEqual(second["choices"], first["choices"])
        self.assertEqual(self.server.metrics()["realm_kv_blocks_cached"], 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
