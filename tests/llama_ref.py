#!/usr/bin/env python3
"""What a model of the llama architecture computes, by the formulas, in 64-bit floats and plain lists; for files with F32 tensors.

    llama_ref.py MODEL.gguf < SEQUENCES

Each line of the input is a sequence of token ids. For each of its positions a line is printed: the natural logarithm of the
probability of every token of the vocabulary to come next. Shares nothing with the engine: it has a reader of its own.
"""
import math
import struct
import sys

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}


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
            if type != 0:
                sys.exit("tensor %s is not F32" % name)
            flat = struct.unpack_from("<%df" % math.prod(ne), self.data, start + offset)
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
        return self.keys.get("llama." + name, default)


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


def rotate(model, x, pos, dim):
    """Pairs (2i, 2i + 1) of the first dims of each head."""
    dims, base = model.key("rope.dimension_count", dim), model.key("rope.freq_base", 10000.0)
    factors = model.tensors.get("rope_freqs.weight") or [1] * (dims // 2)
    y = list(x)
    for head in range(0, len(x), dim):
        for i in range(dims // 2):
            angle = pos * base ** (-2 * i / dims) / factors[i]
            a, b = x[head + 2 * i], x[head + 2 * i + 1]
            y[head + 2 * i] = a * math.cos(angle) - b * math.sin(angle)
            y[head + 2 * i + 1] = a * math.sin(angle) + b * math.cos(angle)
    return y


def attention(q, keys, values, heads, kv_heads, dim):
    out = []
    for h in range(heads):
        g = h // (heads // kv_heads) * dim
        scores = [dot(q[h * dim:(h + 1) * dim], k[g:g + dim]) / math.sqrt(dim) for k in keys]
        p = softmax(scores)
        out += [dot(p, [v[g + d] for v in values]) for d in range(dim)]
    return out


def forward(model, ids):
    """Log probabilities after each token."""
    t, eps = model.tensors, model.key("attention.layer_norm_rms_epsilon", 1e-5)
    heads = model.key("attention.head_count")
    kv_heads = model.key("attention.head_count_kv", heads)
    dim = model.key("attention.key_length", model.key("embedding_length") // heads)
    layers = model.key("block_count")
    cache = [([], []) for _ in range(layers)]
    head = t.get("output.weight") or t["token_embd.weight"]
    for pos, token in enumerate(ids):
        x = list(t["token_embd.weight"][token])
        for i in range(layers):
            name, (keys, values) = "blk.%d." % i, cache[i]
            y = norm(x, t[name + "attn_norm.weight"], eps)
            q = rotate(model, linear(model, name + "attn_q", y), pos, dim)
            keys.append(rotate(model, linear(model, name + "attn_k", y), pos, dim))
            values.append(linear(model, name + "attn_v", y))
            y = linear(model, name + "attn_output", attention(q, keys, values, heads, kv_heads, dim))
            x = [a + b for a, b in zip(x, y)]
            y = norm(x, t[name + "ffn_norm.weight"], eps)
            gate, up = linear(model, name + "ffn_gate", y), linear(model, name + "ffn_up", y)
            y = linear(model, name + "ffn_down", [g / (1 + math.exp(-g)) * u for g, u in zip(gate, up)])
            x = [a + b for a, b in zip(x, y)]
        y = norm(x, t["output_norm.weight"], eps)
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
