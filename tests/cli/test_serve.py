#!/usr/bin/env python3
"""realm serve: a live server, plain HTTP and JSON; whole and streamed answers, failures in OpenAI's shape,
keys, hosts and origins, clients that leave, and the end."""
import base64
import json
import signal
import socket
import struct
import time
import unittest

from house import GUESTS, Case
from live import Server, read_all, soon

HELLO = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 12, "temperature": 0}
LONG = {**HELLO, "temperature": 1, "seed": 5, "max_tokens": 1800, "stream": True}
TOKENS, BLOCKS, RUNNING = "realm_generated_tokens_total", "realm_kv_blocks_used", "realm_requests_under_way"


class Served(Case):
    def setUp(self):
        self.server = Server(self)

    def tearDown(self):
        self.server.stop()

    def failed(self, body, status, *words, path="/v1/chat/completions", param=None):
        error = self.server.json("POST", path, body, status=status)["error"]
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        for word in words:
            self.assertIn(word, error["message"])
        self.assertEqual(error["param"], param)
        return error

    def test_health_and_models(self):
        for path in ("/livez", "/readyz", "/health"):
            self.assertEqual(self.server.json("GET", path), {"status": "ok"})
        listed = self.server.json("GET", "/v1/models")
        self.assertEqual(listed["object"], "list")
        self.assertEqual([m["id"] for m in listed["data"]], ["tiny"])
        self.assertEqual(self.server.json("GET", "/v1/models/tiny"), listed["data"][0])
        self.assertEqual(self.server.json("GET", "/v1/models/none", status=404)["error"]["code"], "model_not_found")
        self.assertEqual(self.server.ask("HEAD", "/v1/models")[::2], (200, ""))

    def test_chat_whole_and_streamed(self):
        whole = self.server.json("POST", "/v1/chat/completions", HELLO)
        self.assertEqual((whole["object"], whole["model"]), ("chat.completion", "tiny"))
        choice = whole["choices"][0]
        self.assertIn(choice["finish_reason"], ("stop", "length"))
        self.assertEqual(choice["message"]["role"], "assistant")
        self.assertTrue(choice["message"]["content"])
        usage = whole["usage"]
        self.assertEqual(usage["total_tokens"], usage["prompt_tokens"] + usage["completion_tokens"])
        events = self.server.events("/v1/chat/completions", {**HELLO, "stream_options": {"include_usage": True}})
        self.assertEqual(events[0]["choices"][0]["delta"], {"role": "assistant", "content": ""})
        text = "".join(e["choices"][0]["delta"].get("content", "") for e in events if e["choices"])
        self.assertEqual(text, choice["message"]["content"])
        self.assertEqual(events[-2]["choices"][0]["finish_reason"], choice["finish_reason"])
        self.assertEqual((events[-1]["choices"], events[-1]["usage"]), ([], usage))
        self.assertEqual(len({e["id"] for e in events}), 1)
        without = self.server.events("/v1/chat/completions", HELLO)
        self.assertTrue(all("usage" not in e for e in without))

    def test_completions(self):
        ask = {"model": "tiny", "prompt": "the water", "max_tokens": 8, "temperature": 0}
        whole = self.server.json("POST", "/v1/completions", ask)
        self.assertEqual(whole["object"], "text_completion")
        text = whole["choices"][0]["text"]
        streamed = self.server.events("/v1/completions", ask)
        self.assertEqual("".join(e["choices"][0]["text"] for e in streamed), text)
        self.assertEqual(self.server.json("POST", "/v1/completions", {**ask, "prompt": ["the water"]})["choices"][0]["text"],
                         text)
        ids = self.json("tokenize", "tiny", "--text", "the water", "--bos", "--json")["ids"]
        self.assertEqual(self.server.json("POST", "/v1/completions", {**ask, "prompt": ids})["choices"][0]["text"], text)

    def test_parameters_take_effect(self):
        def text(**more):
            return self.server.json("POST", "/v1/completions",
                                    {"model": "tiny", "prompt": "the water", "max_tokens": 24, "seed": 3, **more})

        plain = text(temperature=0)["choices"][0]["text"]
        self.assertEqual(text()["choices"][0]["text"], text()["choices"][0]["text"], "a seed repeats")
        self.assertNotEqual(text()["choices"][0]["text"], text(seed=4)["choices"][0]["text"])
        self.assertNotEqual(text()["choices"][0]["text"], text(temperature=0)["choices"][0]["text"])
        self.assertEqual(text(top_p=0.000001)["choices"][0]["text"], plain)
        word = plain.split()[2]
        cut = text(temperature=0, stop=word)["choices"][0]
        self.assertEqual((cut["text"], cut["finish_reason"]), (plain.split(word)[0], "stop"))
        self.assertEqual(text(temperature=0, max_tokens=2)["usage"]["completion_tokens"], 2)
        self.assertNotEqual(text(temperature=0, frequency_penalty=2)["choices"][0]["text"], plain)
        self.assertNotEqual(text(temperature=0, presence_penalty=2)["choices"][0]["text"], plain)
        some = self.json("tokenize", "tiny", "--text", "words", "--json")["ids"][-1]
        biased = text(temperature=0, logit_bias={str(some): 100}, max_tokens=6)["choices"][0]["text"]
        self.assertEqual(len(set(biased.split())), 1, biased)

    def test_ignore_eos(self):
        """A text that would end at once goes on to its limit."""
        end, = self.server.json("POST", "/tokenize", {"model": "tiny", "prompt": "</s>", "add_special_tokens": False})["tokens"]
        for path, ask in (("/v1/chat/completions", HELLO), ("/v1/completions", {"model": "tiny", "prompt": "the"})):
            told = []
            for more in ({}, {"ignore_eos": None}, {"ignore_eos": False}, {"ignore_eos": True}):
                got = self.server.json("POST", path, {**ask, "max_tokens": 12, "logit_bias": {str(end): 100}, **more})
                told.append((got["choices"][0]["finish_reason"], got["usage"]["completion_tokens"]))
            self.assertEqual(told, [("stop", 0)] * 3 + [("length", 12)])
            self.failed({**ask, "ignore_eos": "yes"}, 400, path=path, param="ignore_eos")

    def test_structured_output(self):
        schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
                  "required": ["n"], "additionalProperties": False}
        for seed in range(10):
            said = self.server.json("POST", "/v1/chat/completions", {
                **HELLO, "temperature": 1, "seed": seed, "max_tokens": 60,
                "response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}})
            value = json.loads(said["choices"][0]["message"]["content"])
            self.assertTrue(set(value) == {"n"} and 0 <= value["n"] <= 99, value)
        said = self.server.json("POST", "/v1/chat/completions", {**HELLO, "temperature": 1, "regex": "(yes|no)"})
        self.assertIn(said["choices"][0]["message"]["content"], ("yes", "no"))
        self.failed({**HELLO, "regex": "("}, 400, "does not compile", param="regex")
        self.failed({**HELLO, "response_format": {"type": "xml"}}, 400, param="response_format")

    def test_logprobs(self):
        ask = {**HELLO, "logprobs": True, "top_logprobs": 3, "max_tokens": 5}
        whole = self.server.json("POST", "/v1/chat/completions", ask)["choices"][0]
        content = whole["logprobs"]["content"]
        self.assertTrue(content)
        self.assertEqual(b"".join(bytes(t["bytes"]) for t in content).decode(errors="replace").strip(),
                         whole["message"]["content"].strip())
        for t in content:
            self.assertEqual(len(t["top_logprobs"]), 3)
            self.assertEqual(t["top_logprobs"][0]["logprob"], t["logprob"], "it was greedy")
        parts = [t for e in self.server.events("/v1/chat/completions", ask) if e["choices"]
                 for t in (e["choices"][0]["logprobs"] or {}).get("content", [])]
        self.assertEqual(parts, content)

    def test_bad_requests_say_what_is_wrong(self):
        self.failed("{", 400, "no JSON object")
        self.failed("[]", 400, "no JSON object")
        self.failed("[" * 100, 400, "nested")
        self.failed({"messages": []}, 400, "model", param="model")
        self.failed({"model": "tiny"}, 400, "messages", param="messages")
        self.failed({**HELLO, "model": "none"}, 404, "none")
        self.failed({**HELLO, "model": "../etc/passwd"}, 400)
        self.failed({**HELLO, "messages": [{"content": "x"}]}, 400, "role", param="messages[0]")
        self.failed({**HELLO, "messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, 400,
                    param="messages[0].content[0]")
        self.failed({**HELLO, "tools": [{"type": "web_search"}]}, 400, "not offered", param="tools[0].type")
        self.failed({**HELLO, "tools": [{"type": "function"}]}, 400, "tools[0]", param="tools")
        self.failed({**HELLO, "n": 9}, 400, param="n")
        for key in ("temperature", "top_p", "presence_penalty", "frequency_penalty", "max_tokens", "top_k", "min_p"):
            for value in (-3, 1e308, "1", [], 2**63):
                status, _, text = self.server.ask("POST", "/v1/chat/completions", {**HELLO, key: value})
                self.assertEqual(status, 400, f"{key}={value}: {text}")
        self.failed({**HELLO, "messages": [{"role": "user", "content": "water " * 5000}]}, 400, "context")
        status, _, text = self.server.ask("POST", "/v1/chat/completions", "x" * (1 << 20) + "x")
        self.assertEqual((status, json.loads(text)["error"]["type"]), (413, "invalid_request_error"))
        self.assertEqual(self.server.json("POST", "/v1/models", {}, status=405)["error"]["type"], "invalid_request_error")
        self.server.json("GET", "/v1/nothing", status=404)
        self.server.json("POST", "/v1/chat/completions", {**HELLO, "unheard_of": 1, "user": None})

    def test_choices_are_what_each_is_alone(self):
        ask = {"model": "tiny", "prompt": ["the water", "a bird"], "max_tokens": 8, "seed": 7}
        together = self.server.json("POST", "/v1/completions", {**ask, "n": 2, "echo": True})
        texts = [c["text"] for c in together["choices"]]
        self.assertEqual([c["index"] for c in together["choices"]], [0, 1, 2, 3])
        self.assertEqual(len(set(texts)), 4)
        for at, prompt in enumerate(ask["prompt"]):
            alone = self.server.json("POST", "/v1/completions", {**ask, "prompt": prompt})
            self.assertEqual(texts[2 * at], prompt + alone["choices"][0]["text"])
        events = self.server.events("/v1/completions", {**ask, "n": 2, "echo": True})
        for at in range(4):
            said = "".join(c["text"] for e in events for c in e["choices"] if c["index"] == at)
            self.assertEqual(said, texts[at])
        self.assertEqual(together["usage"]["prompt_tokens"],
                         sum(self.server.json("POST", "/v1/completions", {**ask, "prompt": p})["usage"]["prompt_tokens"]
                             for p in ask["prompt"]))

    def test_embeddings_and_tokens(self):
        texts = [f"the water {n}" for n in range(40)]
        many = self.server.json("POST", "/v1/embeddings", {"model": "tiny", "input": texts})
        one = self.server.json("POST", "/v1/embeddings", {"model": "tiny", "input": texts[33]})
        self.assertEqual(many["data"][33]["embedding"], one["data"][0]["embedding"])
        self.assertNotEqual(many["data"][32]["embedding"], one["data"][0]["embedding"])
        self.assertAlmostEqual(sum(x * x for x in one["data"][0]["embedding"]), 1, 5)
        packed = self.server.json("POST", "/v1/embeddings", {"model": "tiny", "input": texts[33], "encoding_format": "base64"})
        raw = base64.b64decode(packed["data"][0]["embedding"])
        for x, y in zip(struct.unpack(f"<{len(raw) // 4}f", raw), one["data"][0]["embedding"], strict=True):
            self.assertAlmostEqual(x, y, 7)
        said = self.server.json("POST", "/tokenize", {"model": "tiny", "prompt": "the water", "return_token_strs": True,
                                                      "add_special_tokens": False})
        self.assertEqual(said["tokens"], self.json("tokenize", "tiny", "--text", "the water", "--json")["ids"])
        self.assertEqual((said["count"], len(said["token_strs"])), (len(said["tokens"]), len(said["tokens"])))
        self.assertEqual(self.server.json("POST", "/detokenize", {"model": "tiny", "tokens": said["tokens"]})["prompt"].strip(),
                         "the water")
        chat = self.server.json("POST", "/tokenize", {"model": "tiny", "messages": HELLO["messages"]})
        usage = self.server.json("POST", "/v1/chat/completions", HELLO)["usage"]
        self.assertEqual(chat["count"], usage["prompt_tokens"])

    def test_a_program_is_a_model(self):
        chat = GUESTS / "chat.wasm"
        self.realm("program", "add", str(chat), "--name", "mine")
        said = self.server.json("POST", "/v1/chat/completions", {**HELLO, "model": "mine@tiny"})
        self.assertEqual(said["model"], "mine@tiny")
        self.assertEqual(said["choices"], self.server.json("POST", "/v1/chat/completions", HELLO)["choices"])
        self.assertIn("mine", [m["id"] for m in self.server.json("GET", "/v1/models")["data"]])
        self.assertEqual(self.server.json("GET", "/v1/models/mine")["owned_by"], "realm-program")
        self.failed({**HELLO, "model": "mine"}, 404, "without a model")
        self.failed({**HELLO, "model": "yours@tiny"}, 404, "yours")
        self.realm("program", "rm", "mine")
        self.failed({**HELLO, "model": "mine@tiny"}, 404, "mine")

    def test_other_hosts_and_origins(self):
        for host, status in (("localhost", 200), ("127.0.0.1:1", 200), ("[::1]", 200), ("evil.example", 421)):
            self.server.json("GET", "/v1/models", headers={"Host": host}, status=status)
        self.server.json("GET", "/v1/models", headers={"Origin": "https://evil.example"}, status=403)
        own = f"http://127.0.0.1:{self.server.port}"
        status, fields, _ = self.server.ask("GET", "/v1/models", headers={"Origin": own})
        self.assertEqual((status, fields["access-control-allow-origin"]), (200, own))
        status, fields, _ = self.server.ask("OPTIONS", "/v1/chat/completions", headers={"Origin": own})
        self.assertEqual((status, fields["access-control-allow-origin"]), (204, own))
        status, fields, _ = self.server.ask("OPTIONS", "/v1/chat/completions", headers={"Origin": "https://evil.example"})
        self.assertEqual((status, "access-control-allow-origin" in fields), (403, False))

    def test_a_client_that_leaves_frees_the_engine(self):
        """Nobody reads on, so what is left of a text could only be told by the engine's own count."""
        before = self.server.metrics()
        for at in range(8):
            with self.server.post("/v1/chat/completions", LONG) as link:
                if at % 2:
                    self.assertTrue(link.recv(100))
        after = soon("no request runs and no block is kept", lambda: self.idle())
        self.assertLess(after[TOKENS] - before[TOKENS], 8 * 500, "a whole one has 1,800 tokens")
        self.server.json("POST", "/v1/chat/completions", HELLO)

    def idle(self):
        now = self.server.metrics()
        return now if now[RUNNING] == now[BLOCKS] == 0 else None


class Ends(Case):
    def test_keys(self):
        key = self.realm("key", "new").stdout.strip()
        server = Server(self)
        for headers, status in (({}, 401), ({"Authorization": f"Bearer {key}"}, 200), ({"Authorization": f"bearer {key}"}, 200),
                                ({"Authorization": f"Bearer {key}x"}, 401), ({"Authorization": "Basic eA=="}, 401)):
            got = server.json("GET", "/v1/models", headers=headers, status=status)
            if status == 401:
                self.assertEqual(got["error"]["code"], "invalid_api_key")
            server.json("GET", "/livez", headers=headers)
        self.realm("key", "revoke", key.split("_")[1])
        server.json("GET", "/v1/models", headers={"Authorization": f"Bearer {key}"}, status=401)
        server.stop()

    def test_the_use_of_a_key_is_written(self):
        keys = [self.realm("key", "new").stdout.strip() for _ in range(2)]
        used, idle = (k.split("_")[1] for k in keys)

        def last(name):
            return next(k for k in self.json("key", "list", "--json")["keys"] if k["id"] == name)["last_used"]

        server = Server(self)
        began = int(time.time())
        server.json("GET", "/v1/models", headers={"Authorization": f"Bearer {idle}"}, status=401)  # no more than its name
        server.json("GET", "/livez", headers={"Authorization": f"Bearer {keys[1]}"})  # needs none, so none is looked at
        self.assertIsNone(last(used))
        server.json("POST", "/v1/chat/completions", HELLO, headers={"Authorization": f"Bearer {keys[0]}"})
        at = soon("its use is written", lambda: last(used))
        self.assertTrue(began <= at <= time.time())
        self.assertRegex(self.realm("key", "list").stdout, rf"(?m)^{used} .*\d{{4}}-.*\d{{4}}-")
        self.assertIsNone(last(idle))
        server.stop()
        for name in (used, idle):
            self.realm("key", "revoke", name)

    def test_listed_origins(self):
        """A page of a listed origin may call and read; one that is not listed may neither."""
        app, path = "https://app.example", "/v1/chat/completions"
        server = Server(self, "--allowed-origins", f"{app},https://other.example:8443")
        wants = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization, content-type"}
        for origin in (app, "https://other.example:8443"):
            status, fields, text = server.ask("OPTIONS", path, headers={"Origin": origin, **wants})
            self.assertEqual((status, text, fields["access-control-allow-origin"]), (204, "", origin))
            self.assertIn("POST", fields["access-control-allow-methods"].split(", "))
            allowed = fields["access-control-allow-headers"].lower().split(", ")
            self.assertLessEqual({"authorization", "content-type"}, set(allowed))
            self.assertIn("Origin", fields["vary"])
            for body, good in ((HELLO, 200), ({**HELLO, "stream": True}, 200), ({**HELLO, "temperature": 9}, 400)):
                status, fields, _ = server.ask("POST", path, body, {"Origin": origin})
                self.assertEqual((status, fields["access-control-allow-origin"]), (good, origin))
                self.assertIn("X-Request-Id", fields["access-control-expose-headers"])
                self.assertIn("Origin", fields["vary"])
        for origin in ("https://evil.example", "http://app.example", "https://app.example:8443", "https://app.example.evil",
                       "https://sub.app.example", "null"):
            for method, body in (("OPTIONS", None), ("POST", HELLO)):
                status, fields, _ = server.ask(method, path, body, {"Origin": origin, **wants})
                self.assertEqual((status, "access-control-allow-origin" in fields), (403, False), f"{method} {origin}")
        self.assertNotIn("access-control-allow-origin", server.ask("POST", path, HELLO)[1])
        server.stop()

    def test_keys_required(self):
        self.refused("serve", "--port", "0", "--keys-required", "yes", words=("realm key new",))

    def test_other_addresses_need_keys(self):
        self.refused("serve", "--port", "0", "--host", "0.0.0.0", words=("keys", "realm key new"))
        self.refused("serve", "--port", "0", "--host", "0.0.0.0", "--keys-required", "no", words=("keys are needed",))
        self.refused("serve", "--port", "0", "--host", "no.such.host.invalid", "--keys-required", "no", words=("keys",))
        self.realm("serve", "--port", "99999", code=2)

    def stalled(self, server):
        """A stream whose client has read 10 bytes: text and logprobs are larger than all that lies between the two, so
        it cannot end before more is read. -> the client's socket"""
        link = socket.socket()
        link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        link.connect(("127.0.0.1", server.port))
        link.settimeout(120)
        server.post("/v1/chat/completions", {**LONG, "max_tokens": 1500, "logprobs": True, "top_logprobs": 20}, link)
        self.assertTrue(link.recv(10))
        return link

    def test_sigterm_lets_streams_end(self):
        server = Server(self)
        with self.stalled(server) as link:
            server.signal()
            server.until("stopping")
            link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)  # now in a hurry
            text = read_all(link)
        self.assertIn(b"data: [DONE]", text[-40:])
        self.assertGreater(text.count(b'"top_logprobs":[{'), 1400)  # of 1,500; some lie across two chunks
        self.assertGreater(len(text), 2_000_000)
        server.stop()

    def test_a_second_signal_ends_at_once(self):
        server = Server(self)
        with self.stalled(server):
            server.signal()
            server.until("stopping")
            server.signal()
            self.assertEqual(server.run.wait(timeout=20), 0, "the first one alone would wait for 30 s")


if __name__ == "__main__":
    unittest.main()
