#!/usr/bin/env python3
"""What a model of the families llama, qwen2 and gemma3 computes, by the formulas, in 64-bit floats and plain lists; for files with tensors
of F32, Q4_K, Q5_K and Q6_K.

    net_ref.py MODEL.gguf < SEQUENCES

Each line of the input is a sequence of token ids. For each of its positions a line is printed: the natural logarithm of the
probability of every token of the vocabulary to come next. Shares nothing with the engine: it has a reader of its own.
"""
import math
import struct
import sys

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


def floats(data, at, n):
    return struct.unpack_from("<%df" % n, data, at)


def with_mins(data, at, n, bits):
    """Q4_K and Q5_K: w = d * scale * q - dmin * min, in blocks of 256 of 8 groups."""
    values, fifths, size = [], 32 * (bits - 4), 144 + 32 * (bits - 4)
    for b in range(at, at + n // 256 * size, size):
        d, dmin = struct.unpack_from("<2e", data, b)
        s, q = data[b + 4:b + 16], data[b + 16 + fifths:b + size]
        for g in range(8):
            scale = s[g] & 63 if g < 4 else s[g + 4] & 15 | s[g - 4] >> 6 << 4
            least = s[g + 4] & 63 if g < 4 else s[g + 4] >> 4 | s[g] >> 6 << 4
            for i in range(32):
                v = q[g // 2 * 32 + i] >> g % 2 * 4 & 15
                if fifths:
                    v += (data[b + 16 + i] >> g & 1) << 4
                values.append(d * scale * v - dmin * least)
    return values


def q6_k(data, at, n):
    """w = d * scale * (q - 32), in blocks of 256 of 16 groups."""
    values = []
    for b in range(at, at + n // 256 * 210, 210):
        scales, (d,) = struct.unpack_from("<16b", data, b + 192), struct.unpack_from("<e", data, b + 208)
        for i in range(256):
            h, part, j = i // 128, i % 128 // 32, i % 32
            low = data[b + h * 64 + part % 2 * 32 + j] >> part // 2 * 4 & 15
            high = data[b + 128 + h * 32 + j] >> part * 2 & 3
            values.append(d * scales[i // 16] * ((low | high << 4) - 32))
    return values


READERS = {0: floats, 12: lambda data, at, n: with_mins(data, at, n, 4), 13: lambda data, at, n: with_mins(data, at, n, 5), 14: q6_k}


class Model:
    def __init__(self, path):
        with open(path, "rb") as f:
            self.data = f.read()
        self.at = 8
        n_tensors, n_keys = self.take("Q"), self.take("Q")
        self.keys = {}
        for _ in range(n_keys):
            key = self.text()
            self.keys[key] = self.value(self.take("I"))
        infos = []
        for _ in range(n_tensors):
            name, n_dims = self.text(), self.take("I")
            infos.append((name, [self.take("Q") for _ in range(n_dims)], self.take("I"), self.take("Q")))
        align = self.keys.get("general.alignment", 32)
        start = -(-self.at // align) * align
        self.tensors = {}
        for name, ne, type, offset in infos:
            if type not in READERS:
                sys.exit("tensor %s is of type %d" % (name, type))
            flat = READERS[type](self.data, start + offset, math.prod(ne))
            self.tensors[name] = [flat[i:i + ne[0]] for i in range(0, len(flat), ne[0])] if len(ne) > 1 else flat

    def take(self, format):
        v = struct.unpack_from("<" + format, self.data, self.at)[0]
        self.at += struct.calcsize("<" + format)
        return v

    def text(self):
        n = self.take("Q")
        self.at += n
        return self.data[self.at - n:self.at].decode()

    def value(self, type):
        if type == 8:
            return self.text()
        if type == 9:
            item = self.take("I")
            return [self.value(item) for _ in range(self.take("Q"))]
        return self.take(SCALARS[type])

    def key(self, name, default=None):
        return self.keys.get("%s.%s" % (self.keys["general.architecture"], name), default)


def dot(a, b):
    return sum(x * y for x, y in zip(a, b))


def linear(model, name, x):
    y = [dot(row, x) for row in model.tensors[name + ".weight"]]
    bias = model.tensors.get(name + ".bias")
    return [a + b for a, b in zip(y, bias)] if bias else y


def norm(x, weight, eps):
    scale = 1 / math.sqrt(dot(x, x) / len(x) + eps)
    return [v * scale * w for v, w in zip(x, weight)]


def softmax(x):
    most = max(x)
    e = [math.exp(v - most) for v in x]
    total = sum(e)
    return [v / total for v in e]


def silu(x):
    return x / (1 + math.exp(-x))


def gelu(x):
    return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x ** 3)))


class Shape:
    """The numbers of a model, and what its family does in its own way."""

    def __init__(self, model):
        family = model.keys["general.architecture"]
        self.layers, self.width = model.key("block_count"), model.key("embedding_length")
        self.heads = model.key("attention.head_count")
        self.kv_heads = model.key("attention.head_count_kv", self.heads)
        self.dim = model.key("attention.key_length", self.width // self.heads)
        self.dims = model.key("rope.dimension_count", self.dim)
        self.eps = model.key("attention.layer_norm_rms_epsilon", 1e-5)
        self.scale = model.key("attention.scale", 1 / math.sqrt(self.dim))
        self.factors = model.tensors.get("rope_freqs.weight") or [1] * (self.dims // 2)
        self.base = model.key("rope.freq_base", 10000.0)
        self.halves = family != "llama"
        self.act = gelu if family == "gemma3" else silu
        self.embedding = math.sqrt(self.width) if family == "gemma3" else 1
        self.window, self.windowed_base = model.key("attention.sliding_window"), model.key("rope.freq_base_swa", 10000.0)
        pattern = model.key("attention.sliding_window_pattern", 6)
        if not isinstance(pattern, list):
            pattern = [i % pattern != pattern - 1 for i in range(self.layers)]
        self.windowed = pattern if self.window else [False] * self.layers


def heads_of(model, shape, layer, part, x, pos):
    """Queries or keys: each head normed where there is a norm, then turned."""
    weight, base = model.tensors.get("blk.%d.attn_%s_norm.weight" % (layer, part)), shape.base
    if shape.windowed[layer]:
        base = shape.windowed_base
    y = []
    for head in range(0, len(x), shape.dim):
        h = x[head:head + shape.dim]
        h = norm(h, weight, shape.eps) if weight else list(h)
        for i in range(shape.dims // 2):
            angle = pos * base ** (-2 * i / shape.dims) / shape.factors[i]
            j, k = (i, i + shape.dims // 2) if shape.halves else (2 * i, 2 * i + 1)
            a, b = h[j], h[k]
            h[j] = a * math.cos(angle) - b * math.sin(angle)
            h[k] = a * math.sin(angle) + b * math.cos(angle)
        y += h
    return y


def attention(shape, q, keys, values):
    out, dim = [], shape.dim
    for h in range(shape.heads):
        g = h // (shape.heads // shape.kv_heads) * dim
        p = softmax([dot(q[h * dim:(h + 1) * dim], k[g:g + dim]) * shape.scale for k in keys])
        out += [dot(p, [v[g + d] for v in values]) for d in range(dim)]
    return out


def block(model, shape, name, x, y):
    """x plus a block's output, which gemma3 norms."""
    weight = model.tensors.get(name)
    return [a + b for a, b in zip(x, norm(y, weight, shape.eps) if weight else y)]


def forward(model, ids):
    """Log probabilities after each token."""
    t, shape = model.tensors, Shape(model)
    cache = [([], []) for _ in range(shape.layers)]
    head = t.get("output.weight") or t["token_embd.weight"]
    for pos, token in enumerate(ids):
        x = [v * shape.embedding for v in t["token_embd.weight"][token]]
        for i in range(shape.layers):
            name, (keys, values) = "blk.%d." % i, cache[i]
            y = norm(x, t[name + "attn_norm.weight"], shape.eps)
            q = heads_of(model, shape, i, "q", linear(model, name + "attn_q", y), pos)
            keys.append(heads_of(model, shape, i, "k", linear(model, name + "attn_k", y), pos))
            values.append(linear(model, name + "attn_v", y))
            first = max(0, pos + 1 - shape.window) if shape.windowed[i] else 0
            y = linear(model, name + "attn_output", attention(shape, q, keys[first:], values[first:]))
            x = block(model, shape, name + "post_attention_norm.weight", x, y)
            y = norm(x, t[name + "ffn_norm.weight"], shape.eps)
            gate, up = linear(model, name + "ffn_gate", y), linear(model, name + "ffn_up", y)
            y = linear(model, name + "ffn_down", [shape.act(g) * u for g, u in zip(gate, up)])
            x = block(model, shape, name + "post_ffw_norm.weight", x, y)
        y = norm(x, t["output_norm.weight"], shape.eps)
        logits = [dot(row, y) for row in head]
        most = max(logits)
        total = most + math.log(sum(math.exp(v - most) for v in logits))
        yield [v - total for v in logits]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    model = Model(sys.argv[1])
    for line in sys.stdin:
        for row in forward(model, [int(i) for i in line.split()]):
            print(" ".join("%.12g" % v for v in row))


if __name__ == "__main__":
    main()
