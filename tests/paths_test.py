"""Paths in an INI file: what is missing, cannot be made, or is at another section's file is told before anything opens."""

import os
import subprocess

import jv

READ = "[{}]\nplugin = lines\npath = {}\n"
WRITE = "[{}]\nplugin = jsonl\npath = {}\n"


class Paths(jv.Case):
    def setUp(self):
        super().setUp()
        for name in ("a.txt", "b.txt", "docs/x.txt", "docs/y.md"):
            self.write(name, '{"id": 1}\n')
        self.write("t.rejected.jsonl", "")
        os.symlink("a.txt", self.path("link"))
        os.symlink("docs", self.path("folder"))
        os.link(self.path("a.txt"), self.path("hard"))
        os.mkfifo(self.path("fifo"))

    def told(self, ini, expected, *overrides, stdin=b""):
        """Both commands tell exactly these problems, pairs of a line and the end of its message, and nothing is touched."""
        self.write("t.ini", ini)
        before = self.read("a.txt"), sorted(os.listdir(self.folder))
        for command in ("check", "run"):
            result = self.jevons(command, "t.ini", *overrides, stdin=stdin)
            lines = [f"t.ini:{line}: {text}" if line else f"command line: {text}" for line, text in expected]
            self.assertEqual((result.messages, result.status), (lines, 2))
        self.assertEqual((self.read("a.txt"), sorted(os.listdir(self.folder))), before)

    def fine(self, ini, *overrides):
        self.write("t.ini", ini)
        result = self.jevons("check", "t.ini", *overrides)
        self.assertEqual((result.err, result.status), ("", 0))

    def test_missing_inputs(self):
        no = "cannot be read: No such file or directory"
        sink = "[z]\nplugin = null\n"
        self.told(READ.format("in", "docs/xx.txt") + sink, [(3, f"`path`: docs/xx.txt {no}, did you mean `x.txt`?")])
        self.told(READ.format("in", "nowhere/x") + sink, [(3, f"`path`: nowhere/x {no}")])
        self.told(READ.format("in", "") + sink, [(3, "`path`: no path")])
        self.told(READ.format("in", "a.txt/x") + sink, [(3, "`path`: a.txt/x cannot be read: Not a directory")])
        self.told("[in]\nplugin = jsonl/read\npath =\n  a.txt\n\n  quite.other\n  b.txt\n  another.one\n" + sink,
                  [(6, f"`path`: quite.other {no}"), (8, f"`path`: another.one {no}")])
        self.told("[in]\nplugin = csv/read\ncolumns.a = utf8\npath = a.txt\n  quite.other\n" + sink, [(5, f"`path`: quite.other {no}")])
        self.told("[in]\nplugin = files\npath = docs, dosc, *.txt, [x]*\n" + sink,
                  [(3, f"`path`: dosc {no}, did you mean `docs`?")])
        self.told("[in]\nplugin = files\npath = *.pdf\n" + sink, [(3, "`path`: nothing matches *.pdf")])
        self.told("[in]\nplugin = text\ntext = x\n[e]\nplugin = exec\ncommand = cat\nsend = text\nfolder = dosc\n" + sink,
                  [(8, f"`folder`: dosc {no}, did you mean `docs`?")])
        self.told("[m]\nplugin = llm/model\nbackend = b\npath = m.gguf\n[b]\nplugin = cpu\n[t]\nplugin = text\ntext = x\n" + sink, [(4, f"`path`: m.gguf {no}")])
        self.told(READ.format("in", "a.txt") + sink, [(0, f"[in] `path`: quite.other {no}")], "in.path=quite.other")

    def test_paths_are_those_of_their_file(self):
        self.write("sub/in.ini", READ.format("in", "../a.txt, here.txt"))
        self.write("sub/here.txt", "x\n")
        self.fine("include = sub/in.ini\n[z]\nplugin = null\n")
        self.write("t.ini", "include = sub/in.ini\n[out]\nplugin = jsonl\npath = sub/../a.txt\n")
        result = self.jevons("check", "t.ini")
        self.assertEqual(result.messages, ["t.ini:4: `path`: it writes sub/../a.txt, which [in] reads (sub/in.ini:3)"])

    def test_a_default_is_beside_the_file(self):
        self.write("sub/answer.sh", "#!/bin/sh\nexec cat\n")
        os.chmod(self.path("sub/answer.sh"), 0o755)
        self.write("sub/t.ini", "[n]\nplugin = text\ntext = x\n[e]\nplugin = exec\ncommand = ./answer.sh\nsend = text\n[z]\nplugin = null\n")
        self.assertEqual(self.jevons("check", "sub/t.ini").err, "")

    def test_what_cannot_be_read(self):
        os.chmod(self.path("b.txt"), 0)
        if not os.access(self.path("b.txt"), os.R_OK): # root reads everything
            self.told(READ.format("in", "b.txt") + "[z]\nplugin = null\n", [(3, "`path`: b.txt cannot be read: Permission denied")])

    def test_outputs_that_cannot_be_made(self):
        source = "[n]\nplugin = text\ntext = x\n"
        for plugin in ("jsonl", "csv"):
            sink = source + f"[out]\nplugin = {plugin}\npath = "
            for path, text in (("no/where", "no/where cannot be made in no/: No such file or directory"),
                               ("dosc/x", "dosc/x cannot be made in dosc/: No such file or directory, did you mean `docs`?"),
                               ("a.txt/x", "a.txt/x cannot be made in a.txt/: Not a directory"), ("docs", "docs is a folder"),
                               ("docs/", "docs/ is a folder"), ("no/", "no/ names a folder, not a file"), ("", "no path")):
                self.told(sink + path + "\n", [(6, "`path`: " + text)])
        for path, text in (("no/where", "no/where cannot be made in no/: No such file or directory"), ("docs", "docs is a folder"), ("", "no path")):
            self.told(source + "[z]\nplugin = null\n[pipeline]\ndead_letter = " + path + "\n", [(7, "`dead_letter`: " + text)])

    def test_everything_is_told_at_once(self):
        self.told("[pipeline]\ndead_letter = no/x\n" + READ.format("in", "quite.other") + WRITE.format("out", "no/x") + "fields = nix\nkey = 1\n",
                  [(2, "`dead_letter`: no/x cannot be made in no/: No such file or directory"),
                   (5, "`path`: quite.other cannot be read: No such file or directory"),
                   (8, "`path`: no/x cannot be made in no/: No such file or directory"),
                   (10, "unknown key `key`; [out] takes path, exists, fields, rest, plugin, from, threads, on_error, retries")])

    def test_nobody_writes_what_is_read(self):
        for read, write in (("a.txt", "a.txt"), ("./a.txt", "a.txt"), ("a.txt", self.path("a.txt")), ("a.txt", "link"), ("link", "a.txt"),
                            ("hard", "a.txt"), ("docs/x.txt", "folder/../docs/x.txt"), ("b.txt, link", "hard")):
            told = [(6, f"`path`: it writes {write}, which [in] reads (t.ini:3)")]
            self.told(READ.format("in", read) + WRITE.format("out", write), told)
            self.told(READ.format("in", read) + WRITE.format("out", write) + "exists = append\n", told)
            if "," not in read:
                self.told("[in]\nplugin = files\npath = " + read + "\n" + WRITE.format("out", write), told)
        self.told(READ.format("in", "a.txt") + "[pipeline]\ndead_letter = hard\n[z]\nplugin = null\n",
                  [(5, "`dead_letter`: it writes hard, which [in] reads (t.ini:3)")])
        self.told(READ.format("in", "b.txt") + WRITE.format("out", "x"), [(0, "[out] `path`: it writes b.txt, which [in] reads (t.ini:3)")], "out.path=b.txt")

    def test_nobody_writes_what_a_pattern_finds(self):
        for read, write in (("docs/*.txt", "docs/x.txt"), ("docs/*.txt", "docs/new.txt"), ("folder/*.txt", "docs/new.txt"), ("*/x.txt", "docs/x.txt")):
            self.told("[in]\nplugin = files\npath = " + read + "\n" + WRITE.format("out", write),
                      [(6, f"`path`: it writes {write}, which [in] reads (t.ini:3)")])
        for read, write in (("docs/*.txt", "docs/x.md"), ("*.txt", "docs/x.txt"), ("*.txt", ".x.txt")):
            self.fine("[in]\nplugin = files\npath = " + read + "\n" + WRITE.format("out", write))

    def test_nobody_writes_what_lies_in_a_folder_that_is_read(self):
        """Be it there already or not: it would be when the source looks."""
        self.write("docs/deep/er/x.txt", "x\n")
        files = "[in]\nplugin = files\npath = {}\n{}"
        for read, write in (("docs", "docs/x.txt"), ("docs", "docs/new"), ("docs/", "folder/new"), ("folder", "docs/x.txt"), ("docs", "docs/deep/er/x.txt"),
                            ("b.txt, docs", "docs/deep/new"), ("do*", "docs/x.txt"), ("d[o]*", "docs/deep/new"), (self.folder, "new"), ("/", "new")):
            self.told(files.format(read, "") + WRITE.format("out", write) + "[pipeline]\ndead_letter = /dev/null\n",
                      [(6, f"`path`: it writes {write}, which [in] reads (t.ini:3)")])
        for read, write in (("docs", "new"), ("docs", "docs2"), ("docs/deep", "docs/x.txt"), ("d*s", "x"), ("docs/*.txt", "docs/deep/x.txt")):
            self.fine(files.format(read, "") + WRITE.format("out", write))
        for filters, write, told in (("include = *.txt\n", "docs/out.jsonl", False), ("include = *.txt\n", "docs/deep/x.txt", True), ("include = *.md, *.txt\n", "docs/x.txt", True),
                                     ("exclude = *.jsonl\n", "docs/deep/out.jsonl", False), ("exclude = *.jsonl\n", "docs/x.txt", True), ("exclude = deep\n", "docs/deep/er/x.txt", False),
                                     ("exclude = deep/er\n", "docs/deep/er/x.txt", False), ("exclude = er\n", "docs/deep/er/x.txt", True),
                                     ("include = *.txt\nexclude = x.*\n", "docs/x.txt", False), ("include = x.*\n", "docs/deep/x.txt", False)):
            ini = files.format("docs", filters) + WRITE.format("out", write)
            if told:
                self.told(ini, [(ini.count("\n"), f"`path`: it writes {write}, which [in] reads (t.ini:3)")])
            else:
                self.fine(ini)
        self.told(files.format("do*", "exclude = deep\n") + WRITE.format("out", "docs/deep/x"), [(7, "`path`: it writes docs/deep/x, which [in] reads (t.ini:3)")])
        self.fine(files.format("do*", "exclude = docs/deep\n") + WRITE.format("out", "docs/deep/x"))
        self.told(files.format(".", "") + "[z]\nplugin = null\n",
                  [(3, "`path`: it reads ., where rejected records go: name another file for either (`dead_letter`)")])
        self.fine(files.format(".", "include = *.txt\n") + WRITE.format("out", "out.jsonl"))

    def test_nobody_writes_what_the_pipeline_is_read_from(self):
        self.write("text", "x")
        self.write("more.ini", "[n]\nplugin = text\ntext = @text\n")
        ini = "include = more.ini\n[out]\nplugin = jsonl\npath = {}\n"
        os.symlink("t.ini", self.path("to"))
        for path, told in (("t.ini", "which is this pipeline's own file"), ("to", "which is this pipeline's own file"), ("more.ini", "from which `include` is read (t.ini:1)"),
                           ("text", "from which `text` is read (more.ini:3)")):
            self.told(ini.format(path), [(4, f"`path`: it writes {path}, {told}")])
            self.assertEqual(self.read("text"), b"x")
        self.told("[n]\nplugin = text\ntext = x\n[z]\nplugin = null\n[pipeline]\ndead_letter = t.ini\n",
                  [(7, "`dead_letter`: it writes t.ini, which is this pipeline's own file")])
        self.fine(READ.format("in", "t.ini") + WRITE.format("out", "new"))

    def test_a_file_where_a_folder_is_wanted_and_the_other_way_round(self):
        sink = "[z]\nplugin = null\n"
        for source in ("lines", "jsonl/read", "csv/read\ncolumns.a = utf8"):
            ini = f"[in]\nplugin = {source}\npath = a.txt, docs\n" + sink
            self.told(ini, [(3 + source.count("\n"), "`path`: docs is a folder, not a file")])
        run = "[in]\nplugin = text\ntext = x\n[e]\nplugin = exec\ncommand = cat\nsend = text\nfolder = {}\n" + sink
        self.told(run.format("a.txt"), [(8, "`folder`: a.txt is no folder")])
        self.fine(run.format("docs"))

    def test_links_to_what_is_not_there_yet(self):
        os.symlink("docs/later", self.path("dangling"))
        os.symlink("dangling", self.path("again"))
        os.symlink("nowhere/x", self.path("astray"))
        os.symlink("round", self.path("round"))
        source = "[n]\nplugin = text\ntext = x\n"
        for first, second in (("dangling", "docs/later"), ("folder/later", "dangling"), ("again", "docs/later"), ("again", "dangling")):
            self.told(source + WRITE.format("one", first) + WRITE.format("two", second) + "from = n\n",
                      [(9, f"`path`: it writes {second}, which [one] writes too (t.ini:6)")])
        self.told("[in]\nplugin = files\npath = docs\n" + WRITE.format("out", "again"), [(6, "`path`: it writes again, which [in] reads (t.ini:3)")])
        self.told(source + WRITE.format("out", "astray"), [(6, "`path`: astray cannot be made in nowhere/: No such file or directory")])
        self.jevons("check", self.write("t.ini", source + WRITE.format("out", "round"))) # comes to its end

    def test_the_dead_letters_of_an_earlier_run(self):
        self.told(READ.format("in", "t.rejected.jsonl") + "[z]\nplugin = null\n",
                  [(3, "`path`: it reads t.rejected.jsonl, where rejected records go: name another file for either (`dead_letter`)")])
        self.told("[n]\nplugin = text\ntext = x\n" + WRITE.format("out", "./t.rejected.jsonl"),
                  [(6, "`path`: it writes ./t.rejected.jsonl, where rejected records go: name another file for either (`dead_letter`)")])
        self.fine(READ.format("in", "t.rejected.jsonl") + "[z]\nplugin = null\n", "pipeline.dead_letter=again.jsonl")

    def test_one_writer_for_a_file(self):
        source = "[n]\nplugin = text\ntext = x\n"
        for first, second in (("a.txt", "a.txt"), ("a.txt", "link"), ("hard", "a.txt"), ("new", "new"), ("new", "./docs/../new"), ("folder/new", "docs/new")):
            self.told(source + WRITE.format("one", first) + WRITE.format("two", second) + "from = n\n",
                      [(9, f"`path`: it writes {second}, which [one] writes too (t.ini:6)")])
        self.told(source + WRITE.format("one", "a") + WRITE.format("two", "a") + "from = n\n" + WRITE.format("three", "a") + "from = n\n",
                  [(9, "`path`: it writes a, which [one] writes too (t.ini:6)"), (13, "`path`: it writes a, which [one] writes too (t.ini:6)")])
        self.told("[pipeline]\ndead_letter = d\n" + source + WRITE.format("out", "d"), [(2, "`dead_letter`: it writes d, which [out] writes too (t.ini:8)")])

    def test_what_is_no_file_is_shared(self):
        source = "[n]\nplugin = text\ntext = x\n"
        for path in ("/dev/stdout", "/dev/null", "fifo"):
            self.fine(source + WRITE.format("one", path) + WRITE.format("two", path) + "from = n\n", "pipeline.dead_letter=/dev/null")
        self.fine(READ.format("in", "fifo") + WRITE.format("out", "fifo"))
        self.fine(READ.format("one", "a.txt") + "[z]\nplugin = null\n" + READ.format("two", "a.txt") + "[y]\nplugin = null\n")
        self.write("t.ini", source + WRITE.format("one", "/dev/stdout") + WRITE.format("two", "/dev/stdout") + "from = n\n")
        with open(self.path("both"), "wb") as f:
            subprocess.run([jv.JEVONS, "run", "--quiet", "t.ini"], cwd=self.folder, stdout=f, check=True)
        self.assertEqual(self.read("both").count(b'"text":"x"'), 2)

    def test_dead_letters_on_standard_output(self):
        """Not beside a sink: rows of two kinds, which nobody could tell apart."""
        dead, source = "[pipeline]\ndead_letter = /dev/stdout\n", "[n]\nplugin = text\ntext = x\n"
        self.fine(dead + source + "[z]\nplugin = null\n")
        for sink in ("[out]\nplugin = stdout\n", WRITE.format("out", "/dev/stdout")):
            line = 6 if "plugin = stdout" in sink else 8
            self.told(dead + source + sink, [(2, f"`dead_letter`: it writes /dev/stdout, which [out] writes too (t.ini:{line})")])
            with open(self.path("o"), "wb") as f:  # a regular file too is told of once
                p = subprocess.run([jv.JEVONS, "check", "t.ini"], cwd=self.folder, stdout=f, stderr=subprocess.PIPE, env=self.environment())
            self.assertEqual((p.returncode, p.stderr.count(b"\n")), (2, 1), p.stderr)
            os.remove(self.path("o"))

    def test_standard_input_has_one_reader(self):
        ends = "[{}]\nplugin = null\n"
        from_key, alone = READ.format("{}", "-"), "[{}]\nplugin = stdin\n"
        for first, second, told in ((from_key, alone, [(6, "[b]: it reads standard input, which [a] reads too (t.ini:3)")]),
                                    (from_key, from_key, [(8, "`path`: it reads standard input, which [a] reads too (t.ini:3)")]),
                                    (alone, from_key, [(7, "`path`: it reads standard input, which [a] reads too (t.ini:1)")]),
                                    (alone, alone, [(5, "[b]: it reads standard input, which [a] reads too (t.ini:1)")])):
            self.told(first.format("a") + ends.format("y") + second.format("b") + ends.format("z"), told)
        self.told("[a]\nplugin = jsonl/read\npath = -, a.txt, -\n" + ends.format("y"),
                  [(3, "`path`: it reads standard input, which [a] reads too (t.ini:3)")])
        for name in ("/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"):
            for first, second in (("-", name), (name, "-"), (name, name)):
                what = "standard input" if second == "-" else name
                self.told(READ.format("a", first) + ends.format("y") + READ.format("b", second) + ends.format("z"),
                          [(8, f"`path`: it reads {what}, which [a] reads too (t.ini:3)")])
            self.fine(READ.format("a", name) + ends.format("y"))
            self.told("[p]\nplugin = text\ntext = @" + name + "\n" + ends.format("y") + alone.format("a") + ends.format("z"),
                      [(6, f"[a]: it reads standard input, from which `text` is read (t.ini:3)")], stdin=b"x")
            self.told("include = " + name + "\n" + READ.format("a", "-") + ends.format("z"),
                      [(4, f"`path`: it reads standard input, from which `include` is read (t.ini:1)")], stdin=b"[p]\nplugin = text\ntext = x\n" + ends.format("y").encode())
        self.write("t.ini", "[p]\nplugin = text\ntext = @/dev/stdin\n[o]\nplugin = stdout\n")
        self.assertEqual(self.jevons("run", "--quiet", "t.ini", stdin=b"piped\n").text, "piped\n")
        p = subprocess.run([jv.JEVONS, "check", "/dev/stdin"], input=(READ.format("a", "-") + ends.format("z")).encode(), stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (2, b"/dev/stdin:3: `path`: it reads standard input, which is this pipeline's own file\n"))
        self.write("t.ini", READ.format("a", "fifo") + ends.format("y") + READ.format("b", "-") + ends.format("z"))
        fd = os.open(self.path("fifo"), os.O_RDWR)
        p = subprocess.run([jv.JEVONS, "check", "t.ini"], cwd=self.folder, stdin=fd, stderr=subprocess.PIPE)
        os.close(fd)
        self.assertEqual((p.returncode, p.stderr), (2, b"t.ini:8: `path`: it reads standard input, which [a] reads too (t.ini:3)\n"))
        self.write("-", "a file\n")
        self.write("t.ini", READ.format("a", "./-, -") + "[o]\nplugin = stdout\n")
        result = self.jevons("run", "--quiet", "t.ini", stdin=b"piped\n")
        self.assertEqual((result.text, result.err), ("a file\npiped\n", ""))

    def test_standard_input_that_cannot_be_read(self):
        for section, who in ((READ.format("a", "-"), "t.ini:3: `path`"), ("[a]\nplugin = stdin\n", "t.ini:1: [a]")):
            self.write("t.ini", section + "[z]\nplugin = null\n")
            for shell, what in (("<&-", "closed"), ("0>/dev/null", "not open for reading")):
                p = subprocess.run(f"{jv.JEVONS} check t.ini {shell}", shell=True, cwd=self.folder, stderr=subprocess.PIPE)
                self.assertEqual((p.returncode, p.stderr.decode()), (2, f"{who}: standard input is {what}\n"))

    def test_standard_output_that_cannot_be_written(self):
        self.write("t.ini", READ.format("a", "a.txt") + "[o]\nplugin = stdout\n")
        p = subprocess.run(f"{jv.JEVONS} check t.ini >&-", shell=True, cwd=self.folder, stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (2, b"t.ini:4: [o]: standard output is closed\n"))

    def test_what_a_shell_redirects_is_a_file_too(self):
        self.write("t.ini", "[a]\nplugin = stdin\n" + WRITE.format("o", "a.txt"))
        with open(self.path("a.txt"), "rb") as f:
            p = subprocess.run([jv.JEVONS, "run", "t.ini"], cwd=self.folder, stdin=f, stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (2, b"t.ini:5: `path`: it writes a.txt, which [a] reads (t.ini:1)\n"))
        self.write("t.ini", READ.format("a", "a.txt") + WRITE.format("o", "/dev/stdout"))
        with open(self.path("a.txt"), "ab") as f: # would never end
            p = subprocess.run([jv.JEVONS, "run", "t.ini"], cwd=self.folder, stdout=f, stderr=subprocess.PIPE)
        self.assertEqual((p.returncode, p.stderr), (2, b"t.ini:6: `path`: it writes /dev/stdout, which [a] reads (t.ini:3)\n"))
        tee = "[s]\nplugin = stdout\nfrom = a\n"
        for ini, name, told in ((READ.format("a", "a.txt") + tee, "a.txt", b"t.ini:4: [s]: it writes standard output, which [a] reads (t.ini:3)\n"),
                                (READ.format("a", "b.txt") + WRITE.format("o", "new") + tee, "new", b"t.ini:7: [s]: it writes standard output, which [o] writes too (t.ini:6)\n"),
                                (READ.format("a", "b.txt") + tee, "t.ini", b"t.ini:4: [s]: it writes standard output, which is this pipeline's own file\n"),
                                (READ.format("a", "b.txt") + tee, "t.rejected.jsonl",
                                 b"t.ini:4: [s]: it writes standard output, where rejected records go: name another file for either (`dead_letter`)\n")):
            self.write("t.ini", ini)
            with open(self.path(name), "ab") as f:
                p = subprocess.run([jv.JEVONS, "run", "t.ini"], cwd=self.folder, stdout=f, stderr=subprocess.PIPE, timeout=60)
            self.assertEqual((p.returncode, p.stderr), (2, told))
        self.write("t.ini", READ.format("a", "b.txt") + WRITE.format("o", "/dev/stdout") + tee)
        with open(self.path("both"), "wb") as f:
            subprocess.run([jv.JEVONS, "run", "--quiet", "t.ini"], cwd=self.folder, stdout=f, check=True, timeout=60)
        self.assertEqual(len(self.read("both").splitlines()), 2)

    def test_what_vanishes_after_the_look_is_rejected(self):
        os.mkfifo(self.path("first"))
        self.write("t.ini", READ.format("in", "first, b.txt, a.txt") + "[o]\nplugin = stdout\n")
        p = self.start("run", "--quiet", "t.ini")
        with open(self.path("first"), "wb") as f: # opens when the run has begun to read
            os.remove(self.path("b.txt"))
            f.write(b"one\n")
        out, err = p.communicate(timeout=60)
        self.assertEqual((p.returncode, out), (3, b'one\n{"id": 1}\n'), err)
        self.assertIn(b"b.txt cannot be opened: No such file or directory", self.read("t.rejected.jsonl"))


