#!/usr/bin/env python3
"""Measures how far jevons and llama.cpp agree, beside how far llama.cpp agrees with itself.

    pip install llama-cpp-python==0.3.36 numpy
    agreement.py JEVONS MODEL.gguf... [--text FILE] [--tokens N] [--again N] [--prompts N] [--window N] [--threads N]

Two things are read by both sides. A long text: Python's own help on its language, which is wherever Python is, or FILE;
its first N tokens (8,192, as far as whole lines go) in windows of 512, each from an empty cache. And what llama.cpp
itself says, greedily, for up to 100 tokens behind each of 20 prompts of reference.py. jevons reads by score.ini,
llama.cpp a window or an answer at once; but its answers it has also read token by token, as it made them, and so it
reads the first 1,024 tokens of the text again. No token for the beginning is put in front; the ids must be the same on
both sides. Printed is one JSON object a model, with what was found
  text, answers               of jevons and llama.cpp
  text_again, answers_again   of llama.cpp token by token and llama.cpp at once; 0 behind --tokens, --again or --prompts leaves it out
each of them
  places, perplexity, ratio   of the first side and of the second, and the first by the second
  same_top                    share of places where both have the same likeliest token
  mean, worst                 difference of the log-probability of the text's own tokens, in nat
  apart                       where the likeliest token is another, how far apart the second side's first two are at most
  far                         at how many of these places more than 0.2 nat
"""
import argparse
import json
import pathlib
import pydoc_data.topics
import subprocess
import sys
import tempfile

import llama_cpp
import numpy

import reference

CONFIGS = pathlib.Path(__file__).resolve().parent.parent.parent / "configs"
CLOSE_CALL = 0.2


class Reading:
    """Of places in a text: the log-probability of its token there, the likeliest one, and how far ahead of the next
    that is."""

    def __init__(self, logprobs=(), best=(), ahead=()):
        self.logprobs, self.best, self.ahead = list(logprobs), list(best), list(ahead)

    def __getitem__(self, places):
        return Reading(self.logprobs[places], self.best[places], self.ahead[places])

    def __iadd__(self, more):
        self.logprobs += more.logprobs
        self.best += more.best
        self.ahead += more.ahead
        return self


def of_scores(rows):
    top = [row["top"] for row in rows]
    return Reading([row["logprob"] for row in rows], [t[0][0] for t in top], [t[0][1] - t[1][1] for t in top])


def of_logits(rows, tokens):
    r = Reading()
    for row, token in zip(rows, tokens):
        logprobs = reference.logprobs(row)
        second, first = numpy.partition(logprobs, -2)[-2:]
        r += Reading([logprobs[token]], [logprobs.argmax()], [first - second])
    return r


def ours(args, model, texts):
    """Of each text: the ids behind the first, and how jevons reads them."""
    with tempfile.TemporaryDirectory() as folder:
        lines = pathlib.Path(folder, "texts")
        lines.mkdir()
        for i, text in enumerate(texts):
            (lines / f"{i:04}").write_bytes(text)
        out = subprocess.run(
            [args.jevons, "run", "--quiet", str(CONFIGS / "score.ini"), f"model.path={model}", f"text.path={lines}", "score.top=2", "score.bos=no",
             f"score.context={args.window}", f"score.stride={args.window}", f"backend.cores={args.threads}",
             f"pipeline.dead_letter={folder}/rejected.jsonl"], stdout=subprocess.PIPE, check=True).stdout
    rows = []
    for row in map(json.loads, out.splitlines()):
        if "logprob" in row:
            rows.append(row)
        else:  # the sum behind each text
            yield [r["token"] for r in rows], of_scores(rows)
            rows = []


def opened(args, model, batch):
    return llama_cpp.Llama(model, n_ctx=args.window, n_batch=batch, n_ubatch=batch, n_threads=args.threads,
                           n_threads_batch=args.threads, logits_all=True, verbose=False)


def theirs(args, m, ids):
    r = Reading()
    for begin in range(0, len(ids) - 1, args.window):
        window = ids[begin:begin + args.window]
        m.reset()
        m.eval(window)
        r += of_logits(m.scores, ids[begin + 1:begin + 1 + len(window)])
    return r


def compare(a, b):
    (logprobs, best, _), (others, other_best, ahead) = ([numpy.array(x) for x in (r.logprobs, r.best, r.ahead)] for r in (a, b))
    perplexity = [float(numpy.exp(-x.mean())) for x in (logprobs, others)]
    differ, apart = numpy.abs(logprobs - others), ahead[best != other_best]
    return {"places": len(differ), "perplexity": [round(p, 4) for p in perplexity], "ratio": round(perplexity[0] / perplexity[1], 5),
            "same_top": round(float((best == other_best).mean()), 5), "mean": round(float(differ.mean()), 4),
            "worst": round(float(differ.max()), 4), "apart": round(float(apart.max(initial=0)), 4), "far": int((apart > CLOSE_CALL).sum())}


def beginning(m, text, n):
    """The ids of as many whole lines as have at most n tokens, and these lines."""
    ids = m.tokenize(text, add_bos=False, special=False)
    if len(ids) > n:
        text = m.detokenize(ids[:n])
        text = text[:text.rindex(b"\n") + 1]
        ids = m.tokenize(text, add_bos=False, special=False)
    return ids, text


def wanted(model, got, ids):
    if got != ids[1:]:
        sys.exit(f"{model}: jevons has other tokens than llama.cpp: {len(got)} behind the first, not {len(ids) - 1}, or others among them")


def long_text(args, model, m, text):
    ids, text = beginning(m, text, args.tokens)
    (got, mine), = ours(args, model, [text])
    wanted(model, got, ids)
    at_once = theirs(args, m, ids)
    told = {"text": compare(mine, at_once)}
    if args.again:
        by_tokens = opened(args, model, 1)
        single = theirs(args, by_tokens, ids[:args.again])
        by_tokens.close()
        told["text_again"] = compare(single, at_once[:len(single.best)])
    return told


def answers(args, model, m):
    texts, lists, single, at_once, mine = [], [], Reading(), Reading(), Reading()
    for prompt in reference.PROMPTS[:args.prompts]:
        ids, n_prompt = reference.continuation(m, prompt)
        own = slice(n_prompt - 1, len(ids) - 1)  # places whose tokens llama.cpp chose
        single += of_logits(m.scores[own], ids[n_prompt:])
        m.reset()
        m.eval(ids)
        at_once += of_logits(m.scores[own], ids[n_prompt:])
        texts.append(m.detokenize(ids, special=True))
        lists.append((ids, own))
    for (got, reading), (ids, own) in zip(ours(args, model, texts), lists, strict=True):
        wanted(model, got, ids)
        mine += reading[own]
    return {"answers": compare(mine, at_once), "answers_again": compare(single, at_once)}


def measure(args, model, text):
    told = {"test": "quality", "model": pathlib.Path(model).name, "window": args.window, "threads": args.threads}
    m = opened(args, model, args.window)
    told |= long_text(args, model, m, text) if args.tokens else {}
    told |= answers(args, model, m) if args.prompts else {}
    m.close()
    return told


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jevons")
    parser.add_argument("models", nargs="+", metavar="MODEL.gguf")
    parser.add_argument("--text", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=8192)
    parser.add_argument("--again", type=int, default=1024)
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    topics = pydoc_data.topics.topics
    text = args.text.read_bytes() if args.text else "".join(topics[name] for name in sorted(topics)).encode()
    for model in args.models:
        print(json.dumps(measure(args, model, text)), flush=True)


if __name__ == "__main__":
    main()
