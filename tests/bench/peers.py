"""jevons beside llama.cpp: the same files, the same machine, the same threads, turn by turn.

usage: peers.py --jevons FILE --python FILE [--threads 2] [--pairs 7] [--csv FILE] [--quick] [--isa LEVEL]
                [--only NAME | --context] MODEL...

--python is an interpreter that has llama-cpp-python (built for this machine) and numpy. For each model and each test
the two sides take turns, --pairs times, the one that begins changing from pair to pair: a busy moment of the machine
hits both. What counts is the ratio within a pair; the median over the pairs is printed with its least and greatest,
one JSON object a line, and every single measurement goes to --csv.

prefill, decode   tokens a second: `jevons run configs/bench.ini` against llama_peer.py
start             a whole process from its start to 24 tokens: seconds by the clock and the peak of memory, `jevons run`
                  against llama_start.c; `ratio` is jevons' seconds by llama.cpp's, `memory_ratio` its peak by the file
"""

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CONFIGS = os.path.join(HERE, "..", "..", "configs")
PROMPT = "The capital of France is"

TESTS = [
    {"test": "prefill", "tokens": 512, "sequences": 1, "context": 0},
    {"test": "decode", "tokens": 64, "sequences": 1, "context": 128},
    {"test": "decode", "tokens": 32, "sequences": 8, "context": 128},
    {"test": "decode", "tokens": 16, "sequences": 32, "context": 128},
]

BEHIND = [0, 2048, 8000]
CONTEXT_TESTS = [{"test": "prefill", "tokens": 128, "sequences": 1, "context": n} for n in BEHIND]
CONTEXT_TESTS += [{"test": "decode", "tokens": 32, "sequences": 1, "context": max(n, 1)} for n in BEHIND]

START = """[prompt]
plugin = lines
path = {folder}/prompt.txt
[backend]
plugin = cpu
cores = {threads}
isa = {isa}
[model]
plugin = llm/model
path = {model}
backend = backend
context = 2048
[generate]
plugin = llm/generate
model = model
in = text
template = none
max_tokens = 24
[output]
plugin = stdout
in = answer
"""


def spawn(argv):
    """Seconds by the clock, peak of memory in bytes."""
    begin = time.monotonic()
    p = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(p.pid, 0)
    if status:
        sys.exit(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}")
    return time.monotonic() - begin, used.ru_maxrss * 1024


class Llama:
    def __init__(self, args, model, folder):
        self.args, self.model, self.folder = args, model, folder
        argv = [args.python, os.path.join(HERE, "llama_peer.py"), model, str(args.threads)]
        self.peer = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.settings = json.loads(self.peer.stdout.readline())["system"]

    def speed(self, ask):
        self.peer.stdin.write(json.dumps(ask) + "\n")
        self.peer.stdin.flush()
        told = json.loads(self.peer.stdout.readline())
        return {"tok_s": told["tok_s"], "settings": told["settings"]}

    def start(self):
        seconds, peak = spawn([os.path.join(self.folder, "llama_start"), self.model, str(self.args.threads), PROMPT, "24"])
        return {"seconds": seconds, "peak": peak}

    def close(self):
        self.peer.stdin.close()
        self.peer.wait()


class Jevons:
    def __init__(self, args, model, folder):
        self.args, self.model, self.folder = args, model, folder
        with open(os.path.join(folder, "prompt.txt"), "w", encoding="utf-8") as f:
            f.write(PROMPT + "\n")
        with open(os.path.join(folder, "start.ini"), "w", encoding="utf-8") as f:
            f.write(START.format(folder=folder, model=model, threads=args.threads, isa=args.isa))

    def speed(self, ask):
        argv = [self.args.jevons, "run", "--quiet", os.path.join(CONFIGS, "bench.ini"), f"model.path={self.model}"]
        argv += [f"backend.cores={self.args.threads}", f"backend.isa={self.args.isa}", "bench.rounds=1"]
        argv += [f"model.context={max(4096, ask['context'] + ask['tokens'])}"]
        if ask["test"] == "prefill":
            argv += [f"bench.prefill={ask['tokens']}", f"bench.behind={ask['context']}", "bench.decode=0"]
        else:
            argv += ["bench.prefill=0", f"bench.decode={ask['tokens']}", f"bench.sequences={ask['sequences']}",
                     f"bench.context={ask['context']}"]
        out = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
        told = [t for t in map(json.loads, out.splitlines()) if t["test"] == ask["test"]]
        if len(told) != 1:
            sys.exit(f"{' '.join(argv)}: no one line for {ask}:\n{out}")
        return told[0]

    def start(self):
        seconds, peak = spawn([self.args.jevons, "run", "--quiet", os.path.join(self.folder, "start.ini")])
        return {"seconds": seconds, "peak": peak}

    def close(self):
        pass


