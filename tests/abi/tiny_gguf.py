#!/usr/bin/env python3
"""Writes a tiny model with a whole tokenizer and a chat template as a GGUF file: random F32 weights
with a fixed seed, a SentencePiece vocabulary of printable pieces. Its text means nothing, but it is a
model like any other. Bytes, control tokens and the end token have zero rows in the head, so that
their logits are 0 and they never win: its texts are printable and as long as one asks.

usage: tiny_gguf.py OUT.gguf"""
import array
import random
import struct
import sys

E, LAYERS, HEADS, KV_HEADS, HEAD, FF, CONTEXT = 128, 3, 4, 2, 32, 256, 2048
N_VOCAB = 512
U32, F32, BOOL, STRING, ARRAY, I32 = 4, 6, 7, 8, 9, 5
NORMAL, UNKNOWN, CONTROL, BYTE = 1, 2, 3, 6
TEMPLATE = ("{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + '<|im_end|>' + '\\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
WORDS = """the of and to in is that it was for on are as with his they at be this from have or by one had
not but what all were when we there can an your which their said if do will each about how up out them
then she many some so these would other into has more her two like him see time could no make than first
been its who now people my made over did down only way find use may water long little very after words
called just where most know""".split()


def vocabulary():
    """-> [(piece, score, type)]"""
    out = [("<unk>", 0.0, UNKNOWN), ("<s>", 0.0, CONTROL), ("</s>", 0.0, CONTROL),
           ("<|im_start|>", 0.0, CONTROL), ("<|im_end|>", 0.0, CONTROL)]
    out += [(f"<0x{b:02X}>", 0.0, BYTE) for b in range(256)]
    out += [("\u2581", -1.0, NORMAL)] + [(chr(c), -2.0 - c, NORMAL) for c in range(33, 127)]
    out += [("\u2581" + word, -1000.0 - i, NORMAL) for i, word in enumerate(WORDS)]
    return out + [(f"\u2581w{i}", -5000.0 - i, NORMAL) for i in range(N_VOCAB - len(out))]


def tensors(vocab):
    rng = random.Random(20241122)
    out = []

    def mat(name, rows, cols, scale, skip=()):
        values = array.array("f")
        for row in range(rows):
            draw = [rng.gauss(0.0, scale) for _ in range(cols)]
            values.extend([0.0] * cols if row in skip else draw)
        out.append((name, (cols, rows), values))

    def vec(name, n):
        out.append((name, (n,), array.array("f", [1.0 + 0.1 * rng.gauss(0.0, 1.0) for _ in range(n)])))

    silent = {i for i, (_, _, kind) in enumerate(vocab) if kind != NORMAL}
    mat("token_embd.weight", len(vocab), E, 1.0)
    vec("output_norm.weight", E)
    mat("output.weight", len(vocab), E, 0.3, silent)
    for layer in range(LAYERS):
        blk = f"blk.{layer}."
        vec(blk + "attn_norm.weight", E)
        mat(blk + "attn_q.weight", HEADS * HEAD, E, E ** -0.5)
        mat(blk + "attn_k.weight", KV_HEADS * HEAD, E, E ** -0.5)
        mat(blk + "attn_v.weight", KV_HEADS * HEAD, E, E ** -0.5)
        mat(blk + "attn_output.weight", E, HEADS * HEAD, E ** -0.5)
        vec(blk + "ffn_norm.weight", E)
        mat(blk + "ffn_gate.weight", FF, E, E ** -0.5)
        mat(blk + "ffn_up.weight", FF, E, E ** -0.5)
        mat(blk + "ffn_down.weight", E, FF, FF ** -0.5)
    return out


def text(s):
    raw = s.encode()
    return struct.pack("<Q", len(raw)) + raw


def pair(key, kind, value):
    forms = {U32: "<I", F32: "<f", BOOL: "<?"}
    body = text(value) if kind == STRING else struct.pack(forms[kind], value)
    return text(key) + struct.pack("<I", kind) + body


def array_pair(key, kind, values):
    forms = {F32: "<f", I32: "<i"}
    body = b"".join(text(v) if kind == STRING else struct.pack(forms[kind], v) for v in values)
    return text(key) + struct.pack("<IIQ", ARRAY, kind, len(values)) + body


def pairs(vocab):
    return [
        pair("general.architecture", STRING, "llama"), pair("general.name", STRING, "tiny"),
        pair("llama.vocab_size", U32, len(vocab)), pair("llama.context_length", U32, CONTEXT),
        pair("llama.embedding_length", U32, E), pair("llama.block_count", U32, LAYERS),
        pair("llama.feed_forward_length", U32, FF), pair("llama.attention.head_count", U32, HEADS),
        pair("llama.attention.head_count_kv", U32, KV_HEADS),
        pair("llama.attention.layer_norm_rms_epsilon", F32, 1e-5),
        pair("llama.attention.key_length", U32, HEAD), pair("llama.attention.value_length", U32, HEAD),
        pair("llama.rope.dimension_count", U32, HEAD), pair("llama.rope.freq_base", F32, 10000.0),
        pair("tokenizer.ggml.model", STRING, "llama"),
        array_pair("tokenizer.ggml.tokens", STRING, [v[0] for v in vocab]),
        array_pair("tokenizer.ggml.scores", F32, [v[1] for v in vocab]),
        array_pair("tokenizer.ggml.token_type", I32, [v[2] for v in vocab]),
        pair("tokenizer.ggml.unknown_token_id", U32, 0), pair("tokenizer.ggml.bos_token_id", U32, 1),
        pair("tokenizer.ggml.eos_token_id", U32, 2), pair("tokenizer.ggml.add_bos_token", BOOL, True),
        pair("tokenizer.ggml.add_space_prefix", BOOL, False),
        pair("tokenizer.chat_template", STRING, TEMPLATE),
    ]


def write(path, meta, weights, align=32):
    infos, offset = [], 0
    for name, dims, values in weights:
        infos.append(text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, 0, offset))
        offset += (4 * len(values) + align - 1) // align * align
    head = b"GGUF" + struct.pack("<IQQ", 3, len(weights), len(meta)) + b"".join(meta) + b"".join(infos)
    with open(path, "wb") as out:
        out.write(head + bytes(-len(head) % align))
        for _, _, values in weights:
            if sys.byteorder == "big":
                values.byteswap()
            out.write(values.tobytes() + bytes(-4 * len(values) % align))


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    vocab = vocabulary()
    write(sys.argv[1], pairs(vocab), tensors(vocab))


if __name__ == "__main__":
    main()
