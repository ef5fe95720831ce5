"""Streams and terminals: closed ones, narrow ones, and what may not reach them."""
import re
import subprocess

import house
import test_run

HELLO = house.GUESTS / "hello.wasm"


class Streams(house.Case):
    def closed(self, redirections, *args):
        """realm by a shell that closes streams. -> exit code, stdout, stderr"""
        words = " ".join(f"'{a}'" for a in (house.BIN, *args))
        done = subprocess.run(["sh", "-c", f"exec {words} {redirections}"], env=self.env, timeout=60,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr

    def test_closed_input_is_empty_input(self):
        """Not the next file that is opened: once, chat answered to the bytes of a compiled program."""
        self.assertEqual(self.closed("<&-", "chat", "tiny"), (0, "", ""))
        self.assertEqual(self.closed("<&-", "tokenize", "tiny", "--json")[1], '{"n":0,"ids":[],"pieces":[]}\n')

    def test_closed_output_is_an_error_and_never_the_registry(self):
        before = (self.home / "realm.db").read_bytes()
        for streams in (">&-", "<&- >&-", ">&- 2>&-", "<&- >&- 2>&-"):
            self.assertEqual(self.closed(streams, "models")[0], 1)
            self.assertEqual(self.closed(streams, "logits", "tiny", "--ids", "1,70")[0], 1)
        self.assertIn("cannot write", self.closed(">&-", "models")[2])
        self.assertEqual((self.home / "realm.db").read_bytes(), before)
        self.realm("verify", "tiny")

    def test_closed_errors_do_no_harm(self):
        code, out, _ = self.closed("2>&-", "models")
        self.assertEqual((code, out.split()[0]), (0, "NAME"))

    def test_a_full_disk_is_said_once(self):
        with open("/dev/full", "w") as full:
            done = subprocess.run([house.BIN, "chat", "tiny", "--max-tokens", "4"], env=self.env, input="hi\n",
                                  stdout=full, stderr=subprocess.PIPE, text=True)
        self.assertEqual((done.returncode, done.stderr),
                         (1, "realm: cannot write the reply: No space left on device\n"))

    def test_a_reader_that_goes_ends_the_program(self):
        done = subprocess.run(["bash", "-c", f"'{house.BIN}' help --man | head -1; echo ${{PIPESTATUS[0]}}"],
                              env=self.env, capture_output=True, text=True)
        self.assertEqual(done.stderr, "")
        self.assertIn(done.stdout.splitlines()[1], ("0", "141"))

    def test_one_file_for_both_streams_keeps_lines_apart(self):
        done = subprocess.run([house.BIN, "run", HELLO, "--model", "tiny", "--prompt", "the"], env=self.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertRegex(done.stdout.splitlines()[-1], rb"^realm: .* CPU per token$")


class Hostile(house.Case):
    """What a file or a program says does not steer the terminal."""

    def test_names_in_a_module(self):
        wasm = test_run.module(b"\x41\x00").replace(b"\x06memory", b"\x06me\x1b[2J")
        path = self.work / "odd.wasm"
        path.write_bytes(wasm)
        out = self.realm("inspect", path).stdout
        self.assertNotIn("\x1b", out)
        self.assertIn("me\\x1b[2J", out)

    def test_tokens(self):
        out = self.realm("tokenize", "tiny", "--text", "a\x1b[31m\x9b\n").stdout
        self.assertNotIn("\x1b", out)
        self.assertIn('"\\x1b"', out)
        self.assertIn('"\\n"', out)

    def test_words_of_an_error(self):
        self.assertIn("\\x1b[2J", self.refused("inspect", "x\x1b[2J"))


class Width(house.Case):
    def screen(self, *args, columns=100, env=None):
        s = house.Screen(args, {**self.env, **(env or {})}, columns=columns)
        code = s.ended()
        s.close()
        return code, s.seen

    def test_help_fits_the_terminal(self):
        for columns in (30, 50, 80):
            for verb in ("run", "bench", "tokenize"):
                code, text = self.screen("help", verb, columns=columns)
                self.assertEqual(code, 0)
                body = re.sub(r"(?s)\r\nexample:.*", "", text.split("\r\n\r\n", 2)[2])
                long = [x for x in body.splitlines() if len(x) > columns and not x.startswith("  -")
                        and not x.startswith("      --")]
                self.assertEqual(long, [], columns)

    def test_bars_stay_on_their_line(self):
        """Drawn over in place: shorter than the terminal is wide, and gone at the end."""
        for columns in (20, 40, 60, 100):
            code, text = self.screen("bench", "tiny", "-p", "0", "-n", "400", "-b", "0", "-r", "2", "--reference",
                                     columns=columns)
            self.assertEqual(code, 0, text)
            bars = [x.split("\r")[0] for x in text.split("\r\x1b[K")[1:-1]]
            self.assertTrue(bars and bars[0].startswith("tg400: "), text)
            self.assertLess(max(map(len, bars)), columns)
            self.assertEqual(any("░" in x for x in bars), columns > 40, bars)

    def test_no_bar_where_it_cannot_be_drawn(self):
        _, text = self.screen("bench", "tiny", "-p", "0", "-n", "400", "-b", "0", "-r", "2", "--reference",
                              env={"TERM": "dumb"})
        self.assertNotIn("\x1b", text)


if __name__ == "__main__":
    house.main()
