"""config: where settings come from, and that verbs obey them."""
import os
import subprocess
import tomllib

import house

WHOLE = r"""# all types
home = "%s" # a folder

[server]
host = '0.0.0.0'
port = 8_081
keys_required = "yes"
allowed_origins = [
    "https://a.example",   # one
    'https://b.example\x',
]
allowed_hosts = []
max_body = 2_097_152
log_level = "d\u0065bug"

[engine]
threads = +1
kv = "f32"
kv_memory = "64MiB"
ctx = 512
"""


class Config(house.Case):
    models = False

    def setUp(self):
        self.file = self.work / ".config/realm/realm.toml"
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text("")
        self.env.pop("XDG_CONFIG_HOME", None)
        self.env["REALM_HOME"] = str(self.home)

    def settings(self, *args, **kw):
        rows = self.json("config", "--json", *args, **kw)["config"]
        return {r["name"]: r for r in rows}

    def test_defaults(self):
        rows = self.settings()
        self.assertEqual((rows["host"]["value"], rows["port"]["value"]), ("127.0.0.1", 8080))
        self.assertEqual((rows["kv_memory"]["value"], rows["threads"]["value"]), (1 << 30, None))
        self.assertEqual((rows["allowed_hosts"]["value"], rows["keys_required"]["value"]), ([], "auto"))
        self.assertTrue(rows["log_level"]["reloadable"])
        self.assertFalse(rows["port"]["reloadable"])
        self.assertEqual({r["from"] for n, r in rows.items() if n != "home"}, {"default"})
        self.assertEqual((rows["home"]["value"], rows["home"]["from"]), (str(self.home), "REALM_HOME"))

    def test_the_file_is_read_as_toml_says(self):
        text = WHOLE % self.home
        self.file.write_text(text)
        rows, other = self.settings(env={"REALM_HOME": ""}), tomllib.loads(text)
        n = 0
        for row in rows.values():
            table = other.get(row["table"], {}) if row["table"] else other
            if row["name"] not in table:
                self.assertEqual(row["from"], "default")
                continue
            line = next(i for i, x in enumerate(text.splitlines(), 1) if x.startswith(row["name"] + " "))
            self.assertEqual(row["from"], f"{self.file}:{line}")
            if row["name"] != "kv_memory":  # a size may have a unit
                self.assertEqual(row["value"], table[row["name"]])
            n += 1
        self.assertEqual(n, 12)
        self.assertEqual(rows["kv_memory"]["value"], 64 << 20)

    def test_each_source_is_over_those_before(self):
        self.file.write_text("[server]\nport = 1\n")
        self.assertEqual(self.settings()["port"]["value"], 1)
        row = self.settings(env={"REALM_PORT": "2"})["port"]
        self.assertEqual((row["value"], row["from"]), (2, "REALM_PORT"))
        row = self.settings("--port", "3", env={"REALM_PORT": "2"})["port"]
        self.assertEqual((row["value"], row["from"]), (3, "--port"))
        other = self.work / "xdg"
        (other / "realm").mkdir(parents=True)
        (other / "realm/realm.toml").write_text("[server]\nport = 4\n")
        row = self.settings(env={"XDG_CONFIG_HOME": str(other)})["port"]
        self.assertEqual((row["value"], row["from"]), (4, f"{other}/realm/realm.toml:2"))

    def test_a_table_for_people(self):
        self.file.write_text("[server]\nallowed_hosts = ['a', 'b']\n")
        text = self.realm("config").stdout
        self.assertRegex(text, r"(?m)^server\.port  .* 8080  .*default$")
        self.assertRegex(text, rf"(?m)^server\.allowed_hosts +a,b +{self.file}:2$")
        self.assertRegex(text, r"(?m)^engine\.threads +- +default$")

    def test_mistakes(self):
        for text, words in (("[server]\nprot = 1\n", ["realm.toml:2: ", "no setting prot; did you mean port?"]),
                            ("port = 1\n", ["realm.toml:1: ", "below the line [server]"]),
                            ("[sever]\n", ["realm.toml:1: ", "did you mean [server]?"]),
                            ("[server]\nport = 65536\n", ["realm.toml:2: ", "from 0 to 65535"]),
                            ("[server]\nport = \"x\n", ["realm.toml:2: ", "does not end on its line"]),
                            ("home = \"\x1b[2J\"\n", ["realm.toml:1: ", "control character 27"]),
                            ("home = \"\\u001b[2J\"\n", ["realm.toml:1: ", "\\x1b[2J"])):
            self.file.write_text(text)
            self.refused("config", words=words)
            self.refused("models", words=words[:1])  # every verb that opens the registry
        self.realm("version")  # and no other
        self.file.write_bytes(os.urandom(4096))
        self.refused("config", words=["realm.toml:"])
        self.file.unlink()
        self.file.mkdir()
        self.refused("config", words=["not a regular file"])
        self.file.rmdir()
        self.refused("config", env={"REALM_PORT": "x"}, words=["REALM_PORT x: give a whole number"])
        self.refused("config", "--port", "x", code=2, words=["--port x: give a whole number", "usage: realm config"])
        self.refused("config", "--hostt", "x", code=2, words=["did you mean --host?"])

    def test_verbs_obey(self):
        home = self.work / "from file"
        self.file.write_text(f"home = '{home}'\n[engine]\nthreads = 1\nctx = 8\n")
        env = {"REALM_HOME": ""}
        self.realm("import", house.TINY, "--name", "t", env=env)
        self.assertTrue((home / "realm.db").exists())
        ids = ",".join(["1"] * 9)
        self.refused("logits", "t", "--ids", ids, env=env)  # over the context limit
        self.realm("logits", "t", "--ids", ids, "--ctx", "64", env=env)
        self.realm("key", "new", env=env)
        self.assertEqual(len(self.json("key", "list", "--json", env=env)["keys"]), 1)

    def test_variables_of_others_are_left_alone(self):
        self.settings(env={"REALM_NOTHING": "x", "REALM_CPU": "ref"})

    def test_no_home_is_made(self):
        self.settings()
        self.assertFalse(self.home.exists())

    def test_a_result_that_cannot_be_written(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([house.BIN, "config"], env=self.env, stdout=full, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    house.main()
