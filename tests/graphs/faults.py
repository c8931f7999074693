#!/usr/bin/env python3
"""Whether the random pipelines would find faults: seeds some into a copy of core/, one at a time, and runs them.

usage: faults.py BUILD [NAME ...]    BUILD: a build folder in which tests/graphs and jv_ground.so are built

Each fault is the exact replacement of a piece of text in one file. A text that is not there any more (or stands there
twice) is an error: the fault is to be written anew. So is a fault that SEEDS graphs do not find.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

SEEDS = 4000
SOUND = 400  # graphs that must pass without a fault

FAULTS = {
    "no order": ("shape.c",
        "s->ordered = (s->def->flags & JV_ORDERED) && (mixed[i] || merges(s));",
        "s->ordered = false;"),
    "window": ("run.c",
        "uint32_t left = atomic_fetch_sub(&s->in_flight, 1) - 1;",
        "uint32_t left = atomic_load(&s->in_flight) - 1;"),
    "drops": ("flow.c",
        "    jvc_count(&flow_of(s, b)->dropped, 1);\n",
        ""),
    "put back": ("flow.c",
        "        put_back(s, b);\n        pause_before_retry(s, b, attempt);\n",
        "        pause_before_retry(s, b, attempt);\n"),
    "merged counts": ("flow.c",
        "    if (s->def->flags & JV_MERGE) add_counts(s, b);\n",
        ""),
    "joined columns": ("flow.c",
        "    if (r->n_inputs > 1) jvc_move_fields(&r->inputs[port->input[i]], b);\n    if (!r->gate)",
        "    if (!r->gate)"),
    "another way": ("flow.c",
        "    if (port->lost.n) jvc_places_leave(b->node, &port->lost, &another_way);\n",
        ""),
    "children last": ("place.c",
        "insert_before(g, child->source->source_at, &child->place[at], &child->parent->place[at]);",
        "insert_before(g, child->source->source_at, &child->place[at], NULL);"),
    "end": ("flow.c",
        'if (atomic_load_explicit(&s->ended, memory_order_relaxed)) return jv_drop(&c->err, "nothing more is wanted");',
        ""),
    "failure": ("flow.c",
        "    jvc_count(&flow_of(s, b)->cancelled, 1); /* it is neither delivered nor rejected */\n",
        ""),
    "blame": ("flow.c",
        "    jvc_places_leave(b->node, &s->after, err);\n    jvc_node_worsen(b->node, JV_FATAL, err);\n",
        "    jvc_places_leave(b->node, &s->after, err);\n"),
    "dead letters": ("dead.c",
        "d->unordered = true;",
        "d->unordered = false;"),
}


class Fault(Exception):
    pass


def commands(build):
    """The compile commands of tests/graphs by source, and the objects of all."""
    with open(os.path.join(build, "compile_commands.json")) as f:
        rows = json.load(f)
    rows = [r for r in rows if re.match(r"tests/graphs\.p/", r.get("output", ""))]
    if not rows:
        raise Fault(f"{build} builds no tests/graphs")
    return {os.path.basename(r["file"]): r for r in rows}


def seed_fault(core, name, file, old, new):
    path = os.path.join(core, file)
    with open(path) as f:
        text = f.read()
    if text.count(old) != 1:
        raise Fault(f"`{name}`: its text stands {text.count(old)} times in {file}: write the fault anew")
    with open(path, "w") as f:
        f.write(text.replace(old, new))
    return path


def build_with(build, rows, file, path, folder):
    """The driver with one object compiled from the faulty source."""
    row = rows[file]
    changed = os.path.join(folder, "faulty.o")
    args = shlex.split(row["command"])
    args = [changed if a == row["output"] else path if os.path.basename(a) == file else a for a in args]
    args = [a for i, a in enumerate(args) if a not in ("-MD", "-MQ", "-MF") and args[i - 1] not in ("-MQ", "-MF")]
    subprocess.run(args, cwd=row["directory"], check=True)
    objects = [changed if r is row else os.path.join(build, r["output"]) for r in rows.values()]
    driver = os.path.join(folder, "graphs")
    sanitize = [a for a in args if a.startswith("-fsanitize")]
    subprocess.run([args[0], *sanitize, "-o", driver, *objects, "-linih", "-lpthread", "-ldl"], check=True)
    return driver


def drive(driver, build, keep, seeds):
    options = ["--failures", "1", "--patience", "5", "--keep", keep]
    return subprocess.run([driver, *options, os.path.join(build, "tests"), "0", str(seeds)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", text=True)


def check_sound(build):
    """What finds a fault where none is finds nothing."""
    with tempfile.TemporaryDirectory() as folder:
        run = drive(os.path.join(build, "tests", "graphs"), build, folder, SOUND)
    if run.returncode:
        raise Fault(f"without a fault {SOUND} graphs fail already:\n{run.stdout}")


def find(build, rows, source, name):
    file, old, new = FAULTS[name]
    with tempfile.TemporaryDirectory() as folder:
        core = os.path.join(folder, "core")
        shutil.copytree(os.path.join(source, "core"), core)
        driver = build_with(build, rows, file, seed_fault(core, name, file, old, new), folder)
        run = drive(driver, build, folder, SEEDS)
    if run.returncode != 1:
        raise Fault(f"`{name}`: not found by {SEEDS} graphs (status {run.returncode})")
    seed = re.search(r"seed (\d+) fails", run.stdout)
    lines = run.stdout.splitlines()
    return f"seed {seed.group(1)}: {lines[1]}" if seed else lines[0]


def main(argv):
    if len(argv) < 2:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    build = os.path.abspath(argv[1])
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    failed = 0
    try:
        rows = commands(build)
        check_sound(build)
    except (OSError, Fault) as e:
        print(e, file=sys.stderr)
        return 2
    for name in argv[2:] or FAULTS:
        try:
            print(f"{name}: found, {find(build, rows, source, name)}", flush=True)
        except (Fault, KeyError, subprocess.CalledProcessError) as e:
            print(f"{name}: {e}", flush=True)
            failed += 1
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
