#!/usr/bin/env python3
"""Writes a tiny model with random F32 weights (fixed seed) as a GGUF file, for tests of the forward pass.

usage: tiny_model.py ARCH OUT.gguf [--n-vocab N | --vocab FILE.gguf | --words letters|talk] [--set KEY=NUMBER ...]
ARCH: llama llama3 qwen2 qwen3 gemma3

The tensors are drawn in one fixed order, so a model depends on ARCH, the vocabulary's size and the
settings alone. --vocab copies the tokenizer of another file: with the vocabularies named in
tests/golden/vectors/README.md the file has the very digest that the golden vectors were made from.
--words gives it a vocabulary of tools/tiny_words.py; "talk" makes a model that chats.
Settings (--set) name the shape: E L H HK F HD, ctx, window, base (of rope), scale (linear rope)."""
import argparse
import struct
import sys

import numpy as np

import tiny_words

SEED = 20241122
U32, I32, F32, BOOL, STRING, ARRAY = 4, 5, 6, 7, 8, 9
FORMS = {U32: "<I", I32: "<i", F32: "<f", BOOL: "<?"}
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
FILE_ARCH = {"llama3": "llama"}
BASES = {"llama3": 500000.0, "qwen2": 1e6, "qwen3": 1e6}


def shape_of(arch, settings=None):
    """The shape of a model: the one of the golden vectors unless settings say otherwise."""
    shape = {"E": 256, "L": 4, "H": 8, "HK": 2, "F": 512, "HD": 32, "ctx": 2048, "window": 16,
             "base": BASES.get(arch, 10000.0), "scale": 0.0, "eps": 1e-5}
    if arch == "gemma3":
        shape.update(H=4, HK=1, HD=64)
    for key, value in (settings or {}).items():
        if key not in shape:
            raise SystemExit(f"tiny_model: no setting '{key}'")
        shape[key] = type(shape[key])(value)
    return shape


def rope_factors(shape):
    """Frequency divisors of Llama 3.1: factor 8 for long waves, none for short ones, between a blend."""
    freq = 1.0 / (500000.0 ** (np.arange(0, shape["HD"], 2, dtype=np.float64) / shape["HD"]))
    low, high, factor, old = 1.0, 4.0, 8.0, 8192.0
    out = np.ones_like(freq)
    for i, wave in enumerate(2 * np.pi / freq):
        if wave > old / low:
            out[i] = factor
        elif wave >= old / high:
            smooth = (old / wave - low) / (high - low)
            out[i] = 1 / ((1 - smooth) / factor + smooth)
    return out.astype(np.float32)


def tensors_of(arch, n_vocab, shape):
    """-> [(name, float32 array)] in file order; matrices are [outputs][inputs]."""
    rng = np.random.default_rng(SEED)
    out = []

    def mat(name, rows, cols, scale=None):
        factor = np.float32(scale if scale else 1.0 / np.sqrt(cols))
        out.append((name + ".weight", rng.standard_normal((rows, cols), dtype=np.float32) * factor))

    def vec(name, n, base=1.0):
        x = base + 0.1 * rng.standard_normal(n, dtype=np.float32)
        out.append((name, x.astype(np.float32)))

    def linear(name, rows, cols, bias=False):
        mat(name, rows, cols)
        if bias:
            vec(name + ".bias", rows, 0.0)

    embd, head, n_q, n_kv = shape["E"], shape["HD"], shape["H"] * shape["HD"], shape["HK"] * shape["HD"]
    mat("token_embd", n_vocab, embd, 1.0)
    vec("output_norm.weight", embd)
    if arch not in ("gemma3", "qwen3"):
        mat("output", n_vocab, embd)
    if arch == "llama3":
        out.append(("rope_freqs.weight", rope_factors(shape)))
    for layer in range(shape["L"]):
        blk = f"blk.{layer}."
        vec(blk + "attn_norm.weight", embd)
        linear(blk + "attn_q", n_q, embd, arch == "qwen2")
        linear(blk + "attn_k", n_kv, embd, arch == "qwen2")
        linear(blk + "attn_v", n_kv, embd, arch == "qwen2")
        linear(blk + "attn_output", embd, n_q)
        if arch in ("qwen3", "gemma3"):
            vec(blk + "attn_q_norm.weight", head)
            vec(blk + "attn_k_norm.weight", head)
        if arch == "gemma3":
            vec(blk + "post_attention_norm.weight", embd)
            vec(blk + "post_ffw_norm.weight", embd)
        vec(blk + "ffn_norm.weight", embd)
        linear(blk + "ffn_gate", shape["F"], embd)
        linear(blk + "ffn_up", shape["F"], embd)
        linear(blk + "ffn_down", embd, shape["F"])
    return out


def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def item(kind, value):
    return text(value) if kind == STRING else struct.pack(FORMS[kind], value)


def pair(key, kind, value):
    return text(key) + struct.pack("<I", kind) + item(kind, value)


def list_pair(key, kind, values):
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + b"".join(item(kind, v) for v in values)


