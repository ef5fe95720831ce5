"""tokenize, logits, perplexity, bench."""
import csv
import json
import math
import random

import house

VECTORS = house.ROOT / "tests/golden/vectors"


class Tokenize(house.Case):
    def test_forms_agree(self):
        o = self.json("tokenize", "tiny", "--text", "the people", "--json")
        self.assertEqual(o["n"], len(o["ids"]))
        self.assertEqual("".join(o["pieces"]), "the people")
        ids = self.realm("tokenize", "tiny", "--text", "the people", "--ids").stdout
        self.assertEqual([int(x) for x in ids.split()], o["ids"])
        table = self.realm("tokenize", "tiny", "--text", "the people").stdout
        self.assertEqual([int(line.split()[0]) for line in table.splitlines()], o["ids"])
        self.assertEqual(self.json("tokenize", "tiny", "--json", input="the people"), o)
        self.assertEqual(self.json("tokenize", house.TINY, "--text", "the people", "--json"), o)

    def test_special_and_bos(self):
        text = "<|im_start|>a"
        plain = self.json("tokenize", "tiny", "--text", text, "--json")["ids"]
        special = self.json("tokenize", "tiny", "--text", text, "--json", "--special")["ids"]
        self.assertEqual(special[0], 3)
        self.assertNotIn(3, plain)
        self.assertEqual(self.json("tokenize", "tiny", "--text", text, "--json", "--bos")["ids"], [1, *plain])

    def test_odd_input(self):
        self.assertEqual(self.json("tokenize", "tiny", "--json", "--text", "")["ids"], [])
        odd = b"\xff\x00a\n"
        o = self.json("tokenize", "tiny", "--json", input=odd)
        self.assertGreaterEqual(o["n"], 4)


class Logits(house.Case):
    def test_the_shape_of_the_answer(self):
        o = self.json("logits", "tiny", "--ids", "1,300,301", "--top", "5")
        self.assertEqual(o["ids"], [1, 300, 301])
        self.assertEqual(len(o["top"]), 5)
        logits = [x for _, x in o["top"]]
        self.assertEqual(logits, sorted(logits, reverse=True))
        self.assertGreaterEqual(o["logsumexp"], logits[0])
        whole = self.json("logits", "tiny", "--ids", "1,300,301", "--top", "512")["top"]
        self.assertEqual(len(whole), 512)
        self.assertEqual(whole[:5], o["top"])
        lse = math.log(math.fsum(math.exp(x) for _, x in whole))
        self.assertAlmostEqual(lse, o["logsumexp"], places=5)

    def test_a_prompt_is_tokenized_as_the_model_does(self):
        ids = self.json("tokenize", "tiny", "--text", "the people", "--json", "--bos")["ids"]
        self.assertEqual(self.json("logits", "tiny", "--prompt", "the people")["ids"], ids)

    def test_results_are_the_same_for_every_thread_count(self):
        args = ["logits", "tiny", "--ids", "1,300,301,302,70,71", "--top", "512"]
        self.assertEqual(self.json(*args, "-t", "1"), self.json(*args, "-t", "2"))

    def test_the_reference_is_near(self):
        args = ["logits", "tiny", "--ids", "1,300,301,302", "--top", "512"]
        mine, exact = (dict(map(tuple, self.json(*args, *more)["top"])) for more in ([], ["--reference"]))
        self.assertLess(max(abs(mine[i] - exact[i]) for i in exact), 0.05)
        f32, bf16, f16 = (self.json(*args, "--kv", kv)["top"] for kv in ("f32", "bf16", "f16"))
        self.assertEqual(dict(map(tuple, bf16)), mine)  # the default
        self.assertNotEqual(f32, f16)  # which rounds keys and values
        self.assertNotEqual(bf16, f16)

    def test_bad_ids(self):
        self.refused("logits", "tiny", "--ids", "512", words=["512"])
        self.refused("logits", "tiny", "--ids", ",".join(["7"] * 2049), words=["2049 tokens"])

    def test_table(self):
        out = self.realm("logits", "tiny", "--ids", "1", "--table", "--top", "512").stdout
        self.assertEqual(len(out.splitlines()), 513)  # a newline or a half character breaks no row
        self.assertIn("PROBABILITY", out)
        self.assertIn('"\\n"', out)


