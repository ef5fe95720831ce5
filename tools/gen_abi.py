#!/usr/bin/env python3
"""Writes what follows from the guest ABI's tables: declarations in sdk/c/realm.h, tables in docs/abi.md.

Sources: src/guest/abi.def, src/guest/abi_wasi.def, include/realm/status.h. Each target file is
hand-written but for its blocks between "generated: NAME" and "end generated"; those are replaced.

    tools/gen_abi.py            write the files
    tools/gen_abi.py --check    exit 1 when a file is out of date
"""
import pathlib
import re
import sys
import textwrap

ROOT = pathlib.Path(__file__).resolve().parent.parent

# C types of an argument letter: (type, name) once or twice, the second being the count or capacity.
C_ARGS = {
    "h": [("uint32_t ", "handle")],
    "u": [("uint32_t ", "value")],
    "i": [("int32_t ", "value")],
    "l": [("int64_t ", "value")],
    "f": [("float ", "value")],
    "B": [("const void *", "data"), ("size_t ", "len")],
    "T": [("const char *", "text"), ("size_t ", "len")],
    "I": [("const uint32_t *", "ids"), ("uint32_t ", "n_ids")],
    "F": [("const float *", "hidden"), ("uint32_t ", "n_floats")],
    "b": [("void *", "out"), ("size_t ", "cap")],
    "v": [("uint32_t *", "out"), ("uint32_t ", "cap")],
    "g": [("float *", "out"), ("uint32_t ", "cap")],
    "p": [("const void *", "record")],
    "o": [("void *", "out")],
}
WASM_ARGS = {
    "h": ["i32"], "u": ["i32"], "i": ["i32"], "l": ["i64"], "f": ["f32"],
    "B": ["ptr", "ptr"], "T": ["ptr", "ptr"], "b": ["ptr", "ptr"],
    "I": ["ptr", "i32"], "F": ["ptr", "i32"], "v": ["ptr", "i32"], "g": ["ptr", "i32"],
    "p": ["ptr"], "o": ["ptr"],
}
# Better words than the letters' own, in order of appearance; what is not listed keeps its default.
NAMES = {
    "env.realm_host_generate": "model prompt prompt_len out cap",
    "env.realm_host_generate_opts": "model prompt prompt_len options out cap",
    "env.realm_host_load_model_by_name": "name len",
    "env.realm_encode_tokens": "model text len out_ids cap_bytes",
    "env.realm_decode_tokens": "model ids n_ids out cap",
    "env.realm_embed_tokens": "model ids n_ids out_floats",
    "env.realm_forward_layer": "model layer hidden n_floats position out_floats",
    "env.realm_compute_logits": "model hidden n_floats out_floats",
    "env.realm_get_model_info": "model out_tensor_count out_total_bytes",
    "env.realm_get_model_metadata": "model out cap",
    "env.realm_remove_model": "model",
    "env.realm_get_tensor": "model name len out cap",
    "env.memory64_load_layer": "model layer out cap",
    "env.memory64_read": "offset out cap",
    "realm.model_open": "name len",
    "realm.model_close": "model",
    "realm.model_info": "model out cap",
    "realm.encode": "model text len out_ids cap flags",
    "realm.decode": "model ids n_ids out cap flags",
    "realm.model_list": "out cap",
    "realm.seq_new": "model",
    "realm.seq_fork": "seq",
    "realm.seq_len": "seq",
    "realm.seq_close": "seq",
    "realm.seq_truncate": "seq keep",
    "realm.seq_append": "seq ids n_ids",
    "realm.seq_next": "seq sampler",
    "realm.seqs_next": "seqs n_seqs samplers n_samplers out_ids cap",
    "realm.seq_logits": "seq out_logits cap",
    "realm.seq_topk": "seq k out_ids cap_ids out_logprobs cap_logprobs",
    "realm.seq_score": "seq ids n_ids out_logprobs cap",
    "realm.sampler_new": "model params len",
    "realm.sampler_clone": "sampler",
    "realm.sampler_mask": "sampler bits n_bytes",
    "realm.sampler_accept": "sampler ids n_ids",
    "realm.sampler_close": "sampler",
    "realm.generate_seq": "seq sampler params len",
    "realm.wait_any": "streams n_streams timeout_ms",
    "realm.embed": "model texts len out_floats cap",
    "realm.header_get": "name len out cap",
    "realm.set_status": "status",
    "realm.chat_tokens": "model request len out_ids cap",
    "realm.chat_render": "model request len out cap",
    "realm.generate_chat": "model request len",
    "realm.stream_read": "stream out cap",
    "realm.stream_event": "stream out cap",
    "realm.stream_close": "stream",
    "realm.emit_event": "json len",
    "realm.emit_stream": "stream choice",
    "realm.input_read": "offset out cap",
    "realm.log": "level text len",
    "realm.error_text": "number out cap",
    "realm.sleep_ms": "ms",
}
# A C program has a function of this name already.
NOT_IN_HEADER = {"env.abort"}


def rows(path, macro, columns):
    """The table's rows as dicts. A row is one line: macro(column, ..., "sentence")."""
    out = []
    for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
        if not line.startswith(macro + "("):
            continue
        if not line.endswith('")'):
            sys.exit(f"{path}:{number}: a row is one line that ends with its sentence")
        head, sentence = line[len(macro) + 1:-2].rsplit(', "', 1)
        fields = [f.strip().strip('"') for f in head.split(",")]
        if len(fields) != len(columns):
            sys.exit(f"{path}:{number}: {len(fields)} columns before the sentence, not {len(columns)}")
        out.append(dict(zip(columns, fields), sentence=sentence))
    if not out:
        sys.exit(f"{path}: no rows found")
    return out


