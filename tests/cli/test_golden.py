"""Real models: the ids of the golden prompts, and their best logits on the exact path."""
import json
import sys

import house

VECTORS = house.ROOT / "tests/golden/vectors"
sys.path.insert(0, str(VECTORS))
from strings import LOGIT_PROMPTS  # noqa: E402


class Golden(house.Case):
    models = False

    def one(self, name):
        golden = json.loads((VECTORS / f"f32-{name}.json").read_text())
        self.realm("import", house.real_model(name), "--name", name, timeout=600)
        entry, = [m for m in self.json("models", "--json")["models"] if m["name"] == name]
        self.assertEqual(entry["sha256"], golden["source_sha256"])
        self.assertEqual(len(golden["logits"]), len(LOGIT_PROMPTS))
        for prompt, want in zip(LOGIT_PROMPTS, golden["logits"]):
            o = self.json("logits", name, "--prompt", prompt, "--top", "10", timeout=600)
            self.assertEqual(o["ids"], want["ids"])
            self.assertEqual(o["top"][0][0], want["top10"][0][0])
            self.assertLess(abs(o["logsumexp"] - want["logsumexp"]), 0.5)

    def test_gemma(self):
        self.one("gemma3-270m")

    def test_qwen(self):
        self.one("qwen2.5-coder-0.5b")


if __name__ == "__main__":
    house.main()