class Perplexity(house.Case):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        draw = random.Random(7)
        words = "the of and people time could their water little other".split()
        cls.text = cls.work / "text.txt"
        cls.text.write_text(" ".join(draw.choice(words) for _ in range(400)))

    def test_against_logits_token_by_token(self):
        """One chunk of 8 by hand: positions 4, 5, 6 predict tokens 5, 6, 7."""
        o = self.json("perplexity", "tiny", "-f", self.text, "-c", "8", "--chunks", "1", "--json")
        self.assertEqual((o["chunks"], o["scored_tokens"]), (1, 3))
        ids = self.json("tokenize", "tiny", "--bos", "--json", input=self.text.read_text())["ids"][:8]
        nll = []
        for n in (5, 6, 7):
            x = self.json("logits", "tiny", "--ids", ",".join(map(str, ids[:n])), "--top", "512")
            nll.append(x["logsumexp"] - dict(map(tuple, x["top"]))[ids[n]])
        self.assertAlmostEqual(math.log(o["perplexity"]), sum(nll) / 3, places=4)

    def test_distance_to_the_reference(self):
        o = self.json("perplexity", "tiny", "-f", self.text, "-c", "64", "--kl", "--json")
        self.assertGreaterEqual(o["kl_mean"], 0)
        self.assertLess(o["kl_mean"], 1e-3)
        self.assertGreater(o["top1_agreement"], 0.9)
        alone = self.json("perplexity", "tiny", "-f", self.text, "-c", "64", "--reference", "--json")
        self.assertAlmostEqual(o["reference_perplexity"] / alone["perplexity"], 1, places=6)
        itself = self.json("perplexity", "tiny", "-f", self.text, "-c", "64", "--kl", "--reference", "--json")
        self.assertAlmostEqual(itself["kl_mean"], 0, places=9)
        self.assertEqual(itself["top1_agreement"], 1)
        self.assertIn("mean KL", self.realm("perplexity", "tiny", "-f", self.text, "-c", "64", "--kl").stdout)

    def test_what_is_too_short(self):
        short = self.work / "short.txt"
        short.write_text("the people")
        self.refused("perplexity", "tiny", "-f", short, words=["longer text", "-c"])
        self.refused("perplexity", "tiny", "-f", self.text, "-c", "4096", words=["8 to 2048"])
        self.refused("perplexity", "tiny", "-f", self.work / "none.txt", words=["none.txt"])


class Bench(house.Case):
    def test_every_kind_of_test(self):
        o = self.json("bench", "tiny", "-p", "32", "-n", "8", "-b", "1,4", "-r", "2", "-t", "2", "--json")
        self.assertEqual([r["test"] for r in o["results"]], ["pp32", "tg8", "tg64x1", "tg64x4"])
        self.assertEqual((o["model"], o["threads"], o["repetitions"]), ("tiny", 2, 2))
        self.assertTrue(o["cpu"] and o["level"] and o["levels"])
        self.assertGreater(o["weight_bytes_per_token"], 0)
        for row in o["results"]:
            self.assertEqual(len(row["samples"]), 2)
            self.assertTrue(0 < row["least"] <= row["tokens_per_second"] <= row["most"])

    def test_zero_skips(self):
        o = self.json("bench", "tiny", "-p", "0", "-n", "4", "-b", "0", "-r", "1", "--json")
        self.assertEqual([r["test"] for r in o["results"]], ["tg4"])
        self.assertEqual(self.json("bench", "tiny", "-p", "0", "-n", "0", "-b", "0", "--json")["results"], [])
        self.assertIn("every test was skipped", self.realm("bench", "tiny", "-p0", "-n0", "-b0").stdout)
        out = self.realm("bench", "tiny", "-p", "0", "-n", "4", "-b", "0", "-r", "1", "-t", "1").stdout
        self.assertIn(" 1 thread,", out)
        self.assertIn("TOKENS/S", out)

    def test_what_does_not_fit(self):
        self.refused("bench", "tiny", "-p", "4096", "-n", "0", "-b", "0", words=["context"])
        self.refused("bench", "tiny", "-p", "16", "-n", "0", "-b", "0", "-d", "4096", words=["context"])

    def test_depth(self):
        o = self.json("bench", "tiny", "-p", "8", "-n", "4", "-b", "2", "-d", "0,33", "-r", "1", "--json")
        self.assertEqual([(r["test"], r["depth"]) for r in o["results"]],
                         [("pp8", 0), ("tg4", 0), ("tg64x2", 0), ("pp8@33", 33), ("tg4@33", 33), ("tg64x2@33", 33)])

    REGIONS = ["embed", "prepare", "qkv", "attention", "out", "ffn", "down", "head", "sample", "rest"]

    def test_profile(self):
        args = ["bench", "tiny", "-p", "32", "-n", "8", "-b", "8", "-r", "2", "--profile"]
        for row in self.json(*args, "--json", "--temp", "0.8", "--top-p", "0.95")["results"]:
            self.assertEqual(list(row["regions"]), self.REGIONS)
            ran = {k for k, seconds in row["regions"].items() if seconds > 0}
            # one row is prepared by each worker for itself, inside of the matmuls
            self.assertEqual(ran, set(self.REGIONS) - ({"prepare"} if row["test"] == "tg8" else set()), row["test"])
        self.assertNotIn("regions", self.json("bench", "tiny", "-p8", "-n0", "-b0", "-r1", "--json")["results"][0])
        table = self.realm(*args).stdout.partition("% OF A STEP")[2].splitlines()
        self.assertEqual(table[0].split(), self.REGIONS)
        for line in table[1:]:
            self.assertAlmostEqual(sum(float(x) for x in line.split()[1:]), 100, delta=0.6)

    def test_csv(self):
        args = ["bench", "tiny", "-p", "8", "-n", "4", "-b", "0", "-r", "1", "--profile", "--csv"]
        rows = list(csv.DictReader(self.realm(*args).stdout.splitlines()))
        self.assertEqual([(r["model"], r["test"], r["prompt"], r["gen"]) for r in rows],
                         [("tiny", "pp8", "8", "0"), ("tiny", "tg4", "0", "4")])
        for row in rows:
            self.assertGreater(float(row["tokens_per_second"]), 0)
            self.assertTrue({f"{r}_seconds" for r in self.REGIONS} <= row.keys())
        self.realm("bench", "tiny", "--csv", "--json", code=2)


if __name__ == "__main__":
    house.main()
