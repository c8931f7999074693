#!/usr/bin/env python3
"""Broken model files, each given to `jevons check`: exit status and message must be those of gguf_hostile.table.

    gguf_hostile.py JEVONS              compares
    gguf_hostile.py JEVONS --update     writes the table anew, to be read as a diff
    gguf_hostile.py --corpus FOLDER     writes the small broken files that the fuzzer starts from

The files: a tiny sound model in which one number (each kind of count, length, type, dimension and offset, and each
number among the keys) is set to values that overflow, wrap or promise too much; the same cut short; and files that a
changed number cannot make: keys or tensors twice, missing, of another type, overlapping. Each must be refused with
status 2 and printable text, or be opened with status 0 where the change leaves a sound file.
"""
import argparse
import concurrent.futures
import difflib
import os
import re
import subprocess
import sys
import tempfile

import tiny_gguf
from tiny_gguf import ARRAY, BOOL, F32, I32, STRING, U8, U32, U64

TABLE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "gguf_hostile.table")
VALUES = {"0": 0, "1": 1, "2^31": 2**31, "2^32-1": 2**32 - 1, "2^63": 2**63, "2^64-1": 2**64 - 1}
# Which field stands for its kind; the kind `value` has no need of one: every key counts.
REPRESENTATIVE = {
    "magic": ["the file"], "version": ["the file"], "n_tensors": ["the file"], "n_keys": ["the file"],
    "key_length": ["llama.block_count"], "value_type": ["llama.block_count", "tokenizer.ggml.tokens"],
    "string_length": ["tokenizer.ggml.model"], "item_type": ["tokenizer.ggml.tokens", "tokenizer.ggml.token_type"],
    "array_length": ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"], "item_length": ["tokenizer.ggml.tokens[40]"],
    "name_length": ["blk.0.attn_q.weight"], "n_dims": ["blk.0.attn_q.weight", "output_norm.weight"],
    "dimension": ["token_embd.weight ne[0]", "token_embd.weight ne[1]", "blk.0.attn_norm.weight ne[0]"],
    "tensor_type": ["blk.0.attn_q.weight"], "tensor_offset": ["token_embd.weight", "output.weight"],
}
INI = """\
[backend]
plugin = cpu
[model]
plugin = llm/model
path = model.gguf
backend = backend
[question]
plugin = text
text = hi
[answer]
plugin = llm/generate
model = model
in = text
max_tokens = 8
[output]
plugin = stdout
in = answer
"""


# ---- the files -------------------------------------------------------------------------------------------------------


def model(family="llama"):
    return tiny_gguf.tiny("q4_1", family=family)


def chosen(f, family):
    """Whether a field is one to change: of families but the first only what these do not share."""
    if f.kind == "value":
        return family == "llama" or f.about.startswith(family + ".")
    if family == "llama":
        return f.about in REPRESENTATIVE[f.kind]
    return f.kind in ("item_type", "array_length", "value_type") and f.about == "tokenizer.ggml.scores"


def changed_numbers(family):
    """(name, bytes) of files with one number changed."""
    g = model(family)
    data, fields = g.bytes(), g.fields()
    unknown = {f.kind for f in fields} - set(REPRESENTATIVE) - {"value"}
    assert not unknown, "no representative for %s" % unknown
    for f in fields:
        if not chosen(f, family):
            continue
        seen = {data[f.offset:f.offset + f.width]}
        for label, v in VALUES.items():
            new = v.to_bytes(8, "little")[:f.width]
            if new in seen:
                continue  # the number that it was, or one cut to the field's width that was tried
            seen.add(new)
            yield "%s of %s = %s" % (f.kind, f.about, label), data[:f.offset] + new + data[f.offset + f.width:]


