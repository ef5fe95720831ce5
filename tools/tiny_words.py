"""Vocabularies of tiny models: SentencePiece pieces by rows, as the pairs of a GGUF file.

letters  bytes, letters and whole characters of two to four bytes: any text goes through.
talk     printable pieces and a chat template. Bytes, control tokens and the end token are silent:
         with zero rows in the head (tiny_model.py) they never win, so that its texts, which mean
         nothing, are printable and as long as one asks."""
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
SPACE = "\u2581"
TEMPLATE = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
WORDS = """the of and to in is that it was for on are as with his they at be this from have or by one had
not but what all were when we there can an your which their said if do will each about how up out them
then she many some so these would other into has more her two like him see time could no make than first
been its who now people my made over did down only way find use may water long little very after words
called just where most know""".split()
N_TALK = 512


def begin(*controls):
    out = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    out += [(c, 0.0, CONTROL) for c in controls]
    return out + [(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)] + [(SPACE, -1.0, NORMAL)]


def letters():
    """-> [(piece, score, type)]"""
    pieces = [chr(c) for c in range(97, 123)] + ["\u00e9", "\u0436", "\u65e5", "\u672c", "\U0001f600", SPACE + "the"]
    return begin() + [(piece, -2.0 - i, NORMAL) for i, piece in enumerate(pieces)]


def talk():
    """-> [(piece, score, type)]"""
    out = begin("<|im_start|>", "<|im_end|>") + [(chr(c), -2.0 - c, NORMAL) for c in range(33, 127)]
    out += [(SPACE + word, -1000.0 - i, NORMAL) for i, word in enumerate(WORDS)]
    return out + [(f"{SPACE}w{i}", -5000.0 - i, NORMAL) for i in range(N_TALK - len(out))]


BY_NAME = {"letters": letters, "talk": talk}


def silent(words):
    return [i for i, (_, _, kind) in enumerate(words) if kind != NORMAL]
