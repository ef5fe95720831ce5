"""chat: from a pipe, and at a terminal."""
import os
import subprocess

import house


class Pipe(house.Case):
    def test_every_line_is_a_message(self):
        done = self.realm("chat", "tiny", "--max-tokens", "8", "--temp", "0", input="one\ntwo\n\n  \n")
        replies = done.stdout.splitlines()
        self.assertEqual(len(replies), 2)
        self.assertTrue(all(replies))
        self.assertEqual(done.stderr, "")

    def test_the_same_seed_gives_the_same_words(self):
        args = ["chat", "tiny", "--max-tokens", "12", "--seed", "5"]
        a, b = (self.realm(*args, input="one\n").stdout for _ in range(2))
        self.assertEqual(a, b)
        self.assertNotEqual(a, self.realm(*args[:-1], "6", input="one\n").stdout)

    def test_the_conversation_goes_on(self):
        args = ["chat", "tiny", "--max-tokens", "8", "--temp", "0"]
        first, second = self.realm(*args, input="one\ntwo\n").stdout.splitlines()
        self.assertEqual(self.realm(*args, input="one\n").stdout, first + "\n")
        self.assertNotEqual(self.realm(*args, input="two\n").stdout, second + "\n")
        self.assertNotEqual(self.realm(*args, "--system", "be brief", input="one\n").stdout, first + "\n")

    def test_continued_lines_and_odd_bytes(self):
        args = ["chat", "tiny", "--max-tokens", "8", "--temp", "0"]
        self.assertEqual(len(self.realm(*args, input="one\\\ntwo\n").stdout.splitlines()), 1)
        self.realm(*args, input=b'quote " back \\ byte \xff nul \x00 end\n')

    def test_commands_are_plain_text_in_a_pipe(self):
        self.assertEqual(len(self.realm("chat", "tiny", "--max-tokens", "4", input="/reset\n").stdout.splitlines()), 1)

    def test_nothing_said(self):
        self.assertEqual(self.realm("chat", "tiny", input="").stdout, "")

    def test_a_full_context_says_so(self):
        self.assertIn("context", self.realm("chat", "tiny", input="the people " * 3000 + "\n", code=1).stderr)

    def talk_while(self, model, change, *more):
        """Two messages to `model`; change() in between. -> the two replies"""
        run = subprocess.Popen([house.BIN, "chat", str(model), "--max-tokens", "8", "--temp", "0", *more],
                               env=self.env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
        run.stdin.write(b"one\n")
        run.stdin.flush()
        first = run.stdout.readline()
        change()
        rest, err = run.communicate(b"two\n", timeout=60)
        self.assertEqual((run.returncode, err), (0, b""))
        return (first + rest).decode().splitlines()

    def test_the_model_may_go_while_it_is_used(self):
        """The packed file deleted, the name removed, the source cut short or replaced: who has the model
        open never notices."""
        home, file = self.work / "leaving", self.work / "source.gguf"
        want = self.realm("chat", "tiny", "--max-tokens", "8", "--temp", "0", input="one\ntwo\n").stdout.splitlines()
        self.realm("import", house.TINY, "--name", "t", "--home", home)
        self.assertEqual(want, self.talk_while(
            "t", lambda: self.realm("rm", "t", "--home", home), "--home", str(home)))
        self.assertEqual(list((home / "models").iterdir()), [])
        file.write_bytes(house.TINY.read_bytes())
        self.assertEqual(want, self.talk_while(file, lambda: os.truncate(file, 1000)))
        file.write_bytes(house.TINY.read_bytes())
        self.assertEqual(want, self.talk_while(file, lambda: file.write_text("something else")))

    def test_a_base_model_is_refused(self):
        data = house.TINY.read_bytes().replace(b"tokenizer.chat_template", b"tokenizer.chat_templatX", 1)
        base = self.work / "base.gguf"
        base.write_bytes(data)
        self.refused("chat", base, words=["no chat template", "base model"], input="x\n")


class Terminal(house.Case):
    """A person's side."""

    def setUp(self):
        self.screen = house.Screen(["chat", "tiny", "--max-tokens", "8"], self.env)
        self.until, self.type, self.ended = self.screen.until, self.screen.type, self.screen.ended
        self.until("/help lists commands")
        self.until("> ")

    def tearDown(self):
        self.screen.close()

    def test_a_message_commands_and_leaving(self):
        self.type("hello\r")
        self.assertIn("hello", self.until("tokens, "))
        self.until("> ")
        self.type("/help\r")
        self.until("/reset")
        self.until("> ")
        self.type("/nope\r")
        self.until("There is no command /nope")
        self.until("> ")
        self.type("/reset\r")
        self.until("A new conversation.")
        self.until("> ")
        self.type("/exit\r")
        self.assertEqual(self.ended(), 0)

    def test_end_of_input_leaves(self):
        self.type("\x04")
        self.assertEqual(self.ended(), 0)

    def test_ctrl_c_empties_the_line_then_leaves(self):
        self.type("half a line\x03")
        self.until("> ")
        self.type("\x03")
        self.assertEqual(self.ended(), 130)

    def test_history_is_kept(self):
        self.type("remember me\r")
        self.until("tokens, ")
        self.until("> ")
        self.type("\x1b[A")  # up
        self.until("remember me")
        self.type("\x03")
        self.until("> ")
        self.type("\x04")
        self.assertEqual(self.ended(), 0)
        saved = self.work / ".local/state/realm/chat_history"
        self.assertIn("remember", saved.read_text())
        self.assertEqual(saved.stat().st_mode & 0o077, 0)

    def test_letters_of_every_language_arrive_without_a_locale(self):
        self.screen.close()
        env = {k: v for k, v in self.env.items() if k not in ("LC_ALL", "LANG", "LC_CTYPE")}
        self.screen = house.Screen(["chat", "tiny", "--max-tokens", "8"], env)
        self.screen.until("> ")
        self.screen.type("größe 日本\r")
        self.screen.until("tokens, ")
        self.screen.until("> ")
        self.screen.type("\x04")
        self.assertEqual(self.screen.ended(), 0)
        self.assertIn("größe\\040日本", (self.work / ".local/state/realm/chat_history").read_text())

    def test_no_colour_when_it_is_not_wanted(self):
        self.type("hello\r")
        self.assertIn("\x1b[2m", self.until("tokens, "))
        for more in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            self.screen.close()
            self.screen = house.Screen(["chat", "tiny", "--max-tokens", "8"], {**self.env, **more})
            self.screen.until("> ")
            self.screen.type("hello\r")
            self.assertNotIn("\x1b[2m", self.screen.until("tokens, "))

    def test_ctrl_c_stops_the_reply_and_the_talk_goes_on(self):
        self.screen.close()
        # The reference path is slow enough to be stopped in the midst of a reply.
        self.screen = house.Screen(["chat", "tiny", "--max-tokens", "1500", "--reference"], self.env)
        self.screen.until("> ")
        self.screen.type("hello\r")
        self.screen.until("\n")
        self.screen.until_more()
        self.screen.type("\x03")
        self.assertNotIn("^C", self.screen.until("stopped"))
        self.screen.until("> ")
        self.screen.type("/exit\r")
        self.assertEqual(self.screen.ended(), 0)


if __name__ == "__main__":
    house.main()
