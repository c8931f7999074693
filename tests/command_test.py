"""The command itself: what it prints of plugins and pipelines, what it makes, and whether its manual is true."""

import difflib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import struct
import subprocess
import termios

import jv

PLUGINS = os.path.join(os.path.dirname(jv.JEVONS), "plugins")


def source(*path):
    with open(os.path.join(jv.SOURCE, *path), encoding="utf-8") as f:
        return f.read()


class Inspect(jv.Case):
    def stages(self, *args):
        result = self.jevons("inspect", *args, "--json")
        self.assertEqual(result.status, 0, result.err)
        return {stage["plugin"]: stage for stage in json.loads(result.text)["stages"]}

    def test_one_of_everything(self):
        stages = self.stages(os.path.join(jv.PROBE, "jv_tables.so"))
        self.assertEqual([s["kind"] for s in stages.values()], ["filter", "filter", "sink", "source", "resource"])
        s = stages["tables/filter"]
        self.assertEqual((s["version"], s["license"], s["threads"]), ("1.2", "MIT", "per core"))
        self.assertEqual(s["flags"], ["parallel", "partials", "merge", "result"])
        options = {o.pop("name"): o for o in s["options"]}
        self.assertEqual([o["type"] for o in options.values()],
                         ["i64", "f64", "text", "text", "choice", "list", "ref", "map"])
        self.assertEqual(options["number"], {"type": "i64", "required": False, "default": "auto", "range": "auto|1..64",
                                             "per_record": True, "neutral": False, "help": "a number"})
        self.assertEqual([k for k, o in options.items() if o["neutral"]], ["real", "path"])
        self.assertEqual([k for k, o in options.items() if o["required"]], ["path", "choice", "ref", "to"])
        self.assertEqual([(f["access"], f["optional"], f["measured"]) for f in s["fields"]],
                         [("in", True, False), ("out", False, True)])
        self.assertEqual([(p["name"], p["optional"], p["implicit"]) for p in s["ports"]],
                         [("out", False, False), ("rest", True, False), ("to.*", False, False), ("rejected", True, True)])
        self.assertEqual(s["counters"], [{"name": "spins", "unit": "turn", "measured": True, "help": "turns of it"}])
        self.assertEqual(stages["tables/split"]["threads"], 7)
        self.assertEqual(stages["tables/source"]["flags"], ["endless"])
        self.assertEqual(stages["tables/resource"]["services"], ["test.tables/1"])
        self.assertEqual(stages["tables/resource"]["ports"], [])

    def test_text_tells_what_json_does(self):
        file = os.path.join(jv.PROBE, "jv_tables.so")
        for form in ((), ("--md",)):
            text = self.jevons("inspect", file, *form).text
            for stage in self.stages(file).values():
                words = [stage["plugin"], stage["kind"]]
                words += [o[k] for o in stage["options"] for k in ("name", "default", "help") if o[k]]
                words += [f[k] for f in stage["fields"] for k in ("name", "field", "type", "help")]
                words += [p[k] for p in stage["ports"] + stage["counters"] for k in ("name", "help")]
                for word in words + stage["services"]:
                    self.assertIn(word, text)
            self.assertIn("per record", text)

    def test_a_table_is_not_torn(self):
        text = self.jevons("inspect", os.path.join(jv.PROBE, "jv_tables.so"), "--md").text
        self.assertIn("| [tables/filter](#tablesfilter) | filter | one of \\| everything |", text)
        self.assertIn("| `text` | text | `` a ` quote `` | a text |", text)
        widths = {}
        for block in re.findall(r"(?:^\|.*\n)+", text, re.M):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
            self.assertEqual(len(widths), 1, block)

    def test_examples_hold_what_is_required(self):
        for name, stage in self.stages("--all").items():
            text = self.jevons("inspect", name).text
            example = text[text.rindex("\n  example\n"):]
            self.assertIn(f"plugin = {name}\n", example)
            for option in stage["options"]:
                self.assertEqual(bool(re.search(rf"^    {option['name']}(\.KEY)? = ", example, re.M)), option["required"],
                                 f"{name} {option['name']}")

    def test_the_lists_agree(self):
        listed = json.loads(self.jevons("plugins", "--json").text)
        self.assertEqual([p["plugin"] for p in listed], list(self.stages("--all")))
        lines = [line.split()[:2] for line in self.jevons("plugins").lines]
        self.assertEqual(lines, [[p["plugin"], p["kind"]] for p in listed])
        self.assertIn("jsonl/write", self.stages("jsonl"))
        self.assertEqual(list(self.stages("llm/generate")), ["llm/generate"])
        self.assertTrue(all(p["path"].startswith(PLUGINS) for p in self.stages("--all", PLUGINS).values()))
        for words in (("plugins", "nowhere"), ("inspect", "--all", "nowhere")):
            result = self.jevons(*words)
            self.assertEqual((result.status, result.out, result.err), (2, b"", "jevons: nowhere is no folder\n"))
        self.write("a.txt", "x")
        for word, says in (("./a.txt", "./a.txt is no plugin: its name would be jv_NAME.so"), ("./b.txt", "./b.txt is not there, did you mean `a.txt`?"),
                           ("jv_nix.so", "jv_nix.so is not there")):
            result = self.jevons("inspect", word)
            self.assertEqual((result.status, result.err), (2, f"jevons: {says}\n"))
        nothing = self.jevons("inspect", "--all", self.folder)
        self.assertEqual((nothing.status, nothing.text), (1, ""))
        self.assertIn("no plugins found in", nothing.err)

    def test_plugins_readme_is_up_to_date(self):
        printed = self.jevons("inspect", "--all", "--md", PLUGINS).text
        change = list(difflib.unified_diff(source("plugins", "README.md").splitlines(), printed.splitlines(), lineterm="", n=0))
        self.assertEqual(change[:12], [], "plugins/README.md is stale: ./jv docs prints it anew")


