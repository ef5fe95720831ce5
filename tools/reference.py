#!/usr/bin/env python3
"""A float64 forward pass of the tiny models, plainly written: the truth that tests/golden compares with.

usage: reference.py ARCH OUT.bin --n-vocab N --tokens N [--set KEY=NUMBER ...]

Token t has the id (t * 7 + t * t // 3) mod n_vocab. OUT.bin: logits [tokens][n_vocab] as float64."""
import argparse

import numpy as np

from tiny_model import shape_of, tensors_of


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rope(x, base, factors, scale, neox):
    """x [tokens][heads][dims]: pairs (i, i + dims/2) with neox, else (2i, 2i + 1)."""
    tokens, _, dims = x.shape
    freq = base ** (-np.arange(0, dims, 2) / dims) / factors / scale
    angle = np.arange(tokens)[:, None, None] * freq
    cos, sin = np.cos(angle), np.sin(angle)
    out = np.empty_like(x)
    first, second = (slice(0, dims // 2), slice(dims // 2, dims)) if neox else (slice(0, dims, 2), slice(1, dims, 2))
    a, b = x[..., first], x[..., second]
    out[..., first], out[..., second] = a * cos - b * sin, a * sin + b * cos
    return out


def attention(q, k, v, scale, window):
    """q [T][H][D], k and v [T][HK][D] -> [T][H * D]"""
    tokens, heads, _ = q.shape
    k, v = (np.repeat(x, heads // x.shape[1], axis=1) for x in (k, v))
    distance = np.arange(tokens)[:, None] - np.arange(tokens)[None, :]
    hidden = (distance < 0) | (distance >= window if window else False)
    scores = np.einsum("qhd,khd->hqk", q, k) * scale
    scores[:, hidden] = -np.inf
    p = np.exp(scores - scores.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return np.einsum("hqk,khd->qhd", p, v).reshape(tokens, -1)


def activation(x, gelu):
    if gelu:
        return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x ** 3)))
    return x / (1 + np.exp(-x))


def forward(arch, shape, w, ids):
    gemma, heads, head = arch == "gemma3", shape["H"], shape["HD"]
    eps, tokens = shape["eps"], len(ids)
    factors = w.get("rope_freqs.weight", 1.0)
    x = w["token_embd.weight"][ids] * (np.sqrt(shape["E"]) if gemma else 1.0)
    for layer in range(shape["L"]):
        t = lambda name: w.get(f"blk.{layer}.{name}")
        local = gemma and (layer + 1) % 6 != 0
        base = 10000.0 if local else shape["base"]
        scale = shape["scale"] if shape["scale"] and not local else 1.0

        def project(name, n_heads):
            y = h @ t(f"attn_{name}.weight").T
            if t(f"attn_{name}.bias") is not None:
                y = y + t(f"attn_{name}.bias")
            y = y.reshape(tokens, n_heads, head)
            if t(f"attn_{name}_norm.weight") is not None:
                y = rms_norm(y, t(f"attn_{name}_norm.weight"), eps)
            return y

        h = rms_norm(x, t("attn_norm.weight"), eps)
        neox = not arch.startswith("llama")
        q = rope(project("q", heads), base, factors, scale, neox)
        k = rope(project("k", shape["HK"]), base, factors, scale, neox)
        v = project("v", shape["HK"])
        h = attention(q, k, v, head ** -0.5, shape["window"] if local else 0)
        h = h @ t("attn_output.weight").T
        x = x + (rms_norm(h, t("post_attention_norm.weight"), eps) if gemma else h)
        h = rms_norm(x, t("ffn_norm.weight"), eps)
        h = activation(h @ t("ffn_gate.weight").T, gemma) * (h @ t("ffn_up.weight").T)
        h = h @ t("ffn_down.weight").T
        x = x + (rms_norm(h, t("post_ffw_norm.weight"), eps) if gemma else h)
    x = rms_norm(x, w["output_norm.weight"], eps)
    return x @ w.get("output.weight", w["token_embd.weight"]).T


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arch")
    parser.add_argument("out")
    parser.add_argument("--n-vocab", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=NUMBER")
    args = parser.parse_args()
    shape = shape_of(args.arch, dict(item.split("=", 1) for item in args.set))
    for key in ("base", "scale", "eps"):  # the file holds them as float32
        shape[key] = float(np.float32(shape[key]))
    weights = {name: x.astype(np.float64) for name, x in tensors_of(args.arch, args.n_vocab, shape)}
    ids = [(t * 7 + t * t // 3) % args.n_vocab for t in range(args.tokens)]
    forward(args.arch, shape, weights, ids).astype("<f8").tofile(args.out)


if __name__ == "__main__":
    main()
