"""Completions: prompts in every form, and the parameters as they are for texts; whole and streamed alike."""
import math

import openai

from bed import ID, OMIT, PIECES, cut


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
        self.assertEqual(whole.usage.prompt_tokens, len(self.ids("the water")), "a prompt counts once")

    def test_text_echo_forms(self):
        """Prompts in every form x max_tokens x logprobs; each whole and streamed."""
        a, b = "the water", "of the people"
        ids = {p: self.ids(p) for p in (a, b)}
        told = {a: a, b: b, **{tuple(ids[p]): "<s>" + p for p in (a, b)}}
        sent = {k: len(k) if isinstance(k, tuple) else len(ids[k]) - 1 for k in told}  # a text gets one in front of it
        for prompt in (a, ids[a], [a, b], [ids[a], ids[b]], [a, ids[b]]):
            prompts = prompt if isinstance(prompt, list) and not isinstance(prompt[0], int) else [prompt]
            keys = [p if isinstance(p, str) else tuple(p) for p in prompts for _ in range(2)]
            for limit in (0, 1, 5):
                plain = self.complete(prompt=prompt, n=2, max_tokens=limit).choices if limit else None
                for logprobs in (OMIT, 0, 3):
                    with self.subTest(prompt=prompt, limit=limit, logprobs=logprobs):
                        whole = self.complete(prompt=prompt, n=2, max_tokens=limit, echo=True, logprobs=logprobs)
                        said = [told[k] + (plain[i].text if limit else "") for i, k in enumerate(keys)]
                        self.assertEqual([c.text for c in whole.choices], said)
                        self.assertEqual({c.finish_reason for c in whole.choices}, {"length"})
                        self.assertEqual(whole.usage.prompt_tokens,
                                         sum(sent[k] + isinstance(k, str) for k in keys[::2]))
                        self.assertEqual(whole.usage.completion_tokens, limit * len(keys))
                        for c, key in zip(whole.choices, keys):
                            self.echoed(c, sent[key], limit, logprobs)

    def echoed(self, choice, n_sent, n_drawn, n_top):
        """The four lists of a choice: the prompt's tokens first, of which the first has no numbers."""
        p = choice.logprobs
        if n_top is OMIT:
            self.assertIsNone(p)
            return
        self.assertEqual("".join(p.tokens), choice.text)
        self.assertEqual({len(p.tokens), len(p.token_logprobs), len(p.top_logprobs)}, {n_sent + n_drawn})
        self.assertEqual(p.text_offset, [sum(map(len, p.tokens[:i])) for i in range(len(p.tokens))])
        self.assertEqual((p.token_logprobs[0], p.top_logprobs[0]), (None, None))
        for x, top in zip(p.token_logprobs[1:], p.top_logprobs[1:]):
            self.assertLessEqual(x, 0)
            self.assertEqual(len(top), n_top)
            self.assertLessEqual(x, max(top.values(), default=0))

    def test_text_echo_scores_are_those_of_drawing(self):
        """A token of a prompt has the number it had when it was drawn in that place: the same bits."""
        drawn = self.complete(logprobs=2, max_tokens=24).choices[0]
        begin = self.ids("the water")
        ids = begin + [ID[token] for token in drawn.logprobs.tokens]
        scored = self.complete(prompt=ids, echo=True, logprobs=2, max_tokens=0).choices[0].logprobs
        self.assertEqual(scored.tokens[len(begin):], drawn.logprobs.tokens)
        self.assertEqual(scored.token_logprobs[len(begin):], drawn.logprobs.token_logprobs)
        self.assertEqual(scored.top_logprobs[len(begin):], drawn.logprobs.top_logprobs)
        both = self.complete(echo=True, logprobs=2, max_tokens=24).choices[0].logprobs
        self.assertEqual(both.token_logprobs[1:], scored.token_logprobs[2:], "but for the BOS and the first")

    def test_text_echo_as_the_harness_reads_it(self):
        """lm-evaluation-harness: its own number of context tokens, up to but not with the one that is drawn."""
        context, rest = self.ids("the water")[1:], self.ids(" of the people")[1:]
        ask = {"max_tokens": 1, "logprobs": 1, "seed": 1234, "echo": True}
        for more in ({}, {"logit_bias": {str(ID["</s>"]): 100}}):  # a drawn end is an entry too
            for prompt in ([context + rest], "the water of the people"):
                p = self.complete(prompt=prompt, **ask, **more).choices[0].logprobs
                scores, tops = p.token_logprobs[len(context):-1], p.top_logprobs[len(context):-1]
                self.assertEqual(p.tokens[len(context):-1], [PIECES[i] for i in rest])
                self.assertEqual(len(scores), len(rest))
                self.assertLess(sum(scores), 0)
                self.assertTrue(all(x <= max(top.values()) for x, top in zip(scores, tops)))

    def test_text_echo_special_words(self):
        prompt = "<|im_start|>hi <s>a"
        self.assertTrue(self.text(prompt=prompt, echo=True).startswith(prompt))
        self.assertEqual(self.text(prompt=prompt, echo=True, logprobs=1, max_tokens=0), prompt)

    def test_text_echo_never_cuts_a_character(self):
        first, second = ([ID[f"<0x{b:02X}>"] for b in "日".encode()][part] for part in (slice(0, 2), slice(2, 3)))
        hi = self.ids("hi")
        self.assertEqual(self.text(prompt=hi + first + second, echo=True, max_tokens=0), "<s>hi日")
        self.assertEqual(self.text(prompt=hi + first, echo=True, max_tokens=0), "<s>hi\ufffd")
        whole = self.text(prompt=hi + first, echo=True, max_tokens=1, logit_bias={str(second[0]): 100})
        self.assertEqual(whole, "<s>hi日")

    def test_text_echo_of_a_long_prompt(self):
        prompt = " ".join(["the water of the people"] * 80)
        n = len(self.ids(prompt)) - 1
        choice = self.complete(prompt=prompt, echo=True, logprobs=5, max_tokens=1).choices[0]
        self.assertTrue(choice.text.startswith(prompt))
        self.echoed(choice, n, 1, 5)
        self.assertGreater(n, 1800)

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
                             ("prompt", 5), ("temperature", -0.1), ("echo", "yes"), ("stop", ["a"] * 5), ("max_tokens", 0)):
            self.refused(bad, ask(**{param: value}), param)
        for param, value in (("max_tokens", -1), ("logprobs", 21), ("prompt", [100000]), ("prompt", [-1])):
            self.refused(bad, ask(**{"echo": True, "logprobs": 1, param: value}), param)
        self.refused(bad, ask(prompt="water " * 5000, echo=True, logprobs=5), code="context_length_exceeded")
        self.refused(bad, ask(prompt="water " * 5000), code="context_length_exceeded")
        self.refused(openai.NotFoundError, ask(model="none"), code="model_not_found")