class Keys(jv.Case):
    def told(self, ini, line, part, *overrides):
        self.check_problems(self.write("t.ini", ini), [(line, part)], *overrides)

    def test_what_open_says_of_a_key_is_told_there(self):
        self.write("a", "x\n")
        text, end = "[a]\nplugin = text\ntext = x\n", "[z]\nplugin = null\n"
        self.told("[a]\nplugin = lines\npath = a, a\n" + end, 3, "t.ini:3: `path` names a twice")
        self.told("[a]\nplugin = jsonl/read\npath = a\ncolumns.n = i64\ncolumns.x = number\n" + end, 5, "`columns.x = number`: wanted utf8")
        self.told(text + "[p]\nplugin = prompt\ntext = }\n" + end, 6, "t.ini:6: `text`: '}' at byte 0 closes nothing")
        self.told(text + "[p]\nplugin = prompt\ntext = y\n" + end, 0, "command line: [p] `text`: '}' at byte 0", "p.text=}")
        self.told(text + "[o]\nplugin = jsonl\nexists = refuse\npath = a\n", 7, "`path`: a is there already (exists = refuse)")
        self.told(text + end + "[pipeline]\nretry_after = 10001\n", 7, "`retry_after`: 10001 is outside ms 0..10s")
        self.told(text + "[o]\nplugin = csv/write\npath = b\n", 0, "`delimiter = xy`: wanted `tab`", "o.delimiter=xy")


if __name__ == "__main__":
    jv.main()
