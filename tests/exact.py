"""Whether an answer depends on anything but its request: configs/verify.ini, the model under test set up in every way
that must not matter, against one that runs alone on one core.

usage: exact.py JEVONS [--full] [--model FILE]

Quick by default, for the tests; --full asks 200 prompts in each set-up. Prints a line for each, and ends with 1 when one
differs. Without the model the test is skipped.
"""

import argparse
import json
import os
import re
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
INI = os.path.join(SOURCE, "configs", "verify.ini")
MODEL = os.environ.get("JEVONS_MODEL") or os.path.expanduser("~/.cache/jevons/SmolLM2-135M-Instruct.Q4_1.gguf")
SKIPPED = 77

# Name: what is set beside the default of verify.ini. Prompts are cut in chunks of 512 where the reference runs.
SETUPS = {
    "chunks of 16": ["model.prefill_chunk=16", "verify.sequences=1, 7, 32"],
    "chunks of 100": ["model.prefill_chunk=100", "verify.sequences=7"],
    "chunks of 512": ["model.prefill_chunk=512", "verify.sequences=32"],
    "one core": ["backend.cores=1", "model.prefill_chunk=33", "verify.sequences=7"],
    "keys and values in 8 bits": ["model.kv=q8_0", "alone.kv=q8_0", "verify.sequences=7, 32"],
    "a cache that is too small": ["model.memory={small}", "verify.sequences=32", "verify.tokens=120", "verify.words=250"],
}


class Needs(Exception):
    pass


def run(args, more):
    argv = [args.jevons, "run", INI, f"model.path={args.model}", f"alone.path={args.model}"] + more
    return subprocess.run(argv, capture_output=True, text=True, check=False)


def small_memory(args):
    """Bytes in which the cache has room for hardly more than one context, so that sequences are sent back."""
    told = run(args, ["verify.prompts=1", "verify.words=1", "verify.tokens=1", "verify.sequences=1"]).stderr
    sums = re.search(r"jevons: model: context \d+ tokens.*KV ([\d.]+) MiB, scratch [\d.]+ MiB: ([\d.]+) MiB in all", told)
    if not sums:
        raise Needs(f"no memory in what it says at its start:\n{told}")
    cache, total = map(float, sums.groups())
    return int((total - cache + cache / 4 * 1.1) * (1 << 20))  # by default it holds four contexts


def main():
    p = argparse.ArgumentParser()
    p.add_argument("jevons")
    p.add_argument("--full", action="store_true")
    p.add_argument("--model", default=MODEL)
    args = p.parse_args()
    if not os.path.exists(args.model):
        print(f"skipped: {args.model} is not there")
        return SKIPPED
    size = ["verify.prompts=200", "verify.words=600", "verify.tokens=24"] if args.full else \
        ["verify.prompts=10", "verify.words=120", "verify.tokens=8"]
    small = small_memory(args)
    wrong = 0
    for name, more in SETUPS.items():
        result = run(args, size + [word.format(small=small) for word in more])
        verdict = json.loads(result.stdout) if result.stdout.startswith("{") else {"exact": False}
        print(f"{name}: {result.stdout.strip()}", flush=True)
        if result.returncode or not verdict["exact"]:
            wrong += 1
            print(result.stderr)
        sent_back = re.search(r"jevons: model: .* (\d+) sequences sent back", result.stderr)
        if "{small}" in more[0] and (not sent_back or sent_back[1] == "0"):
            wrong += 1
            print("nobody was sent back: this shows nothing")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
