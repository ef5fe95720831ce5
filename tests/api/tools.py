"""Tool calls: forced ones name a declared tool and fit its schema whatever the model would say; arguments stream."""
import json
import re
from typing import Literal

import jsonschema
import openai
import pydantic

from bed import joined_chat

SEEDS = range(8)


def tool(name, properties, **more):
    return {"type": "function", "function": {"name": name, "description": f"asks for the {name}", "parameters": {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}, **more}}


WEATHER = tool("weather", {"city": {"type": "string", "enum": ["Oslo", "Rome"]},
                           "days": {"type": "integer", "minimum": 1, "maximum": 9}}, strict=True)
CLOCK = tool("clock", {"zone": {"type": "string", "pattern": "^[A-Z]{3}$"}, "exact": {"type": "boolean"}})
BY_NAME = {t["function"]["name"]: t for t in (WEATHER, CLOCK)}
NAMED = {"type": "function", "function": {"name": "clock"}}


class Tools:
    def valid(self, calls):
        """Each call fits the tool it names. -> the names"""
        for call in calls:
            self.assertEqual(call.type, "function")
            self.assertTrue(call.id.startswith("call_"), call.id)
            schema = BY_NAME[call.function.name]["function"]["parameters"]
            jsonschema.validate(json.loads(call.function.arguments), schema)
        self.assertEqual(len({c.id for c in calls}), len(calls))
        return [c.function.name for c in calls]

    def called(self, **more):
        return self.chat(**{"tools": [WEATHER, CLOCK], "temperature": 1, "max_tokens": 200, **more}).choices[0]

    def test_tool_named(self):
        said = set()
        for seed in SEEDS:
            choice = self.called(tool_choice=NAMED, seed=seed)
            self.assertEqual(self.valid(choice.message.tool_calls), ["clock"])
            self.assertIn(choice.finish_reason, ("stop", "tool_calls"))
            self.assertFalse(choice.message.content)
            said.add(choice.message.tool_calls[0].function.arguments)
        self.assertGreater(len(said), 2)

    def test_tool_required(self):
        names = set()
        for seed in SEEDS:
            choice = self.called(tool_choice="required", seed=seed)
            names.update(self.valid(choice.message.tool_calls))
            self.assertEqual(choice.finish_reason, "tool_calls")
            self.assertFalse(choice.message.content)
        self.assertEqual(names, {"weather", "clock"}, "each is called at some time")

    def test_tool_auto_and_none(self):
        for seed in SEEDS:
            for more in ({}, {"tool_choice": "auto"}):
                message = self.called(seed=seed, max_tokens=30, **more).message
                self.valid(message.tool_calls or [])
                self.assertTrue(message.content or message.tool_calls)
            none = self.called(seed=seed, max_tokens=30, tool_choice="none").message
            self.assertIsNone(none.tool_calls)
            self.assertTrue(none.content)

    def test_tool_parallel(self):
        for seed in SEEDS:
            choice = self.called(tool_choice="required", parallel_tool_calls=False, seed=seed)
            self.assertEqual(len(choice.message.tool_calls), 1)
        many = [len(self.called(tool_choice="required", parallel_tool_calls=True, seed=s, max_tokens=400).message.tool_calls)
                for s in SEEDS]
        self.assertGreater(max(many), 1, "a model that wants several may")

    def test_tool_stream_pieces(self):
        """The name comes once and first, the arguments in more pieces than one."""
        chunks = list(self.client.chat.completions.create(
            model=self.model, messages=self.messages, tools=[WEATHER], tool_choice="required", temperature=1, seed=3,
            max_tokens=200, stream=True, parallel_tool_calls=False))
        pieces = [t for c in chunks for t in c.choices[0].delta.tool_calls or []]
        self.assertTrue(all(p.index == 0 for p in pieces))
        self.assertEqual(pieces[0].function.name, "weather")
        self.assertGreater(sum(bool(p.function.arguments) for p in pieces), 1)
        self.assertEqual(joined_chat(chunks)[0]["finish"], "tool_calls")

    def test_tool_logprobs(self):
        """Text has its tokens as it has them without tools; what a call is made of has none."""
        for seed in SEEDS:
            free = self.called(seed=seed, max_tokens=30, logprobs=True, top_logprobs=seed % 3 * 10)
            tokens = free.logprobs.content or []
            self.assertEqual("".join(t.token for t in tokens), free.message.content or "")
            self.assertTrue(free.message.tool_calls or len(tokens) == 30)
            self.assertTrue(all(len(t.top_logprobs) == seed % 3 * 10 for t in tokens))
            forced = self.called(seed=seed, tool_choice="required", logprobs=True)
            self.valid(forced.message.tool_calls)
            self.assertIsNone(forced.logprobs.content)

    def test_tool_or_format(self):
        """Where the model may choose, it calls or keeps the form of the text."""
        schema = {"type": "json_schema", "json_schema": {"name": "clock", "strict": True, "schema": {
            "type": "object", "properties": {"name": {"type": "string", "enum": ["weather"]}, "late": {"type": "boolean"}},
            "required": ["name", "late"], "additionalProperties": False}}}
        forms = ({"response_format": schema}, {"response_format": {"type": "json_object"}},
                 {"extra_body": {"regex": "(yes|no)[0-9]{2}"}}, {"extra_body": {"lark": 'start: "cat" ("," "cat")~0..2'}})
        calls = 0
        for form in forms:
            seen = [choice for seed in range(16) for choice in self.call_or_form(form, seed)]
            self.assertIn("text", seen, form)
            calls += seen.count("call")
        self.assertGreater(calls, 0)

    def call_or_form(self, form, seed):
        choice = self.called(seed=seed, logprobs=seed % 2 == 0, max_tokens=300, **form)
        if choice.message.tool_calls and choice.finish_reason == "length":
            return ()  # cut like any text
        if choice.message.tool_calls:
            self.valid(choice.message.tool_calls)
            self.assertEqual((choice.finish_reason, choice.message.content), ("tool_calls", None))
            return ("call",)
        said = choice.message.content
        if choice.finish_reason == "length":
            return ()
        if seed % 2 == 0:
            self.assertEqual(b"".join(bytes(t.bytes) for t in choice.logprobs.content), said.encode())
        if "response_format" not in form:
            self.assertTrue(re.fullmatch("(yes|no)[0-9]{2}|cat(,cat){0,2}", said), said)
        elif form["response_format"]["type"] == "json_object":
            self.assertIsInstance(json.loads(said), dict)
        else:
            jsonschema.validate(json.loads(said), form["response_format"]["json_schema"]["schema"])
        return ("text",)

    def test_tool_must_over_format(self):
        """A call that must be made leaves no text that could have a form."""
        for choice in ("required", NAMED):
            made = self.called(tool_choice=choice, response_format={"type": "json_object"}, seed=1)
            self.valid(made.message.tool_calls)
            self.assertIsNone(made.message.content)

    def test_tool_n(self):
        whole = self.chat(tools=[WEATHER, CLOCK], tool_choice="required", n=4, temperature=1, seed=2, max_tokens=200)
        for choice in whole.choices:
            self.valid(choice.message.tool_calls)
        self.assertGreater(len({c.message.tool_calls[0].function.arguments for c in whole.choices}), 1)

    def test_tool_answers_go_back(self):
        """The call, and what the tool said, are part of the conversation."""
        call = self.called(tool_choice=NAMED, seed=1).message
        asked = [*self.messages, call.to_dict()]
        texts = [self.said(messages=[*asked, {"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": c}])
                 for c in ("twelve", "noon")]
        self.assertNotEqual(*texts)

    def test_tool_helper(self):
        class Weather(pydantic.BaseModel):
            city: Literal["Oslo"]

        made = openai.pydantic_function_tool(Weather, name="weather")
        done = self.client.chat.completions.parse(model=self.model, messages=self.messages, tools=[made],
                                                  tool_choice="required", parallel_tool_calls=False, max_tokens=100)
        self.assertEqual(done.choices[0].message.tool_calls[0].function.parsed_arguments, Weather(city="Oslo"))

    def test_tool_refusals(self):
        def ask(**more):
            return lambda: self.client.chat.completions.create(**{"model": self.model, "messages": self.messages,
                                                                  "tools": [WEATHER], **more})

        bad = openai.BadRequestError
        for choice in ("always", {"type": "function", "function": {"name": "none"}}, {"type": "function"}, 5):
            self.refused(bad, ask(extra_body={"tool_choice": choice}), "tool_choice")
        for tools in ("weather", [5], [{"type": "function"}], [{"type": "web_search"}], [WEATHER, WEATHER],
                      [tool("a b", {})], [tool("x" * 65, {})],
                      [tool("x", {"a": {"type": "nonsense"}})]):
            self.refused(bad, ask(extra_body={"tools": tools}, tool_choice="required"), "tools")
        self.refused(bad, ask(extra_body={"tools": [], "tool_choice": "required"}))
        self.refused(bad, ask(extra_body={"parallel_tool_calls": "yes"}), "parallel_tool_calls")