class Usage(jv.Case):
    def words(self):
        """Commands, and the options each takes, as the program itself has it."""
        text = self.jevons("help").text
        commands = re.findall(r"^(?:usage:| {6}) jevons (\w+)", text, re.M)
        options = [o for o in re.findall(r"^ {7}(--\w+)", text, re.M) if o != "--help"] # every command has that
        takes = {}
        for command in commands:
            told = [self.jevons(command, option, *["x"] * 9).err.splitlines()[0] for option in options]
            takes[command] = [o for o, line in zip(options, told) if "takes no option" not in line]
        return takes

    def test_what_is_wrong_is_told(self):
        for args, part in (((), "what is to be done?"), (("runn",), "unknown command runn"),
                           (("run", "--md", "x.ini"), "run takes no option --md"), (("graph",), "graph: which file?"),
                           (("inspect",), "inspect: which plugin?"), (("inspect", "a", "b"), "inspect: too many words"),
                           (("inspect", "--json", "--md", "text"), "either --json or --md"), (("new",), "new: "),
                           (("new", "a", "b", "c"), "new: too many words"), (("help", "me"), "help: too many words")):
            result = self.jevons(*args)
            self.assertEqual((result.status, result.text), (2, ""), args)
            self.assertIn(part, result.messages[0])
            self.assertIn("usage: jevons run FILE.ini", result.err)

    def test_every_command_tells_what_it_takes(self):
        for command, options in self.words().items():
            for args in ((command, "--help"), (command, "x", "--help", "y", "z", "z")):
                result = self.jevons(*args)
                self.assertEqual((result.status, result.err), (0, ""), args)
                self.assertRegex(result.lines[0], f"^usage: jevons {command} ")
                self.assertEqual(re.findall(r"^ {7}(--\w+)", result.text, re.M), options + ["--help"])
                self.assertEqual(result.text.count("jevons"), 1)

    def test_options_stand_anywhere(self):
        self.write("t.ini", "[a]\nplugin = text\ntext = hello\n[b]\nplugin = null\n")
        for args in (("run", "--quiet", "t.ini"), ("run", "t.ini", "--quiet"), ("run", "t.ini", "--quiet", "a.text=x")):
            result = self.jevons(*args)
            self.assertEqual((result.status, result.err), (0, ""))

    def test_the_manual_tells_the_same(self):
        page = source("core", "docs", "jevons.1")
        synopsis, described = page[page.index(".Sh SYNOPSIS"):page.index(".Sh DESCRIPTION")], page[page.index("The commands are:"):]
        takes = {}
        for form in synopsis.split("\n.Nm\n")[1:]:
            command = re.match(r"\.Cm (\w+)", form).group(1)
            takes[command] = {"--" + o for o in re.findall(r"Fl -(\w+)", form)}
        self.assertEqual(takes, {c: set(o) for c, o in self.words().items()})
        options = sorted({o for all_of_one in takes.values() for o in all_of_one})
        described = described[:described.index(".Sh FILE FORMAT")]
        self.assertEqual(re.findall(r"^\.It Cm (\w+)", described, re.M), list(self.words()))
        self.assertEqual(sorted("--" + o for o in re.findall(r"^\.It Fl -(\w+)", described, re.M)), options)

    def test_the_manual_names_every_key(self):
        page = source("core", "docs", "jevons.1")
        told = {key for line in re.findall(r"^\.It Ic (.*)", page, re.M) for key in line.split(" , ")}
        self.write("t.ini", "[pipeline]\nnix = 1\n[a]\nplugin = text\ntext = x\n[b]\nplugin = null\nnix = 1\n")
        errors = self.jevons("check", "t.ini").err
        taken = set(re.search(r"\[pipeline\] takes (.*)", errors).group(1).split(", ")) - {"include"}
        self.assertLessEqual(taken, told)

    def test_the_manual_is_well_formed(self):
        page, checked = os.path.join(jv.SOURCE, "core", "docs", "jevons.1"), 0
        for command in (["mandoc", "-T", "lint", "-W", "warning", page], ["groff", "-mdoc", "-ww", "-z", page]):
            if shutil.which(command[0]):
                p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
                self.assertEqual((p.returncode, p.stdout), (0, b""))
                checked += 1
        if not checked:
            self.skipTest("neither mandoc nor groff is here")

    def complete(self, *words):
        """What bash offers for the last of these words."""
        script = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _jevons; printf "%s\\n" "${COMPREPLY[@]}"')
        p = subprocess.run(["bash", "-c", script, "bash", os.path.join(jv.SOURCE, "core", "docs", "completion", "jevons.bash"), jv.JEVONS,
                            *words], cwd=self.folder, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (0, b""))
        return sorted(p.stdout.decode().split("\n")[:-1])

    def test_bash_completes(self):
        takes = self.words()
        self.assertEqual(self.complete(""), sorted(takes))
        self.assertEqual(self.complete("in"), ["inspect"])
        for command, options in takes.items():
            self.assertEqual(self.complete(command, "--"), sorted(options) or [""])
        self.write("a file.ini", "")
        self.write("a.txt", "")
        self.write("asub/b.ini", "")
        for command in ("run", "check", "graph"):
            self.assertEqual(self.complete(command, "a"), ["a file.ini", "asub"])
        self.assertEqual(self.complete("run", "asub/"), ["asub/b.ini"])
        listed = [line.split()[0] for line in self.jevons("plugins").lines]
        self.assertEqual(self.complete("inspect", ""), sorted(listed))
        self.assertEqual(self.complete("inspect", "std"), ["stdin", "stdout"])
        self.assertEqual(self.complete("new", "x", "a"), ["asub"])

    def test_zsh_tells_the_same(self):
        text = source("core", "docs", "completion", "_jevons")
        self.assertEqual(re.findall(r"^ {8}'(\w+):", text, re.M), list(self.words()))
        cases = dict(re.findall(r"^ {8}(\w+)\)(.*?);;", text, re.M | re.S))
        for command, options in self.words().items():
            self.assertEqual(set(re.findall(r"(--\w+)\[", cases.get(command, ""))), set(options), command)
        if shutil.which("zsh"):
            self.assertEqual(subprocess.run(["zsh", "-n", os.path.join(jv.SOURCE, "core", "docs", "completion", "_jevons")]).returncode, 0)


