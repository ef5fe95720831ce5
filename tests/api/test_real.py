#!/usr/bin/env python3
"""A model that knows something, asked as its users would: sense, tools and forms end to end."""
import json
import unittest
from typing import Literal

import bed  # first: it enters the clients' environment
import house
import pydantic

NAME = "qwen2.5-coder-0.5b"
WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a city now", "parameters": {
        "type": "object", "properties": {"city": {"type": "string", "description": "the city's name"}},
        "required": ["city"], "additionalProperties": False}}}


class Person(pydantic.BaseModel):
    name: str
    age: int
    job: Literal["baker", "pilot"]


class Real(bed.Api):
    model = NAME

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls().realm("import", house.real_model(NAME), "--name", NAME, timeout=600)

    def ask(self, text, **more):
        return self.chat(messages=[{"role": "user", "content": text}], **more)

    def test_sense(self):
        choice = self.ask("What is the capital of France? Answer with its name only.", max_tokens=20).choices[0]
        self.assertIn("Paris", choice.message.content)
        self.assertEqual(choice.finish_reason, "stop")

    def test_code(self):
        said = self.ask("Write a Python function add(a, b) that returns the sum. Only code.", max_tokens=120)
        self.assertIn("def add(a, b)", said.choices[0].message.content)

    def test_fill(self):
        text = self.complete(model=NAME, prompt="def add(a, b):\n    return", max_tokens=4, stop=["\n"]).choices[0].text
        self.assertEqual(text.strip(), "a + b")

    def test_logprobs_tell_how_sure_it_is(self):
        sure = self.ask("Say yes.", max_tokens=1, logprobs=True, top_logprobs=5).choices[0].logprobs.content[0]
        self.assertGreater(sure.logprob, -0.7)

    def test_form(self):
        done = self.client.chat.completions.parse(
            model=NAME, response_format=Person, max_tokens=60, temperature=0,
            messages=[{"role": "user", "content": "Ann is 31 years old and flies planes. Give name, age and job as JSON."}])
        self.assertEqual(done.choices[0].message.parsed, Person(name="Ann", age=31, job="pilot"))

    def test_tool(self):
        whole = self.ask("What is the weather in Paris?", tools=[WEATHER], tool_choice="required", max_tokens=60,
                         parallel_tool_calls=False)
        call, = whole.choices[0].message.tool_calls
        self.assertEqual((call.function.name, json.loads(call.function.arguments)), ("get_weather", {"city": "Paris"}))
        told = [{"role": "user", "content": "What is the weather in Paris?"}, whole.choices[0].message.to_dict(),
                {"role": "tool", "tool_call_id": call.id, "content": '{"sky": "rain", "celsius": 14}'}]
        said = self.chat(messages=told, tools=[WEATHER], max_tokens=60).choices[0].message.content
        self.assertIn("14", said)

    def test_embeddings_tell_what_is_alike(self):
        texts = ["The cat sleeps on the sofa.", "A kitten is napping on the couch.", "int main(void) { return 0; }"]
        a, b, c = (e.embedding for e in self.client.embeddings.create(model=NAME, input=texts).data)

        def like(x, y):
            return sum(p * q for p, q in zip(x, y))

        self.assertGreater(like(a, b), like(a, c))

    def test_response(self):
        whole = self.respond(input="What is the capital of Italy? Answer with its name only.", max_output_tokens=20)
        self.assertEqual(whole.status, "completed")
        self.assertIn("Rome", whole.output_text)


if __name__ == "__main__":
    unittest.main(verbosity=2)
