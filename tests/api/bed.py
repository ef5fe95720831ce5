"""What the tests of the API share: the pinned clients, a live server with the tiny model, and answers that are asked
for twice, whole and as a stream, which must say the same in every field.

The tiny model has random weights: its texts mean nothing, but they are printable, never end by themselves, and
depend on the request alone. So whatever a parameter changes shows as a different text."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests/cli"), str(ROOT / "tools")]

import client_cache  # noqa: E402

client_cache.enter()

import openai  # noqa: E402
from openai.types import Completion  # noqa: E402
from openai.types.chat import ChatCompletion, ChatCompletionChunk  # noqa: E402
from openai.types.responses import Response  # noqa: E402

import house  # noqa: E402
import tiny_words  # noqa: E402
from live import Server  # noqa: E402

STREAM = {"stream": True, "stream_options": {"include_usage": True}}
OMIT = object()  # as the value of a parameter: it is not sent
PIECES = [piece.replace(tiny_words.SPACE, " ") for piece, _, _ in tiny_words.talk()]
ID = {piece: i for i, piece in enumerate(PIECES)}  # of a token's text


def given(defaults, more):
    return {k: v for k, v in {**defaults, **more}.items() if v is not OMIT}


def cut(text, stops):
    """What is left of a text by stop strings."""
    stops = [stops] if isinstance(stops, str) else stops
    return text[:min((text.index(s) for s in stops if s in text), default=len(text))]


def names(param, field):
    """Whether an error's param is a field, or a place within it: messages[0].content"""
    return param == field or bool(param) and param.startswith((field + "[", field + "."))


class Api(house.Case):
    """One server, and one client, for all tests of a class."""

    args = ()  # of the server
    model = text_model = "tiny"  # as the client names it: in chats, in completions
    messages = [{"role": "user", "content": "hello"}]

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = Server(cls, *cls.args)
        cls.client = cls.connect(openai.OpenAI)

    @classmethod
    def tearDownClass(cls):
        cls.client.close()
        cls.server.stop()
        super().tearDownClass()

    @classmethod
    def connect(cls, kind, key="none"):
        return kind(base_url=cls.url() + "/v1", api_key=key, max_retries=0, timeout=120)

    @classmethod
    def url(cls):
        return cls.server.url

    # ---- types

    def typed(self, thing):
        """What came has every field its type demands, of the right kind: the client itself does not look."""
        type(thing).model_validate_json(thing.to_json(exclude_unset=True), strict=True)
        return thing

    def sums(self, usage):
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)
        return usage

    def refused(self, kind, call, param=None, code=None):
        """The call fails as OpenAI's would. -> the client's exception"""
        with self.subTest(param=param), self.assertRaises(kind) as got:
            call()
        if not hasattr(got, "exception"):
            return None
        error = got.exception.body
        self.assertEqual(set(error), {"message", "type", "param", "code"})
        self.assertTrue(error["message"])
        with self.subTest(param=param):
            self.assertTrue(not param or names(error["param"], param), f"{error} is not of {param}")
        if code:
            self.assertEqual(error["code"], code)
        return got.exception

    def heard(self, stream):
        """-> the pieces of a stream"""
        return list(stream)

    # ---- chats

    def chat(self, **more):
        """-> the ChatCompletion"""
        ask = given({"model": self.model, "messages": self.messages, "max_tokens": 16, "temperature": 0}, more)
        whole = self.typed(self.client.chat.completions.create(**ask))
        self.assertIs(type(whole), ChatCompletion)
        self.sums(whole.usage)
        chunks = self.heard(self.client.chat.completions.create(**ask, **STREAM))
        for chunk in chunks:
            self.assertIs(type(chunk), ChatCompletionChunk)
            self.typed(chunk)
        self.assertEqual({(c.id, c.model, c.created) for c in chunks}, {(chunks[0].id, whole.model, chunks[0].created)})
        self.assertEqual(joined_chat(chunks), [told_chat(c) for c in whole.choices])
        self.assertEqual((chunks[-1].choices, counts(chunks[-1].usage)), ([], counts(whole.usage)))
        self.assertTrue(all(c.usage is None for c in chunks[:-1]))
        return whole

    def said(self, **more):
        """-> the text of the only choice"""
        return self.chat(**more).choices[0].message.content

    # ---- completions

    def complete(self, **more):
        """-> the Completion"""
        ask = given({"model": self.text_model, "prompt": "the water", "max_tokens": 16, "temperature": 0}, more)
        whole = self.client.completions.create(**ask)
        self.assertIs(type(whole), Completion)
        self.typed_text(whole, ask)
        self.sums(whole.usage)
        chunks = self.heard(self.client.completions.create(**ask, **STREAM))
        for chunk in chunks:
            self.assertIs(type(chunk), Completion)
        self.assertEqual({(c.id, c.model, c.created) for c in chunks}, {(chunks[0].id, whole.model, chunks[0].created)})
        self.assertEqual(joined_texts(chunks), [told_text(c) for c in whole.choices])
        self.assertEqual((chunks[-1].choices, counts(chunks[-1].usage)), ([], counts(whole.usage)))
        self.assertTrue(all(c.usage is None for c in chunks[:-1]))
        return whole

    def typed_text(self, whole, ask):
        """An echo's numbers begin with null, as OpenAI's do; the type says nothing of it."""
        copy = whole.model_copy(deep=True)
        for p in (c.logprobs for c in copy.choices if c.logprobs and ask.get("echo")):
            p.token_logprobs[:1], p.top_logprobs[:1] = [0.0], [{}]
        self.typed(copy)

    def text(self, **more):
        return self.complete(**more).choices[0].text

    # ---- responses

    def respond(self, **more):
        """-> the Response"""
        ask = given({"model": self.model, "input": "hello", "max_output_tokens": 16, "temperature": 0}, more)
        whole = self.typed(self.client.responses.create(**ask))
        self.assertIs(type(whole), Response)
        self.assertEqual(whole.usage.total_tokens, whole.usage.input_tokens + whole.usage.output_tokens)
        events = [self.typed(e) for e in self.client.responses.create(**ask, stream=True)]
        self.assertEqual([e.sequence_number for e in events], list(range(len(events))))
        self.assertEqual(events[0].type, "response.created")
        last = events[-1].response
        self.assertEqual(events[-1].type, "response." + last.status)
        self.assertEqual([told_item(i) for i in last.output], [told_item(i) for i in whole.output])
        self.assertEqual((last.status, counts(last.usage)), (whole.status, counts(whole.usage)))
        deltas = "".join(e.delta for e in events if e.type == "response.output_text.delta")
        self.assertEqual(deltas, whole.output_text)
        self.calls_of(events, whole)
        return whole

    def calls_of(self, events, whole):
        """The arguments in pieces are those of the whole calls."""
        pieces = {}
        for e in events:
            if e.type == "response.function_call_arguments.delta":
                pieces[e.item_id] = pieces.get(e.item_id, "") + e.delta
        self.assertEqual(sorted(pieces.values()), sorted(i.arguments for i in whole.output if i.type == "function_call"))

    def answer(self, **more):
        return self.respond(**more).output_text


