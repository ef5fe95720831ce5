"""What the tests of the command line share: the binary in a temporary REALM_HOME, and a tiny model.

REALM_BIN names the binary, REALM_BINARY_DIR the build folder (for guests). Runs are in their own
process group, so that a signal reaches what a terminal's Ctrl-C would reach."""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ["REALM_BIN"]
BUILD = pathlib.Path(os.environ["REALM_BINARY_DIR"])
GUESTS = BUILD / "guests"
TINY = BUILD / "tests/cli/tiny.gguf"


def real_model(name):
    """The file of a model of tools/models.json; a test that needs one fails without it."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = pathlib.Path(os.environ.get("REALM_MODELS_DIR") or cache / "realm/models")
    return folder / f"{name}.gguf"


class Case(unittest.TestCase):
    """One REALM_HOME for the tests of a class; with `models`, the tiny model is in it as "tiny"."""

    models = True
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.work = pathlib.Path(tempfile.mkdtemp(prefix="realm-cli-"))
        cls.home = cls.work / "home"
        cls.env = {k: v for k, v in os.environ.items() if not k.startswith("REALM_")}
        for key in ("REALM_CPU",):
            if key in os.environ:
                cls.env[key] = os.environ[key]
        cls.env.update(REALM_HOME=str(cls.home), HOME=str(cls.work), TZ="UTC", LC_ALL="C.UTF-8")
        if cls.models:
            done = subprocess.run([BIN, "import", str(TINY), "--name", "tiny"], env=cls.env,
                                  capture_output=True, text=True)
            assert done.returncode == 0, done.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.work)

    def realm(self, *args, code=0, input="", env=None, timeout=120, binary=False):
        """Runs realm; checks the exit code and that sanitizers had nothing to say."""
        done = subprocess.run([BIN, *map(str, args)], env={**self.env, **(env or {})}, timeout=timeout,
                              input=input.encode() if isinstance(input, str) else input,
                              capture_output=True)
        done.stderr = done.stderr.decode(errors="replace")
        if not binary:
            done.stdout = done.stdout.decode()
        self.assertEqual(done.returncode, code, f"realm {' '.join(map(str, args))}\n{done.stderr}")
        self.assertNotIn("Sanitizer", done.stderr)
        return done

    def json(self, *args, **kw):
        out = self.realm(*args, **kw).stdout
        self.assertEqual(out.count("\n"), 1, "one line of JSON")
        return json.loads(out)

    def refused(self, *args, words=(), code=1, **kw):
        """A failure: nothing on stdout, one sentence on stderr that begins with realm: and has `words`."""
        done = self.realm(*args, code=code, **kw)
        self.assertEqual(done.stdout, "")
        self.assertTrue(done.stderr.startswith("realm: "), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        return done.stderr


def main():
    unittest.main(verbosity=2, argv=[sys.argv[0]])
