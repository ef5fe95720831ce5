"""Models, embeddings and responses."""
import base64
import json
import math
import struct

import jsonschema
import openai
from openai.types import CreateEmbeddingResponse, Model

from bed import ID
from formats import SCHEMA
from tools import BY_NAME, WEATHER

N_EMBD = 128  # of the tiny model


def as_f32(row):
    """Decimal digits back to what they are digits of."""
    return list(struct.unpack(f"<{len(row)}f", struct.pack(f"<{len(row)}f", *row)))


class Models:
    def test_models(self):
        page = self.client.models.list()
        self.assertEqual([m.id for m in page.data], ["tiny"])
        one = self.typed(self.client.models.retrieve("tiny"))
        self.assertIs(type(one), Model)
        self.assertEqual(one, page.data[0])
        self.assertEqual((one.object, one.owned_by), ("model", "realm"))
        self.refused(openai.NotFoundError, lambda: self.client.models.retrieve("none"), code="model_not_found")


class Embeddings:
    def embed(self, **more):
        got = self.typed(self.client.embeddings.create(**{"model": self.model, "input": "the water", **more}))
        self.assertIs(type(got), CreateEmbeddingResponse)
        self.assertEqual(got.object, "list")
        self.assertEqual([(e.index, e.object) for e in got.data], [(i, "embedding") for i in range(len(got.data))])
        self.assertEqual(got.usage.total_tokens, got.usage.prompt_tokens)
        return got

    def vector(self, **more):
        row, = self.embed(**more).data
        return row.embedding

    def test_embedding(self):
        row = self.vector()
        self.assertEqual(len(row), N_EMBD)
        self.assertAlmostEqual(math.fsum(x * x for x in row), 1, places=5)
        self.assertEqual(row, self.vector())
        self.assertNotEqual(row, self.vector(input="the people"))

    def test_embedding_encodings(self):
        """base64 is what this client asks for when nothing is said."""
        said = self.vector()
        plain = self.client.embeddings.create(model=self.model, input="the water", encoding_format="float")
        self.assertEqual(as_f32(plain.data[0].embedding), said)
        coded = self.client.embeddings.create(model=self.model, input="the water", encoding_format="base64")
        raw = base64.b64decode(coded.data[0].embedding)
        self.assertEqual(list(struct.unpack(f"<{N_EMBD}f", raw)), said)

    def test_embedding_dimensions(self):
        """The first of them, as long as 1 again."""
        whole, short = self.vector(), self.vector(dimensions=16)
        long = math.sqrt(math.fsum(x * x for x in whole[:16]))
        self.assertEqual(len(short), 16)
        for a, b in zip(short, whole):
            self.assertAlmostEqual(a, b / long, places=5)
        self.assertEqual(self.vector(dimensions=N_EMBD), whole)

    def test_embedding_inputs(self):
        texts = ["the water", "of the people", "the"]
        alone = [self.embed(input=t) for t in texts]
        many = self.embed(input=texts)
        self.assertEqual([e.embedding for e in many.data], [a.data[0].embedding for a in alone])
        self.assertEqual(many.usage.prompt_tokens, sum(a.usage.prompt_tokens for a in alone))
        ids = self.json("tokenize", "tiny", "--text", "the water", "--bos", "--json")["ids"]
        self.assertEqual(self.vector(input=ids), self.vector())
        self.assertEqual([e.embedding for e in self.embed(input=[ids, ids]).data], [self.vector()] * 2)

    def test_embedding_refusals(self):
        def ask(**more):
            return lambda: self.client.embeddings.create(**{"model": self.model, "input": "of", **more})

        bad = openai.BadRequestError
        self.refused(bad, ask(dimensions=N_EMBD + 1), "dimensions")
        self.refused(bad, ask(dimensions=0), "dimensions")
        for value in ("", [""], ["of", ""], [], [[]], 5, [5, "a"], [100000], [-1], {"a": 1}):
            self.refused(bad, ask(input=value), "input")
        self.refused(bad, ask(encoding_format="hex"), "encoding_format")
        self.refused(openai.NotFoundError, ask(model="none"), code="model_not_found")
        self.refused(bad, ask(input="water " * 5000))


def function(t):
    return {"type": "function", "strict": True, **{k: t["function"][k] for k in ("name", "description", "parameters")}}


