#!/usr/bin/env python3
"""Checks the includes of src/ and include/ against tools/layers.txt. Also: no room without a line, no
header that climbs with "..", no cycle between rooms, and malloc and the banned calls stay out."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
BANNED = re.compile(r"\b(strcpy|strcat|sprintf|gets|atoi|strtok|alloca)\s*\(")
HEAP = re.compile(r"\b(malloc|calloc|realloc|free|strdup|strndup|aligned_alloc)\s*\(")
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*|\"(?:\\.|[^\"\\\n])*\"", re.S)


def read_law():
    law = {}
    for line in (ROOT / "tools/layers.txt").read_text().splitlines():
        line = line.split("#")[0].strip()
        if line:
            room, _, below = line.partition("->")
            law[room.strip()] = below.split()
    return law


def check_order(law):
    """Every arrow points to a room named earlier, so there can be no cycle."""
    seen = {"include"}
    for room, below in law.items():
        yield from (f"layers.txt: {room} -> {b}: not a room named before it" for b in below if b not in seen)
        seen.add(room)


def check_file(path, room, law):
    text = path.read_text()
    rel = path.relative_to(ROOT)
    for quote, name in INCLUDE.findall(text):
        first = name.split("/")[0]
        if ".." in name:
            yield f"{rel}: includes {name}: name it from src/"
        elif first == "realm" and quote == '"':
            if name != "realm/status.h" and "include" not in law.get(room, []) and room != "include":
                yield f"{rel}: includes {name}: only lib and cli may"
        elif quote == '"' and first in law and first != room and first not in law.get(room, []):
            yield f"{rel}: {room} may not include {name}"
        elif quote == '"' and room == "include" and first != "realm":
            yield f"{rel}: a public header may not include {name}"
    code = COMMENT.sub(" ", text)
    yield from (f"{rel}: banned call {m.group(1)}" for m in BANNED.finditer(code))
    if rel.as_posix() != "src/base/alloc.c":
        yield from (f"{rel}: {m.group(1)}: memory comes from base/alloc.h" for m in HEAP.finditer(code))


def main():
    law = read_law()
    faults = list(check_order(law))
    count = 0
    for path in sorted([*ROOT.glob("src/**/*.[ch]"), *ROOT.glob("include/**/*.h")]):
        parts = path.relative_to(ROOT).parts
        room = parts[1] if parts[0] == "src" else "include"
        if room != "include" and room not in law:
            faults.append(f"{path.relative_to(ROOT)}: room {room} has no line in tools/layers.txt")
        faults += check_file(path, room, law)
        count += 1
    print("\n".join(faults) or f"{count} files keep the law of the rooms")
    return bool(faults) or count == 0


if __name__ == "__main__":
    sys.exit(main())
