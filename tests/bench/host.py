"""What the host costs: a stage, a hop to another thread, the start, the statistics; beside it what GStreamer takes.

usage: host.py [--quick] [--jevons FILE] [--bare FILE] [--plugins DIR]

Prints JSON, one object a line. The pipelines are plain INI files in a temporary folder, run by the programs as they are
built: --jevons, and --bare for the one without statistics (meson's option `statistics`). The stages are those of
tests/plugins/bench.c, in --plugins; what comes out of each run is checked, so nobody gets faster by leaving records out.

Everything is measured in rounds that go through all cases, so that a busy moment of the machine hits all of them alike.
A figure is the median over the rounds, with its least and its greatest. For a stage, a hop and their like in GStreamer
each round gives the slope (least squares) of time over pipelines of 1, 5, 10 and 20 stages, per record: what a process
costs that does not depend on the number of stages falls out. `ns` is by the clock, `cpu_ns` user and system time of all
threads; on a machine that does other things besides only the second one means something (`load` tells).
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
STAGES = (1, 5, 10, 20)
GST = "gst-launch-1.0"


def spawn(argv, folder):
    """Runs argv; answers when it began, seconds by the clock, seconds of CPU. What it says is shown if it fails."""
    log = os.path.join(folder, "log")
    env = dict(os.environ, GST_REGISTRY=os.path.join(folder, "registry"))
    to_log = [(os.POSIX_SPAWN_OPEN, 1, log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), (os.POSIX_SPAWN_DUP2, 1, 2)]
    began = time.monotonic_ns()
    pid = os.posix_spawnp(argv[0], argv, env, file_actions=to_log)
    _, status, used = os.wait4(pid, 0)
    wall = (time.monotonic_ns() - began) / 1e9
    if status:
        with open(log, encoding="utf-8", errors="replace") as f:
            sys.exit(f"{' '.join(argv)}: status {os.waitstatus_to_exitcode(status)}\n{f.read()}")
    return began, wall, used.ru_utime + used.ru_stime


class Pipeline:
    """count, then `stages` times `kind`, then total."""

    def __init__(self, args, folder, kind, stages, records, mark=0):
        self.folder, self.stages, self.records = folder, stages, records
        self.ini = os.path.join(folder, f"{kind}{stages}-{records}.ini")
        self.out = os.path.join(folder, "out.json")
        text = f"[pipeline]\nplugin_path = {args.plugins}\n\n[in]\nplugin = bench/count\nrecords = {records}\n"
        text += "".join(f"\n[stage{i}]\nplugin = bench/{kind}\n" for i in range(stages))
        text += f"\n[out]\nplugin = bench/total\npath = {self.out}\nmark = {mark}\n"
        with open(self.ini, "w", encoding="utf-8") as f:
            f.write(text)

    def run(self, jevons):
        """Answers what `spawn` does and what the sink wrote down."""
        times = spawn([jevons, "run", "--quiet", self.ini], self.folder)
        with open(self.out, encoding="utf-8") as f:
            told = json.load(f)
        os.remove(self.out)
        n = self.records
        if told["records"] != n or told["sum"] != n * (n - 1) // 2 + n * self.stages:
            sys.exit(f"{self.ini}: {n} records through {self.stages} stages gave {told}")
        return times, told


def per_stage(times, records):
    """The slope of time over the number of stages, in ns per record: by the clock, of CPU."""
    mean = statistics.mean(STAGES)
    spread = sum((x - mean) ** 2 for x in STAGES)
    return [sum((x - mean) * t[which] for x, t in zip(STAGES, times)) / spread / records * 1e9 for which in (1, 2)]


def stages_of(kind):
    def measure(args, folder):
        n = args.records // (1 if kind == "add" else 2)
        return per_stage([Pipeline(args, folder, kind, k, n).run(args.jevons)[0] for k in STAGES], n)

    return measure


def elements_of(kind):
    def measure(args, folder):
        n = args.records // (2 if kind == "identity" else 4)
        chains = [[GST, "-q", "fakesrc", f"num-buffers={n}"] + ["!", kind] * k + ["!", "fakesink"] for k in STAGES]
        return per_stage([spawn(argv, folder) for argv in chains], n)

    return measure


def start(args, folder):
    """From right before the program is run until its sink has the first record."""
    p = Pipeline(args, folder, "add", 1, 1)
    times = []
    for _ in range(5):
        (began, _, _), told = p.run(args.jevons)
        times.append(told["first_ns"] - began)
    return [statistics.median(times)]


def stats_percent(args, folder):
    """How much more CPU time it takes with statistics than without. Back and forth, so that a drift cancels out."""
    p = Pipeline(args, folder, "add", 10, args.records)
    cpu = {args.jevons: 0, args.bare: 0}
    for jevons in (args.jevons, args.bare, args.bare, args.jevons) * 2:
        cpu[jevons] += p.run(jevons)[0][2]
    return [100 * (cpu[args.jevons] / cpu[args.bare] - 1)]


def rss_growth(args, folder):
    """The peak of memory at the end, over that after a tenth of the records; in bytes."""
    n = 10 * args.records
    told = Pipeline(args, folder, "add", 1, n, mark=n // 10).run(args.jevons)[1]
    if min(told["peak"], told["peak_at_mark"]) <= 0:
        sys.exit(f"the peak of memory cannot be told: {told}")
    return [1024 * (told["peak"] - told["peak_at_mark"])]


# name: how it is measured, the names of what that answers, what it should not exceed
TESTS = {
    "fused_stage": (stages_of("add"), ("ns", "cpu_ns"), 20),
    "queue_hop": (stages_of("hop"), ("ns", "cpu_ns"), 150),
    "start": (start, ("ns",), 10000000),
    "stats_percent": (stats_percent, ("value",), 2),
    "rss_growth": (rss_growth, ("value",), 1 << 20),
    "gst_identity": (elements_of("identity"), ("ns", "cpu_ns"), None),
    "gst_queue": (elements_of("queue"), ("ns", "cpu_ns"), None),
}


def show(name, rounds):
    _, keys, target = TESTS[name]
    row = {"test": name}
    for i, key in enumerate(keys):
        values = [r[i] for r in rounds]
        of = "cpu_" if key == "cpu_ns" else ""
        for what, value in ((key, statistics.median(values)), (of + "min", min(values)), (of + "max", max(values))):
            row[what] = round(value, 1)
    row["n"] = len(rounds)
    if target is not None:
        row["target"] = target
    print(json.dumps(row), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the records; the figures are rough")
    parser.add_argument("--rounds", type=int, default=7, help="5 at least")
    parser.add_argument("--only", action="append", choices=TESTS, help="this test alone, or several")
    parser.add_argument("--jevons", default=os.path.join(ROOT, "build", "jevons"))
    parser.add_argument("--bare", default=os.path.join(ROOT, "build-bare", "jevons"), help="one without statistics")
    parser.add_argument("--plugins", default=os.path.join(ROOT, "build", "tests"), help="the folder of jv_bench.so")
    args = parser.parse_args()
    args.jevons, args.bare, args.plugins = map(os.path.abspath, (args.jevons, args.bare, args.plugins))
    args.records = 100000 if args.quick else 1000000
    names = args.only or list(TESTS)
    wanted = [args.jevons, os.path.join(args.plugins, "jv_bench.so")] + [args.bare] * ("stats_percent" in names)
    missing = [f for f in wanted if not os.path.exists(f)]
    if any(n.startswith("gst_") for n in names) and not shutil.which(GST):
        missing.append(GST)
    if missing or args.rounds < 5:
        parser.error(f"not there: {', '.join(missing)}" if missing else "fewer than 5 rounds")
    rounds = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder:
        if any(n.startswith("gst_") for n in names):
            spawn([GST, "-q", "fakesrc", "num-buffers=1", "!", "fakesink"], folder)  # lists its plugins, once
        load = [os.getloadavg()[0]]
        for _ in range(args.rounds):
            for name in names:
                rounds[name].append(TESTS[name][0](args, folder))
            load.append(os.getloadavg()[0])
    print(json.dumps({"test": "machine", "cores": len(os.sched_getaffinity(0)), "records": args.records,
        "load": {"before": load[0], "max": max(load)}}))
    for name in names:
        show(name, rounds[name])


if __name__ == "__main__":
    main()
