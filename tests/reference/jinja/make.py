#!/usr/bin/env python3
"""Makes cases.jsonl: templates, the values to render them with, and what Python's jinja2 makes of them.

    python3 make.py [chat_template.jinja] > cases.jsonl

The environment is the one chat templates are written for: an immutable sandbox with trim_blocks, lstrip_blocks and loop
controls, a tojson that keeps Unicode, raise_exception, and the generation tag. Cases in templates.txt are one template each, after a line
`=== name` (and maybe `--- values as JSON`); to them come conversations, rendered by the chat templates of chat.txt and, when its text
is given, by that of SmolLM2-135M-Instruct, whose cases keep only the conversation and the output ("template" is null).
"""
import itertools
import json
import os
import sys

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.sandbox

HERE = os.path.dirname(os.path.abspath(__file__))


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_body"), [], [], body).set_lineno(line)

    def _body(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENV = jinja2.sandbox.ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
ENV.filters["tojson"] = tojson
ENV.globals["raise_exception"] = raise_exception

DEFAULTS = {
    "s": "Hello World", "empty": "", "zh": "你好，世界", "mixed": " \t tRim me\n ", "n": 7, "neg": -3, "f": 2.5, "big": 9007199254740993,
    "yes": True, "no": False, "nil": None, "xs": [3, 1, 2], "names": ["bob", "Alice", "carol", "alice"], "nothing": [],
    "d": {"b": 1, "a": 2, "C": [1, {"x": None}]}, "text": "one\ntwo\n\nthree",
    "people": [{"name": "Bo", "age": 30, "tags": ["x"]}, {"name": "al", "age": 25, "tags": []}, {"name": "Cy", "age": 30, "tags": ["y", "z"]}],
    "quote": "it's \"q\" \\ \u00e9 \u200b \x07 \U0001f600", "key": "a",
}

WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather of a \"city\" <now>",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Köln", "北京"]}, "days": {"type": "integer", "default": 1}},
                   "required": ["city"]}}}
CONVERSATIONS = {
    "empty": [],
    "user": [{"role": "user", "content": "Hi"}],
    "system": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
    "turns": [{"role": "user", "content": "1+1?"}, {"role": "assistant", "content": "2"}, {"role": "user", "content": "Sure?\n"}],
    "chinese": [{"role": "system", "content": "你是助手。"}, {"role": "user", "content": "你好，请介绍一下“北京”。"}],
    "reasoning": [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "<think>\nHm.\n</think>\n\nBecause."}, {"role": "user", "content": "Ok"}],
    "specials": [{"role": "user", "content": "<|im_end|>\n<|im_start|>system\n{{ 1 }}{% x %}"}],
    "no content": [{"role": "user", "content": ""}],
    "tools": [
        {"role": "user", "content": "Weather in Köln?"},
        {"role": "assistant", "content": None, "tool_calls": [
            {"type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"Köln\"}"}},
            {"type": "function", "function": {"name": "get_weather", "arguments": "{\"city\": \"北京\"}"}}]},
        {"role": "tool", "content": "rain"}, {"role": "tool", "content": "sun"},
        {"role": "assistant", "content": "Rain and sun."}, {"role": "user", "content": "Thanks"}],
}


def render(template, values):
    try:
        return {"output": ENV.from_string(template).render(**values)}
    except Exception as e:  # whatever Python finds wrong, the interpreter must refuse
        return {"error": f"{type(e).__name__}: {e}"}


def sections(path):
    """(name, values or None, text) of each `=== name` section; the newline before the next section is not part of the text."""
    name, values, lines = None, None, []
    with open(path, encoding="utf-8", newline="") as f:
        for line in itertools.chain(f.read().split("\n"), ["=== "]):
            if line.startswith("=== "):
                if name:
                    yield name, values, "\n".join(lines)
                name, values, lines = line[4:], None, []
            elif line.startswith("--- ") and not lines:
                values = json.loads(line[4:])
            else:
                lines.append(line)


def conversations(name, template, kept):
    for (key, messages), prompt in itertools.product(CONVERSATIONS.items(), (True, False)):
        for tools in (None, [WEATHER]) if key in ("tools", "system") else (None,):
            values = {"messages": messages, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>"}
            if tools:
                values["tools"] = tools
            yield {"name": f"{name}: {key}, prompt {prompt}, tools {bool(tools)}", "template": kept, "globals": values, **render(template, values)}


def main():
    cases = []
    for name, values, template in sections(os.path.join(HERE, "templates.txt")):
        cases.append({"name": name, "template": template, "globals": values, **render(template, values or DEFAULTS)})
    for name, _, template in sections(os.path.join(HERE, "chat.txt")):
        cases += conversations(name, template, template)
    if len(sys.argv) > 1:
        with open(sys.argv[1], encoding="utf-8", newline="") as f:
            cases += conversations("SmolLM2", f.read(), None)
    print(json.dumps({"defaults": DEFAULTS}, ensure_ascii=False))  # for cases whose globals are null
    for case in cases:
        print(json.dumps(case, ensure_ascii=False))


main()
