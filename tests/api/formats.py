"""Structured output: every answer is in its form, at temperature 1 and from a model that knows no form."""
import json
import re
from typing import List, Literal, Optional

import jsonschema
import openai
import pydantic

SEEDS = range(12)
SCHEMA = {"type": "object", "properties": {
    "name": {"type": "string", "enum": ["ann", "bob"]}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
    "tags": {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}},
    "required": ["name", "age", "tags"], "additionalProperties": False}


OPEN = {"type": "object", "properties": {
    "name": {"type": "string"}, "tags": {"type": "array", "items": {"type": "string"}},
    "more": {"type": "object"}}, "required": ["name", "tags"], "additionalProperties": False}


class Person(pydantic.BaseModel):
    name: Literal["ann", "bob"]
    age: int = pydantic.Field(ge=0, le=150)
    likes: Optional[Literal["tea", "milk"]]
    flags: List[bool] = pydantic.Field(min_length=1, max_length=3)


def format_of(schema, **more):
    return {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, **more}}


class Formats:
    def test_format_text(self):
        self.assertEqual(self.said(response_format={"type": "text"}), self.said())

    def test_format_json_object(self):
        for seed in SEEDS:
            choice = self.chat(response_format={"type": "json_object"}, temperature=1, seed=seed,
                               max_tokens=20 + 15 * seed).choices[0]
            self.assertEqual(choice.finish_reason, "stop")
            self.assertIsInstance(json.loads(choice.message.content), dict)

    def test_format_ends_in_time(self):
        """What is open is closed before max_tokens, which is used: no answer is cut."""
        for most in (30, 45, 90):
            used = 0
            for seed in SEEDS:
                whole = self.chat(response_format=format_of(OPEN), temperature=1, seed=seed, max_tokens=most)
                self.assertEqual(whole.choices[0].finish_reason, "stop")
                jsonschema.validate(json.loads(whole.choices[0].message.content), OPEN)
                self.assertLess(whole.usage.completion_tokens, most)
                used = max(used, whole.usage.completion_tokens)
            self.assertGreater(used, most / 2)
        cut = self.chat(response_format=format_of(OPEN), temperature=1, seed=1, max_tokens=4).choices[0]
        self.assertEqual(cut.finish_reason, "length")

    def test_format_json_schema(self):
        said = set()
        for strict in (True, False):
            for seed in SEEDS:
                choice = self.chat(response_format=format_of(SCHEMA, strict=strict), temperature=1, seed=seed,
                                   max_tokens=100).choices[0]
                self.assertEqual(choice.finish_reason, "stop")
                jsonschema.validate(json.loads(choice.message.content), SCHEMA)
                said.add(choice.message.content)
        self.assertGreater(len(said), 6)

    def test_format_with_n(self):
        whole = self.chat(response_format=format_of(SCHEMA, strict=True), temperature=1, seed=1, max_tokens=100, n=5)
        for choice in whole.choices:
            jsonschema.validate(json.loads(choice.message.content), SCHEMA)
        self.assertGreater(len({c.message.content for c in whole.choices}), 1)

    def test_format_parse(self):
        for seed in SEEDS:
            ask = dict(model=self.model, messages=self.messages, response_format=Person, temperature=1, seed=seed,
                       max_tokens=100)
            message = self.client.chat.completions.parse(**ask).choices[0].message
            self.assertIsInstance(message.parsed, Person)
            self.assertEqual(message.parsed, Person.model_validate_json(message.content))
            with self.client.chat.completions.stream(**ask) as stream:
                for _ in stream:
                    pass
                self.assertEqual(stream.get_final_completion().choices[0].message.parsed, message.parsed)

    def test_format_regex(self):
        said = set()
        for seed in SEEDS:
            choice = self.chat(extra_body={"regex": "(yes|no)[0-9]{2}"}, temperature=1, seed=seed).choices[0]
            self.assertEqual(choice.finish_reason, "stop")
            self.assertTrue(re.fullmatch("(yes|no)[0-9]{2}", choice.message.content), choice)
            said.add(choice.message.content)
        self.assertGreater(len(said), 3)

    def test_format_lark(self):
        lark = 'start: item ("," item)*\nitem: "cat" | "dog"\n'
        for seed in SEEDS:
            choice = self.chat(extra_body={"lark": lark}, temperature=1, seed=seed, max_tokens=40).choices[0]
            self.assertEqual(choice.finish_reason, "stop")
            self.assertTrue(re.fullmatch("(cat|dog)(,(cat|dog))*", choice.message.content), choice)

    def test_format_of_texts(self):
        for seed in SEEDS:
            choice = self.complete(extra_body={"regex": "[abc]{3}"}, temperature=1, seed=seed).choices[0]
            self.assertTrue(re.fullmatch("[abc]{3}", choice.text))

    def test_format_json_schema_of_texts(self):
        choice = self.complete(extra_body={"response_format": format_of(SCHEMA)}, max_tokens=100).choices[0]
        jsonschema.validate(json.loads(choice.text), SCHEMA)

    def test_format_refusals(self):
        def ask(**more):
            return lambda: self.client.chat.completions.create(model=self.model, messages=self.messages, **more)

        bad = openai.BadRequestError
        deep = {"type": "object", "properties": {"a": {"$ref": "#/$defs/none"}}}
        for value in ({"type": "json_schema"}, {"type": "json_schema", "json_schema": {"name": "x"}}, "json",
                      format_of({"type": "nonsense"}), format_of(deep), format_of(7)):
            self.refused(bad, ask(extra_body={"response_format": value}), "response_format")
        self.refused(bad, ask(extra_body={"regex": "("}), "regex")
        self.refused(bad, ask(extra_body={"regex": 7}), "regex")
        self.refused(bad, ask(extra_body={"lark": "start: nothing"}), "lark")
        self.refused(bad, ask(extra_body={"lark": 'start: "a"', "regex": "a"}))
