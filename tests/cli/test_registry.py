"""import, models, rm, verify, prune: the registry, and what happens to files behind its back."""
import hashlib
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import time

import house


class Registry(house.Case):
    models = False

    def setUp(self):
        shutil.rmtree(self.home, ignore_errors=True)
        self.file = self.work / "Some Model-Q4.GGUF"
        shutil.copy(house.TINY, self.file)

    def packed(self):
        return sorted((self.home / "models").glob("*.realm"))

    def test_import_names_lists_and_removes(self):
        out = self.realm("import", self.file, "--name", "org/tiny:1").stdout
        self.assertTrue(out.startswith("org/tiny:1: llama"), out)
        row, = self.json("models", "--json")["models"]
        self.assertEqual(row["name"], "org/tiny:1")
        self.assertEqual(row["sha256"], hashlib.sha256(self.file.read_bytes()).hexdigest())
        self.assertEqual(row["arch"], "llama")
        self.assertEqual(row["source_bytes"], self.file.stat().st_size)
        self.assertTrue(row["usable"])
        path, = self.packed()
        self.assertTrue(path.name.startswith(row["sha256"]))
        self.assertEqual(row["packed_bytes"], path.stat().st_size)
        self.assertIn("org/tiny:1", self.realm("models").stdout)
        self.realm("rm", "org/tiny:1")
        self.assertEqual(self.json("models", "--json"), {"models": []})
        self.assertEqual(self.packed(), [])

    def test_a_name_is_made_from_the_file(self):
        self.assertEqual(self.json("import", self.file, "--json")["name"], "some-model-q4")

    def test_the_file_goes_when_its_last_name_goes(self):
        self.realm("import", self.file, "--name", "a")
        before = self.packed()[0].stat()
        self.realm("import", self.file, "--name", "b")
        after = self.packed()[0].stat()
        self.assertEqual((before.st_ino, before.st_mtime_ns), (after.st_ino, after.st_mtime_ns))
        self.realm("rm", "a")
        self.assertEqual(len(self.packed()), 1)
        self.assertIn("freed", self.realm("rm", "b").stderr)
        self.assertEqual(self.packed(), [])

    def test_a_taken_name_stays(self):
        other = self.work / "other.gguf"
        data = bytearray(house.TINY.read_bytes())
        data[-64] ^= 1  # one weight
        other.write_bytes(data)
        self.realm("import", self.file, "--name", "a")
        self.realm("import", self.file, "--name", "a")  # the same again is fine
        sha = self.json("models", "--json")["models"][0]["sha256"]
        self.refused("import", other, "--name", "a", words=["another model", "realm rm a"])
        self.assertEqual(self.json("models", "--json")["models"][0]["sha256"], sha)
        self.realm("import", other, "--name", "a", "--replace")
        self.assertNotEqual(self.json("models", "--json")["models"][0]["sha256"], sha)
        self.assertEqual(self.json("prune", "--dry-run", "--json")["files"], 1)
        self.assertEqual(self.json("prune", "--json")["files"], 1)
        self.assertEqual(len(self.packed()), 1)

    def test_unknown_names_are_answered_with_what_there_is(self):
        self.refused("rm", "nope", words=["none yet", "realm import"])
        self.realm("import", self.file, "--name", "tiny")
        for args in (["rm", "nope"], ["chat", "nope"], ["bench", "nope"],
                     ["tokenize", "nope", "--text", "x"], ["logits", "nope", "--ids", "1"]):
            self.refused(*args, words=["no model is named nope", "there are: tiny", "realm import"])
        self.refused("chat", "missing.gguf", words=["missing.gguf", "No such file"])

    def test_bad_names(self):
        for name in ("UPPER", "../x", "a b", "-x", "a" * 129, "x;y"):
            self.refused("import", self.file, "--name", name, words=["a model name is"])
        self.assertEqual(self.json("models", "--json"), {"models": []})

    def test_files_that_are_no_models(self):
        text = self.work / "notes.gguf"
        text.write_text("hello\n" * 100)
        self.refused("import", text, words=["notes.gguf"])
        self.refused("import", self.work / "nowhere.gguf", words=["No such file"])
        self.refused("import", self.work)
        data = house.TINY.read_bytes()
        for keep in (3, 20, 1000, len(data) // 2, len(data) - 1):
            text.write_bytes(data[:keep])
            self.refused("import", text, words=["notes.gguf"])
        self.assertEqual(self.packed(), [])
        self.assertEqual(list((self.home / "models").iterdir()), [])

    def test_verify_finds_damage(self):
        self.realm("import", self.file, "--name", "good")
        self.assertEqual(self.json("verify", "good", "--json")["models"], [{"name": "good", "good": True}])
        path, = self.packed()
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        done = self.realm("verify", "good", "nobody", code=1)
        self.assertIn("damaged", done.stdout)
        self.assertNotIn("nobody", done.stdout)
        self.assertIn("realm: no model is named nobody", done.stderr)
        out = self.realm("verify", "--all", code=1).stdout
        self.assertIn("damaged", out)
        self.assertFalse(self.json("verify", "--all", "--json", code=1)["models"][0]["good"])

    def test_a_packed_file_cut_short_is_noticed(self):
        self.realm("import", self.file, "--name", "m")
        path, = self.packed()
        with open(path, "r+b") as f:
            f.truncate(path.stat().st_size // 2)
        self.assertFalse(self.json("models", "--json")["models"][0]["usable"])
        self.assertIn("not usable", self.realm("models").stdout)
        self.refused("logits", "m", "--ids", "1", words=["import it again"])
        self.realm("import", self.file, "--name", "m")  # heals it
        self.assertTrue(self.json("models", "--json")["models"][0]["usable"])
        self.realm("verify", "m")

    def test_the_source_is_not_needed_afterwards(self):
        self.realm("import", self.file, "--name", "m")
        self.file.unlink()
        self.assertEqual(self.realm("logits", "m", "--ids", "1,70,71").stdout.count("\n"), 1)

    def test_a_path_is_used_without_a_name(self):
        self.assertEqual(self.realm("prune").stderr, "nothing to delete\n")
        self.realm("logits", self.file, "--ids", "1,70")
        self.assertEqual(self.json("models", "--json"), {"models": []})
        self.assertEqual(len(self.packed()), 1)
        self.assertEqual(self.json("prune", "--json")["files"], 1)

    def test_prune_leaves_fresh_temporaries_alone(self):
        self.realm("import", self.file, "--name", "m")
        fresh, old = self.home / "models/x.realm.AbCdEf", self.home / "models/y.realm.AbCdEf"
        fresh.write_bytes(b"x")
        old.write_bytes(b"y")
        os.utime(old, (1, 1))
        self.assertEqual(self.json("prune", "--json"), {"files": 1, "bytes": 1, "deleted": True})
        self.assertTrue(fresh.exists())
        self.assertFalse(old.exists())

    def test_two_imports_at_once(self):
        runs = [subprocess.Popen([house.BIN, "import", str(self.file), "--name", f"m{i}"], env=self.env,
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for i in range(4)]
        for run in runs:
            _, err = run.communicate(timeout=120)
            self.assertEqual(run.returncode, 0, err)
        self.assertEqual([m["name"] for m in self.json("models", "--json")["models"]],
                         ["m0", "m1", "m2", "m3"])
        self.assertEqual(len(list((self.home / "models").iterdir())), 1)

    def test_a_newer_database_is_refused(self):
        self.realm("models")
        db = sqlite3.connect(self.home / "realm.db")
        db.execute("PRAGMA user_version = 99")
        db.close()
        self.refused("models", words=["newer realm"])

    def test_a_home_that_cannot_be(self):
        blocker = self.work / "blocker"
        blocker.write_text("x")
        self.refused("models", "--home", blocker / "home", words=["blocker"])

    def test_home_option(self):
        other = self.work / "elsewhere"
        self.realm("import", self.file, "--name", "m", "--home", other)
        self.assertEqual(self.json("models", "--json"), {"models": []})
        self.assertEqual(len(self.json("models", "--json", "--home", other)["models"]), 1)


class Inspect(house.Case):
    def test_gguf(self):
        o = self.json("inspect", house.TINY, "--json")
        self.assertEqual((o["kind"], o["arch"], o["runnable"], o["unsupported"]), ("gguf", "llama", True, []))
        self.assertEqual(o["metadata"]["llama.block_count"], 3)
        self.assertEqual(o["metadata"]["tokenizer.ggml.tokens"]["n"], 512)
        self.assertEqual(o["tokenizer"]["n_tokens"], 512)
        self.assertTrue(o["tokenizer"]["chat_template"])
        self.assertEqual(len(o["tensors"]), 30)
        self.assertEqual(sum(t["tensors"] for t in o["types"]), 30)
        text = self.realm("inspect", house.TINY).stdout
        self.assertRegex(text, r"(?m)^runs here +yes$")
        self.assertIn("blk.2.ffn_down.weight", self.realm("inspect", house.TINY, "--all").stdout)

    def test_a_name_says_the_same(self):
        by_file, by_name = (self.json("inspect", x, "--json") for x in (house.TINY, "tiny"))
        self.assertEqual((by_file.pop("packed"), by_name.pop("packed")), (False, True))
        self.assertEqual(by_file.pop("file_bytes"), house.TINY.stat().st_size)
        packed, = (self.home / "models").glob("*.realm")
        self.assertEqual(by_name.pop("file_bytes"), packed.stat().st_size)
        self.assertEqual(by_file, by_name)

    def test_what_cannot_be_run_says_why(self):
        data = house.TINY.read_bytes()
        odd = self.work / "odd.gguf"
        odd.write_bytes(data.replace(struct.pack("<Q", 5) + b"llama" + struct.pack("<Q", 12),
                                     struct.pack("<Q", 5) + b"mamba" + struct.pack("<Q", 12), 1))
        o = self.json("inspect", odd, "--json")
        self.assertFalse(o["runnable"])
        self.assertTrue(any("mamba" in why for why in o["unsupported"]), o["unsupported"])
        text = self.realm("inspect", odd).stdout
        self.assertRegex(text, r"(?m)^runs here +no$")
        self.assertIn("because: ", text)
        self.refused("import", odd, words=["mamba"])

    def test_wasm(self):
        o = self.json("inspect", house.GUESTS / "hello.wasm", "--json")
        self.assertEqual(o["kind"], "wasm")
        self.assertTrue(all(i["known"] for i in o["module"]["imports"]))
        text = self.realm("inspect", house.GUESTS / "hello.wasm").stdout
        self.assertIn("memory", text)
        self.assertRegex(text, r"(?m)^runs here +yes$")

    def test_wasm_with_an_unknown_import(self):
        odd = self.work / "odd.wasm"
        odd.write_bytes((house.GUESTS / "hello.wasm").read_bytes().replace(b"realm_host_generate",
                                                                           b"realm_host_generatX"))
        text = self.realm("inspect", odd).stdout
        self.assertRegex(text, r"(?m)^runs here +no$")
        self.assertRegex(text, r"(?m)realm_host_generatX .* unknown$")

    def test_neither(self):
        other = self.work / "x.bin"
        other.write_bytes(b"neither\n")
        self.refused("inspect", other, words=["neither a GGUF model nor a WebAssembly module"])
        self.refused("inspect", self.work / "missing.wasm", words=["No such file"])
        other.write_bytes(b"\0asm\1\0\0\0\7\7\7")
        self.refused("inspect", other)
        self.refused("inspect", "nobody", words=["no model is named nobody"])


class Doctor(house.Case):
    def test_a_good_home(self):
        o = self.json("doctor", "--json")
        by_name = {c["name"]: c for c in o["checks"]}
        for name in ("cpu", "kernels", "threads", "memory", "huge pages", "guests", "home", "disk", "models",
                     "WebAssembly"):
            self.assertIn(name, by_name)
        self.assertEqual(by_name["WebAssembly"]["health"], "good")
        self.assertTrue(by_name["models"]["value"].startswith("1, "))
        self.assertIn("home", self.realm("doctor").stdout)

    def test_a_lost_model_is_bad(self):
        home = self.work / "lost"
        self.realm("import", house.TINY, "--name", "t", "--home", home)
        next((home / "models").glob("*.realm")).unlink()
        self.assertIn("import it again", self.realm("doctor", "--home", home, code=1).stdout)

    def test_kernels_are_held_below(self):
        by_name = {c["name"]: c for c in self.json("doctor", "--json", env={"REALM_CPU": "ref"})["checks"]}
        self.assertEqual(by_name["kernels"]["value"], "ref")
        self.refused("doctor", env={"REALM_CPU": "abacus"}, words=["abacus"])


if __name__ == "__main__":
    house.main()
