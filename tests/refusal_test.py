"""Plugins: finding them, telling about them, refusing those that do not fit."""

import shutil

import jv


class Refusals(jv.Case):
    def refused(self, plugin, *parts):
        ini = self.ini(f"[q]\nplugin = text\ntext = x\n[o]\nplugin = {plugin}\n")
        result = self.jevons("check", ini)
        self.assertEqual(result.status, 2)
        self.assertTrue(result.messages[0].startswith("t.ini:5: `plugin`: "), result.err)
        for part in parts:
            self.assertIn(part, result.messages[0])

    def test_magic(self):
        self.refused("misfit_magic", "jv_misfit_magic.so is refused", '"jovens"', '"jevons"')

    def test_abi(self):
        self.refused("misfit_major", "it speaks ABI 7.0, the host 1.0")
        self.refused("misfit_minor", "it speaks ABI 1.8, the host 1.0")

    def test_size(self):
        self.refused("misfit_large", "its jv_stage has 1", "the host's 1", "another jevons.h")
        self.refused("misfit_small", "its jv_stage has 1", "the host's 1", "another jevons.h")

    def test_options(self):
        self.refused("misfit_key", "`from` is a key of the host")
        self.refused("misfit_default", "the default of option size: 0 is outside 1..")
        self.refused("misfit_range", 'the range of option size, "9..1", is none for its type')
        self.refused("misfit_offset", "option size lies outside the context: 8 bytes at 1000 of")
        self.refused("misfit_align", "option size lies at 4, no multiple of 8")
        self.refused("misfit_record", "option size is JV_PER_RECORD: a record cannot name a path")

    def test_rows(self):
        self.refused("misfit_field", "field row in has type 0, the host knows 1 to 7")
        self.refused("misfit_counter", "`text` is a counter and a field")
        self.refused("misfit_port", "every stage has a port `rejected` of the host")
        self.refused("misfit_ports", "port size.* stands for the keys of a MAP option `size`, which it does not have")

    def test_kinds(self):
        self.refused("misfit_flags", "is JV_SPLIT and JV_MERGE: these are the two ends, two stages")
        self.refused("misfit_order", "is JV_PARALLEL and JV_ORDERED")
        self.refused("misfit_threads", "wants more than 1 thread but is not JV_PARALLEL")
        self.refused("misfit_context", "wants a context of 104857600 bytes, the host gives 67108864 at most")
        self.refused("misfit_source", "has ports but neither poll nor process", "which takes JV_ENDLESS and stop")

    def test_name(self):
        self.refused("misfit_other_name", "it calls itself somebody_else: rename the file to jv_somebody_else.so")

    def test_no_plugin(self):
        self.refused("nodesc", "exports no jv_plugin_desc")

    def test_no_shared_object(self):
        self.write("jv_text_file.so", "not a shared object")
        self.write("t.ini", f"[pipeline]\nplugin_path = .\n[o]\nplugin = text_file\n")
        result = self.jevons("check", "t.ini")
        self.assertIn("t.ini:4: `plugin`: ./jv_text_file.so does not load", result.err.replace(self.folder, "."))

    def test_several_stages(self):
        self.refused("probe", "holds several stages: name one of probe/numbers")

    def test_names(self):
        self.refused("../x", "is no name of a plugin")
        self.refused("jsonll", "did you mean `jsonl`?")


class Finding(jv.Case):
    def test_a_file_of_ones_own(self):
        shutil.copy(jv.PROBE + "/jv_probe.so", self.path("jv_probe.so"))
        self.assertIn("numbered records", self.jevons("inspect", "jv_probe.so").text)
        self.assertIn("numbered records", self.jevons("inspect", self.path("jv_probe.so")).text)
        self.assertIn("probe/numbers", self.jevons("plugins", ".").text)
        self.assertNotIn("probe/numbers", self.jevons("plugins").text)

    def test_plugin_path_comes_first(self):
        shutil.copy(jv.PROBE + "/jv_probe.so", self.path("jv_probe.so"))
        self.write("t.ini", "[pipeline]\nplugin_path = .\n[n]\nplugin = probe/numbers\n[o]\nplugin = null\n")
        self.assertEqual(self.jevons("run", "t.ini").status, 0)

    def test_plugins(self):
        result = self.jevons("plugins")
        self.assertEqual(result.status, 0, result.err)
        names = {line.split()[0]: line.split()[1] for line in result.lines}
        for name, kind in (("files", "source"), ("text", "source"), ("stdin", "source"), ("clean", "filter"), ("chunk", "filter"), ("prompt", "filter"),
                           ("jsonl/write", "sink"), ("jsonl/read", "source"), ("stdout", "sink"), ("null", "sink"), ("llm/model", "resource"), ("llm/generate", "filter"), ("cpu", "resource")):
            self.assertEqual(names.get(name), kind, name)
        self.assertEqual(result.err, "")

    def test_inspect_tells_every_option(self):
        for line in self.jevons("plugins").lines:
            result = self.jevons("inspect", line.split()[0])
            self.assertEqual(result.status, 0)
            self.assertIn("example", result.text)
        text = self.jevons("inspect", "jsonl").text
        self.assertRegex(text, r"path +path to write; required")
        self.assertIn("replace|append|refuse; default replace", text)
        self.assertIn("llm/generate", self.jevons("inspect", "llm").text)
        self.assertEqual(self.jevons("inspect", "nix").status, 2)
        self.assertEqual(self.jevons("inspect", "llm/nix").status, 2)


if __name__ == "__main__":
    jv.main()
