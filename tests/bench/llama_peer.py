"""llama.cpp as the other side of a comparison: loads a model with llama-cpp-python, then does what its lines of input
ask for and answers each with a line. All through the low-level batch interface, without sampling but for the largest
logit, so that nothing of Python's is timed but one call a step.

usage: llama_peer.py MODEL THREADS

Input, one JSON object a line:
    {"test": "prefill", "tokens": 512, "context": 0}             one sequence, after `context` tokens of its own
    {"test": "decode", "tokens": 64, "sequences": 8, "context": 128}
Output: {"tok_s": ..., "settings": "flash attention off"}: the better of flash attention off and on, each once.
"""

import ctypes
import json
import random
import sys
import time

import numpy
from llama_cpp import llama_cpp as ll

MOST = 32  # sequences
UBATCH = 512


@ll.llama_log_callback
def silent(level, text, user):
    pass


def load(path):
    ll.llama_log_set(silent, ctypes.c_void_p(0))
    ll.llama_backend_init()
    model = ll.llama_model_load_from_file(path.encode(), ll.llama_model_default_params())
    if not model:
        sys.exit(f"{path}: llama.cpp cannot load it")
    return model


class Context:
    """A context for so many sequences of so many tokens each."""

    def __init__(self, model, threads, sequences, tokens, flash):
        p = ll.llama_context_default_params()
        p.n_ctx = sequences * (tokens + 8)
        p.n_batch = p.n_ubatch = UBATCH
        p.n_seq_max = sequences
        p.n_threads = p.n_threads_batch = threads
        p.flash_attn_type = 1 if flash else 0
        p.kv_unified = False
        self.ctx = ll.llama_init_from_model(model, p)
        if not self.ctx:
            sys.exit(f"llama.cpp has no context of {p.n_ctx} tokens")
        self.batch = ll.llama_batch_init(UBATCH, 0, 1)
        self.vocabulary = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(model))

    def close(self):
        ll.llama_batch_free(self.batch)
        ll.llama_free(self.ctx)

    def step(self, rows):
        """rows: (token, position, sequence, whether its logits are wanted)."""
        b = self.batch
        b.n_tokens = len(rows)
        for i, (token, pos, seq, wanted) in enumerate(rows):
            b.token[i] = token
            b.pos[i] = pos
            b.n_seq_id[i] = 1
            b.seq_id[i][0] = seq
            b.logits[i] = wanted
        if ll.llama_decode(self.ctx, b) != 0:
            sys.exit(f"llama_decode of {len(rows)} tokens failed")

    def best(self, row):
        logits = numpy.ctypeslib.as_array(ll.llama_get_logits_ith(self.ctx, row), (self.vocabulary,))
        return int(logits.argmax())

    def read(self, tokens, seq, pos):
        """A prompt, as many tokens at once as fit; answers the likeliest next one."""
        for at in range(0, len(tokens), UBATCH):
            part = tokens[at : at + UBATCH]
            last = at + len(part) == len(tokens)
            self.step([(t, pos + at + i, seq, last and i == len(part) - 1) for i, t in enumerate(part)])
        return self.best(len(part) - 1)


def random_tokens(rng, c, n):
    return [rng.randrange(100, c.vocabulary - 1000) for _ in range(n)]


def prefill(c, rng, ask):
    if ask["context"]:
        c.read(random_tokens(rng, c, ask["context"]), 0, 0)
    tokens = random_tokens(rng, c, ask["tokens"])
    begin = time.perf_counter()
    c.read(tokens, 0, ask["context"])
    return ask["tokens"] / (time.perf_counter() - begin)


def decode(c, rng, ask):
    n = ask["sequences"]
    now = [c.read(random_tokens(rng, c, ask["context"]), s, 0) for s in range(n)]
    begin = time.perf_counter()
    for i in range(ask["tokens"]):
        c.step([(now[s], ask["context"] + i, s, True) for s in range(n)])
        now = [c.best(s) for s in range(n)]
    return n * ask["tokens"] / (time.perf_counter() - begin)


def answer(model, threads, ask):
    sequences = ask.get("sequences", 1)
    found = []
    for flash in (False, True):
        c = Context(model, threads, sequences, ask["context"] + ask["tokens"], flash)
        run = prefill if ask["test"] == "prefill" else decode
        run(c, random.Random(1), dict(ask, tokens=min(ask["tokens"], 8), context=min(ask["context"], 8)))  # warm
        ll.llama_memory_clear(ll.llama_get_memory(c.ctx), True)
        found.append((run(c, random.Random(2), ask), "flash attention " + ("on" if flash else "off")))
        c.close()
    return max(found)


def main():
    model, threads = load(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({"system": ll.llama_print_system_info().decode()}), flush=True)
    for line in sys.stdin:
        speed, settings = answer(model, threads, json.loads(line))
        print(json.dumps({"tok_s": speed, "settings": settings}), flush=True)


if __name__ == "__main__":
    main()
