#!/usr/bin/env python3
"""Writes the models of the engine's tests: tools/tiny_model.py's random weights with a SentencePiece
vocabulary of bytes, letters, words and whole characters of two to four bytes.

usage: tiny_models.py ARCH OUT.gguf [KEY=NUMBER ...]"""
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../tools"))
import tiny_model  # noqa: E402

BOOL, I32 = 7, 5
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6


def vocabulary():
    """-> [(piece, score, type)]"""
    out = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL)]
    out += [(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)]
    out += [("\u2581", -1.0, NORMAL)]
    pieces = [chr(c) for c in range(97, 123)] + ["\u00e9", "\u0436", "\u65e5", "\u672c", "\U0001f600", "\u2581the"]
    return out + [(piece, -2.0 - i, NORMAL) for i, piece in enumerate(pieces)]


def array(key, kind, items):
    return (tiny_model.text(key) + struct.pack("<IIQ", tiny_model.ARRAY, kind, len(items)) +
            b"".join(items))


def tokenizer():
    words = vocabulary()
    flag = tiny_model.text("tokenizer.ggml.add_bos_token") + struct.pack("<I?", BOOL, True)
    return [tiny_model.pair("tokenizer.ggml.model", tiny_model.STRING, "llama"),
            array("tokenizer.ggml.tokens", tiny_model.STRING, [tiny_model.text(w[0]) for w in words]),
            array("tokenizer.ggml.scores", tiny_model.F32, [struct.pack("<f", w[1]) for w in words]),
            array("tokenizer.ggml.token_type", I32, [struct.pack("<i", w[2]) for w in words]),
            tiny_model.pair("tokenizer.ggml.bos_token_id", tiny_model.U32, 1),
            tiny_model.pair("tokenizer.ggml.eos_token_id", tiny_model.U32, 2),
            tiny_model.pair("tokenizer.ggml.unknown_token_id", tiny_model.U32, 0), flag]


def main():
    arch, out = sys.argv[1:3]
    shape = tiny_model.shape_of(arch, dict(item.split("=", 1) for item in sys.argv[3:]))
    n_vocab = len(vocabulary())
    tiny_model.write_gguf(out, tiny_model.pairs_of(arch, n_vocab, shape, tokenizer()),
                          tiny_model.tensors_of(arch, n_vocab, shape))


if __name__ == "__main__":
    main()
