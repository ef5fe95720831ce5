"""key: made once, listed without their secrets, revoked."""
import re
import sqlite3
import subprocess

import house

KEY = r"rk_[0-9a-hjkmnp-tv-z]{12}_[0-9a-hjkmnp-tv-z]{52}"


class Keys(house.Case):
    models = False

    def setUp(self):
        self.key = ["key", "--home", self.work / self._testMethodName]

    def make(self, *args):
        done = self.realm(*self.key, "new", *args)
        self.assertRegex(done.stdout, rf"^{KEY}\n$")
        return done.stdout.strip()

    def keys(self):
        return self.json(*self.key, "list", "--json")["keys"]

    def test_new_writes_the_key_and_nothing_else(self):
        done = self.realm(*self.key, "new", "--label", "the web shop")
        self.assertRegex(done.stdout, rf"^{KEY}\n$")
        self.assertIn("told once", done.stderr)
        self.assertNotIn(done.stdout.split("_")[2].strip(), done.stderr)
        row, = self.keys()
        self.assertEqual((row["id"], row["label"]), (done.stdout.split("_")[1], "the web shop"))
        self.assertEqual((row["last_used"], row["revoked"]), (None, None))
        self.assertGreater(row["created"], 1_700_000_000)

    def test_the_secret_is_nowhere_in_the_home(self):
        secret = self.make().split("_")[2].encode()
        for path in self.key[2].rglob("*"):
            if path.is_file():
                self.assertNotIn(secret, path.read_bytes(), path)

    def test_a_list_for_people(self):
        self.assertIn("realm key new", self.realm(*self.key, "list").stderr)
        self.assertEqual(self.keys(), [])
        a, b = self.make("--label", "first"), self.make()
        self.realm(*self.key, "revoke", b.split("_")[1])
        text = self.realm(*self.key, "list").stdout
        self.assertRegex(text, rf"(?m)^{a.split('_')[1]}  first +\d{{4}}-.* never$")
        self.assertRegex(text, rf"(?m)^{b.split('_')[1]} .* never +revoked \d{{4}}-")

    def test_revoke(self):
        key = self.make()
        name = key.split("_")[1]
        self.assertEqual(self.realm(*self.key, "revoke", name).stderr, f"revoked {name}\n")
        self.assertIsNotNone(self.keys()[0]["revoked"])
        self.realm(*self.key, "revoke", key)  # as it leaked; and again is fine
        self.realm(*self.key, "revoke", f"rk_{name}")
        self.refused(*self.key, "revoke", "0123456789ab", words=["no key 0123456789ab", "realm key list"])
        for bad in ("short", name + "0", "", "x" * 5000, "rk_", "../../x"):
            self.refused(*self.key, "revoke", bad, words=["the id of a key"])

    def test_labels_are_checked(self):
        for bad in ("a\nb", "\x1b[1m", "x" * 129, b"caf\xe9"):
            done = subprocess.run([house.BIN, *map(str, self.key), "new", "--label", bad], env=self.env,
                                  capture_output=True)
            self.assertEqual((done.returncode, done.stdout), (1, b""))
            self.assertIn(b"a label is one line", done.stderr)
        self.assertEqual(self.keys(), [])

    def test_usage(self):
        for args, words in (((), ["key needs new|list|revoke"]), (("nwe",), ["did you mean new?"]),
                            (("zzz",), ["key has no zzz"]), (("new", "x"), ["unexpected: x"]),
                            (("revoke",), ["key revoke needs ID"]), (("list", "--label", "x"), ["key list has no"]),
                            (("new", "--json"), ["key new has no option --json"]),
                            (("revoke", "a", "b"), ["unexpected: b"])):
            self.refused("key", *args, code=2, words=[*words, "usage: realm key"])
        self.refused("key", "list", "--home", "", code=2, words=["--home is empty"])
        self.assertFalse(self.key[2].exists())

    def test_a_result_that_cannot_be_written_is_no_success(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([house.BIN, *map(str, self.key), "new"], env=self.env, stdout=full,
                                  stderr=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"realm key revoke [0-9a-z]{12} ")

    def test_an_older_registry_gets_its_table(self):
        self.realm("models", "--home", self.key[2])
        db = sqlite3.connect(self.key[2] / "realm.db")
        tables = [name for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        for name in tables:
            if name not in ("models", "digests"):
                db.execute(f"DROP TABLE {name}")
        for name, in db.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'").fetchall():
            db.execute(f"DROP TRIGGER {name}")
        db.execute("PRAGMA user_version = 1")
        db.commit()
        db.close()
        self.make()
        self.assertTrue((self.key[2] / "realm.db.v1.bak").exists())
        self.assertTrue(re.fullmatch(r"[0-9a-z]{12}", self.keys()[0]["id"]))


if __name__ == "__main__":
    house.main()
