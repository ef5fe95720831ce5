"""program: installed under names, run by them, and a name is a program's or a model's."""
import hashlib
import os
import shutil
import subprocess

import house
from test_run import FINE, SEVEN, module

HELLO = house.GUESTS / "hello.wasm"


class Programs(house.Case):
    def setUp(self):
        for row in self.programs():
            self.realm("program", "rm", row["name"])
        self.file = self.work / "guest.wasm"

    def programs(self):
        return self.json("program", "list", "--json")["programs"]

    def modules(self):
        return sorted((self.home / "programs").glob("*"))

    def test_install_list_run_remove(self):
        shutil.copy(HELLO, self.file)
        out = self.realm("program", "add", self.file, "--name", "org/hello:1").stdout
        sha = hashlib.sha256(HELLO.read_bytes()).hexdigest()
        self.assertRegex(out, rf"^org/hello:1: .* sha256 {sha[:12]}\n$")
        self.file.unlink()
        row, = self.programs()
        self.assertEqual((row["name"], row["sha256"], row["bytes"], row["usable"]),
                         ("org/hello:1", sha, HELLO.stat().st_size, True))
        self.assertEqual([p.name for p in self.modules()], [sha + ".wasm"])
        self.assertRegex(self.realm("program", "list").stdout, rf"(?m)^org/hello:1 .*  {sha[:12]}  ")
        self.realm("program", "rm", "org/hello:1")
        self.assertEqual((self.programs(), self.modules()), ([], []))
        self.assertIn("realm program add", self.realm("program", "list").stderr)

    def test_run_by_name(self):
        self.realm("program", "add", HELLO, "--name", "hello")
        ask = ["--model", "tiny", "--prompt", "the people", "-q"]
        self.assertEqual(self.realm("run", "hello", *ask).stdout, self.realm("run", HELLO, *ask).stdout)
        self.assertEqual(self.json("inspect", "hello", "--json"), self.json("inspect", HELLO, "--json"))
        self.refused("run", "helo", *ask, words=["no program is named helo; there are: hello", "realm program add"])
        self.refused("run", "No Name", *ask, words=["a program name is"])

    def test_a_word_with_a_slash_or_ending_is_a_file(self):
        self.file.write_bytes(SEVEN)
        self.realm("program", "add", self.file, "--name", "guest")
        (self.work / "guest").write_bytes(FINE)

        def run(word, code):
            done = subprocess.run([house.BIN, "run", word, "-q"], env=self.env, cwd=self.work, text=True,
                                  stdin=subprocess.DEVNULL, capture_output=True)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stderr

        self.assertIn("answered 7", run("guest", 1))  # the program of the registry
        run("./guest", 0)
        self.assertIn("answered 7", run("guest.wasm", 1))
        shutil.copy(self.work / "guest", self.work / "other")
        self.assertIn("write ./other", run("other", 1))

    def test_add_as_json(self):
        self.file.write_bytes(FINE)
        row = self.json("program", "add", self.file, "--name", "fine", "--json")
        self.assertEqual([row], self.programs())

    def test_names_are_shared_with_models(self):
        self.refused("program", "add", HELLO, "--name", "tiny", words=["tiny is the name of a model"])
        self.realm("program", "add", HELLO, "--name", "hello")
        self.refused("import", house.TINY, "--name", "hello", "--replace",
                     words=["hello is the name of a program", "realm program rm hello"])
        for name in ("UPPER", "../x", "a b", "p@m", "a" * 129):
            self.refused("program", "add", HELLO, "--name", name, words=["a program name is"])

    def test_what_cannot_run_is_refused(self):
        odd = HELLO.read_bytes().replace(b"realm_host_generate", b"realm_host_generatX")
        for data, words in ((b"text", ["guest.wasm: "]), (odd, ["guest.wasm: ", "realm_host_generatX"]),
                            (b"", ["guest.wasm: "]), (b"\0asm" + bytes(16 << 20), ["over the 16 MiB"])):
            self.file.write_bytes(data)
            self.refused("program", "add", self.file, "--name", "x", words=words)
        self.refused("program", "add", self.work / "none.wasm", "--name", "x", words=["No such file"])
        self.refused("program", "add", self.work, "--name", "x", words=["not a regular file"])
        self.assertEqual((self.programs(), self.modules()), ([], []))

    def test_replace(self):
        self.file.write_bytes(FINE)
        self.realm("program", "add", self.file, "--name", "p")
        self.file.write_bytes(SEVEN)
        self.refused("program", "add", self.file, "--name", "p", words=["p already names another program", "--replace"])
        self.realm("program", "add", self.file, "--name", "p", "--replace")
        self.assertEqual(self.programs()[0]["sha256"], hashlib.sha256(SEVEN).hexdigest())
        self.assertEqual(len(self.modules()), 1)

    def test_verify_and_prune(self):
        self.file.write_bytes(FINE)
        self.realm("program", "add", self.file, "--name", "p")
        self.assertEqual(self.json("verify", "p", "tiny", "--json"),
                         {"models": [{"name": "tiny", "good": True}], "programs": [{"name": "p", "good": True}]})
        path, = self.modules()
        path.write_bytes(FINE[:-1] + b"\0")
        self.assertIn("damaged", self.realm("verify", "--all", code=1).stdout)
        self.assertFalse(self.json("verify", "--all", "--json", code=1)["programs"][0]["good"])
        path.unlink()
        self.assertIn("not usable", self.realm("program", "list").stdout)
        self.refused("run", "p", words=["missing", "install it again"])
        self.realm("program", "add", self.file, "--name", "p")  # heals it
        stray = self.home / "programs" / ("0" * 64 + ".wasm")
        stray.write_bytes(b"abc")
        self.assertEqual(self.json("prune", "--json"), {"files": 1, "bytes": 3, "deleted": True})
        self.assertEqual(self.modules(), [path])
        self.realm("run", "p", "-q")

    def test_many_at_once(self):
        """Each of two programs under three names, while others prune: no row is without its file."""
        for i, wasm in enumerate((FINE, SEVEN)):
            (self.work / f"{i}.wasm").write_bytes(wasm)
        commands = [["program", "add", self.work / f"{i % 2}.wasm", "--name", f"p{i}"] for i in range(6)]
        commands += [["prune"], ["prune"], ["program", "add", self.work / "0.wasm", "--name", "p0"]]
        runs = [subprocess.Popen([house.BIN, *map(str, c)], env=self.env, stdout=subprocess.DEVNULL,
                                 stderr=subprocess.PIPE) for c in commands]
        for run in runs:
            _, err = run.communicate(timeout=120)
            self.assertEqual(run.returncode, 0, err)
        self.assertEqual([(p["name"], p["usable"]) for p in self.programs()], [(f"p{i}", True) for i in range(6)])
        self.assertEqual(len(self.modules()), 2)

    def test_usage(self):
        for args, words in (((), ["program needs add|list|rm"]), (("ad",), ["did you mean add?"]),
                            (("add",), ["program add needs FILE.wasm"]),
                            (("add", "x.wasm"), ["program add needs --name NAME"]),
                            (("add", "x.wasm", "--name", ""), ["program add needs --name NAME"]),
                            (("add", "x.wasm", "y.wasm", "--name", "x"), ["unexpected: y.wasm"]),
                            (("list", "x"), ["unexpected: x"]), (("rm",), ["program rm needs NAME"]),
                            (("rm", "x", "--replace"), ["program rm has no option --replace"])):
            self.refused("program", *args, code=2, words=[*words, "usage: realm program"])

    def test_a_program_that_is_too_wide(self):
        self.file.write_bytes(module(b"\x41\x00", pages=2000))
        self.refused("program", "add", self.file, "--name", "wide", words=["guest.wasm: "])
        self.assertEqual(os.listdir(self.home / "programs") if (self.home / "programs").exists() else [], [])


if __name__ == "__main__":
    house.main()