def truncations():
    """(name, bytes) of files cut at the borders of their parts and in between."""
    g = model()
    data, fields = g.bytes(), g.fields()
    first_tensor = next(f.offset for f in fields if f.kind == "name_length")
    last = fields[-1].offset + fields[-1].width
    start = -(-last // g.alignment) * g.alignment
    cuts = {0, 1, 3, 4, 8, 23, 24, 25, 31, first_tensor - 1, first_tensor, last - 1, last, start, start + 1}
    cuts |= {len(data) * i // 8 for i in range(1, 8)} | {len(data) - 1}
    for n in sorted(cuts):
        yield "cut to %d of %d bytes" % (n, len(data)), data[:n]


def other_type(type, value):
    """A value of a type that nobody expects there."""
    return (U32, 1) if type in (STRING, ARRAY) else (STRING, "1")


def broken_structures(make):
    """(name, bytes) of files of which no single number is at fault; make() gives a sound one to begin with."""
    def file(name, change):
        g = make()
        change(g)
        return name, g.bytes()

    def overlap(g):
        g.tensors[-1].offset = 0

    def gap(g):
        g.tensors[-1].offset = 2**20

    def misaligned(g):
        g.tensors[-1].offset = 8

    yield file("as it should be", lambda g: None)
    yield file("version 2", lambda g: setattr(g, "version", 2))
    yield file("big-endian", lambda g: setattr(g, "version", 3 << 24))
    yield file("no keys", lambda g: g.kv.clear())
    yield file("no tensors", lambda g: g.tensors.clear())
    yield file("a key twice", lambda g: g.kv.append(g.kv[1]))
    yield file("a tensor twice", lambda g: g.tensors.append(g.tensors[0]))
    yield file("tensors that overlap", overlap)
    yield file("a tensor at offset 8", misaligned)
    yield file("a gap before the last tensor", gap)
    yield file("an empty key", lambda g: g.put("", U32, 1))
    yield file("a key of 256 bytes", lambda g: g.put("k" * 256, U32, 1))
    yield file("a key of control bytes", lambda g: g.put(b"\x1b[31m\n\xff", 13, 1))
    yield file("an array of arrays", lambda g: g.put("x", ARRAY, (ARRAY, [])))
    for v in 0, 3, 8, 31, 2**31:
        yield file("alignment %d" % v, lambda g: g.put("general.alignment", U32, v))
    yield file("alignment of type u64", lambda g: g.put("general.alignment", U64, 32))
    yield file("alignment of type string", lambda g: g.put("general.alignment", STRING, "32"))
    yield file("five dimensions", lambda g: setattr(g.tensors[0], "ne", [32, 1, 1, 1, 1]))
    yield file("dimensions whose product wraps", lambda g: setattr(g.tensors[0], "ne", [2**32, 2**32]))
    yield file("dimensions near 2^62", lambda g: setattr(g.tensors[0], "ne", [32, 2**30 - 1, 2**30 + 1]))


def broken_models():
    """(name, bytes) of sound files that are no sound model."""
    def put(name, key, type, value):
        g = model()
        g.put(key, type, value)
        return name, g.bytes()

    for key, type, value in model().kv:
        g = model()
        g.drop(key)
        yield "without %s" % key, g.bytes()
        yield put("%s of another type" % key, key, *other_type(type, value))
    for t in model().tensors:
        if not t.name.startswith("blk.1."):
            g = model()
            g.tensors = [u for u in g.tensors if u.name != t.name]
            yield "without %s" % t.name, g.bytes()
    g = model()
    g.tensor("blk.0.ffn_down.weight").ne.reverse()
    yield "blk.0.ffn_down.weight turned", g.bytes()
    tokens, merges = tiny_gguf.vocabulary()
    yield put("another architecture", "general.architecture", STRING, "\x1b[31mmamba")
    yield put("a merge of absent tokens", "tokenizer.ggml.merges", ARRAY, (STRING, merges + ["ab cd"]))
    yield put("a merge without a space", "tokenizer.ggml.merges", ARRAY, (STRING, merges + ["abcd"]))
    yield put("a token twice", "tokenizer.ggml.tokens", ARRAY, (STRING, tokens[:-1] + tokens[-2:-1]))
    yield put("a token too few", "tokenizer.ggml.tokens", ARRAY, (STRING, tokens[:-1]))
    yield put("an empty token", "tokenizer.ggml.tokens", ARRAY, (STRING, tokens[:-1] + [""]))
    yield put("no byte tokens", "tokenizer.ggml.tokens", ARRAY, (STRING, ["t%d" % i for i in range(len(tokens))]))
    yield put("a token type too few", "tokenizer.ggml.token_type", ARRAY, (I32, [1] * (len(tokens) - 1)))
    yield put("token types of u8", "tokenizer.ggml.token_type", ARRAY, (U8, [1] * len(tokens)))
    yield put("a token type of -1", "tokenizer.ggml.token_type", ARRAY, (I32, [1] * (len(tokens) - 1) + [-1]))
    yield put("an unknown pre-split", "tokenizer.ggml.pre", STRING, "none-such")
    yield put("an epsilon of -1", "llama.attention.layer_norm_rms_epsilon", F32, -1.0)
    yield put("a template that does not parse", "tokenizer.chat_template", STRING, "{% for m in messages %}")
    yield put("a template that is not UTF-8", "tokenizer.chat_template", STRING, b"\xff\xfe")


def broken_families():
    """(name, bytes) of sound files that are no sound model of the families qwen2 and gemma3."""
    def file(family, name, change):
        g = model(family)
        change(g)
        return "%s: %s" % (family, name), g.bytes()

    def put(family, key, type, value, name):
        return file(family, name, lambda g: g.put(key, type, value))

    def vector(g, name, values):
        g.tensors.append(tiny_gguf.Tensor(name, [len(values)], tiny_gguf.T_F32, tiny_gguf.encode(values, tiny_gguf.T_F32)))

    def without(g, name):
        g.tensors = [t for t in g.tensors if t.name != name]

    for family, names in {
        "qwen2": ["attn_q.bias", "attn_k.bias", "attn_v.bias"],
        "gemma3": ["attn_q_norm.weight", "attn_k_norm.weight", "post_attention_norm.weight", "post_ffw_norm.weight"],
    }.items():
        yield file(family, "as it should be", lambda g: None)
        for name in names:
            name = "blk.0." + name
            yield file(family, "without " + name, lambda g: without(g, name))
            yield file(family, name + " half as long", lambda g: halve(g.tensor(name)))
        yield file(family, "an output bias", lambda g: vector(g, "output.bias", [0.0] * tiny_gguf.n_tokens(family)))
        yield put(family, family + ".rope.scaling.type", STRING, "yarn", "scaled positions")
        yield put(family, family + ".expert_count", U32, 8, "experts")
        yield put(family, family + ".attention.scale", F32, float("inf"), "an infinite scale")
        yield put(family, family + ".attention.key_length", U32, 65536, "heads of 65536")
        yield put(family, family + ".attention.head_count", U32, 2**16, "65536 heads")
    yield put("qwen2", "qwen2.attention.sliding_window", U32, 64, "a window")
    yield put("gemma3", "gemma3.final_logit_softcapping", F32, 30.0, "soft caps")
    yield file("gemma3", "no window", lambda g: g.drop("gemma3.attention.sliding_window"))
    for v in 0, 1, 2**31:
        yield put("gemma3", "gemma3.attention.sliding_window_pattern", U32, v, "a window in %d layers" % v)
    for n in 0, 5, 6, 7:
        yield put("gemma3", "gemma3.attention.sliding_window_pattern", ARRAY, (BOOL, [True] * n), "flags for %d layers" % n)
    for v in 0.0, -1.0, float("inf"), float("nan"):
        yield put("gemma3", "gemma3.rope.freq_base_swa", F32, v, "a base of %g for windows" % v)
    tokens, types, scores = tiny_gguf.pieces()
    yield file("gemma3", "no scores", lambda g: g.drop("tokenizer.ggml.scores"))
    yield put("gemma3", "tokenizer.ggml.scores", ARRAY, (F32, scores[1:]), "a score too few")
    yield put("gemma3", "tokenizer.ggml.scores", ARRAY, (F32, scores[1:] + [float("nan")]), "a score that is no number")
    yield put("gemma3", "tokenizer.ggml.scores", ARRAY, (I32, [0] * len(scores)), "scores of i32")
    yield put("gemma3", "tokenizer.ggml.token_type", ARRAY, (I32, [6] * len(types)), "bytes that are none")
    yield put("gemma3", "tokenizer.ggml.tokens", ARRAY, (STRING, tokens[:-1] + ["x" * 1025]), "a token of 1025 bytes")
    yield put("gemma3", "tokenizer.ggml.add_space_prefix", U32, 1, "a number for a flag")


def halve(tensor):
    tensor.ne[0] //= 2
    tensor.data = tensor.data[:len(tensor.data) // 2]


def all_files():
    yield from changed_numbers("llama")
    yield from truncations()
    yield from broken_structures(model)
    yield from broken_models()
    yield from changed_numbers("qwen2")
    yield from changed_numbers("gemma3")
    yield from broken_families()


def write_corpus(folder):
    os.makedirs(folder, exist_ok=True)
    small = tiny_gguf.small().bytes()
    files = list(broken_structures(tiny_gguf.small))
    files = [(name, data) for name, data in files if len(data) < 4096]
    files += [("cut to %d bytes" % n, small[:n]) for n in (0, 4, 23, 24, 100, len(small) - 1)]
    for name, data in files:
        with open(os.path.join(folder, re.sub("[^a-z0-9]+", "_", name.lower())), "wb") as f:
            f.write(data)
    print("%d files" % len(files))


# ---- the checks ------------------------------------------------------------------------------------------------------


def check(jevons, folder, number, data):
    """(exit status, message) for one file."""
    path = os.path.join(folder, "%d.gguf" % number)
    with open(path, "wb") as f:
        f.write(data)
    p = subprocess.run([jevons, "check", "hostile.ini", "model.path=" + path], cwd=folder, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=300)
    os.unlink(path)
    text = p.stderr.decode("utf-8", "backslashreplace").replace(path, "FILE").strip("\n")
    return p.returncode, text


def faults(name, status, text):
    """What no file may cause, whatever the table says."""
    if name.endswith("as it should be") and status != 0:
        yield "a sound file is refused"
    if status not in (0, 2):
        yield "exit status %d" % status
    if status == 2 and not text:
        yield "no message"
    if re.search("[\x00-\x09\x0b-\x1f\x7f]", text):
        yield "control bytes in the message"
    if "Sanitizer" in text or "runtime error" in text:
        yield "a sanitizer's report"


def line(name, status, text):
    message = "ok" if status == 0 else " / ".join(text.split("\n"))
    return "%-64s %d  %s" % (name, status, message)


def run_all(jevons):
    """Lines of the table, in order, and the number of faults."""
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        with open(os.path.join(folder, "hostile.ini"), "w") as f:
            f.write(INI)
        files = list(all_files())
        assert len({name for name, _ in files}) == len(files)
        results = pool.map(lambda e: check(jevons, folder, e[0], e[1][1]), enumerate(files))
        lines, bad = [], 0
        for (name, _), (status, text) in zip(files, results):
            lines.append(line(name, status, text))
            for fault in faults(name, status, text):
                print("%s: %s: %s" % (name, fault, text))
                bad += 1
    return lines, bad


def compare(lines):
    """Prints the rows that differ from the table, and returns how many."""
    with open(TABLE) as f:
        wanted = [row for row in f.read().split("\n") if row and not row.startswith("#")]
    changes = [row for row in difflib.ndiff(wanted, lines) if row[0] in "-+"] if wanted != lines else []
    for row in changes:
        print(row)
    return len(changes)


def main():
    p = argparse.ArgumentParser(description="gives broken model files to `jevons check`")
    p.add_argument("jevons", nargs="?")
    p.add_argument("--update", action="store_true", help="write the table anew")
    p.add_argument("--corpus", metavar="FOLDER", help="write the seeds of the fuzzer")
    a = p.parse_args()
    if a.corpus:
        return write_corpus(a.corpus)
    if not a.jevons:
        p.error("the path of jevons is missing")
    lines, bad = run_all(os.path.abspath(a.jevons))
    if a.update and not bad:
        with open(TABLE, "w") as f:
            f.write("# file, exit status of `jevons check`, message; written by gguf_hostile.py --update\n")
            f.write("\n".join(lines) + "\n")
    elif not a.update:
        bad += compare(lines)
    print("%d broken files, %d faults" % (len(lines), bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
