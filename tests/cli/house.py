"""What the tests of the command line share: the binary in a temporary REALM_HOME, and a tiny model.

REALM_BIN names the binary, REALM_BINARY_DIR the build folder (for guests). Runs are in their own
process group, so that a signal reaches what a terminal's Ctrl-C would reach."""
import fcntl
import json
import os
import pathlib
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = os.environ["REALM_BIN"]
BUILD = pathlib.Path(os.environ["REALM_BINARY_DIR"])
GUESTS = BUILD / "guests"
TINY = BUILD / "tests/tiny.gguf"


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


class Screen:
    """realm at a pseudo-terminal: it is all three of its streams."""

    def __init__(self, args, env, columns=100):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        self.seen = ""
        self.run = subprocess.Popen([BIN, *map(str, args)], stdin=slave, stdout=slave, stderr=slave,
                                    env={"TERM": "xterm", **env}, start_new_session=True,
                                    preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)

    def close(self):
        if self.run.poll() is None:
            self.run.kill()
        self.run.wait()
        if self.master >= 0:
            os.close(self.master)
        self.master = -1

    def read(self, timeout):
        """Adds to `seen` what comes within the time. -> False at the end"""
        if not select.select([self.master], [], [], timeout)[0]:
            return True
        try:
            more = os.read(self.master, 65536)
        except OSError:
            return False
        self.seen += more.decode(errors="replace")
        return bool(more)

    def until(self, words, timeout=60):
        """Reads until `words` were shown; -> what came before them since the last call."""
        end = time.monotonic() + timeout
        while words not in self.seen:
            assert time.monotonic() < end, f"waiting for {words!r}, seen {self.seen!r}"
            assert self.read(0.2) or words in self.seen, f"ended before {words!r}, seen {self.seen!r}"
        before, self.seen = self.seen.split(words, 1)
        return before

    def until_more(self):
        """Until something more is shown."""
        have, end = len(self.seen), time.monotonic() + 60
        while len(self.seen) == have and self.read(0.2):
            assert time.monotonic() < end, "nothing more came"

    def type(self, text):
        os.write(self.master, text.encode())

    def ended(self):
        """Reads to the end, into `seen`. -> the exit code"""
        end = time.monotonic() + 60
        while time.monotonic() < end and self.read(0.1):
            if self.run.poll() is not None and not select.select([self.master], [], [], 0)[0]:
                break
        return self.run.wait(timeout=30)


def main():
    unittest.main(verbosity=2, argv=[sys.argv[0]])
