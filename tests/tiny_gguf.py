#!/usr/bin/env python3
"""Writes a tiny model with random weights, as a GGUF file; equal options give equal bytes.

    tiny_gguf.py OUT.gguf [--family llama|qwen2|gemma3] [--seed N] [--no-template] [--tied]
                 [--type f32|f16|bf16|q8_0|q4_0|q4_1|q5_0|q5_1|mixed|q4_k|q5_k|q6_k|mixed_k]

As a module it makes files to be broken on purpose:

    g = tiny_gguf.tiny("q8_0")                      # a Gguf; tiny_gguf.small() is one of some hundred bytes
    g.put("llama.block_count", U32, 2**32 - 1)      # g.kv and g.tensors are plain lists
    g.save("broken.gguf")
    for f in g.fields(): ...                        # where each count, length, type, dimension and offset lies

The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""
import argparse
import collections
import random
import struct

# Types of values and of tensors: the numbers of the format.
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
SCALAR = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q", I64: "q", F64: "d"}
T_F32, T_F16, T_Q4_0, T_Q4_1, T_Q5_0, T_Q5_1, T_Q8_0, T_BF16 = 0, 1, 2, 3, 6, 7, 8, 30
T_Q4_K, T_Q5_K, T_Q6_K = 12, 13, 14
BLOCK, SUPER = 32, 256

# kind: what sort of field (magic, version, n_tensors, ...); about: whose; offset, width: bytes in the file
Field = collections.namedtuple("Field", "kind about offset width")


class Tensor:
    """ne: dimensions, columns first; offset: within the data section, None: behind the tensor before."""

    def __init__(self, name, ne, type, data, offset=None):
        self.name, self.ne, self.type, self.data, self.offset = name, list(ne), type, data, offset


class Gguf:
    """kv: (key, type, value) in order, an ARRAY's value being (type of items, items); texts are str or bytes."""

    def __init__(self, version=3, alignment=32):
        self.version, self.alignment = version, alignment
        self.kv, self.tensors = [], []

    def put(self, key, type, value):
        """Replaces a key's value in its place, or appends the key."""
        for i, (k, _, _) in enumerate(self.kv):
            if k == key:
                self.kv[i] = (key, type, value)
                return
        self.kv.append((key, type, value))

    def drop(self, key):
        self.kv = [e for e in self.kv if e[0] != key]

    def tensor(self, name):
        return next(t for t in self.tensors if t.name == name)

    def bytes(self):
        return self._write()[0]

    def fields(self):
        return self._write()[1]

    def save(self, path):
        with open(path, "wb") as f:
            f.write(self.bytes())

    def _write(self):
        w = Writer()
        w.field("magic", "the file", "4s", b"GGUF")
        w.field("version", "the file", "I", self.version)
        w.field("n_tensors", "the file", "Q", len(self.tensors))
        w.field("n_keys", "the file", "Q", len(self.kv))
        for key, type, value in self.kv:
            w.string("key_length", key, key)
            w.field("value_type", key, "I", type)
            w.value(key, type, value)
        end = 0
        for t in self.tensors:
            offset = t.offset if t.offset is not None else end
            w.string("name_length", t.name, t.name)
            w.field("n_dims", t.name, "I", len(t.ne))
            for i, n in enumerate(t.ne):
                w.field("dimension", "%s ne[%d]" % (t.name, i), "Q", n)
            w.field("tensor_type", t.name, "I", t.type)
            w.field("tensor_offset", t.name, "Q", offset)
            end = self._align(offset + len(t.data))
        w.out += bytes(self._align(len(w.out)) - len(w.out))
        start = len(w.out)
        for t in self.tensors:
            offset = start + t.offset if t.offset is not None else self._align(len(w.out))
            w.out += bytes(max(0, offset - len(w.out)))
            w.out[offset:offset + len(t.data)] = t.data
        return bytes(w.out), w.fields

    def _align(self, n):
        return -(-n // self.alignment) * self.alignment


class Writer:
    """Little-endian bytes, and where the fields of interest went."""

    def __init__(self):
        self.out, self.fields = bytearray(), []

    def field(self, kind, about, format, value):
        self.fields.append(Field(kind, about, len(self.out), struct.calcsize("<" + format)))
        self.out += struct.pack("<" + format, value)

    def string(self, kind, about, text):
        data = text if isinstance(text, bytes) else text.encode()
        self.field(kind, about, "Q", len(data))
        self.out += data

    def value(self, about, type, value):
        if type == STRING:
            self.string("string_length", about, value)
        elif type == ARRAY:
            item, items = value
            self.field("item_type", about, "I", item)
            self.field("array_length", about, "Q", len(items))
            if item == STRING:
                for i, v in enumerate(items):
                    self.string("item_length", "%s[%d]" % (about, i), v)
            else:
                self.out += b"".join(struct.pack("<" + SCALAR[item], v) for v in items)
        else:
            self.field("value", about, SCALAR.get(type, "B"), value)  # a type that is none: a byte


# ---- weights ---------------------------------------------------------------------------------------------------------


def half(x):
    """x rounded to 16 bits, as bytes and as a number."""
    b = struct.pack("<e", x)
    return b, struct.unpack("<e", b)[0]


def q8_0(block):
    scale, d = half(max(abs(x) for x in block) / 127)
    return scale + struct.pack("<32b", *(max(-127, min(127, round(x / d))) if d else 0 for x in block))


def nibbles(q):
    """Weights i and i + 16 share a byte, the lower in its low bits."""
    return bytes(q[i] | q[i + 16] << 4 for i in range(16))


def q4_0(block):
    scale, d = half(max(block, key=abs) / -8)
    return scale + nibbles([max(0, min(15, round(x / d) + 8)) if d else 8 for x in block])


def q4_1(block):
    scale, d = half((max(block) - min(block)) / 15)
    least, m = half(min(block))
    return scale + least + nibbles([max(0, min(15, round((x - m) / d))) if d else 0 for x in block])


def fifths(q):
    """The fifth bits of 32 weights, then the nibbles."""
    return struct.pack("<I", sum(v >> 4 << i for i, v in enumerate(q))) + nibbles([v & 15 for v in q])


def q5_0(block):
    scale, d = half(max(block, key=abs) / -16)
    return scale + fifths([max(0, min(31, round(x / d) + 16)) if d else 16 for x in block])


def q5_1(block):
    scale, d = half((max(block) - min(block)) / 31)
    least, m = half(min(block))
    return scale + least + fifths([max(0, min(31, round((x - m) / d))) if d else 0 for x in block])


def six_bits(scales, mins):
    """Eight scales and eight mins in twelve bytes: the first four of each whole, the last four in what is left."""
    first = [scales[i] | scales[i + 4] >> 4 << 6 for i in range(4)] + [mins[i] | mins[i + 4] >> 4 << 6 for i in range(4)]
    return bytes(first + [scales[i + 4] & 15 | (mins[i + 4] & 15) << 4 for i in range(4)])


def with_mins(block, bits):
    """Q4_K and Q5_K: 8 groups of 32 weights; byte i of a pair of groups holds weight i of both."""
    groups = [block[i:i + 32] for i in range(0, SUPER, 32)]
    most, lows = (1 << bits) - 1, [max(0, -min(g)) for g in groups]
    steps = [(max(g) + low) / most for g, low in zip(groups, lows)]
    scale, d = half(max(steps) / 63)
    least, m = half(max(lows) / 63)
    scales = [min(63, round(s / d)) if d else 0 for s in steps]
    mins = [min(63, round(low / m)) if m else 0 for low in lows]
    q = [[max(0, min(most, round((x + m * low) / (d * s)))) if d * s else 0 for x in g] for g, s, low in zip(groups, scales, mins)]
    fifth = bytes(sum(q[g][i] >> 4 << g for g in range(8)) for i in range(32)) if bits == 5 else b""
    return scale + least + six_bits(scales, mins) + fifth + bytes(q[g][i] & 15 | (q[g + 1][i] & 15) << 4 for g in range(0, 8, 2) for i in range(32))


def q6_k(block):
    """Two halves of 128 weights, in each of which weights i, i + 32, i + 64 and i + 96 belong together."""
    steps = [max(block[i:i + 16], key=abs) / -32 for i in range(0, SUPER, 16)]
    scale, d = half(max(steps, key=abs) / -128)
    scales = [max(-128, min(127, round(s / d))) if d else 0 for s in steps]
    q = [max(0, min(63, round(x / (d * scales[i // 16])) + 32)) if d * scales[i // 16] else 32 for i, x in enumerate(block)]
    low = bytes(q[h + i] & 15 | (q[h + i + 64] & 15) << 4 for h in (0, 128) for i in range(64))
    high = bytes(sum(q[h + i + 32 * k] >> 4 << 2 * k for k in range(4)) for h in (0, 128) for i in range(32))
    return low + high + struct.pack("<16b", *scales) + scale


def bf16(x):
    """The upper half of the 32 bits, rounded to nearest."""
    bits = struct.unpack("<I", struct.pack("<f", x))[0]
    return struct.pack("<H", bits + 0x7FFF + (bits >> 16 & 1) >> 16)


BLOCKS = {T_Q8_0: q8_0, T_Q4_0: q4_0, T_Q4_1: q4_1, T_Q5_0: q5_0, T_Q5_1: q5_1}
TYPES = {"f32": T_F32, "f16": T_F16, "q8_0": T_Q8_0, "q4_0": T_Q4_0, "q4_1": T_Q4_1, "bf16": T_BF16, "q5_0": T_Q5_0,
         "q5_1": T_Q5_1}
SUPERS = {T_Q4_K: lambda block: with_mins(block, 4), T_Q5_K: lambda block: with_mins(block, 5), T_Q6_K: q6_k}
K_TYPES = {"q4_k": T_Q4_K, "q5_k": T_Q5_K, "q6_k": T_Q6_K}


def encode(values, type):
    """The bytes of weights in a tensor of that type; whole blocks only."""
    if type in BLOCKS:
        return b"".join(BLOCKS[type](values[i:i + BLOCK]) for i in range(0, len(values), BLOCK))
    if type in SUPERS:
        return b"".join(SUPERS[type](values[i:i + SUPER]) for i in range(0, len(values), SUPER))
    if type == T_BF16:
        return b"".join(bf16(x) for x in values)
    return struct.pack("<%d%s" % (len(values), {T_F32: "f", T_F16: "e"}[type]), *values)


# ---- the model -------------------------------------------------------------------------------------------------------

# sizes: layers, width, heads, heads of keys and values, size of a head, width of the feed-forward
Family = collections.namedtuple("Family", "sizes biases norms pieces")
FAMILIES = {
    "llama": Family((2, 64, 4, 2, 16, 128), biases=False, norms=False, pieces=False),
    "qwen2": Family((2, 64, 4, 2, 16, 128), biases=True, norms=False, pieces=False),
    # five layers with a window and one without; heads wider than their share; tokens with scores
    "gemma3": Family((6, 32, 2, 1, 32, 64), biases=False, norms=True, pieces=True),
}
WIDE = (2, 256, 4, 1, 64, 256)  # for types whose rows are whole blocks of 256
N_CONTEXT, WINDOW = 256, 5
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
MERGES = """Ġ t|h e|i n|Ġ a|Ġt he|o n|r e|e r|a t|n d|Ġa nd|i s|o r|e n|Ġ s|Ġ w|Ġ o|o u|Ġ b|Ġ m|i t|Ġ f|Ġo f|in g|
Ġt o|a l|e s|l l|Ġ in|Ġ c|Ġ d|Ġ p|Ġ h|a r|a n|v er|Ġ i|Ġi s|Ġ I|Ġ y|Ġy ou""".replace("\n", "").split("|")
TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}")


def byte_tokens():
    """The printable character that stands for each of the 256 bytes, as in GPT-2: bytes that are printable in Latin-1
    stand for themselves, the others are U+0100 onwards in ascending order."""
    plain = set(range(0x21, 0x7F)) | set(range(0xA1, 0xAD)) | set(range(0xAE, 0x100))
    others = iter(range(0x100, 0x200))
    return [chr(b if b in plain else next(others)) for b in range(256)]


def vocabulary():
    """Tokens and merges; each merge names tokens that stand before its own, and makes a new one."""
    tokens = SPECIAL + byte_tokens()
    for m in MERGES:
        left, right = m.split(" ")
        assert left in tokens and right in tokens and left + right not in tokens, m
        tokens.append(left + right)
    return tokens, MERGES


def pieces():
    """Tokens, types and scores as SentencePiece has them."""
    tokens = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    types = [3, 3, 3, 2, 3, 3]
    tokens += ["\n" * i for i in range(1, 4)]
    types += [4] * 3
    tokens += ["<0x%02X>" % b for b in range(256)]
    types += [6] * 256
    words = [m.replace(" ", "").replace("Ġ", "\u2581") for m in MERGES]
    letters = ["\u2581"] + [chr(c) for c in range(0x21, 0x7F)]
    tokens += words + letters
    types += [1] * len(words + letters)
    return tokens, types, [-1000.0] * 9 + [0.0] * 256 + [-float(i) for i in range(len(words + letters))]


def tokenizer_of(family):
    """Its keys, but for the template."""
    if FAMILIES[family].pieces:
        tokens, types, scores = pieces()
        return [
            ("tokenizer.ggml.model", STRING, "llama"),
            ("tokenizer.ggml.pre", STRING, "default"),
            ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
            ("tokenizer.ggml.scores", ARRAY, (F32, scores)),
            ("tokenizer.ggml.token_type", ARRAY, (I32, types)),
            ("tokenizer.ggml.bos_token_id", U32, 2),
            ("tokenizer.ggml.eos_token_id", U32, 1),
            ("tokenizer.ggml.unknown_token_id", U32, 3),
            ("tokenizer.ggml.padding_token_id", U32, 0),
            ("tokenizer.ggml.add_bos_token", BOOL, True),
            ("tokenizer.ggml.add_space_prefix", BOOL, False),
        ]
    tokens, merges = vocabulary()
    return [
        ("tokenizer.ggml.model", STRING, "gpt2"),
        ("tokenizer.ggml.pre", STRING, "qwen2" if family == "qwen2" else "smollm"),
        ("tokenizer.ggml.tokens", ARRAY, (STRING, tokens)),
        ("tokenizer.ggml.token_type", ARRAY, (I32, [3] * len(SPECIAL) + [1] * (len(tokens) - len(SPECIAL)))),
        ("tokenizer.ggml.merges", ARRAY, (STRING, merges)),
        ("tokenizer.ggml.bos_token_id", U32, 1),
        ("tokenizer.ggml.eos_token_id", U32, 2),
        ("tokenizer.ggml.eot_token_id", U32, 2),
        ("tokenizer.ggml.unknown_token_id", U32, 0),
        ("tokenizer.ggml.padding_token_id", U32, 2),
        ("tokenizer.ggml.add_bos_token", BOOL, False),
        ("tokenizer.ggml.add_space_prefix", BOOL, False),
    ]


def n_tokens(family):
    return len(pieces()[0] if FAMILIES[family].pieces else vocabulary()[0])


def metadata(template, family, sizes):
    layers, width, heads, kv_heads, head, ff = sizes
    kv = [
        ("general.architecture", STRING, family),
        ("general.name", STRING, "tiny"),
        (family + ".block_count", U32, layers),
        (family + ".context_length", U32, N_CONTEXT),
        (family + ".embedding_length", U32, width),
        (family + ".feed_forward_length", U32, ff),
        (family + ".attention.head_count", U32, heads),
        (family + ".attention.head_count_kv", U32, kv_heads),
        (family + ".attention.layer_norm_rms_epsilon", F32, 1e-5),
        (family + ".rope.freq_base", F32, 1000000.0 if family == "gemma3" else 10000.0),
        (family + ".rope.dimension_count", U32, head),
        (family + ".vocab_size", U32, n_tokens(family)),
    ]
    if family == "gemma3":
        kv += [
            ("gemma3.attention.key_length", U32, head),
            ("gemma3.attention.value_length", U32, head),
            ("gemma3.attention.sliding_window", U32, WINDOW),
        ]
    kv += tokenizer_of(family)
    if template:
        kv.append(("tokenizer.chat_template", STRING, TEMPLATE))
    return kv


def shapes(tied, family, sizes):
    """(name, columns, rows) of each tensor; rows 0: a vector around 1, -1: one around 0."""
    layers, width, heads, kv_heads, head, ff = sizes
    vocab = n_tokens(family)
    yield "token_embd.weight", width, vocab
    for i in range(layers):
        layer = "blk.%d." % i
        yield layer + "attn_norm.weight", width, 0
        yield layer + "attn_q.weight", width, heads * head
        yield layer + "attn_k.weight", width, kv_heads * head
        yield layer + "attn_v.weight", width, kv_heads * head
        yield layer + "attn_output.weight", heads * head, width
        if FAMILIES[family].biases:
            yield layer + "attn_q.bias", heads * head, -1
            yield layer + "attn_k.bias", kv_heads * head, -1
            yield layer + "attn_v.bias", kv_heads * head, -1
        if FAMILIES[family].norms:
            yield layer + "attn_q_norm.weight", head, 0
            yield layer + "attn_k_norm.weight", head, 0
            yield layer + "post_attention_norm.weight", width, 0
        yield layer + "ffn_norm.weight", width, 0
        yield layer + "ffn_gate.weight", width, ff
        yield layer + "ffn_up.weight", width, ff
        yield layer + "ffn_down.weight", ff, width
        if FAMILIES[family].norms:
            yield layer + "post_ffw_norm.weight", width, 0
    yield "output_norm.weight", width, 0
    if not tied and family != "gemma3":
        yield "output.weight", width, vocab


def tiny(type="f32", seed=1, template=True, tied=False, family="llama"):
    """A whole model. Vectors are F32; matrices are of `type`, or with "mixed" or "mixed_k" of each type in turn. Equal seeds
    give equal weights in all types of one size, before rounding. tied: the embedding serves as the output matrix."""
    draw = random.Random(seed).random
    wide = type in K_TYPES or type == "mixed_k"
    types = K_TYPES if wide else TYPES
    turn = [types[type]] if type in types else list(types.values())
    sizes = WIDE if wide else FAMILIES[family].sizes
    g, matrices = Gguf(), 0
    g.kv = metadata(template, family, sizes)
    for name, columns, rows in shapes(tied, family, sizes):
        if rows <= 0:
            values = [1 + rows - 0.25 + draw() / 2 for _ in range(columns)]
            g.tensors.append(Tensor(name, [columns], T_F32, encode(values, T_F32)))
            continue
        bound = (3 / columns) ** 0.5  # uniform in +-bound: the variance is 1 / columns
        values = [(2 * draw() - 1) * bound for _ in range(rows * columns)]
        kind = turn[matrices % len(turn)]
        matrices += 1
        g.tensors.append(Tensor(name, [columns, rows], kind, encode(values, kind)))
    return g


def small():
    """The smallest file with a field of each kind; no model."""
    g = Gguf()
    g.put("general.architecture", STRING, "llama")
    g.put("a.number", U16, 7)
    g.put("a.flag", BOOL, True)
    g.put("a.list", ARRAY, (STRING, ["one", "", "three"]))
    g.put("a.row", ARRAY, (I32, [1, -2, 3]))
    g.tensors.append(Tensor("matrix", [32, 2], T_Q8_0, encode([i / 64 for i in range(64)], T_Q8_0)))
    g.tensors.append(Tensor("vector", [4], T_F32, encode([1, 2, 3, 4], T_F32)))
    return g


def main():
    p = argparse.ArgumentParser(description="writes a tiny model with random weights")
    p.add_argument("out", metavar="OUT.gguf")
    p.add_argument("--family", default="llama", choices=FAMILIES)
    p.add_argument("--type", default="f32", choices=[*TYPES, "mixed", *K_TYPES, "mixed_k"])
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--no-template", action="store_true")
    p.add_argument("--tied", action="store_true", help="no output.weight")
    a = p.parse_args()
    tiny(a.type, a.seed, not a.no_template, a.tied, a.family).save(a.out)


if __name__ == "__main__":
    main()