class Responses:
    def test_response(self):
        whole = self.respond()
        self.assertTrue(whole.id.startswith("resp_"))
        self.assertEqual((whole.object, whole.model, whole.error), ("response", self.model, None))
        self.assertEqual((whole.status, whole.incomplete_details.reason), ("incomplete", "max_output_tokens"))
        item, = whole.output
        self.assertEqual((item.type, item.role), ("message", "assistant"))
        self.assertEqual([p.type for p in item.content], ["output_text"])
        self.assertEqual(whole.usage.output_tokens, 16)
        self.assertEqual(whole.output_text, self.said(), "the same conversation as a chat")

    def test_response_input(self):
        items = [{"role": "user", "content": "hello"}, {"role": "assistant", "content": "yes"},
                 {"role": "user", "content": [{"type": "input_text", "text": "hello"}]}]
        self.assertEqual(self.answer(input=items[:1]), self.answer())
        self.assertNotEqual(self.answer(input=items), self.answer())
        self.assertEqual(self.answer(input=items), self.answer(input=[{"type": "message", **i} for i in items]))
        first = self.respond(input=items[:1])
        again = [items[0], *[i.to_dict() for i in first.output], items[0]]  # the client sends our own items back
        self.assertNotEqual(self.answer(input=again), first.output_text)

    def test_response_instructions(self):
        told = self.answer(instructions="be brief")
        self.assertNotEqual(told, self.answer())
        self.assertEqual(told, self.answer(input=[{"role": "system", "content": "be brief"},
                                                  {"role": "user", "content": "hello"}]))

    def test_response_parameters(self):
        long = self.answer()
        self.assertTrue(long.startswith(self.answer(max_output_tokens=3)))
        self.assertEqual(self.respond(max_output_tokens=3).usage.output_tokens, 3)
        ask = dict(temperature=1, extra_body={"seed": 3})
        self.assertNotEqual(self.answer(**ask), long)
        self.assertEqual(self.answer(**ask), self.answer(**ask))
        self.assertEqual(self.answer(**ask, top_p=1e-6), long)
        self.assertEqual(self.answer(extra_body={"logit_bias": {str(ID[" water"]): 100}}), " water" * 16)
        self.assertEqual(self.answer(user="somebody", metadata={"a": "b"}, extra_body={"unheard_of": 1}), long)

    def test_response_format(self):
        form = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}}
        whole = self.respond(text=form, max_output_tokens=100)
        self.assertEqual(whole.status, "completed")
        jsonschema.validate(json.loads(whole.output_text), SCHEMA)

    def test_response_calls(self):
        whole = self.respond(tools=[function(WEATHER)], tool_choice="required", max_output_tokens=200)
        calls = [i for i in whole.output if i.type == "function_call"]
        self.assertTrue(calls)
        for call in calls:
            jsonschema.validate(json.loads(call.arguments), BY_NAME[call.name]["function"]["parameters"])
            self.assertTrue(call.call_id.startswith("call_"))
        said = [{"role": "user", "content": "hello"}, calls[0].to_dict()]
        texts = [self.answer(input=[*said, {"type": "function_call_output", "call_id": calls[0].call_id, "output": o}])
                 for o in ("rain", "snow")]
        self.assertNotEqual(*texts)

    def test_response_calls_or_format(self):
        """The form is the text's, and so are the tokens."""
        form = {"format": {"type": "json_schema", "name": "person", "schema": SCHEMA, "strict": True}}
        seen = set()
        for seed in range(16):
            whole = self.respond(tools=[function(WEATHER)], parallel_tool_calls=False, text=form,
                                 include=["message.output_text.logprobs"],
                                 temperature=1, max_output_tokens=300, extra_body={"seed": seed})
            self.assertEqual(whole.status, "completed")
            seen.update(item.type for item in whole.output)
            for item in whole.output:
                if item.type == "function_call":
                    jsonschema.validate(json.loads(item.arguments), BY_NAME[item.name]["function"]["parameters"])
                else:
                    jsonschema.validate(json.loads(whole.output_text), SCHEMA)
                    self.assertEqual("".join(t.token for t in item.content[0].logprobs), whole.output_text)
        self.assertEqual(seen, {"function_call", "message"})

    def test_response_refusals(self):
        def ask(**more):
            return lambda: self.client.responses.create(**{"model": self.model, "input": "hello", **more})

        bad = openai.BadRequestError
        image = [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,", "detail": "auto"}]}]
        for param, value in (("background", True), ("store", True), ("previous_response_id", "resp_1"),
                             ("tools", [{"type": "web_search"}]), ("tools", [{"type": "file_search", "vector_store_ids": []}]),
                             ("input", image), ("input", []), ("input", 5), ("max_output_tokens", 0), ("temperature", 3)):
            self.refused(bad, ask(**{param: value}), param)
        self.refused(openai.NotFoundError, ask(model="none"), code="model_not_found")
