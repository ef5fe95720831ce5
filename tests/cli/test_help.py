"""help, version, completions, usage errors: everything that needs no model."""
import shutil
import subprocess

import house

VERBS = ["run", "chat", "import", "models", "rm", "verify", "prune", "program", "key", "serve", "ps", "config",
         "inspect", "tokenize", "logits", "perplexity", "bench", "doctor", "help", "version", "completions"]


class Help(house.Case):
    models = False

    def test_help_lists_every_verb(self):
        text = self.realm("help").stdout
        for verb in VERBS:
            self.assertRegex(text, rf"(?m)^  {verb} ")

    def test_each_verb_explains_itself(self):
        for verb in VERBS:
            text = self.realm("help", verb).stdout
            self.assertIn(f"usage: realm {verb}", text)
            self.assertIn("example:\n  ", text)
            self.assertLessEqual(max(map(len, text.splitlines())), 120)
            self.assertEqual(self.realm(verb, "--help").stdout, text)
            self.assertEqual(self.realm(verb, "-h").stdout, text)

    def test_help_as_people_try_it(self):
        self.assertEqual(self.realm("--help").stdout, self.realm("help").stdout)
        self.assertEqual(self.realm("--version").stdout, self.realm("version").stdout)
        self.assertRegex(self.realm("version").stdout, r"^realm \d+\.\d+\.\d+\n$")

    def test_limits_and_defaults_are_told(self):
        text = self.realm("help", "run").stdout
        for words in ("64MiB", "300s", "30s", "4096", "1MiB"):
            self.assertIn(words, text)

    def test_serve_names_its_endpoints(self):
        text = self.realm("help", "serve").stdout
        for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/embeddings", "/tokenize",
                     "/detokenize"):
            self.assertRegex(text, rf"(?m)^  POST {path} +\w")
        for path in ("/v1/models", "/v1/models/NAME", "/metrics", "/livez", "/readyz", "/health"):
            self.assertRegex(text, rf"(?m)^  GET  {path} +\w")

    def test_the_man_page_is_the_one_in_the_tree(self):
        page = self.realm("help", "--man").stdout
        self.assertEqual(page, (house.ROOT / "docs/man/realm.1").read_text(),
                         "write it again: realm help --man > docs/man/realm.1")
        for verb in VERBS:
            self.assertIn(f".Ss realm {verb}", page)

    def test_no_home_is_made_by_help(self):
        self.realm("help")
        self.assertFalse(self.home.exists())

    def test_completions(self):
        for shell in ("bash", "zsh", "fish"):
            script = self.realm("completions", shell).stdout
            for verb in VERBS:
                self.assertIn(verb, script)
            self.assertIn("max-memory", script)
            if shutil.which(shell):
                subprocess.run([shell, "-n"], input=script, text=True, check=True)
        self.refused("completions", "tcsh", words=["bash, zsh and fish"], code=2)

    def test_bash_completes(self):
        script = self.realm("completions", "bash").stdout
        ask = script + 'COMP_WORDS=(realm mod); COMP_CWORD=1; _realm; echo "${COMPREPLY[@]}"\n' \
                       'COMP_WORDS=(realm run x --max-t); COMP_CWORD=3; _realm; echo "${COMPREPLY[@]}"\n'
        done = subprocess.run(["bash"], input=ask, text=True, capture_output=True, check=True)
        self.assertEqual(done.stdout, "models\n--max-time --max-tokens\n")
        for line, offered in (("help mod", "models"), ("completions z", "zsh")):
            ask = script + f'COMP_WORDS=(realm {line}); COMP_CWORD=2; _realm; echo "${{COMPREPLY[@]}}"\n'
            done = subprocess.run(["bash"], input=ask, text=True, capture_output=True, check=True)
            self.assertEqual(done.stdout, offered + "\n")


class Usage(house.Case):
    models = False

    def test_nothing_said(self):
        text = self.refused(code=2, words=["realm help"])
        for verb in VERBS:
            self.assertRegex(text, rf"(?m)^  {verb} ")

    def test_unknown_verbs_are_suggested(self):
        self.refused("chta", code=2, words=["did you mean chat?"])
        self.refused("model", code=2, words=["did you mean models?"])
        self.refused("zzzzzz", code=2, words=["there is no verb zzzzzz"])
        self.refused("help", "chta", code=2)

    def test_unknown_options_are_suggested(self):
        self.refused("models", "--jsn", code=2, words=["did you mean --json?", "realm help models"])
        self.refused("models", "-z", code=2)

    def test_arguments_are_counted(self):
        for args in (["run"], ["chat"], ["import"], ["inspect"], ["tokenize"], ["logits"], ["perplexity"],
                     ["bench"], ["rm"], ["verify"], ["program"], ["key"], ["completions"], ["models", "x"],
                     ["doctor", "x"], ["import", "a", "b"], ["models", "--", "x"]):
            self.refused(*args, code=2, words=["usage: realm"])

    def test_values_are_strict(self):
        for args in (["run", "x.wasm", "--max-memory", "64"], ["run", "x.wasm", "--max-memory", "64 MiB"]):
            self.realm(*args, code=1 if args[-1] == "64" else 2)  # plain bytes are fine, the file is not
        for option, value in (("--max-memory", "64mb"), ("--max-memory", "0"), ("--max-memory", "-1"),
                              ("--max-time", "300"), ("--max-time", "0s"), ("--max-cpu", "1.5s"),
                              ("--max-tokens", "0"), ("--max-tokens", "many"), ("--max-output", "1M"),
                              ("--threads", "0"), ("--threads", "65"), ("--kv", "q8"), ("--ctx", "1")):
            self.refused("run", "x.wasm", option, value, code=2, words=[option, value])
        for args in (["logits", "m"], ["logits", "m", "--ids", "1,,2"], ["logits", "m", "--ids", "1",
                     "--prompt", "x"], ["logits", "m", "--ids", "1", "--top", "0"], ["bench", "m", "-b", "x"],
                     ["bench", "m", "-r", "0"], ["perplexity", "m"], ["perplexity", "m", "-f", "x", "-c", "7"],
                     ["verify", "m", "--all"], ["import", "x.gguf", "--name", ""], ["models", "--home", ""],
                     ["chat", "m", "--temp", "hot"], ["chat", "m", "--top-p", "1.1"]):
            self.refused(*args, code=2, words=["usage: realm"])


if __name__ == "__main__":
    house.main()