def counts(usage):
    if hasattr(usage, "input_tokens"):
        return usage.input_tokens, usage.output_tokens, usage.total_tokens
    return usage.prompt_tokens, usage.completion_tokens, usage.total_tokens


# ---- what choices say: but for ids, which are random


def told_chat(c):
    calls = [(t.type, t.function.name, t.function.arguments) for t in c.message.tool_calls or []]
    return {"index": c.index, "role": c.message.role, "text": c.message.content or "", "calls": calls,
            "finish": c.finish_reason, "logprobs": c.logprobs.content if c.logprobs else None}


def joined_chat(chunks):
    """Choices out of the pieces of a stream, as a reader of OpenAI's documentation would make them."""
    out = {}
    for c in (c for chunk in chunks for c in chunk.choices):
        one = out.setdefault(c.index, {"index": c.index, "role": None, "text": "", "calls": {}, "finish": None,
                                       "logprobs": None})
        assert one["finish"] is None, "the finish is the last of a choice"
        one["role"] = one["role"] or c.delta.role
        one["text"] += c.delta.content or ""
        one["finish"] = c.finish_reason
        if c.logprobs and c.logprobs.content is not None:
            one["logprobs"] = (one["logprobs"] or []) + c.logprobs.content
        for piece in c.delta.tool_calls or []:
            join_call(one["calls"], piece)
    for one in out.values():
        one["calls"] = [tuple(call) for _, call in sorted(one["calls"].items())]
    return [one for _, one in sorted(out.items())]


def join_call(calls, piece):
    """The first piece of a call names it and has its id, the others have arguments only."""
    if piece.index not in calls:
        assert piece.id and piece.type and piece.function.name, piece
        calls[piece.index] = [piece.type, piece.function.name, ""]
    else:
        assert not piece.id and not piece.function.name, piece
    calls[piece.index][2] += piece.function.arguments or ""


def told_text(c):
    p = c.logprobs
    lists = p and tuple(x or [] for x in (p.tokens, p.token_logprobs, p.top_logprobs, p.text_offset))
    return {"index": c.index, "text": c.text, "finish": c.finish_reason, "logprobs": lists}


def joined_texts(chunks):
    out = {}
    for c in (c for chunk in chunks for c in chunk.choices):
        one = out.setdefault(c.index, {"index": c.index, "text": "", "finish": None, "logprobs": None})
        assert one["finish"] is None, "the finish is the last of a choice"
        one["text"] += c.text
        one["finish"] = c.finish_reason
        more = told_text(c)["logprobs"]
        if more:
            one["logprobs"] = tuple(a + b for a, b in zip(one["logprobs"] or ([], [], [], []), more))
    return [one for _, one in sorted(out.items())]


def told_item(item):
    if item.type == "function_call":
        return ("call", item.name, item.arguments, item.status)
    return (item.type, item.role, item.status, [(p.type, p.text) for p in item.content])
