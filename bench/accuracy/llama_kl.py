#!/usr/bin/env python3
"""How far llama.cpp's own quantised arithmetic is from the truth: the yardstick of gate (c).

usage: llama_kl.py OUT.json MODEL.gguf MODEL-F32.gguf TEXT     (needs llama-cpp-python and numpy)

Truth: the same weights dequantised to F32 (`llama-quantize --allow-requantize X.gguf Y.gguf F32`), F32 KV.
The text is cut into 4 chunks of 512 tokens (the first token of a chunk is BOS where the model adds it);
all 2,048 positions are teacher-forced. Per position: KL(truth || quantised), equality of the top-1 ids,
and the log-probabilities of the next token. Raw values per position are recorded."""
import ctypes
import hashlib
import json
import sys

import llama_cpp as L
import numpy as np

CHUNKS, WIDTH = 4, 512


def load(path, f32_kv):
    model = L.llama_model_load_from_file(path.encode(), L.llama_model_default_params())
    params = L.llama_context_default_params()
    params.n_ctx = params.n_batch = params.n_ubatch = WIDTH
    params.n_threads = params.n_threads_batch = 2
    if f32_kv:
        params.type_k = params.type_v = 0
        params.flash_attn_type = 0
    return model, L.llama_init_from_model(model, params)


def tokenize(vocab, data):
    out = (L.llama_token * (len(data) + 16))()
    n = L.llama_tokenize(vocab, data, len(data), out, len(out), False, False)
    return list(out[:n])


def logits(context, ids, n_vocab):
    L.llama_memory_clear(L.llama_get_memory(context), True)
    batch = L.llama_batch_init(len(ids), 0, 1)
    batch.n_tokens = len(ids)
    for i, token in enumerate(ids):
        batch.token[i], batch.pos[i], batch.n_seq_id[i], batch.logits[i] = token, i, 1, 1
        batch.seq_id[i][0] = 0
    assert L.llama_decode(context, batch) == 0
    rows = [np.ctypeslib.as_array(L.llama_get_logits_ith(context, i), (n_vocab,)).copy() for i in range(len(ids))]
    L.llama_batch_free(batch)
    return rows


def log_softmax(row):
    row = row.astype(np.float64)
    top = row.max()
    return row - top - np.log(np.exp(row - top).sum())


def main():
    out, quantised, truth, text = sys.argv[1:5]
    quiet = L.llama_log_callback(lambda *a: None)
    L.llama_log_set(quiet, ctypes.c_void_p(0))
    L.llama_backend_init()
    data = open(text, "rb").read()
    model_q, context_q = load(quantised, False)
    _, context_t = load(truth, True)
    vocab = L.llama_model_get_vocab(model_q)
    n_vocab, bos = L.llama_vocab_n_tokens(vocab), L.llama_vocab_bos(vocab)
    ids = tokenize(vocab, data)[:CHUNKS * WIDTH]
    kl, same, truth_lp, quant_lp = [], [], [], []
    for c in range(CHUNKS):
        chunk = ids[c * WIDTH:(c + 1) * WIDTH]
        if L.llama_vocab_get_add_bos(vocab):
            chunk[0] = bos
        for i, (t, q) in enumerate(zip(logits(context_t, chunk, n_vocab), logits(context_q, chunk, n_vocab))):
            a, b = log_softmax(t), log_softmax(q)
            kl.append(float((np.exp(a) * (a - b)).sum()))
            same.append(bool(a.argmax() == b.argmax()))
            if i + 1 < WIDTH:
                truth_lp.append(float(a[chunk[i + 1]]))
                quant_lp.append(float(b[chunk[i + 1]]))
        print(f"chunk {c + 1}/{CHUNKS}: mean KL so far {np.mean(kl):.6f}", file=sys.stderr, flush=True)
    result = {
        "model": quantised.split("/")[-1], "model_sha256": hashlib.sha256(open(quantised, "rb").read()).hexdigest(),
        "text_sha256": hashlib.sha256(data).hexdigest(), "peer": "llama-cpp-python 0.3.36, default settings, 2 threads",
        "positions": len(kl), "mean_kl": float(np.mean(kl)), "top1_agreement": float(np.mean(same)),
        "ln_ppl_truth": float(-np.mean(truth_lp)), "ln_ppl": float(-np.mean(quant_lp)),
        "kl": [round(x, 6) for x in kl],
    }
    json.dump(result, open(out, "w"), separators=(",", ":"))
    print({k: v for k, v in result.items() if k != "kl"})


if __name__ == "__main__":
    main()
