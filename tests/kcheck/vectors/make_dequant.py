#!/usr/bin/env python3
"""Writes dequant.txt, the expected values of kcheck.quant: block shapes of every type and
dequantised blocks as the Python package `gguf` (made with 0.19) computes them.

usage: make_dequant.py > dequant.txt

Lines: "size TYPE NUMBER BLOCK BYTES" and "values TYPE HEX-OF-BLOCKS HEX-OF-FLOATS" (little endian).
"""
import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize

# Type -> offsets of the f16 scales in a block.
SCALES = {"Q4_0": [0], "Q5_0": [0], "Q8_0": [0], "Q4_K": [0, 2], "Q6_K": [208], "F16": [0]}
VALUES = ["F16", "BF16", "Q4_0", "Q5_0", "Q8_0", "Q4_K", "Q6_K"]


def blocks(name, rng):
    block, size = GGML_QUANT_SIZES[Type[name]]
    n = {1: 64, 32: 6, 256: 3}[block]
    data = rng.integers(0, 256, (n, size), dtype=np.uint8)
    if n < 64:
        data[1] = 255
        data[2] = 0
    for at in SCALES.get(name, []):
        half = rng.integers(0, 0x7C00, n, dtype=np.uint16) | rng.integers(0, 2, n, dtype=np.uint16) << 15
        half[0] = 0x0001  # the smallest subnormal
        data[:, at : at + 2] = half.astype("<u2").view(np.uint8).reshape(n, 2)
    if name == "BF16":
        data[:, 1] &= 0xBF  # finite
    return data.reshape(-1)


def main():
    rng = np.random.default_rng(20)
    for t, (block, size) in GGML_QUANT_SIZES.items():
        if t == Type.Q8_1:  # never in files; the package still has the size of an older form
            continue
        print("size", t.name, t.value, block, size)
    for name in VALUES:
        data = blocks(name, rng)
        if name == "F16":
            out = data.view("<f2").astype("<f4")
        else:
            out = dequantize(data, Type[name]).astype("<f4")
        print("values", name, data.tobytes().hex(), out.tobytes().hex())


main()
