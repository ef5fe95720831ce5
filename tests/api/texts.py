"""Completions: prompts in every form, and the parameters as they are for texts; whole and streamed alike."""
import math

import openai

from bed import ID, OMIT, cut


class Texts:
    def ids(self, text):
        return self.json("tokenize", "tiny", "--text", text, "--bos", "--json")["ids"]

    def test_text(self):
        whole = self.complete()
        self.assertTrue(whole.id.startswith("cmpl-"))
        self.assertEqual((whole.object, whole.model, len(whole.choices)), ("text_completion", self.text_model, 1))
        choice = whole.choices[0]
        self.assertEqual((choice.index, choice.finish_reason, choice.logprobs), (0, "length", None))
        self.assertEqual(whole.usage.completion_tokens, 16)
        self.assertEqual(whole.usage.prompt_tokens, len(self.ids("the water")))
        self.assertNotEqual(choice.text, self.text(prompt="the people"))

    def test_text_prompts(self):
        a, b = "the water", "of the people"
        ids = {p: self.ids(p) for p in (a, b)}
        alone = {p: self.text(prompt=p) for p in (a, b)}
        for prompt in (ids[a], [a], [ids[a]]):
            self.assertEqual(self.text(prompt=prompt), alone[a])
        for prompt in ([a, b], [ids[a], ids[b]]):
            whole = self.complete(prompt=prompt)
            self.assertEqual([(c.index, c.text) for c in whole.choices], [(0, alone[a]), (1, alone[b])])
            self.assertEqual(whole.usage.prompt_tokens, len(ids[a]) + len(ids[b]))
            self.assertEqual(whole.usage.completion_tokens, 32)
        self.assertEqual([c.text for c in self.complete(prompt=[b, a, b]).choices], [alone[b], alone[a], alone[b]])

    def test_text_special_words_are_special(self):
        """Unlike in a message: a prompt is raw."""
        whole = self.complete(prompt="<|im_start|>hi")
        self.assertEqual(whole.usage.prompt_tokens, 1 + 1 + len("hi"))

    def test_text_prompts_and_n(self):
        ask = dict(temperature=1, seed=5)
        prompts = ["the water", "of the people"]
        alone = [self.complete(prompt=p, n=2, **ask).choices for p in prompts]
        whole = self.complete(prompt=prompts, n=2, **ask)
        self.assertEqual([c.index for c in whole.choices], [0, 1, 2, 3])
        self.assertEqual([c.text for c in whole.choices], [c.text for pair in alone for c in pair])
        self.assertEqual(len({c.text for c in whole.choices}), 4)

    def test_text_n(self):
        ask = dict(temperature=1, seed=5)
        three = self.complete(n=3, **ask)
        self.assertEqual([c.index for c in three.choices], [0, 1, 2])
        self.assertEqual(three.choices[0].text, self.text(**ask))
        self.assertEqual(len({c.text for c in three.choices}), 3)
        self.assertEqual(three.usage.completion_tokens, 48)

    def test_text_echo(self):
        plain = self.text()
        self.assertEqual(self.text(echo=True), "the water" + plain)
        self.assertEqual(self.text(echo=False), plain)
        two = self.complete(echo=True, prompt=["the water", "of"], n=2)
        self.assertEqual([c.text.startswith(p) for c, p in zip(two.choices, ("the water", "the water", "of", "of"))],
                         [True] * 4)
        whole = self.complete(echo=True)
        self.assertEqual((whole.usage.completion_tokens, whole.choices[0].finish_reason), (16, "length"))

    def test_text_max_tokens(self):
        long = self.text()
        for n in (1, 5):
            whole = self.complete(max_tokens=n)
            self.assertEqual((whole.usage.completion_tokens, whole.choices[0].finish_reason), (n, "length"))
            self.assertTrue(long.startswith(whole.choices[0].text))

    def test_text_stop(self):
        plain = self.text()
        for stop in (plain[20:24], [plain[30:34], plain[20:23]], ["never said"]):
            choice = self.complete(stop=stop).choices[0]
            said = cut(plain, stop)
            self.assertEqual((choice.text, choice.finish_reason), (said, "length" if said == plain else "stop"))

    def test_text_seed_and_temperature(self):
        self.assertEqual(self.text(temperature=1, seed=7), self.text(temperature=1, seed=7))
        texts = {self.text(temperature=t, seed=s) for t, s in ((0, 7), (1, 7), (1, 8), (2, 7))}
        self.assertEqual(len(texts), 4)
        self.assertEqual(self.text(temperature=OMIT, seed=7), self.text(temperature=1, seed=7), "1 is the default")

    def test_text_top_p(self):
        ask = dict(temperature=1, seed=3)
        self.assertEqual(self.text(**ask, top_p=1e-6), self.text())
        self.assertNotEqual(self.text(**ask, top_p=1), self.text())

    def test_text_logit_bias(self):
        self.assertEqual(self.text(logit_bias={str(ID[" water"]): 100}), " water" * 16)
        plain = self.text()
        best = max(ID, key=lambda piece: (plain.startswith(piece), len(piece)))
        self.assertFalse(self.text(logit_bias={str(ID[best]): -100}).startswith(best))

    def test_text_penalties(self):
        plain = self.text(max_tokens=40)
        for key in ("frequency_penalty", "presence_penalty"):
            self.assertNotEqual(self.text(max_tokens=40, **{key: 2}), plain, key)
            self.assertEqual(self.text(max_tokens=40, **{key: 0}), plain, key)

    def test_text_logprobs(self):
        for n in (0, 1, 5):
            choice = self.complete(logprobs=n).choices[0]
            p = choice.logprobs
            self.assertEqual("".join(p.tokens), choice.text)
            self.assertEqual(len(p.token_logprobs), 16)
            self.assertEqual(p.text_offset, [sum(map(len, p.tokens[:i])) for i in range(16)])
            for i, token in enumerate(p.tokens if n else []):
                top = p.top_logprobs[i]
                self.assertEqual(len(top), n)
                self.assertEqual(top[token], max(top.values()), "it was greedy")
                self.assertEqual(top[token], p.token_logprobs[i])
                self.assertLessEqual(sum(map(math.exp, top.values())), 1 + 1e-5)

    def test_text_logprobs_are_those_of_chats(self):
        """The same prompt, the same numbers."""
        rendered = "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
        text = self.complete(prompt=rendered, logprobs=3)
        chat = self.chat(logprobs=True, top_logprobs=3)
        self.assertEqual(text.usage, chat.usage)
        self.assertEqual(text.choices[0].text, chat.choices[0].message.content)
        self.assertEqual(text.choices[0].logprobs.token_logprobs,
                         [t.logprob for t in chat.choices[0].logprobs.content])

    def test_text_stream_usage(self):
        chunks = list(self.client.completions.create(model=self.text_model, prompt="of", max_tokens=4, stream=True))
        self.assertTrue(all(c.usage is None and c.object == "text_completion" for c in chunks))
        self.assertEqual(chunks[-1].choices[0].finish_reason, "length")

    def test_text_refusals(self):
        def ask(**more):
            return lambda: self.client.completions.create(**{"model": self.text_model, "prompt": "of", **more})

        bad = openai.BadRequestError
        for param, value in (("n", 9), ("logprobs", 21), ("logprobs", -1), ("prompt", []), ("prompt", [[]]), ("prompt", [1, "a"]),
                             ("prompt", [["a"]]), ("prompt", [100000]), ("prompt", [-1]),
                             ("prompt", 5), ("temperature", -0.1), ("echo", "yes"), ("stop", ["a"] * 5)):
            self.refused(bad, ask(**{param: value}), param)
        self.refused(bad, ask(prompt="water " * 5000), code="context_length_exceeded")
        self.refused(openai.NotFoundError, ask(model="none"), code="model_not_found")
