#!/usr/bin/env python3
"""Programs as models: a status of their own, whole and streamed, and what they hear of a request's headers."""
import http.client
import json
import unittest

import bed
import house
import openai
from live import soon

KINDS = {400: openai.BadRequestError, 403: openai.PermissionDeniedError, 418: openai.APIStatusError,
         429: openai.RateLimitError, 500: openai.InternalServerError, 503: openai.InternalServerError}
TYPES = {429: "rate_limit_error", 500: "server_error", 503: "server_error"}
CHAT = "/v1/chat/completions"
SECRETS = {"Authorization": "Bearer secret-1", "Cookie": "secret-2", "X-Api-Key": "secret-3", "Api-Key": "secret-4",
           "Proxy-Authorization": "Basic secret-5", "Set-Cookie": "secret-6", "X-Other": "secret-7"}
TOLD = {"User-Agent": "a client", "Accept-Language": "nb", "X-Request-Id": "mine-1", "X-Session-Id": "session-1",
        "Traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


class Programs(bed.Api):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls().realm("program", "add", house.GUESTS / "status.wasm", "--name", "status")

    def forms(self, order, stream):
        """-> the order as each endpoint takes it"""
        ask = {"model": "status", "stream": stream}
        messages = [{"role": "user", "content": order}]
        return (lambda: self.client.chat.completions.create(messages=messages, **ask),
                lambda: self.client.completions.create(prompt=order, **ask),
                lambda: self.client.responses.create(input=order, **ask))

    def refusal(self, call, status):
        """-> the sentence of a call that fails with that status as any other does"""
        with self.assertRaises(KINDS[status]) as got:
            call()
        e = got.exception
        self.assertEqual(e.status_code, status)
        self.assertEqual(set(e.body), {"message", "type", "param", "code"})
        self.assertEqual(e.body["type"], TYPES.get(status, "invalid_request_error"))
        self.assertEqual(e.response.headers["content-type"], "application/json")
        self.assertEqual("retry-after" in e.response.headers, status in (429, 503))
        return e.body["message"]

    def test_status(self):
        """Known before the first word of a stream is sent: no 200 has gone out."""
        for status in KINDS:
            for stream in (False, True):
                for call in self.forms(f"#{status}:no entry, says the program#", stream):
                    with self.subTest(status=status, stream=stream):
                        self.assertEqual(self.refusal(call, status), "no entry, says the program")

    def test_status_without_a_word(self):
        for stream in (False, True):
            for call in self.forms("#s", stream):
                self.assertTrue(self.refusal(call, 503))

    def test_status_with_many_words(self):
        for stream in (False, True):
            for call in self.forms("#b", stream):
                text = self.refusal(call, 400)
                self.assertTrue(text.startswith("ten \u00e9 \"\n ten "), text[:20])
                self.assertTrue(1000 < len(text) < 3000, len(text))
                self.assertNotIn("\ufffd", text)

    def test_good_status(self):
        for order in ("#0:all is well#", "#202:all is well#"):
            whole, text, response = (call() for call in self.forms(order, False))
            self.assertEqual([whole.choices[0].message.content, text.choices[0].text, response.output_text],
                             ["all is well"] * 3)
            chunks = list(self.forms(order, True)[0]())
            self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks), "all is well")

    def plain(self, order, stream):
        """-> of each endpoint its status, fields and text"""
        asks = {CHAT: {"messages": [{"role": "user", "content": order}]}, "/v1/completions": {"prompt": order},
                "/v1/responses": {"input": order}}
        return [self.server.ask("POST", path, {"model": "status", "stream": stream, **ask}) for path, ask in asks.items()]

    def test_good_status_is_the_answers(self):
        for status in (0, 200, 202, 299, 302, 399):
            for stream in (False, True):
                for got, fields, text in self.plain(f"#{status}:all is well#", stream):
                    with self.subTest(status=status, stream=stream):
                        self.assertEqual(got, status or 200)
                        self.assertEqual(fields["content-type"], "text/event-stream" if stream else "application/json")
                        self.assertIn("well", text)

    def test_status_without_a_body(self):
        """What the program says all the same is not taken for the answer to the next request."""
        link = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=120)
        self.addCleanup(link.close)
        for status in (204, 202, 304, 202):
            for stream in (False, True):
                ask = {"model": "status", "stream": stream, "messages": [{"role": "user", "content": f"#{status}:word#"}]}
                link.request("POST", CHAT, json.dumps(ask))
                reply = link.getresponse()
                self.assertEqual((reply.status, bool(reply.read())), (status, status == 202))

    def test_status_after_the_first_word(self):
        """It is too late then, and the program is told so."""
        self.assertEqual(self.forms("#l", False)[0]().choices[0].message.content, "begun, too late")
        chunks = list(self.forms("#l", True)[0]())
        self.assertEqual("".join(c.choices[0].delta.content or "" for c in chunks), "begun, too late")

    def test_one_choice_refuses(self):
        ask = {"model": "status", "messages": [{"role": "user", "content": "#c"}], "n": 2}
        self.assertEqual(self.refusal(lambda: self.client.chat.completions.create(**ask), 429), "one too many")
        status, _, text = self.server.ask("POST", CHAT, {**ask, "stream": True})
        if status == 200:  # the other one had begun: the stream fails midway
            text = text.removesuffix("\n\n").rsplit("data: ", 1)[1]
        else:
            self.assertEqual(status, 429)
        error = json.loads(text)["error"]
        self.assertEqual((error["message"], error["type"]), ("one too many", "rate_limit_error"))

    def test_filtered(self):
        for stream in (False, True):
            got = [text for status, _, text in self.plain("#f", stream) if status == 200]
            for text in got[:2]:
                self.assertIn('"finish_reason":"content_filter"', text)
            self.assertIn('"status":"incomplete"', got[2])
            self.assertIn('"incomplete_details":{"reason":"content_filter"}', got[2])

    def test_how_they_ended_is_counted(self):
        def counts():
            all_of = self.server.metrics()
            return [all_of['realm_requests_finished_total{finish="%s"}' % w]
                    for w in ("stop", "content_filter", "refused", "error")]

        before = counts()
        for order in ("#0:yes#", "#f", "#f", "#403:no#", "#503:no#", "#s"):
            self.server.ask("POST", CHAT, {"model": "status", "messages": [{"role": "user", "content": order}]})
        soon("six more", lambda: sum(counts()) >= sum(before) + 6)
        self.assertEqual([b - a for a, b in zip(before, counts())], [1, 2, 3, 0])

    def test_headers(self):
        for stream in (False, True):
            status, _, text = self.server.ask("POST", CHAT, {"model": "status", "stream": stream,
                                                             "messages": [{"role": "user", "content": "#h"}]},
                                              {**SECRETS, **TOLD})
            self.assertEqual(status, 200)
            self.assertNotIn("secret", text)
            if stream:
                data = [json.loads(e.removeprefix("data: ")) for e in text.split("\n\n")[:-1] if not e.endswith("[DONE]")]
                said = "".join(c["delta"].get("content") or "" for e in data for c in e["choices"])
            else:
                said = json.loads(text)["choices"][0]["message"]["content"]
            lines = dict(line.split("=", 1) for line in said.splitlines())
            lines = {name.lower(): value for name, value in lines.items()}
            for name, value in TOLD.items():
                self.assertEqual(lines.pop(name.lower()), value)
            self.assertEqual({"authorization", "cookie", "x-api-key"} - set(lines), set(), "they were asked for")
            self.assertEqual(set(lines.values()), {""}, lines)


if __name__ == "__main__":
    unittest.main(verbosity=2)
