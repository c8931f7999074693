"""Pipelines through the plugins in tests/abi/x86_64, which the first release's header built (tests/abi/first.c), and through the
same plugins as today's header builds them."""

import json
import os
import platform
import sys

import jv

KEPT = os.path.join(jv.SOURCE, "tests", "abi", platform.machine())

SAY = "[say]\nplugin = first_ends/say\ntexts = {}\n"
TELL = "[tell]\nplugin = first_ends/tell\npath = told\nfields = {}\n"
BRACKETS = ("[cut]\nplugin = first/cut\n[sort]\nplugin = first/sort\nto.capital = A\nto.small = b\n"
            "[work]\nplugin = first/work\nfrom = sort.capital\ndrop = Az\n"
            "[join]\nplugin = first/join\nbetween = +\nfrom = work, sort.small, sort.rest\n")


class First(jv.Case):
    folder_of_plugin = KEPT

    def run_first(self, text, *overrides, status=0):
        """Runs a pipeline; the finals that were told. Leaves the snapshots, and the graph as the sink saw it in the end."""
        ini = self.write("t.ini", text + f"[pipeline]\nplugin_path = {self.folder_of_plugin}\nretry_after = 1ms\n")
        self.result = self.jevons("run", ini, *overrides, timeout=60)
        self.assertEqual(self.result.status, status, self.result.err)
        told, brace, graph = self.read("told").decode().partition("{")
        self.graph = json.loads(brace + graph) if graph else None
        self.snapshots = [line[1:].split("\t") for line in told.splitlines() if line.startswith("~")]
        return [line.split("\t") for line in told.splitlines() if not line.startswith("~")]

    def said(self, *parts):
        for part in parts:
            self.assertIn(part, self.result.err)

    def test_inspect(self):
        for name, stages in (("first", "work cut join sort"), ("first_ends", "book say ring tell")):
            result = self.jevons("inspect", "--json", os.path.join(self.folder_of_plugin, f"jv_{name}.so"))
            self.assertEqual(result.status, 0, result.err)
            self.assertEqual([s["plugin"] for s in json.loads(result.text)["stages"]], [f"{name}/{s}" for s in stages.split()])

    def test_source_and_sink(self):
        finals = self.run_first(SAY.format("a, bcd, no, stop, é") + "reject = no\ncancel = stop\n"
                                + TELL.format("id, text, number, said, absent") + "source = say\n", status=3)
        self.assertEqual(finals, [["t0", "2", "0", "t0", "a", "0", "1", "-"], ["t1", "2", "1", "t1", "bcd", "1", "3", "-"],
                                  ["t4", "2", "4", "t4", "é", "4", "2", "-"]])
        self.said("done t0 0 0 letters -1 priority 2\n", "done t1 1 0 letters -1 priority 2\n", "done t4 4 0 letters -1 priority 2\n",
                  'done t2 2 -1 letters -1 priority 2: "no" is to be rejected\n', "done t3 3 -4 letters -1 priority 2: cancelled\n")
        rejected = json.loads(self.read("t.rejected.jsonl"))
        self.assertEqual((rejected["id"], rejected["stage"], rejected["input"]["text"]), ("t2", "say", "no"))
        self.assertEqual(self.graph["stages"]["say"]["counters"], {"said": 12})
        self.assertEqual(self.graph["stages"]["tell"]["in"], 3)

    def test_filter(self):
        options = "times = 2\nscale = 0.5\nshape = upper\nbook = book\nalso = number\npause = 1ms\n"
        book = "[book]\nplugin = first_ends/book\nwords = x, yy\ncores = two\n"
        finals = self.run_first(SAY.format("a, bcd") + "[work]\nplugin = first/work\n" + options
                                + TELL.format("text, scaled, note, sizes, letters") + book)
        self.assertEqual(finals, [["t0", "2", "-1", "A", "0.5", "*x*yy", "1 5", "1"], ["t1", "2", "-1", "BCD", "1.5", "*x*yy", "3 5", "3"]])
        for snapshot in self.snapshots:
            self.assertIn(snapshot[5], ("*x", "*x*yy"))
        self.said("work: reads id:1 text:1 number:4 said:4", "work: warning: also 0", "work: warning: also 1", "threads granted: some",
                  "done t1 1 0 letters 3 priority 2")

    def test_defaults(self):
        """`auto`, an empty reference, nothing in the map."""
        finals = self.run_first(SAY.format("a, bcd, efghi") + "[work]\nplugin = first/work\n" + TELL.format("text, scaled, note"))
        self.assertEqual([f[3:] for f in finals], [["a", "1", "*"], ["bcd", "3", "***"], ["efghi", "5", "***"]])

    def test_verdicts(self):
        work = "[work]\nplugin = first/work\nmost = 8\ndrop = gone\nverdict.wrong = bad\nverdict.later = retry\nverdict.last = end\n"
        finals = self.run_first(SAY.format("gone, wrong, later, much too long, last, more") + work + TELL.format("text"), status=3)
        self.assertEqual([f[3] for f in finals], ["later", "last"])
        self.said("dropped 1: on the list", "done t0 0 101 letters 0 priority 2: on the list", "the map says bad", "13 bytes, at most 8")
        self.assertEqual(self.graph["stages"]["work"]["retried"], 1)
        self.run_first(SAY.format("a, dead, b") + "[work]\nplugin = first/work\nverdict.dead = fatal\n" + TELL.format("text"), status=1)
        self.said("the map says fatal (record t1)")

    def test_params(self):
        """What a record asks for in its field `params`, here the text itself, which stays as it is but for its letters."""
        say = SAY.format("'{}'").replace("'{}'", '\n    {"times": 1}\n    {"mark": "#", "scale": 2, "shape": "upper"}\n    {"most": 1}')
        finals = self.run_first(say + "out = params\n[work]\nplugin = first/work\nin = params\nout = params\nscale = 1\n"
                                + TELL.format("note, scaled"), status=3)
        self.assertEqual([f[3:] for f in finals], [["*", "12"], ["###", "86"]])
        self.said("1 rejected")

    def test_brackets(self):
        finals = self.run_first(SAY.format("a-b, A1-b2-c, x, Az-bz") + BRACKETS + TELL.format("text, letters"))
        self.assertEqual([f[0:1] + f[3:] for f in finals],
                         [["t0", "a+b", "0"], ["t1", "A1+b2+c", "2"], ["t2", "x", "0"], ["t3", "on the list+bz", "0"]])
        self.assertEqual(self.graph["stages"]["sort"]["in"], 8)

    def test_own_thread(self):
        ring = "[ring]\nplugin = first_ends/ring\nin_flight = 2\n"
        work = "[work]\nplugin = first/work\nverdict.ring = end\n"
        finals = self.run_first(ring + "times = 1000\n" + work + TELL.format("text, letters"))
        self.assertEqual(finals, [["r0", "1", "-1", "ring", "4"]])
        self.assertGreaterEqual(self.graph["stages"]["ring"]["live"]["out"], 1)

    def test_own_thread_fails(self):
        finals = self.run_first("[ring]\nplugin = first_ends/ring\ntimes = 4\nthen = fail\nin_flight = 2\n" + TELL.format("text"), status=1)
        self.said("ring (t.ini:1): rung 4 times")
        for final in finals:  # those that were on the way at the failure are cancelled
            self.assertIn(final, [["r0", "1", "-1", "ring"], ["r1", "2", "-1", "ring"], ["r2", "1", "-1", "ring"], ["r3", "2", "-1", "ring"]])

    def test_wrong_options(self):
        for text, part in (("times = 10", "times"), ("most = 0", "most"), ("scale = x", "scale"), ("shape = round", "upper"),
                           ("book = say", "first.book/1"), ("also = nobody", None), ("pauze = 1s", "pause")):
            ini = self.write("t.ini", SAY.format("a") + f"[work]\nplugin = first/work\n{text}\n" + TELL.format("text")
                             + f"[pipeline]\nplugin_path = {self.folder_of_plugin}\n")
            result = self.jevons("check", ini)
            self.assertEqual(result.status, 2 if part else 0, text + result.err)
            self.assertIn(part or "", result.err)


class Today(First):
    folder_of_plugin = jv.PROBE


if __name__ == "__main__":
    if not os.path.exists(os.path.join(KEPT, "jv_first.so")):
        print(f"no plugin of the first release for {platform.machine()}")
        sys.exit(77)
    jv.main()
