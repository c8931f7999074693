"""llama.cpp as the other side of a comparison: loads a model with llama-cpp-python, then does what its lines of input
ask for and answers each with a line. All through the low-level batch interface, without sampling but for the largest
logit, so that nothing of Python's is timed but one call a step.

usage: llama_peer.py MODEL THREADS

Input, one JSON object a line:
    {"test": "prefill", "tokens": 512, "context": 0}             one sequence, after `context` tokens of its own
    {"test": "decode", "tokens": 64, "sequences": 8, "context": 128}
Output: {"tok_s": ..., "settings": "flash attention off"}. The first time that a test is asked for it is tried with flash
attention off and on, and the faster one is kept as long as the same line comes again.
"""

import ctypes
import json
import random
import sys
import time

import numpy
from llama_cpp import llama_cpp as ll

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


class Prefill:
    """Reads a prompt behind what one sequence has."""

    def __init__(self, c, ask):
        self.c, self.ask = c, ask
        if ask["context"]:
            c.read(random_tokens(random.Random(1), c, ask["context"]), 0, 0)

    def run(self):
        tokens = random_tokens(random.Random(2), self.c, self.ask["tokens"])
        begin = time.perf_counter()
        self.c.read(tokens, 0, self.ask["context"])
        return len(tokens) / (time.perf_counter() - begin)


class Decode:
    """Takes all sequences on by some tokens, each behind a prompt of its own."""

    def __init__(self, c, ask):
        self.c, self.ask, rng = c, ask, random.Random(1)
        self.first = [c.read(random_tokens(rng, c, ask["context"]), s, 0) for s in range(ask["sequences"])]

    def run(self):
        c, now = self.c, self.first
        begin = time.perf_counter()
        for i in range(self.ask["tokens"]):
            c.step([(token, self.ask["context"] + i, s, True) for s, token in enumerate(now)])
            now = [c.best(s) for s in range(len(now))]
        return len(now) * self.ask["tokens"] / (time.perf_counter() - begin)


class Prepared:
    """A test with one setting, ready to be run any number of times."""

    def __init__(self, model, threads, ask, flash):
        self.settings = "flash attention " + ("on" if flash else "off")
        self.cut, self.sequences = ask["context"], ask.get("sequences", 1)
        self.c = Context(model, threads, self.sequences, ask["context"] + ask["tokens"], flash)
        self.test = (Prefill if ask["test"] == "prefill" else Decode)(self.c, ask)

    def run(self):
        speed = self.test.run()
        for s in range(self.sequences):
            ll.llama_memory_seq_rm(ll.llama_get_memory(self.c.ctx), s, self.cut, -1)
        return speed


def best_of(model, threads, ask):
    """The faster one of two settings: each runs twice, in turn, of which the second counts."""
    both = [Prepared(model, threads, ask, flash) for flash in (False, True)]
    for p in both:
        p.run()
    speeds = [p.run() for p in both]
    best = both[speeds[1] > speeds[0]]
    for p in both:
        if p is not best:
            p.c.close()
    return best


def main():
    model, threads = load(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({"system": ll.llama_print_system_info().decode()}), flush=True)
    ready = (None, None)
    for line in sys.stdin:
        if ready[0] != line:
            if ready[1]:
                ready[1].c.close()
            ready = (line, best_of(model, threads, json.loads(line)))
        print(json.dumps({"tok_s": ready[1].run(), "settings": ready[1].settings}), flush=True)


if __name__ == "__main__":
    main()
