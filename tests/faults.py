"""What the tests of faults share: a numbered source, sinks, and runs of which each record must be accounted for."""

import json
import os
import stat

import jv

NUMBERS = "[n]\nplugin = probe/numbers\nkeep = 1\n"
SINKS = {
    "jsonl": "[o]\nplugin = jsonl/write\nfields = id, text\npath = {}\n",
    "csv": "[o]\nplugin = csv/write\nfields = id, text\nheader = no\npath = {}\n",
}


class Faults(jv.Case):
    def tearDown(self):
        """A device is a device still, whatever was told to write there."""
        for name in ("/dev/full", "/dev/null", "/dev/zero"):
            self.assertTrue(stat.S_ISCHR(os.stat(name).st_mode), name)

    def settled(self, result):
        """The records of the source, which says so at its end: well, bad, cancelled, fatal."""
        told = [m.split("settled: ")[1] for m in result.messages if "settled: " in m][0]
        return [int(part.split()[0]) for part in told.split(", ")]

    def table(self, result):
        return json.loads([m for m in result.messages if m.startswith("{")][0])

    def adds_up(self, result):
        """Each record of the source `n` is accounted for, at each stage but the split `c`; the table."""
        table = self.table(result)
        self.assertEqual(sum(self.settled(result)), table["records"], result.err)
        for name, s in table["stages"].items():
            came = table["records"] if name == "n" else s["in"]
            if name != "c":
                self.assertEqual(came, s["out"] + s["dropped"] + s["rejected"] + s["cancelled"], (name, result.err))
        return table

    def accounted(self, ini, *overrides, **more):
        result = self.jevons("run", "--json", self.ini(ini), *overrides, **more)
        return result, self.adds_up(result)