def word_pairs(words, talks):
    out = [pair("tokenizer.ggml.model", STRING, "llama"),
           list_pair("tokenizer.ggml.tokens", STRING, [w[0] for w in words]),
           list_pair("tokenizer.ggml.scores", F32, [w[1] for w in words]),
           list_pair("tokenizer.ggml.token_type", I32, [w[2] for w in words]),
           pair("tokenizer.ggml.bos_token_id", U32, 1), pair("tokenizer.ggml.eos_token_id", U32, 2),
           pair("tokenizer.ggml.unknown_token_id", U32, 0), pair("tokenizer.ggml.add_bos_token", BOOL, True)]
    if talks:
        out.append(pair("tokenizer.ggml.add_space_prefix", BOOL, False))
        out.append(pair("tokenizer.chat_template", STRING, tiny_words.TEMPLATE))
    return out


def make_talk(tensors, words):
    """A sharper head, so that one word is clearly best, and zero rows for what must not be said."""
    head = dict(tensors)["output.weight"]
    head *= np.float32(0.3 * np.sqrt(head.shape[1]))
    head[tiny_words.silent(words)] = 0.0


def skip_value(data, at, kind):
    if kind == STRING:
        return at + 8 + struct.unpack_from("<Q", data, at)[0]
    if kind == ARRAY:
        kind, n = struct.unpack_from("<IQ", data, at)
        at += 12
        if kind != STRING:
            return at + n * SIZES[kind]
        for _ in range(n):
            at = skip_value(data, at, STRING)
        return at
    return at + SIZES[kind]


def tokenizer_pairs(path):
    """The tokenizer's pairs of a GGUF file as they stand, and how many tokens it has."""
    with open(path, "rb") as file:
        data = file.read()
    n_kv = struct.unpack_from("<Q", data, 16)[0]
    at, pairs, n_vocab = 24, [], 0
    for _ in range(n_kv):
        start, length = at, struct.unpack_from("<Q", data, at)[0]
        key = data[at + 8:at + 8 + length].decode()
        at += 8 + length
        kind = struct.unpack_from("<I", data, at)[0]
        if key == "tokenizer.ggml.tokens":
            n_vocab = struct.unpack_from("<Q", data, at + 8)[0]
        at = skip_value(data, at + 4, kind)
        if key.startswith("tokenizer."):
            pairs.append(data[start:at])
    return pairs, n_vocab


def pairs_of(arch, n_vocab, shape, tokenizer):
    name = FILE_ARCH.get(arch, arch)
    a = name + "."
    out = [pair("general.architecture", STRING, name),
           pair("general.name", STRING, "tiny-random-" + arch)] + tokenizer
    for key, value in (("vocab_size", n_vocab), ("context_length", shape["ctx"]),
                       ("embedding_length", shape["E"]), ("block_count", shape["L"]),
                       ("feed_forward_length", shape["F"]), ("attention.head_count", shape["H"]),
                       ("attention.head_count_kv", shape["HK"])):
        out.append(pair(a + key, U32, value))
    out.append(pair(a + "attention.layer_norm_rms_epsilon", F32, shape["eps"]))
    if arch != "qwen2":
        out.append(pair(a + "attention.key_length", U32, shape["HD"]))
        out.append(pair(a + "attention.value_length", U32, shape["HD"]))
    out.append(pair(a + "rope.freq_base", F32, shape["base"]))
    out.append(pair(a + "rope.dimension_count", U32, shape["HD"]))
    if arch == "gemma3":
        out.append(pair(a + "attention.sliding_window", U32, shape["window"]))
    if shape["scale"]:
        out.append(pair(a + "rope.scaling.type", STRING, "linear"))
        out.append(pair(a + "rope.scaling.factor", F32, shape["scale"]))
    return out


def write_gguf(path, pairs, tensors):
    align = 32
    infos, offset = [], 0
    for name, x in tensors:
        dims = x.shape[::-1]
        infos.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, offset))
        offset += (x.nbytes + align - 1) // align * align
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(pairs)) + b"".join(pairs) + b"".join(infos)
    with open(path, "wb") as file:
        file.write(head + bytes(-len(head) % align))
        for _, x in tensors:
            x.astype("<f4", copy=False).tofile(file)
            file.write(bytes(-x.nbytes % align))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arch", choices=["llama", "llama3", "qwen2", "qwen3", "gemma3"])
    parser.add_argument("out")
    parser.add_argument("--n-vocab", type=int, default=0)
    parser.add_argument("--vocab")
    parser.add_argument("--words", choices=sorted(tiny_words.BY_NAME))
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER")
    args = parser.parse_args()
    tokenizer, n_vocab, words = [], args.n_vocab, []
    if args.words:
        words = tiny_words.BY_NAME[args.words]()
        tokenizer, n_vocab = word_pairs(words, args.words == "talk"), len(words)
    elif args.vocab:
        tokenizer, n_vocab = tokenizer_pairs(args.vocab)
    if n_vocab < 1:
        sys.exit("tiny_model: give --n-vocab, --vocab or --words")
    shape = shape_of(args.arch, dict(setting.split("=", 1) for setting in args.set))
    tensors = tensors_of(args.arch, n_vocab, shape)
    if args.words == "talk":
        make_talk(tensors, words)
    write_gguf(args.out, pairs_of(args.arch, n_vocab, shape, tokenizer), tensors)


if __name__ == "__main__":
    main()
