"""Whether an answer depends on anything but its request: configs/verify.ini, the model under test set up in every way
that must not matter, against one that runs alone on one core.

usage: exact.py JEVONS [--full] [--model FILE] [SECTION.KEY=VALUE ...]

Quick by default, for the tests; --full asks 200 prompts in each set-up, 1, 7 and 32 at once. Prints a line for each with
what its cache went through, and ends with 1 when an answer differs, or when a set-up did not bring about what it is
there for. Without the model the test is skipped.
"""

import argparse
import collections
import json
import os
import re
import subprocess
import sys
import time

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INI = os.path.join(SOURCE, "configs", "verify.ini")
MODEL = os.environ.get("JEVONS_MODEL") or os.path.expanduser("~/.cache/jevons/SmolLM2-135M-Instruct.Q4_1.gguf")
SKIPPED = 77
MIB = 1 << 20
QUICK = ["verify.prompts=10", "verify.words=120", "verify.tokens=8"]
FULL = ["verify.prompts=200", "verify.words=600", "verify.tokens=16"]

# What the cache did, from the line at the end of a run.
WORK = re.compile(r"jevons: model: (?P<requests>\d+) requests in \d+ steps of (?P<batch>[\d.]+) tokens; (?P<found>\d+) tokens found in the cache, "
                  r"(?P<parted>\d+) prompts parted within a block, (?P<evicted>\d+) blocks evicted; (?P<back>\d+) sequences sent back, "
                  r"(?P<again>\d+) tokens computed again; at most (?P<running>\d+) at once")
MEMORY = re.compile(r"jevons: model: context (?P<context>\d+) tokens.*KV \w+ for (?P<tokens>\d+) tokens.*KV (?P<cache>[\d.]+) MiB, scratch [\d.]+ MiB: "
                    r"(?P<all>[\d.]+) MiB in all")

# quick, full: how many ask at once; in full, who comes first meets a cold cache. settings: beside those of verify.ini, where
# prompts are cut in chunks of 512 for the reference. wants: what must have happened.
Setup = collections.namedtuple("Setup", "name quick full settings wants")
SETUPS = [
    *(Setup(f"{name}, chunks of {chunk}", quick, full, [f"backend.cores={cores}", f"model.prefill_chunk={chunk}", "model.memory={large}"],
            "found parted warm" + (" cut" if chunk < 512 or not quick else ""))
      for name, cores, chunk, quick, full in (
          ("one core", 1, 16, "1, 7, 32", "1, 7, 32"), ("one core", 1, 100, "7", "7, 32, 1"), ("one core", 1, 512, "", "32, 1, 7"),
          ("two cores", 2, 16, "", "32, 1, 7"), ("two cores", 2, 100, "32", "1, 7, 32"), ("two cores", 2, 512, "32", "7, 32, 1"))),
    Setup("keys and values in 8 bits", "7, 32", "1, 7, 32", ["model.kv=q8_0", "alone.kv=q8_0", "model.memory={large}"], "cut found parted warm"),
    Setup("a cache for four", "", "7, 32", ["model.memory={four}"], "cut found parted evicted"),
    Setup("a cache that is too small", "32", "7, 32", ["model.memory={small}", "verify.tokens=120", "verify.words=250"], "found parted evicted back again"),
    Setup("8 bits in a cache that is too small", "", "32", ["model.kv=q8_0", "alone.kv=q8_0", "model.memory={small_q8_0}", "verify.tokens=120",
                                                      "verify.words=250"], "found parted evicted back again"),
]


class Needs(Exception):
    pass


def run(args, more):
    argv = [args.jevons, "run", INI, f"model.path={args.model}", f"alone.path={args.model}", *args.overrides, *more]
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def memory(args, kv, contexts):
    """Bytes in which the cache has room for so many contexts."""
    told = run(args, ["verify.prompts=1", "verify.words=1", "verify.tokens=1", "verify.sequences=1", f"model.kv={kv}", f"alone.kv={kv}"]).stderr
    sums = MEMORY.search(told)
    if not sums:
        raise Needs(f"no memory in what it says at its start:\n{told}")
    cache, total = float(sums["cache"]), float(sums["all"])
    return int((total - cache + cache / int(sums["tokens"]) * int(sums["context"]) * contexts) * MIB)


def missing(setup, verdict, work, chunk):
    """What a set-up was to bring about and did not."""
    again = verdict["prompt_tokens"] * (int(work["requests"]) / verdict["prompts"] - 1)  # asked for when they had been before
    told = {
        "cut": verdict["longest_prompt"] > chunk,
        "found": int(work["found"]) > 0,
        "parted": int(work["parted"]) > 0,
        "evicted": int(work["evicted"]) > 0,
        "back": int(work["back"]) > 0,
        "again": int(work["again"]) > 0,
        "warm": int(work["evicted"]) == 0 and int(work["found"]) > 0.9 * again,  # all but the ends of prompts
    }
    return [want for want in setup.wants.split() if not told[want]]


def judge(args, setup, sizes):
    """Runs a set-up and prints what came of it; whether it is as it should be."""
    sequences = setup.full if args.full else setup.quick
    if not sequences:
        return True
    settings = [s.format(**sizes) for s in setup.settings]
    begin = time.monotonic()
    result = run(args, [*(FULL if args.full else QUICK), "verify.sequences=" + sequences, *settings])
    work = WORK.search(result.stderr)
    verdict = json.loads(result.stdout) if result.stdout.startswith("{") else {"exact": False}
    print(f"{setup.name}: {result.stdout.strip()}")
    if result.returncode or not verdict["exact"] or not work:
        print(result.stderr, flush=True)
        return False
    print(f"    {work['running']} at once at most, steps of {work['batch']} tokens, {work['found']} found in the cache, {work['parted']} prompts parted within a block, "
          f"{work['evicted']} blocks evicted, {work['back']} sequences sent back, {work['again']} tokens computed again; {time.monotonic() - begin:.0f} s", flush=True)
    chunk = next((int(s.split("=")[1]) for s in settings if s.startswith("model.prefill_chunk")), 100)
    lacks = missing(setup, verdict, work, chunk)
    if not args.full and not sequences.startswith("1"):
        lacks = [lack for lack in lacks if lack != "parted"]  # few prompts, whose order is left to chance
    if lacks:
        print(f"    this shows nothing of: {', '.join(lacks)}", flush=True)
    return not lacks


def main():
    p = argparse.ArgumentParser()
    p.add_argument("jevons")
    p.add_argument("overrides", nargs="*", metavar="SECTION.KEY=VALUE")
    p.add_argument("--full", action="store_true")
    p.add_argument("--model", default=MODEL)
    p.add_argument("--only", default="", help="set-ups with this in their names")
    args = p.parse_args()
    if not os.path.exists(args.model):
        print(f"skipped: {args.model} is not there")
        return SKIPPED
    sizes = {"small": memory(args, "f16", 1.1), "small_q8_0": memory(args, "q8_0", 1.1), "four": memory(args, "f16", 4), "large": memory(args, "f16", 64 if args.full else 8)}
    wrong = sum(not judge(args, setup, sizes) for setup in SETUPS if args.only in setup.name)
    print(f"{wrong} set-ups are not as they should be" if wrong else "exact in all set-ups", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
