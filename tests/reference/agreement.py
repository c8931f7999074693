#!/usr/bin/env python3
"""Measures how far jevons and llama.cpp agree about a text, beside how far llama.cpp agrees with itself.

    pip install llama-cpp-python==0.3.36 numpy
    agreement.py JEVONS MODEL.gguf TEXT [--tokens N] [--window N] [--threads N]

TEXT is a file; its first N tokens (4096) are read in windows of 512 tokens, each from an empty cache, by score.ini, by
llama.cpp in one batch, and by llama.cpp token by token (--once leaves that out: it takes long). Of each pair is printed
  top-1       share of places with the same likeliest token
  mean, worst difference of the log-probability of the text's own tokens, in nat
  perplexity  of both, and by how much the first is above the second
The ids must be the same. No token for the beginning is put in front.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import llama_cpp
import numpy

CONFIGS = pathlib.Path(__file__).resolve().parent.parent.parent / "configs"


class Reading:
    """Of each token but the first: its log-probability, and the id that was likeliest in its place."""

    def __init__(self, logprobs, best):
        self.logprobs, self.best = numpy.array(logprobs), numpy.array(best)


def ours(args, text, n):
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        rows = subprocess.run(
            [args.jevons, "run", "--quiet", str(CONFIGS / "score.ini"), f"model.path={args.model}", f"text.path={file.name}", "score.top=1",
             "score.bos=no", f"score.context={args.window}", f"score.stride={args.window}", f"backend.cores={args.threads}"],
            stdout=subprocess.PIPE, check=True).stdout.splitlines()
    rows = [row for row in map(json.loads, rows) if "logprob" in row][:n - 1]
    return [row["token"] for row in rows], Reading([row["logprob"] for row in rows], [row["top"][0][0] for row in rows])


def theirs(args, ids, batch):
    m = llama_cpp.Llama(args.model, n_ctx=args.window, n_batch=batch, n_ubatch=batch, n_threads=args.threads,
                        n_threads_batch=args.threads, logits_all=True, verbose=False)
    logprobs, best = [], []
    for begin in range(0, len(ids) - 1, args.window):
        window = ids[begin:begin + args.window]
        m.reset()
        m.eval(window)
        for row, token in zip(m.scores, ids[begin + 1:begin + 1 + len(window)]):
            row = row.astype(numpy.float64)
            row -= row.max()
            logprobs.append(row[token] - numpy.log(numpy.exp(row).sum()))
            best.append(row.argmax())
    return Reading(logprobs, best)


def report(name, a, b):
    differ = numpy.abs(a.logprobs - b.logprobs)
    first, second = (float(numpy.exp(-r.logprobs.mean())) for r in (a, b))
    print(f"{name}: {len(differ)} places, top-1 {(a.best == b.best).mean():.2%}, mean {differ.mean():.4f}, worst {differ.max():.4f}, "
          f"perplexity {first:.4f} and {second:.4f}: {first / second - 1:+.3%}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jevons")
    parser.add_argument("model")
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=4096)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--once", action="store_true", help="not token by token")
    args = parser.parse_args()
    vocabulary = llama_cpp.Llama(args.model, vocab_only=True, verbose=False)
    ids = vocabulary.tokenize(args.text.read_bytes(), add_bos=False, special=False)[:args.tokens]
    text = vocabulary.detokenize(ids)
    got, mine = ours(args, text, len(ids))
    if got != ids[1:]:
        sys.exit(f"other tokens: {len(got)} behind the first, not {len(ids) - 1}")
    batch = theirs(args, ids, args.window)
    report("jevons, llama.cpp in a batch", mine, batch)
    if not args.once:
        single = theirs(args, ids, 1)
        report("jevons, llama.cpp by tokens", mine, single)
        report("llama.cpp by tokens, in a batch", single, batch)


if __name__ == "__main__":
    main()