def spread(values):
    return {"median": statistics.median(values), "least": min(values), "greatest": max(values)}


def rounded(told):
    return {k: rounded(v) if isinstance(v, dict) else float(f"{v:.4g}") if isinstance(v, float) else v for k, v in told.items()}


def pairs_of(args, sides, measure):
    """[(jevons, llama.cpp)], measured in turn."""
    found = []
    for i in range(args.pairs):
        order = sides if i % 2 else sides[::-1]
        told = {side: measure(side) for side in order}
        found.append((told[sides[0]], told[sides[1]]))
    return found


def compare(args, sides, model, ask, table):
    name = os.path.basename(model)
    if ask["test"] == "start":
        found, key = pairs_of(args, sides, lambda s: s.start()), "seconds"
    else:
        found, key = pairs_of(args, sides, lambda s: s.speed(ask)), "tok_s"
    line = dict(ask, model=name, pairs=len(found), threads=args.threads)
    line["ratio"] = spread([a[key] / b[key] for a, b in found])
    line["jevons"] = spread([a[key] for a, _ in found])
    line["llama"] = spread([b[key] for _, b in found])
    if ask["test"] == "start":
        size = os.path.getsize(model)
        line["memory_ratio"] = spread([a["peak"] / size for a, _ in found])
        line["llama_memory_ratio"] = spread([b["peak"] / size for _, b in found])
    else:
        line["limit_share"] = spread([a["limit_share"] for a, _ in found])
        line["isa"] = found[0][0]["isa"]
    print(json.dumps(rounded(line)), flush=True)
    for i, (a, b) in enumerate(found):
        row = [name, ask["test"], ask.get("tokens", 24), ask.get("sequences", 1), ask.get("context", 0), i]
        table.writerow(row + [f"{a[key]:.5g}", f"{b[key]:.5g}", f"{a[key] / b[key]:.4g}", b.get("settings", "default")])


def build_start(args, folder):
    site = subprocess.run([args.python, "-c", "import llama_cpp, os; print(os.path.dirname(llama_cpp.__path__[0]))"],
                          check=True, capture_output=True, text=True).stdout.strip()
    lib = os.path.join(site, "lib")
    subprocess.run(["cc", "-O2", "-I", os.path.join(site, "include"), os.path.join(HERE, "llama_start.c"), "-o",
                    os.path.join(folder, "llama_start"), "-L", lib, "-lllama", "-lggml", "-lggml-base",
                    f"-Wl,-rpath,{lib}"], check=True)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--jevons", required=True)
    p.add_argument("--python", required=True)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--pairs", type=int, default=7)
    p.add_argument("--csv", default=os.devnull)
    p.add_argument("--quick", action="store_true", help="one pair")
    p.add_argument("--isa", default="auto", help="jevons' level of instructions")
    p.add_argument("--context", action="store_true", help="behind longer and longer texts")
    p.add_argument("--only", help="prefill, decode, decode8, decode32 or start")
    p.add_argument("models", nargs="+")
    args = p.parse_args()
    if args.quick:
        args.pairs = 1
    tests = CONTEXT_TESTS if args.context else TESTS + [{"test": "start"}]
    if args.only:
        names = ["prefill", "decode", "decode8", "decode32", "start"]
        tests = [tests[names.index(args.only)]]
    with tempfile.TemporaryDirectory() as folder, open(args.csv, "w", encoding="utf-8", newline="") as f:
        table = csv.writer(f)
        table.writerow(["model", "test", "tokens", "sequences", "context", "pair", "jevons", "llama", "ratio", "settings"])
        build_start(args, folder)
        for model in map(os.path.abspath, args.models):
            sides = [Jevons(args, model, folder), Llama(args, model, folder)]
            print(json.dumps({"model": os.path.basename(model), "llama": sides[1].settings}), flush=True)
            for ask in tests:
                compare(args, sides, model, ask, table)
            for side in sides:
                side.close()


if __name__ == "__main__":
    main()
