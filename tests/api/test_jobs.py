#!/usr/bin/env python3
"""Each job of the engine is a guest's: whatever the server is asked for, nothing is computed past the sandbox.

The engine counts the jobs it is given, the runtime those that guests asked for; a job of anybody else's makes the two
differ (test_jobs_of_nobody_show of tests/unit/guest/test_generate.c)."""
import unittest

import bed  # noqa: F401
import house
from live import Server
from test_matrix import ROWS, routes

JOBS, GUESTS = "realm_engine_jobs_total", "realm_engine_jobs_from_guests_total"
CHAT, TEXT, RESPONSE, EMBED = ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings")
COMPUTES = {CHAT, TEXT, RESPONSE, EMBED}
HI = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 4}
GO = {"model": "tiny", "prompt": "the water", "max_tokens": 4}
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
FORMS = (  # what else an endpoint can be asked for, and how many jobs that makes at least
    (CHAT, {**HI, "stream": True}, 1),
    (CHAT, {**HI, "n": 3}, 3),
    (CHAT, {**HI, "n": 3, "stream": True}, 3),
    (CHAT, {**HI, "logprobs": True, "top_logprobs": 2}, 1),
    (CHAT, {**HI, "tools": [TOOL], "tool_choice": "required", "max_tokens": 60}, 1),
    (CHAT, {**HI, "regex": "(yes|no)"}, 1),
    (TEXT, {**GO, "stream": True}, 1),
    (TEXT, {**GO, "prompt": ["the", "of"], "n": 2}, 4),
    (TEXT, {**GO, "echo": True}, 1),
    (TEXT, {**GO, "echo": True, "stream": True}, 1),
    (RESPONSE, {"model": "tiny", "input": "hi", "max_output_tokens": 4, "stream": True}, 1),
    (EMBED, {"model": "tiny", "input": ["the", "of", "and"]}, 3),
    (EMBED, {"model": "tiny", "input": "of", "encoding_format": "base64", "dimensions": 3}, 1),
    ("/tokenize", {"model": "tiny", "messages": HI["messages"]}, 0),
    (CHAT, {**HI, "model": "none"}, 0),
    (CHAT, {**HI, "temperature": 9}, 0),
    (TEXT, {**GO, "prompt": "water " * 5000}, 0),
)
PROGRAMS = ("chat", "hello", "stream", "layers", "embed")


class Jobs(house.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls)

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()
        super().tearDownClass()

    def counts(self):
        now = self.server.metrics()
        return now[JOBS], now[GUESTS]

    def jobs(self, method, path, body):
        """Asks. -> status, how many jobs that made; each of them a guest's"""
        before, _ = self.counts()
        status, _, text = self.server.ask(method, path, body)
        now, guests = self.counts()
        self.assertEqual(now - guests, 0, f"{method} {path} {body}: {text}")
        return status, now - before

    def test_every_route(self):
        self.assertEqual({r.split()[1] for r in routes()} & COMPUTES, COMPUTES)
        for route, (_, path, body) in ROWS.items():
            with self.subTest(route=route):
                status, n = self.jobs(route.split()[0], path, body)
                self.assertEqual(status, 200)
                self.assertEqual(n > 0, path in COMPUTES, f"{n} jobs")

    def test_every_form(self):
        for path, body, least in FORMS:
            with self.subTest(path=path, body=body):
                status, n = self.jobs("POST", path, body)
                if least:
                    self.assertEqual(status, 200)
                    self.assertGreaterEqual(n, least)
                else:
                    self.assertEqual(n, 0)

    def test_programs(self):
        for name in PROGRAMS:
            self.realm("program", "add", house.GUESTS / f"{name}.wasm", "--name", name)
            for stream in (False, True):
                with self.subTest(program=name, stream=stream):
                    path, body = (EMBED, {"model": f"{name}@tiny", "input": "of"}) if name == "embed" else \
                        (CHAT, {**HI, "model": f"{name}@tiny", "stream": stream})
                    status, n = self.jobs("POST", path, body)
                    self.assertEqual(status, 200)
                    self.assertGreater(n, 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