class New(jv.Case):
    def shell(self, *command, cwd=None, **env):
        p = subprocess.run(command, cwd=cwd or self.folder, env=dict(self.environment(), **env), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(p.returncode, 0, p.stdout.decode())
        return p.stdout.decode()

    def test_outside_the_tree(self):
        made = self.jevons("new", "excerpts")
        self.assertEqual(made.status, 0, made.err)
        files = ["README.md", "excerpts.c", "excerpts.ini", "jevons.h", "meson.build", "test.sh"]
        self.assertEqual(sorted(os.listdir(self.path("excerpts"))), files)
        self.assertEqual(self.read("excerpts/jevons.h").decode(), source("core", "jevons.h"))
        for name in files:
            if name != "jevons.h":
                self.assertNotIn(b"NAME", self.read("excerpts/" + name))
        self.assertEqual(self.shell("sh", "excerpts/test.sh", JEVONS=jv.JEVONS), "excerpts: all as it should be\n")
        inspected = self.jevons("inspect", "excerpts/jv_excerpts.so")
        self.assertIn("excerpts 0.1, a filter", inspected.text)
        os.remove(self.path("excerpts/jv_excerpts.so"))
        readme = self.read("excerpts/README.md").decode()
        self.shell("sh", "-c", re.search(r"^    (cc .*)$", readme, re.M).group(1) + " -Werror", cwd=self.path("excerpts"))
        self.shell("meson", "setup", "--werror", "build", cwd=self.path("excerpts"))
        self.assertIn("Ok:                 1", self.shell("meson", "test", "-C", "build", cwd=self.path("excerpts"), JEVONS=jv.JEVONS))

    def test_its_test_can_fail(self):
        self.assertEqual(self.jevons("new", "x").status, 0)
        code = self.read("x/x.c").decode()
        self.write("x/x.c", code.replace("most--", "most -= 2"))
        p = subprocess.run(["sh", self.path("x/test.sh")], env=dict(self.environment(), JEVONS=jv.JEVONS), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE)
        self.assertEqual(p.returncode, 1)
        self.assertIn(b"this came out", p.stderr)

    def test_nothing_is_written_over(self):
        self.write("mine/precious", "x")
        result = self.jevons("new", "mine")
        self.assertEqual((result.status, os.listdir(self.path("mine"))), (1, ["precious"]))
        self.assertIn("is there already", result.err)

    def test_names_are_checked(self):
        for name in ("", "Upper", "9lives", "_x", "a-b", "a/b", "..", "x" * 33, "\u00e9"):
            result = self.jevons("new", name)
            self.assertEqual((result.status, os.listdir(self.folder)), (2, []), name)
            self.assertIn("is no name for a plugin", result.err)
        result = self.jevons("new", "text")
        self.assertEqual((result.status, os.listdir(self.folder)), (2, []))
        self.assertIn("there is a plugin text already", result.err)
        self.assertEqual(self.jevons("new", "x", "nowhere").status, 1)

    def test_inside_the_tree(self):
        leave = shutil.ignore_patterns("build*", ".git", "corpus", "__pycache__")
        shutil.copytree(jv.SOURCE, self.path("tree"), ignore=leave)
        self.write("tree/tests/corpus/none", "")
        before = self.read("tree/plugins/meson.build")
        made = self.jevons("new", "excerpts", "tree/configs")
        self.assertEqual(made.status, 0, made.err)
        self.assertEqual(sorted(os.listdir(self.path("tree/plugins/excerpts"))), ["README.md", "excerpts.c", "excerpts_test.c"])
        row = b"  'excerpts': {\n    'src': 'excerpts/excerpts.c',\n    'tests': {'excerpts': 'excerpts/excerpts_test.c'},\n  },\n"
        after = self.read("tree/plugins/meson.build")
        self.assertEqual(after.replace(row, b""), before)
        again = self.jevons("new", "excerpts", "tree")
        self.assertEqual((again.status, self.read("tree/plugins/meson.build")), (1, after))
        self.shell("meson", "setup", "--buildtype=plain", "-Dtests=enabled", "build", "tree")
        self.shell("ninja", "-C", "build", "plugins/jv_excerpts.so", "plugins/excerpts_test")
        self.shell("build/plugins/excerpts_test", "build/plugins/jv_excerpts.so", "tree")
        self.assertIn("a filter", self.jevons("inspect", "build/plugins/jv_excerpts.so").text)

    def test_a_table_of_another_form(self):
        self.write("tree/core/jevons.h", "")
        self.write("tree/plugins/meson.build", "plugins = {}\n")
        made = self.jevons("new", "x", "tree")
        self.assertEqual((made.status, self.read("tree/plugins/meson.build")), (0, b"plugins = {}\n"))
        self.assertIn("  'x': {\n    'src': 'x/x.c',\n", made.text)


ROUTED = """[numbers]
plugin = text
text = 12
[answer]
plugin = prompt
text = {text}
threads = 3
[out]
plugin = jsonl
fields = id
path = o.jsonl
[bad]
plugin = null
from = answer.rejected
[end]
plugin = null
from = answer
"""


class Graph(jv.Case):
    def test_dot(self):
        self.write("a \"b\".ini", ROUTED)
        text = self.jevons("graph", "a \"b\".ini").text
        self.assertIn('digraph "a \\"b\\"" {', text)
        nodes = dict(re.findall(r'^    "(\w+)" \[.*label="(.*)"\];$', text, re.M))
        self.assertEqual(nodes, {"numbers": "numbers\\ntext", "answer": "answer\\nprompt\\n3 threads", "out": "out\\njsonl/write",
                                 "bad": "bad\\nnull", "end": "end\\nnull"})
        edges = re.findall(r'^    "(\w+)" -> "(\w+)"(?: \[label="(\w+)"\])?;$', text, re.M)
        self.assertEqual(sorted(edges), [("answer", "bad", "rejected"), ("answer", "end", ""), ("answer", "out", ""),
                                         ("numbers", "answer", "")])
        self.assertEqual(text, self.jevons("graph", "a \"b\".ini").text)
        if shutil.which("dot"):
            p = subprocess.run(["dot", "-Tsvg"], input=text.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((p.returncode, p.stderr), (0, b""))
            self.assertIn(b"3 threads", p.stdout)

    def test_mermaid(self):
        self.write("t.ini", ROUTED)
        text = self.jevons("graph", "--mermaid", "t.ini").text
        self.assertTrue(text.startswith("flowchart LR\n"))
        ids = {name: i for i, name in re.findall(r'^    (s\d+)\(?\["(\w+)<br/>', text, re.M)}
        self.assertEqual(sorted(ids), ["answer", "bad", "end", "numbers", "out"])
        self.assertIn(f'    {ids["answer"]} -->|"rejected"| {ids["bad"]}\n', text)
        self.assertIn(f'    {ids["numbers"]} --> {ids["answer"]}\n', text)

    def test_resources_are_dashed(self):
        self.ini("[r]\nplugin = probe/thing\n[a]\nplugin = text\ntext = x\n[b]\nplugin = null\n")
        text = self.jevons("graph", "t.ini").text
        self.assertRegex(text, r'"r" \[shape=box, style=dashed')

    def test_overrides_and_mistakes(self):
        self.write("t.ini", ROUTED)
        self.assertIn("5 threads", self.jevons("graph", "t.ini", "answer.threads=5").text)
        result = self.jevons("graph", "t.ini", "answer.nix=5")
        self.assertEqual((result.status, result.text), (2, ""))
        self.assertIn("unknown key `nix`", result.err)


SLOW = """[ticks]
plugin = slow/ticks
in_flight = 100
[work]
plugin = slow/work
threads = 2
[end]
plugin = null
"""


class Progress(jv.Case):
    """A run whose standard error is a terminal: the other end of a pty."""

    def watch(self, *args, until=None, columns=100, to_terminal=False, env=None, status=0):
        """Stops the run once `until`, a pattern, has been shown; answers all that the terminal got."""
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        settings = termios.tcgetattr(slave)
        settings[1] &= ~termios.OPOST # bytes as they were written
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        p = subprocess.Popen([jv.JEVONS, *args], cwd=self.folder, env=self.environment(env), stdin=subprocess.DEVNULL,
                             stdout=slave if to_terminal else subprocess.DEVNULL, stderr=slave)
        os.close(slave)
        got, stopped, cancelled = b"", False, False
        while select.select([master], [], [], 60)[0]:
            try:
                got += os.read(master, 65536)
            except OSError: # the run has ended
                break
            if until and not stopped and re.search(until, got):
                p.terminate()
                stopped = True
            if status and not cancelled and b"once more cancels" in got:
                p.terminate()
                cancelled = True
        else:
            p.kill() # nothing more is shown, nor does it end
        os.close(master)
        self.assertEqual((p.wait(), stopped), (status, until is not None), got)
        return got

    def screen(self, got, columns=100):
        """The lines of a terminal that knows nothing but carriage return and newline."""
        lines, at = [""], 0
        for c in got.decode():
            if c == "\r":
                at = 0
            elif c == "\n":
                lines.append("")
                at = 0
            else:
                self.assertGreaterEqual(c, " ", "an escape sequence")
                lines[-1] = lines[-1][:at] + c + lines[-1][at + 1:]
                at += 1
        return [line.rstrip() for line in lines]

    def test_what_is_shown(self):
        ini = self.ini(SLOW)
        for term in ("xterm", "dumb"):
            got = self.watch("run", ini, until=rb"\d+ done, [\d.]+/s; [\d.]+ turns/s; \d+ wait for work; 0:\d\d", env={"TERM": term})
            lines = self.screen(got)
            self.assertTrue(lines[0].startswith("jevons: stopping"), "the line has given way")
            self.assertRegex(lines[1], r"^stage +in +out")
            self.assertFalse([line for line in lines if "wait for" in line], "nothing of it is left")

    def test_cancelled_records_are_not_done(self):
        ini = self.ini("[n]\nplugin = probe/numbers\nkeep = 1\ncount = 3\ncancel = 2\n[w]\nplugin = probe/work\nthreads = 3\nms = 10m\n[z]\nplugin = null\n")
        got = self.watch("run", ini, until=rb"0 done, [^\r]*; 1 cancelled; ", status=1)
        self.assertNotIn(b"1 done", got)

    def test_a_narrow_terminal(self):
        got = self.watch("run", self.ini(SLOW), until=rb"\d+ done, [\d.]+/s; ", columns=24)
        shown = [part for part in got.split(b"\r") if b" done" in part]
        self.assertTrue(shown)
        self.assertLess(max(map(len, shown)), 24)

    def test_messages_have_lines_of_their_own(self):
        got = self.watch("run", self.ini(SLOW), "work.warn=50", until=rb"wait for work(.|\n)*\d+ done\n(.|\n)*wait for work")
        told = [line for line in self.screen(got) if "jevons:" in line and "stopping" not in line]
        self.assertTrue(told)
        for line in told:
            self.assertRegex(line, r"^jevons: work[^;]*: \d+ done$")

    def test_where_none_is_shown(self):
        counted = "[pipeline]\nplugin_path = " + jv.PROBE + "\n[line]\nplugin = text\ntext = x\n[work]\nplugin = slow/work\nms = 1500\n"
        self.write("t.ini", counted + "[end]\nplugin = null\n")
        self.write("o.ini", counted + "[end]\nplugin = stdout\n")
        for ini in ("t.ini", "o.ini"): # it would take an hour: stopping is cutting short
            self.watch("run", ini, "work.ms=1h", until=b"\r0 done", status=1)
        for args in (("run", "--quiet", "t.ini"), ("run", "--json", "t.ini")):
            self.assertNotIn(b"\r", self.watch(*args))
        self.assertNotIn(b"\r", self.watch("run", "o.ini", to_terminal=True))


if __name__ == "__main__":
    jv.main()