def statuses():
    text = (ROOT / "include/realm/status.h").read_text()
    found = re.findall(r'X\((\w+), (-?\d+), (\d+), "([^"]*)"\)', text)
    return [dict(name=n, number=int(num), http=int(h), text=t) for n, num, h, t in found]


def wasm_type(row, result):
    args = [t for letter in row["args"] for t in WASM_ARGS[letter]]
    return f"({' '.join(args)}) -> {result or 'none'}"


def c_name(row):
    """Module realm's names get the prefix realm_; the classic names are what they are."""
    name = row["name"] + row["variant"]
    return "realm_" + name if row["module"] == "realm" else name


def c_params(row):
    params = [p for letter in row["args"] for p in C_ARGS[letter]]
    names = NAMES.get(f"{row['module']}.{row['name']}{row['variant']}", "").split()
    if names and len(names) != len(params):
        sys.exit(f"gen_abi.py: NAMES of {row['module']}.{row['name']}: {len(params)} are needed")
    names = names or [name for _, name in params]
    if len(set(names)) != len(names):
        sys.exit(f"gen_abi.py: give {row['module']}.{row['name']} argument names in NAMES")
    return [kind + name for (kind, _), name in zip(params, names)] or ["void"]


def declaration(row):
    kind = {"i": "int32_t", "l": "int64_t", "-": "void"}[row["result"]]
    notes = [row["sentence"].rstrip(".") + "."]
    if row["mode"] == "PARK":
        notes.append("May wait.")
    if row["capability"] not in ("none", "infer"):
        notes.append(f"Needs the capability {row['capability']}.")
    comment = textwrap.wrap(" ".join(n[0].upper() + n[1:] for n in notes), 93)
    head = f"{kind} {c_name(row)}("
    params = ", ".join(p.replace(" ", "\0") for p in c_params(row)) + ")"
    lines = textwrap.wrap(head + params, 99, subsequent_indent=" " * len(head),
                          break_long_words=False)
    lines = [line.replace("\0", " ") for line in lines]
    return "\n".join(["/* " + "\n * ".join(comment) + " */",
                      f"REALM_IMPORT({row['module']}, {row['name']})"] + lines) + ";"


def header_blocks(abi, _):
    status = [f"    REALM_{s['name']} = {s['number']},".ljust(30) + f"/* {s['text']} */"
              for s in statuses()]
    blocks = {"status": "typedef enum realm_status {\n" + "\n".join(status) + "\n} realm_status;"}
    for module in ("env", "realm"):
        blocks[module] = "\n\n".join(
            declaration(r) for r in abi
            if r["module"] == module and f"env.{r['name']}" not in NOT_IN_HEADER)
    return blocks


def markdown(head, lines):
    rule = "|" + "---|" * len(head)
    return "\n".join(["| " + " | ".join(head) + " |", rule]
                     + ["| " + " | ".join(line) + " |" for line in lines])


def limit_text(row):
    if not set(row["args"]) & set("BTIF"):
        return ""
    n = int(row["limit"]) or 64 << 20
    for unit, name in ((1 << 20, "MiB"), (1 << 10, "KiB")):
        if n % unit == 0:
            return f"{n // unit} {name}"
    return f"{n} bytes"


def docs_blocks(abi, wasi):
    results = {"i": "i32", "l": "i64", "-": ""}
    blocks = {"status": markdown(
        ["name", "number", "HTTP", "meaning"],
        [[s["name"], str(s["number"]), str(s["http"]), s["text"]] for s in statuses()])}
    for module in ("env", "realm"):
        blocks[module] = markdown(
            ["function", "type", "capability", "", "input limit", "what it does"],
            [[f"`{r['name']}`", f"`{wasm_type(r, results[r['result']])}`",
              "" if r["capability"] == "none" else r["capability"],
              "parks" if r["mode"] == "PARK" else "", limit_text(r), r["sentence"]]
             for r in abi if r["module"] == module])
    blocks["wasi"] = markdown(
        ["function", "type", "", "what it does"],
        [[f"`{r['name']}`",
          f"`{wasm_type(r, results[r['result']])}`",
          "parks" if r["mode"] == "PARK" else "", r["sentence"]] for r in wasi])
    return blocks


def fill(path, blocks):
    """The file's text with its generated blocks replaced."""
    text = (ROOT / path).read_text()
    comment = ("<!-- {} -->", "<!-- {} -->") if path.endswith(".md") else ("/* {} */", "/* {} */")
    for name, body in blocks.items():
        begin, end = comment[0].format("generated: " + name), comment[1].format("end generated")
        if text.count(begin) != 1:
            sys.exit(f"{path}: the line '{begin}' must stand there once")
        head, rest = text.split(begin, 1)
        if end not in rest:
            sys.exit(f"{path}: '{begin}' has no '{end}'")
        text = head + begin + "\n" + body + "\n" + end + rest.split(end, 1)[1]
    return text


def main():
    abi = rows("src/guest/abi.def", "ABI",
               ["module", "name", "variant", "args", "result", "capability", "mode", "limit"])
    wasi = rows("src/guest/abi_wasi.def", "WASI", ["name", "args", "shape", "result", "mode"])
    stale = []
    for path, blocks in (("sdk/c/realm.h", header_blocks), ("docs/abi.md", docs_blocks)):
        text = fill(path, blocks(abi, wasi))
        if text == (ROOT / path).read_text():
            continue
        stale.append(path)
        if "--check" not in sys.argv[1:]:
            (ROOT / path).write_text(text)
    if stale and "--check" in sys.argv[1:]:
        sys.exit(f"out of date: {', '.join(stale)}; run tools/gen_abi.py")
    print("\n".join(stale) if stale else "up to date")


if __name__ == "__main__":
    main()
