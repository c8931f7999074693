"""The INI file: what is read, what is refused and how it is told."""

import os

import jv

CHAIN = """[question]
plugin = text
text = {}
[out]
plugin = stdout
"""


class Values(jv.Case):
    def value(self, text, *overrides, env=None):
        """What the option `text` becomes."""
        result = self.jevons("run", "--quiet", self.ini(CHAIN.format(text)), *overrides, env=env)
        self.assertEqual(result.status, 0, result.err)
        self.assertTrue(result.text.endswith("\n"))
        return result.text[:-1]

    def test_plain(self):
        self.assertEqual(self.value("hello world"), "hello world")

    def test_what_inih_would_cut(self):
        self.assertEqual(self.value("a ; no comment, b = c : d # e [f]"), "a ; no comment, b = c : d # e [f]")

    def test_long(self):
        for n in (196, 197, 198, 199, 200, 201, 1000, 100_000):
            text = "x=:" * (n // 3) + "y" * (n % 3)
            self.assertEqual(self.value(text), text)

    def test_lines(self):
        self.assertEqual(self.value("one\n  two\n\tthree"), "one\ntwo\nthree")
        self.assertEqual(self.value("\n  one\n  two"), "one\ntwo")

    def test_blank_lines_within_are_kept(self):
        self.assertEqual(self.value("one\n\n  two\n \n\n  three\n"), "one\n\ntwo\n\n\nthree")

    def test_lines_with_assignments(self):
        self.assertEqual(self.value("one\n  x = y\n  z : w"), "one\nx = y\nz : w")

    def test_crlf_and_bom(self):
        ini = self.write("t.ini", b"\xef\xbb\xbf" + CHAIN.format("hi").replace("\n", "\r\n").encode())
        self.assertEqual(self.jevons("run", "--quiet", ini).text, "hi\n")

    def test_environment(self):
        env = {"JVT_A": "value", "JVT_EMPTY": ""}
        self.assertEqual(self.value("${JVT_A}!", env=env), "value!")
        self.assertEqual(self.value("${JVT_NONE:-other}", env=env), "other")
        self.assertEqual(self.value("${JVT_EMPTY:-other}", env=env), "other")
        self.assertEqual(self.value("${JVT_NONE:-${JVT_A}/x}", env=env), "value/x")
        self.assertEqual(self.value("$${JVT_A} $5 $$", env=env), "${JVT_A} $5 $$")

    def test_defaults_within_defaults(self):
        env = {"JVT_C": "c", "JVT_SET": "set"}
        self.assertEqual(self.value("${JVT_A:-${JVT_B:-${JVT_C}}}", env=env), "c")
        self.assertEqual(self.value("${JVT_A:-${JVT_B:-${JVT_D:-d}}}!", env=env), "d!")
        self.assertEqual(self.value("${JVT_A:-x${JVT_C}y${JVT_B:-}z}", env=env), "xcyz")
        self.assertEqual(self.value("${JVT_SET:-${JVT_MISSING}}", env=env), "set")
        self.assertEqual(self.value("<${JVT_A:-}>", env=env), "<>")
        self.assertEqual(self.value("${JVT_A:-a:-b}", env=env), "a:-b")
        self.assertEqual(self.value("${JVT_A:-$${x}}", env=env), "${x}")
        self.assertEqual(self.value("${JVT_A:-${question.id}}\nid = 7", env=env), "7")
        self.assertEqual(self.value("one\n  ${JVT_C}\n  @x", env=env), "one\nc\n@x")

    def test_environment_is_not_expanded_again(self):
        self.assertEqual(self.value("${JVT_A}", env={"JVT_A": "${HOME} @x"}), "${HOME} @x")

    def test_from_the_file(self):
        self.assertEqual(self.value("see ${question.id}\nid = 7"), "see 7")
        self.assertEqual(self.value("see ${question.id}\nid = 7", "question.id=9"), "see 9")

    def test_from_a_text_file(self):
        self.write("sub/prompt.txt", "line 1\n# line 2\n\n")
        self.assertEqual(self.value("@sub/prompt.txt"), "line 1\n# line 2\n")
        self.assertEqual(self.value("@@sub"), "@sub")
        self.assertEqual(self.value("@@@sub"), "@@sub")
        self.assertEqual(self.value("a @sub"), "a @sub")
        self.assertEqual(self.value("@${JVT_DIR}/prompt.txt", env={"JVT_DIR": "sub"}), "line 1\n# line 2\n")
        self.assertEqual(self.value("@${JVT_DIR}/prompt.txt", env={"JVT_DIR": self.path("sub")}), "line 1\n# line 2\n")
        self.write("sub/dollars.txt", "${HOME} @x $${ \r\n")
        self.assertEqual(self.value("@sub/dollars.txt"), "${HOME} @x $${ ")
        self.write("sub/long.txt", "x" * (1 << 20))
        self.assertEqual(len(self.value("@sub/long.txt")), 1 << 20)

    def test_overrides_are_literal(self):
        self.assertEqual(self.value("x", "question.text=${HOME} @x $${"), "${HOME} @x $${")
        self.assertEqual(self.value("x", "question.text=a=b.c=d"), "a=b.c=d")
        self.assertEqual(self.value("x", "question.text="), "")
        self.assertEqual(self.value("x", "question.text=a", "question.text=b"), "b")
        self.assertEqual(self.value("x\n  y", "question.text=  a\nb "), "  a\nb ")

    def test_paths(self):
        """Relative to the file, or to the working directory from the command line; ${section.path} takes that along."""
        self.write("sub/t.ini", "[question]\nplugin = text\ntext = hi\n[o]\nplugin = jsonl\npath = out.jsonl\nfields = id\n"
                   "[m]\nplugin = jsonl\nfrom = question\npath = ${o.path}.more\nfields = id\n")
        self.assertEqual(self.jevons("run", "sub/t.ini").status, 0)
        self.assertTrue(os.path.exists(self.path("sub/out.jsonl")) and os.path.exists(self.path("sub/out.jsonl.more")))
        self.assertEqual(self.jevons("run", "sub/t.ini", "o.path=here.jsonl").status, 0)
        self.assertTrue(os.path.exists(self.path("here.jsonl")) and os.path.exists(self.path("here.jsonl.more")))

    def test_paths_in_included_files_and_references(self):
        """Each relative to the file it stands in."""
        self.write("sub/out.ini", "[o]\nplugin = jsonl\npath = out.jsonl\nfields = id\n")
        self.write("t.ini", "[question]\nplugin = text\ntext = hi\n[m]\nplugin = jsonl\npath = ${o.path}.more\nfields =\n  id\n  text\n"
                   "[pipeline]\ninclude = sub/out.ini\n")
        self.assertEqual(self.jevons("run", "t.ini", "o.from=question").status, 0)
        self.assertTrue(os.path.exists(self.path("sub/out.jsonl")))
        self.assertIn('"text":"hi"', self.read("sub/out.jsonl.more").decode())

    def test_a_file_that_includes_itself_is_told_once(self):
        """By whatever way and name; what is in it is not told to be there twice."""
        self.write("sub/more.ini", "[more]\nplugin = null\nfrom = question\n[pipeline]\ninclude = ../link.ini\n")
        os.symlink("t.ini", self.path("link.ini"))
        self.write("t.ini", CHAIN.format("x") + "[pipeline]\ninclude = ./t.ini\n")
        self.assertEqual(self.jevons("check", "t.ini").messages, ["t.ini:7: include = ./t.ini: the file would include itself"])
        self.write("t.ini", "include = sub/more.ini\n" + CHAIN.format("x"))
        result = self.jevons("check", "t.ini")
        self.assertEqual(result.messages, ["sub/more.ini:5: include = sub/../link.ini: the file would include itself"])

    def test_numbers_and_the_word(self):
        for value, text in (("many", '"many" is not a number, nor the word auto'), ("1.5", '"1.5" is not a whole number, nor the word auto'),
                            ("99999999999999999999", '"99999999999999999999" is too large for 64 bits')):
            self.write("t.ini", CHAIN.format("x") + "[pipeline]\nthreads = " + value + "\n")
            self.assertEqual(self.jevons("check", "t.ini").messages, ["t.ini:7: `threads`: " + text])

    def test_include_by_the_environment(self):
        self.write("sub/model.ini", "[question]\nplugin = text\ntext = hi\n")
        ini = self.ini("include = ${JVT_DIR:-${JVT_NONE:-sub}}/model.ini\n[out]\nplugin = stdout\n")
        self.assertEqual(self.jevons("run", "--quiet", ini).text, "hi\n")
        self.assertEqual(self.jevons("run", "--quiet", ini, env={"JVT_DIR": self.path("sub")}).text, "hi\n")

    def test_include(self):
        self.write("sub/model.ini", "[question]\nplugin = text\ntext = @q.txt\n")
        self.write("sub/q.txt", "included")
        ini = self.ini("include = sub/model.ini\n[out]\nplugin = stdout\n")
        self.assertEqual(self.jevons("run", "--quiet", ini).text, "included\n")


class Maps(jv.Case):
    def told(self, keys, line, part, *overrides):
        ini = self.ini("[q]\nplugin = text\ntext = x\n[sort]\nplugin = sorter\n" + keys + "\n[o]\nplugin = null\nfrom = sort.a\n")
        result = self.jevons("check", ini, *overrides)
        place = f"{ini}:{line}: " if line else "command line: "
        self.assertEqual(result.status, 2, result.err)
        self.assertTrue(any(m.startswith(place) and part in m for m in result.messages), result.err)

    def test_what_is_wrong(self):
        self.told("", 4, "[sort] needs `to.KEY = value` at least once")
        self.told("to = x", 6, "`to` is a map: write `to.KEY = value`")
        self.told("to.a = x\nto.b.c = y", 7, "`to.b.c`: what follows `to.` is letters, digits, _ and -")
        self.told("to.a = x\nto.a = y", 7, "`to.a` of [sort] stands at t.ini:6 already")
        self.told("to.a = x\n  to.b = y", 7, "`to.b =` is indented")
        self.told("to.a = ${sort.to.b}", 6, "no such key")
        self.told("to.a = x\nti.b = y", 7, "unknown key `ti.b`")
        self.told("to.a = x", 0, "what follows `to.` is letters", "sort.to.b/c=y")


class Problems(jv.Case):
    def test_many_at_once(self):
        ini = self.ini("""[numbers]
plugin = probe/numbers
count = many
coutn = 3
[work]
plugin = probe/work
ms = 5 miles
threads = 0
timeout = 3s
[verdict]
plugin = probe/verdikt
[nothing]
plugin = stdot
[out]
plugin = stdout
from = worc
newline = maybe
newline = no
[out]
plugin = null
[more]
text = x
[user]
plugin = probe/user
from = work
[late]
plugin = stdout
from = out
stray
""")
        self.check_problems(ini, [
            (3, "`count`: \"many\" is not a number"),
            (4, "unknown key `coutn`, did you mean `count`? [numbers] takes count, every_ms, "),
            (7, "`ms`: \"5 miles\" is not a number with ms, s, m or h"),
            (8, "`threads`: 0 is outside 1..1024"),
            (9, "`timeout`: not in this version"),
            (11, "no such stage, did you mean `verdict`? it has probe/numbers, probe/endless, probe/verdict"),
            (13, "no plugin stdot (jv_stdot.so), did you mean `stdout`?"),
            (16, "`from`: no stage [worc], did you mean `work`?"),
            (17, "`newline`: \"maybe\" is none of no|yes"),
            (18, "`newline` of [out] stands at t.ini:17 already"),
            (19, "section [out] stands at t.ini:14 already"),
            (21, "[more] needs `plugin`"),
            (23, "[user] needs `thing` (a section that offers probe.thing/1)"),
            (28, "`from`: [out] is a sink: nothing comes out of it"),
            (29, "neither [section] nor key = value nor comment"),
        ])

    def test_several_mistakes_of_one_stage(self):
        """What its open finds is told in one go."""
        def check(lines, *expected):
            self.check_problems(self.ini("\n".join(lines)), list(expected))

        self.write("a", "x\n")
        reader = ["[in]", "plugin = {}/read", "path = a, a", "columns.a = number", "columns.b = i64", "columns.c = text", "columns.d = utf8 b",
                  "columns.id = utf8", "[out]", "plugin = null"]
        wrong = [(3, "`path` names a twice"), (4, "`columns.a = number`: wanted utf8"), (6, "`columns.c = text`: wanted utf8"),
                 (7, "`columns.d` and `columns.b` both read `b`"), (8, "`columns.id`: \"id\" is no name for a field")]
        for plugin in ("jsonl", "csv"):
            check([line.format(plugin) for line in reader], *wrong)
        check([line.format("csv") for line in reader[:3]] + ["delimiter = ab", "columns.a = x"] + reader[8:], (3, "names a twice"), (4, "`delimiter = ab`"),
              (5, "`columns.a = x`"))
        source = ["[q]", "plugin = text", "text = x"]
        check(source + ["[way]", "plugin = route", "in = text", "to.x = < 1", "to.y = \"a", "to.z = *", "to.w = 3"]
              + ["[out]", "plugin = null", "from = way.x, way.y, way.z, way.w"],
              (7, "`to.x`: < <= > >= compare numbers"), (8, "`to.y`: a quote is not closed"), (10, "`to.w`: nothing comes so far, since `to.z = *`"))
        check(source + ["[way]", "plugin = route", "in = txt", "to.x = < 1", "to.y = \"a", "[out]", "plugin = null", "from = way.x, way.y"],
              (6, "no field `txt` comes here"), (8, "`to.y`: a quote is not closed"))
        check(source + ["[hit]", "plugin = match", "in = text", "pattern =", "  (a", "  b", "  [c", "captures = x, y", "[out]", "plugin = null"],
              (8, "'(a' at byte 2"), (10, "'[c' at byte 2"))
        check(source + ["[hit]", "plugin = match", "in = text", "pattern = (?<x>a)", "captures = x, y, x", "[out]", "plugin = null"],
              (8, "no pattern has a group (?<y>...)"), (8, "x stands there twice"))
        check(source + ["[p]", "plugin = prompt", "text = {no} {nor} }", "[out]", "plugin = null"],
              (6, "no field `no` comes here"), (6, "no field `nor` comes here"), (6, "'}' at byte 11 closes nothing"))
        check(source + ["[e]", "plugin = exec", "command = no-such-program", "send = id, text, text", "returns.a = x", "returns.error = utf8", "[out]", "plugin = null"],
              (6, "is no program in PATH"), (7, "the id is always sent"), (7, "'text' stands there twice"), (8, "`returns.a = x`"), (9, "`returns.error`"))
        self.write("o", "x\n")
        for plugin in ("jsonl", "csv"):
            check(source + ["[out]", f"plugin = {plugin}/write", "path = o", "exists = refuse", "fields = txt, text, text"],
                  (6, "is there already"), (8, "no field `txt` comes here"), (8, "`fields` names `text` twice"))
        check(["[f]", "plugin = files", "path =", "  none*", "  a", "  nor*", "[out]", "plugin = null"], (4, "nothing matches"), (6, "nothing matches"))
        check(["[q]", "plugin = probe/numbers", "[v]", "plugin = probe/verdict", "on = 3", "what = careless", "[out]", "plugin = null"],
              (3, "[v]: told of no key"), (5, "`on`: told first"))

    def test_fifteen_mistakes(self):
        """Each is told once, with its line and what to do; what follows from it is not."""
        self.write("in.txt", "a line\n")
        ini = self.ini("""[in]
plugin = lines
path = in.txt
max_lin = 5
[typo]
plugin = clen
[tmpl]
plugin = prompt
[limit]
plugin = limit
count = 5
[cut]
plugin = chunk
size = 0
[slow]
plugin = probe/work
ms = 5 miles
[m]
plugin = merge
[out]
plugin = null
[limit]
plugin = null
[two]
plugin = jsonl/write
from = in
path = two.jsonl
path = three.jsonl
[lost]
plugin = null
from = inn
[a]
plugin = clean
from = b
[b]
plugin = clean
from = a
[t1]
plugin = clean
from = in
[t2]
plugin = clean
from = in
[meet]
plugin = null
from = t1, t2
[way]
plugin = route
in = line
from = in
to.x = 1
to.y = *
[x]
plugin = null
from = way.x
[in2]
plugin = lines
path = in.txt
[typ]
plugin = probe/verdict
in = line
[typ_end]
plugin = null
[file]
plugin = prompt
text = @missing.txt
from = in
[file_end]
plugin = null
timeout = 5s
[trap]
plugin = prompt
text: a = b
from = in
[trap_end]
plugin = null
""")
        self.check_problems(ini, [
            (4, 'unknown key `max_lin`, did you mean `max_line`?'),
            (6, 'no plugin clen (jv_clen.so), did you mean `clean`?'),
            (7, '[tmpl] needs `text` (text): the template'),
            (14, '`size`: 0 is outside 1..'),
            (17, '`ms`: "5 miles" is not a number with ms, s, m or h'),
            (22, 'section [limit] stands at t.ini:9 already'),
            (28, '`path` of [two] stands at t.ini:27 already'),
            (31, 'no stage [inn], did you mean `in`?'),
            (34, '[a] leads back to itself'),
            (46, '[meet] would get each record of [in] twice, by [t1] and by [t2]: put'),
            (47, 'nothing reads [way].y; `plugin = null` discards'),
            (61, '[typ]: it reads `line` as utf8, but in2 (t.ini:56) makes it i64'),
            (66, '`text`: missing.txt: No such file'),
            (70, '`timeout`: not in this version'),
            (73, '`:` before the first `=`: write `key = value`'),
        ])

    def test_what_may_be_meant_is_not_told_besides(self):
        """A section that is none, or reads what is none, may be what reads a port that nobody else does."""
        source = "[n]\nplugin = probe/numbers\n"
        self.check_problems(self.ini(source + "[o o]\nplugin = null\n"), [(3, "is no name for a section")])
        self.check_problems(self.ini(source + "[s]\nplugin = nul\nfrom = n\n"), [(4, "no plugin nul")])
        self.check_problems(self.ini(source + "[s]\nplugin = null\nfrom = nn\n"), [(5, "did you mean `n`?")])
        self.check_problems(self.ini(source + "[s]\nplugin = null\nfrom: n\n"), [(5, "`:` before the first `=`")])
        self.check_problems(self.ini(source + "[n]\nplugin = null\n"), [(3, "stands at t.ini:1 already")])
        self.check_problems(self.ini(source + "[m]\nplugin = probe/numbers\n[s]\nplugin = null\nfrom = mm\n"), [(1, "nothing reads [n]"), (7, "did you mean `m`?")])

    def told(self, text, *expected):
        """Exactly these problems, whatever reads or discards the rest."""
        with self.subTest(text=text):
            self.check_problems(self.ini(text), list(expected))

    def test_columns_that_are_not_known_are_not_told_besides(self):
        """Below what could not be opened, or has a mistake of its own, nothing is said of fields that may be there."""
        rows = "[in]\nplugin = jsonl/read\npath = {}\ncolumns.r = {}\n[o]\nplugin = {}\npath = o\nfields = r\n"
        self.write("in", "{}\n")
        for sink in ("jsonl", "csv"):
            self.told(rows.format("nothere", "utf8", sink), (3, "nothere cannot be read"))
            self.told(rows.format("in", "utf9", sink), (4, "`columns.r = utf9`: wanted utf8"))
            self.told(rows.format("in\nidd = r", "utf8", sink), (4, "unknown key `idd`, did you mean `id`?"))
        exec_ = CHAIN.split("[out]")[0].format("x") + "[e]\nplugin = exec\ncommand = cat\nsend = text\nanswer_within = {}\nreturns.r = {}\n"
        for reader in ("[o]\nplugin = jsonl\npath = o\nfields = r\n", "[o]\nplugin = stdout\nin = r\n",
                       "[p]\nplugin = prompt\ntext = {r}\n[o]\nplugin = null\n", "[p]\nplugin = route\nin = r\nto.a = 5\n[o]\nplugin = null\n"):
            self.told(exec_.format("5 miles", "i64") + reader, (8, "`answer_within`"))
            self.told(exec_.format("5s", "i46") + reader, (9, "`returns.r = i46`: wanted"))
        self.told(exec_.format("5s", "i64?\nnope = 1") + "[s]\nplugin = stdout\nin = r\n", (10, "unknown key `nope`"))

    def test_what_was_not_read_is_not_missed(self):
        self.told("include = nothere.ini\n[z]\nplugin = null\n", (1, "nothere.ini: No such file"))
        self.told("include = nothere.ini\n[a]\nplugin = text\ntext = ${b.text}\n[z]\nplugin = null\nfrom = b\n", (1, "No such file"))
        self.told("include = nothere.ini\n[a]\nplugin = text\ntext = x\n[e]\nplugin = exec\ncommand = cat\nsend = nada\n[u]\nplugin = probe/user\nthing = t\n[o]\nplugin = null\n",
                  (1, "No such file"), (8, "no field `nada` comes here"))
        self.told("[t]\nplugin = text\ntext = x\n[o]\nplugin = null\nfrom =\n", (6, "`from`: no stage"))
        self.told("[a]\nplugin = text\ntext\n[o]\nplugin = null\n", (3, "neither [section]"))
        self.told("[a]\nplugin = text\ntext x y\ntext = z\n[o]\nplugin = null\n", (3, "neither [section]"))
        self.told("[m]\nplugin = probe/thin\n[n]\nplugin = probe/numbers\n[u]\nplugin = probe/user\nthing = m\n[o]\nplugin = null\n", (2, "no such stage"))

    def test_the_line_of_the_key(self):
        """What open says stands at the key it is about, or at the item's line."""
        text = "[a]\nplugin = text\ntext = a\n"
        end = "[o]\nplugin = null\n"
        self.told(text + "[m]\nplugin = match\npattern = a(b\n" + end, (6, "`pattern`: 'a(b' at byte 3"))
        self.told(text + "[m]\nplugin = match\npattern =\n  ok\n  a(b\n" + end, (8, "`pattern`: 'a(b' at byte 3"))
        self.told(text + "[m]\nplugin = match\npattern = a\ncaptures = b\n" + end, (7, "`captures`: no pattern has a group"))
        self.told(text + "[r]\nplugin = route\nin = text\nto.x = a\nto.y = \"b\n" + end + "from = r.x, r.y\n", (8, "`to.y`: a quote is not closed"))
        self.told(text + "[r]\nplugin = route\nin = text\nto.x = a\nto.rejected = b\n" + end + "from = r.x\n", (8, "[r] has two ports `rejected`"))
        self.told(text + "[r]\nplugin = route\nin = txet\nto.x = a\n" + end, (6, "`in`: no field `txet` comes here, did you mean `text`?"))
        self.told(text + "[c]\nplugin = chunk\nsize = 3\noverlap = 5\n" + end, (7, "`overlap = 5` must be below `size = 3`"))
        self.told(text + "[e]\nplugin = exec\ncommand = cat\nsend = textt\n" + end, (7, "`send`: no field `textt` comes here, did you mean `text`?"))
        self.told(text + "[p]\nplugin = prompt\ntext =\n  see\n  {tekst}\n  {id} {nope}\n" + end,
                  (8, "`text`: no field `tekst` comes here, did you mean `text`?"), (9, "`text`: no field `nope`"))
        self.told(text + "[o]\nplugin = jsonl\npath = o\nfields = text, nope, nada\n", (7, "`fields`: no field `nope`"), (7, "`fields`: no field `nada`"))
        self.told(text + "[o]\nplugin = csv\npath = o\nfields =\n  nope\n  text\n  nada\n", (8, "`fields`: no field `nope`"), (10, "`fields`: no field `nada`"))
        self.told(text + "[o]\nplugin = null\nfrom =\n  a\n  b\n", (8, "`from`: no stage [b], did you mean `a`?"))
        ports = "".join(f"to.p{i} = {i}\n" for i in range(32))
        self.told(text + "[r]\nplugin = route\nin = text\n" + ports + end + "from =\n" + "".join(f"  r.p{i}\n" for i in range(32)), (38, "[r] has 32 ports: at most 31 fit"))

    def test_a_name_that_two_keys_hold(self):
        """It might be either: the section's line."""
        self.told("[a]\nplugin = text\ntext = a\n[p]\nplugin = exec\ncommand = cat, nope\nsend = nope\n[o]\nplugin = null\n", (4, "[p]: no field `nope` comes here"))

    def test_all_in_one_go(self):
        self.write("in", "a\n")
        self.told("[l]\nplugin = lines\npath = in\n[d]\nplugin = dedup\nmemory = 5\nin = lin\n[o]\nplugin = null\n",
                  (6, "`memory`: 5 is outside"), (7, "no field `lin` comes here, did you mean `line`?"))
        self.told("[j]\nplugin = jsonl/read\npath = nothere\ncolumns.n = i46\n[o]\nplugin = null\n",
                  (3, "nothere cannot be read"), (4, "`columns.n = i46`: wanted"))
        self.told("[l]\nplugin = lines\npath = nothere\n[s]\nplugin = stdout\nin = tekst\n", (3, "nothere cannot be read"), (6, "no field `tekst` comes here"))

    def test_the_nearest_name(self):
        self.write("docs/x.txt", "x")
        self.write("docs/model.ini", "")
        text, end = "[a]\nplugin = text\ntext = {}\n", "[o]\nplugin = null\n"
        self.told(text.format("@docs/xx.txt") + end, (3, "docs/xx.txt: No such file or directory, did you mean `x.txt`?"))
        self.told(text.format("@dosc/x.txt") + end, (3, "dosc/x.txt: No such file or directory, did you mean `docs`?"))
        self.told("[a]\nplugin = lines\npath =\n  docs/x.txt\n  dosc/x.txt\n" + end, (5, "`path`: dosc/x.txt cannot be read: No such file or directory, did you mean `docs`?"))
        os.symlink("nothing", self.path("lin"))
        self.told("[a]\nplugin = lines\npath = lin\n" + end, (3, "`path`: lin cannot be read: No such file or directory"))
        self.told("include = docs/modle.ini\n" + text.format("x") + end, (1, "docs/modle.ini: No such file or directory, did you mean `model.ini`?"))
        self.told(text.format("x") + "[b]\nplugin = clean\n[c]\nplugin = clean\n" + end + "from = C\n", (10, "`from`: no stage [C], did you mean `c`?"))
        self.told(text.format("x") + end + "[pipelin]\nname = x\n", (6, "[pipelin] needs `plugin`, or did you mean `[pipeline]`?"))
        self.told(text.format("x").replace("plugin", "PLUGIN") + end, (2, "unknown key `PLUGIN`, did you mean `plugin`?"))
        self.told(text.format("x") + end + "from = pipeline\n", (6, "`from`: [pipeline] is no stage"))
        self.write("t.ini", text.format("x") + end + "[pipeline]\nplugin_path =\n  docs\n  dcos\n")
        self.check_problems("t.ini", [(9, "`plugin_path`: dcos is no folder, did you mean `docs`?")])
        self.told(text.format("x") + "[e]\nplugin = exec\ncommand = catt\nsend = text\n" + end, (6, "`command`: 'catt' is no program in PATH, did you mean `"))
        self.assertEqual(self.jevons("check", "tt.ini").err, "jevons: tt.ini: No such file or directory, did you mean `t.ini`?\n")

    def test_keys_that_are_all_indented(self):
        end = "[o]\nplugin = null\n"
        self.told("[a]\n  plugin = text\n  text = x\n" + end, (2, "no key above in [a] whose value it could go on with: unindent it"))
        self.told("[a]\n  text = x\n  plugin = text\n" + end, (2, "unindent it"))
        self.told("[a]\nplugin = text\n  text = x\n" + end, (3, "`plugin` takes one line: unindent it"))

    def test_a_long_chain(self):
        """The most sections there can be, each setting the field of the one above it."""
        self.write("t.ini", CHAIN.format("x").replace("[out]", "".join(f"[c{i}]\nplugin = clean\n" for i in range(4000)) + "[out]"))
        self.assertEqual(self.jevons("check", "t.ini", timeout=60).status, 0)

    def test_beside_a_cycle(self):
        """It is told once, and what has nothing to do with it is looked at all the same."""
        ini = self.ini("[a]\nplugin = probe/work\nfrom = n, b, c\n[b]\nplugin = probe/work\nfrom = a\n[c]\nplugin = probe/work\nfrom = a\n[n]\nplugin = probe/numbers\n"
                       "[s]\nplugin = stdout\nin = txt\n[t]\nplugin = null\nfrom = c\n")
        self.check_problems(ini, [(3, "[a] leads back to itself"), (14, "no field `txt` comes here, did you mean `text`?")])

    def test_lines(self):
        cases = [
            ("key = 1", 1, "`key` stands before the first [section]"),
            ("[a", 1, "a section's name ends with `]`"),
            ("[a b]", 1, "is no name for a section"),
            ("[a.b]", 1, "is no name for a section"),
            ("[" + "a" * 50 + "]", 1, "at most 49"),
            ("[]", 1, "is no name for a section"),
            ("[a] x = 1", 1, "text after `[a]`"),
            ("[q]\nplugin = text\ntext: x = 1", 3, "`:` before the first `=`"),
            ("[q]\nplugin = text\ntext : x", 3, "`:` before the first `=`"),
            ("[q]\nplugin = text\ntext = a\n  id = 5", 4, "`id =` is indented"),
            ("[q]\nplugin = text\ntext = a\n  # b", 4, "begins an indented line"),
            ("[q]\nplugin = text\n" + "k" * 50 + " = 1", 3, "is no name for a key"),
            ("[q]\nplugin = text\ntext = ${JVT_NOT_SET}", 3, "the environment has no JVT_NOT_SET"),
            ("[q]\nplugin = text\ntext = ${JVT", 3, "without its `}`"),
            ("[q]\nplugin = text\ntext = ${a b}", 3, "names nothing"),
            ("[q]\nplugin = text\ntext = ${q.text}", 3, "leads back to itself"),
            ("[q]\nplugin = text\ntext = ${q.nix}", 3, "no such key"),
            ("[q]\nplugin = text\ntext = ${nix.text}", 3, "no such section"),
            ("[q]\nplugin = text\ntext = @missing.txt", 3, "No such file"),
            ("include = missing.ini", 1, "No such file"),
            ("include = t.ini", 1, "include = t.ini: the file would include itself"),
            ("[q]\nplugin = text\ntext = @", 3, "`@` names no file"),
            ("[q]\nplugin = text\ntext = @/dev/zero", 3, "larger than 1048576 bytes"),
            ("[q]\nplugin = text\ntext = ${q.id:-x}\nid = 1", 3, "only a name from the environment takes a default"),
            ("[q]\nplugin = text\ntext = ${A:-${B}", 3, "without its `}`"),
            ("[q]\nplugin = text\ntext = ${:-x}", 3, "names nothing"),
            ("[q]\nplugin = text\ntext = a\n  [out]\nplugin = stdout", 4, "`[out]` is indented"),
            ("[q]\nplugin = text\ntext = a\n  from = x", 4, "`from =` is indented"),
            ("[q]\nplugin = text\ntext = a\x01b", 3, "a control character (0x01)"),
            ("[q]\nplugin = text\n\x0btext = a", 3, "a control character (0x0b)"),
            ("[q]\nplugin = text\ntext = a\rb", 3, "a control character (0x0d)"),
            ("[q]\nplugin = text\nt x = a", 3, "is no name for a key"),
            ("[q]\nplugin = text\n= a", 3, "is no name for a key"),
            ("[q]\nplugin = text\nto. = a", 3, "is no name for a key"),
            ("[q]\nplugin = text\nto..x = a", 3, "is no name for a key"),
            ("include = x.ini\n  y.ini", 2, "an indented line, with nothing above that could go on in it"),
            ("include = ${q.x}\n[q]\nx = 1", 1, "here only the environment is known"),
            ("include = @x", 1, "here it stands itself"),
            ("include =", 1, "names no file"),
            ("include = ${JVT_NOT_SET}/x", 1, "the environment has no JVT_NOT_SET"),
            ("[q]\nplugin = text\ninclude = x.ini", 3, "unknown key `include`"),
            ("[q]\nplugin = text\ntext = a\xff", 3, "not UTF-8"),
            ("[q]\nplugin = text\ntext = a\0b", 3, "a NUL byte"),
        ]
        for text, line, part in cases:
            with self.subTest(text=text[:60]):
                self.write("t.ini", text.encode("latin-1"))
                result = self.jevons("check", "t.ini")
                self.assertEqual(result.status, 2)
                self.assertTrue(any(f"t.ini:{line}: " in m and part in m for m in result.messages), result.err)

    def test_a_line_that_is_too_long(self):
        self.write("t.ini", CHAIN.format("x" * ((1 << 20) + 200)))
        self.assertIn("t.ini:3: a line of", self.jevons("check", "t.ini").err)

    def test_the_longest_value(self):
        text = "x" * (1 << 20)
        self.write("t.ini", CHAIN.format(text))
        self.assertEqual(self.jevons("run", "--quiet", "t.ini").text, text + "\n")
        self.write("t.ini", CHAIN.format(text + "y"))
        self.assertIn("t.ini:3: the value of `text` is longer than 1048576 bytes", self.jevons("check", "t.ini").err)

    def test_the_longest_value_in_lines(self):
        lines = ["a = b ; c : d"] * 70_000
        self.write("t.ini", CHAIN.format("\n  " + "\n  ".join(lines)))
        self.assertEqual(self.jevons("run", "--quiet", "t.ini").text, "\n".join(lines) + "\n")
        self.write("t.ini", CHAIN.format("\n  " + "\n  ".join(lines * 2)))
        result = self.jevons("check", "t.ini")
        self.assertEqual(len(result.messages), 1, result.err[:1000])
        self.assertIn("the value of `text` is longer than 1048576 bytes", result.err)

    def test_what_follows_from_a_mistake_is_not_told(self):
        self.check_problems(self.ini("[a b]\nplugin = text\ntext = x\n  y = z\n[q]\nplugin = text\ntext = x\nid: x = y\n  z\n  w = x\n[o]\nplugin = null\n"),
                            [(1, "is no name for a section"), (8, "`:` before the first `=`")])

    def test_problems_of_opening_beside_problems_of_keys(self):
        ini = self.ini("[n]\nplugin = probe/numbers\n[v]\nplugin = probe/verdict\nwhat = refuse\n[o]\nplugin = null\n[m]\nplugin = probe/numbers\ncount = x\n[p]\nplugin = null\n")
        self.check_problems(ini, [(3, "[v]: told to refuse"), (10, "`count`: \"x\" is not a number")])

    def test_an_unknown_plugin_is_told_once(self):
        self.check_problems(self.ini("[a]\nplugin = fils\n[b]\nplugin = stdout\n"), [(2, "did you mean `files`?")])
        self.check_problems(self.ini(CHAIN.format("x").replace("[out]", "[c]\nplugin = claen\n[out]")),
                            [(5, "no plugin claen (jv_claen.so), did you mean `clean`?")])

    def test_resources_alone(self):
        self.assertIn("no source: nothing to run", self.jevons("check", self.ini("[t]\nplugin = probe/thing\n")).err)

    def test_garbage(self):
        self.write("t.ini", os.urandom(1 << 20))
        result = self.jevons("check", "t.ini")
        self.assertEqual(result.status, 2)
        self.assertTrue(result.err.startswith("t.ini:"))

    def test_mistakes_without_end(self):
        """A megabyte of them: a hundred are told, in the order of the file, and how many more there are."""
        words = ["neither", "[a b]", "k : v", "[x", "a b = c", " ;", "${", "=", "[s] y", "\x7f"]
        lines = [words[i * 7 % len(words)] for i in range(200_000)]
        self.write("t.ini", "\n".join(lines))
        result = self.jevons("check", "t.ini")
        self.assertEqual(result.status, 2)
        self.assertEqual(len(result.messages), 101)
        numbers = [int(m.split(":")[1]) for m in result.messages[:100]]
        self.assertEqual(numbers, sorted(numbers))
        self.assertRegex(result.messages[100], r"^jevons: and \d{5,} more problems$")

    def test_more_keys_than_any_pipeline_has(self):
        self.write("t.ini", "[q]\nplugin = text\ntext = x\n" + "".join(f"k{i} = 1\n" for i in range(100_000)))
        self.assertIn("more than 4096 sections or 20000 keys", self.jevons("check", "t.ini").err)
        self.write("t.ini", "".join(f"[s{i}]\nplugin = null\n" for i in range(10_000)))
        self.assertIn("more than 4096 sections or 20000 keys", self.jevons("check", "t.ini").err)

    def test_files_that_are_none(self):
        self.assertIn("No such file", self.jevons("run", "missing.ini").err)
        self.assertIn("Is a directory", self.jevons("run", ".").err)
        self.write("empty.ini", "")
        self.assertIn("nothing to run", self.jevons("run", "empty.ini").err)

    def test_overrides(self):
        ini = self.ini(CHAIN.format("x"))
        self.check_problems(ini, [(0, "an override is section.key=value")], "question=1")
        self.check_problems(ini, [(0, "no section [qestion], did you mean `question`?")], "qestion.text=1")
        self.check_problems(ini, [(0, "unknown key `texd`, did you mean `text`?")], "question.texd=1")
        self.check_problems(ini, [(0, "what is included is said in the file")], "pipeline.include=x.ini")
        self.assertIn("check takes no option --quiet", self.jevons("check", ini, "--quiet").err)
        self.assertIn("is not UTF-8", self.jevons("check", ini, b"question.text=\xff").err)

    def test_wiring(self):
        self.check_problems(self.ini("[out]\nplugin = stdout\n"), [(1, "no source stands above")])
        self.check_problems(self.ini("[n]\nplugin = probe/numbers\n[w]\nplugin = probe/work\n"), [(3, "nothing reads [w]")])
        self.check_problems(self.ini(CHAIN.format("x") + "[more]\nplugin = null\n"), [(6, "[more] stands below the sink [out]")])
        self.check_problems(self.ini(CHAIN.format("x") + "[w]\nplugin = probe/work\nfrom = w\n[s]\nplugin = null\nfrom = w\n"), [(8, "reads itself")])
        self.check_problems(self.ini("[a]\nplugin = probe/work\nfrom = b\n[b]\nplugin = probe/work\nfrom = a\n"), [(3, "leads back to itself")])
        self.check_problems(self.ini("[n]\nplugin = probe/numbers\nfrom = n\n[o]\nplugin = null\n"), [(3, "a source has no input")])
        self.check_problems(self.ini("[n]\nplugin = probe/numbers\n[o]\nplugin = null\nfrom = n.left\n"), [(5, "[n] has no port `left`")])

    def test_fields(self):
        chain = "[n]\nplugin = probe/numbers\n[w]\nplugin = probe/work\n{}\n[o]\nplugin = stdout\nin = work\n"
        self.check_problems(self.ini(chain.format("in = tekst")), [(5, "no field `tekst` comes here, did you mean `text`? there are id, text, square")])
        self.check_problems(self.ini(chain.format("in = square")), [(5, "it reads `square` as utf8, but n (t.ini:1) makes it i64")])
        self.check_problems(self.ini(chain.format("out = 5x")), [(5, "is no name for a field"), (8, "no field `work` comes here")][:1])
        self.check_problems(self.ini(chain.format("out = id")), [(5, "is no name for a field")])

    def test_pipeline_section(self):
        self.write("t.ini", CHAIN.format("x") + "[pipeline]\njournal = x\nnmae = y\non_error = panic\nretries = -1\n")
        self.check_problems("t.ini", [(7, "`journal`: not in this version"), (8, "unknown key `nmae`, did you mean `name`?"), (9, "none of reject|stop"),
                                      (10, "-1 is outside 0..1000")])
        self.write("t.ini", CHAIN.format("x") + "[pipeline]\nplugin_path = nowhere\ndead_letter =\nname = a/b\n")
        self.check_problems("t.ini", [(7, "nowhere is no folder"), (8, "no path"), (9, "no name for a pipeline")])

    def test_fields_set_twice(self):
        self.check_problems(self.ini("[n]\nplugin = probe/numbers\nout = a\nsquare = a\n[o]\nplugin = null\n"), [(4, "it sets `a` twice")])

    def test_indented_keys_of_the_host(self):
        self.check_problems(self.ini("[q]\nplugin = text\ntext = a\n  threads = 5\n[o]\nplugin = null\n"), [(4, "`threads =` is indented")])

    def test_many_lines(self):
        self.write("t.ini", "[q]\nplugin = text\ntext = a\n" + "  b\n" * 200_000 + "[o]\nplugin = stdout\n")
        self.assertEqual(self.jevons("run", "--quiet", "t.ini").text, "a\n" + "b\n" * 200_000)

    def test_a_missing_variable_is_told_once(self):
        self.check_problems(self.ini("[q]\nplugin = text\ntext = ${JVT_NONE}\nid = ${q.text}\n[o]\nplugin = null\n"), [(3, "has no JVT_NONE")])

    def test_long_chains_of_references(self):
        lines = "".join(f"k{i} = ${{q.k{i + 1}}}\n" for i in range(15_000))
        self.write("t.ini", "[q]\nplugin = text\ntext = ${q.k0}\n" + lines + "k15000 = x\n[o]\nplugin = null\n")
        self.assertIn("leads on more than", self.jevons("check", "t.ini").err)

    def test_values_that_multiply(self):
        self.write("t.ini", "[q]\nplugin = text\ntext = " + "x" * 500_000 + "\n" + "".join(f"k{i} = ${{q.text}}\n" for i in range(500)) + "[o]\nplugin = null\n")
        self.assertIn("all values together", self.jevons("check", "t.ini").err)

    def test_open_errors_name_the_section(self):
        ini = self.ini("[n]\nplugin = probe/numbers\n[v]\nplugin = probe/verdict\nwhat = refuse\n[o]\nplugin = null\n")
        self.check_problems(ini, [(3, "[v]: told to refuse")])
        self.check_problems(ini, [(3, "[v]: the plugin gives no reason")], "v.what=silent")


if __name__ == "__main__":
    jv.main()
