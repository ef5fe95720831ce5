#!/usr/bin/env python3
"""Who may call what: every route of the server's own table, asked by every kind of caller.

A route that the server has and this table lacks fails, and so does one that it has no longer."""
import re
import unittest

import bed
import house
from live import Server

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 1}
CALLERS = ("local", "none", "wrong", "revoked", "broken", "right", "origin", "host")
# local: a server without keys. The others at one with keys: without, with one that nobody has, that was revoked, that is
# none, with a good one; and with the good one from a page of somebody else's, or for a host that is not this one
OPEN = dict(zip(CALLERS, (200, 200, 200, 200, 200, 200, 403, 421)))
KEYED = dict(zip(CALLERS, (200, 401, 401, 401, 401, 200, 403, 421)))
ROWS = {  # route of src/server/routes.c: what each caller gets, the path to ask, the body
    "GET /livez": (OPEN, "/livez", None),
    "GET /readyz": (OPEN, "/readyz", None),
    "GET /health": (OPEN, "/health", None),
    "GET /metrics": (KEYED, "/metrics", None),
    "GET /v1/models": (KEYED, "/v1/models", None),
    "GET /v1/models/": (KEYED, "/v1/models/tiny", None),
    "POST /v1/chat/completions": (KEYED, "/v1/chat/completions", CHAT),
    "POST /v1/completions": (KEYED, "/v1/completions", {"model": "tiny", "prompt": "hi", "max_tokens": 1}),
    "POST /v1/embeddings": (KEYED, "/v1/embeddings", {"model": "tiny", "input": "hi"}),
    "POST /v1/responses": (KEYED, "/v1/responses", {"model": "tiny", "input": "hi", "max_output_tokens": 1}),
    "POST /tokenize": (KEYED, "/tokenize", {"model": "tiny", "prompt": "hi"}),
    "POST /detokenize": (KEYED, "/detokenize", {"model": "tiny", "tokens": [300]}),
}
FOREIGN = {"Origin": "https://evil.example"}
UNKNOWN = {"Host": "evil.example"}


def routes():
    """-> {"METHOD /path"} of the server's table"""
    text = (bed.ROOT / "src/server/routes.c").read_text()
    table = re.search(r"const rl_route rl_routes\[\] = \{(.*?)\n\};", text, re.S)[1]
    rows = re.findall(r'\{\s*"([A-Z]+)",\s*"(/[^"]*)"', table)
    assert len(rows) == len(re.findall(r"\{", table)) > 5, "this is no reader of that table"
    return {" ".join(row) for row in rows}


class Matrix(house.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.local = Server(cls)  # as long as there is no key
        case = cls()
        cls.good, gone = (case.realm("key", "new").stdout.strip() for _ in range(2))
        cls.keyed = Server(cls)
        case.realm("key", "revoke", gone.split("_")[1])
        other = cls.good[:-1] + ("a" if cls.good[-1] != "a" else "b")
        cls.keys = {"none": None, "wrong": other, "revoked": gone, "broken": "rk_", "right": cls.good,
                    "origin": cls.good, "host": cls.good}

    @classmethod
    def tearDownClass(cls):
        cls.local.stop()
        cls.keyed.stop()
        super().tearDownClass()

    def ask(self, caller, method, path, body):
        headers = {"Content-Type": "application/json"} if body else {}
        if self.keys.get(caller):
            headers["Authorization"] = "Bearer " + self.keys[caller]
        headers.update({"origin": FOREIGN, "host": UNKNOWN}.get(caller, {}))
        server = self.local if caller == "local" else self.keyed
        return server.ask(method, path, body, headers)

    def test_every_route_has_a_row(self):
        self.assertEqual(routes(), set(ROWS))

    def test_every_caller_of_every_route(self):
        for route, (expected, path, body) in ROWS.items():
            method = route.split()[0]
            for how in (method, "HEAD") if method == "GET" else (method,):
                for caller, status in expected.items():
                    got, fields, text = self.ask(caller, how, path, body)
                    with self.subTest(route=route, method=how, caller=caller):
                        self.assertEqual(got, status, text)
                        self.check_fields(got, fields, text, how)

    def check_fields(self, status, fields, text, how):
        self.assertTrue(fields["x-request-id"].startswith("req-"))
        self.assertFalse([f for f in fields if f.startswith("access-control-")], "nobody asked for CORS")
        self.assertEqual("www-authenticate" in fields, status == 401)
        if status >= 400 and how != "HEAD":
            self.assertIn('"error":{"message":', text)
            self.assertNotIn(self.good, text)

    def test_pages_of_others_on_a_server_without_keys(self):
        """Where no key is needed, Host and Origin are all that keeps them out."""
        for route, (_, path, body) in ROWS.items():
            for headers, status in ((FOREIGN, 403), (UNKNOWN, 421), ({"Origin": "null"}, 403)):
                got = self.local.ask(route.split()[0], path, body, headers)[0]
                self.assertEqual(got, status, f"{route} {headers}")

    def test_methods_and_paths(self):
        known = {r.split()[1] for r in ROWS}
        methods = {}
        for route in ROWS:
            method, path = route.split()
            methods.setdefault(path, set()).update({method, "HEAD"} if method == "GET" else {method})
        for path in known:
            concrete = next(row[1] for route, row in ROWS.items() if route.split()[1] == path)
            for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"} - methods[path]:
                self.assertEqual(self.local.ask(method, concrete)[0], 405, f"{method} {concrete}")
        for path in ("/", "/v1", "/v1/", "/v1/models/x/y/z/", "/v2/models", "/livez/", "/V1/models", "/v1/chat"):
            self.assertEqual(self.local.ask("GET", path)[0], 404, path)

    def test_keys_are_not_told(self):
        """Neither a key nor a part of it stands in the log."""
        self.ask("right", "GET", "/v1/models", None)
        self.ask("wrong", "GET", "/v1/models", None)
        for key in (self.good, self.keys["wrong"]):
            self.assertNotIn(key.split("_")[2][:12], self.keyed.log())


if __name__ == "__main__":
    unittest.main(verbosity=2)
