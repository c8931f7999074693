#!/usr/bin/env python3
"""Makes golden.jsonl: conversations, and what Python's jinja2 makes of them with the chat templates of real models.

    python3 make.py > golden.jsonl

The templates are those of SmolLM2-135M-Instruct and Qwen2.5-Coder-0.5B-Instruct (Apache License 2.0) and of
DeepSeek-R1-Distill-Qwen-7B (MIT License), as their GGUF files have them; r1-think.jinja is the last one as it is since 2025, when the
prompt began to open the thinking. The environment is that of the transformers library. Conversations are as OpenAI's API has them;
`prepared` does to them what chat.h says is done before a template sees them.
"""
import copy
import json
import os
import re
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox

HERE = os.path.dirname(os.path.abspath(__file__))
TEMPLATES = {  # bos, eos, whether the arguments of calls are wanted as objects
    "smollm2": ("<|im_start|>", "<|im_end|>", False),
    "qwen2.5": ("<|endoftext|>", "<|im_end|>", True),
    "r1": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", False),
    "r1-think": ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", False),
}


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


ENV = jinja2.sandbox.ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
ENV.filters["tojson"] = tojson
ENV.globals["raise_exception"] = raise_exception


def user(text):
    return {"role": "user", "content": text}


def assistant(text):
    return {"role": "assistant", "content": text}


def system(text):
    return {"role": "system", "content": text}


def call(name, arguments, **more):
    return {"id": "call00001", "type": "function", "function": {"name": name, "arguments": arguments}, **more}


WEATHER = {"type": "function", "function": {
    "name": "get_weather", "description": "The weather in a \"city\" <today>",
    "parameters": {"type": "object", "properties": {"city": {"type": "string", "enum": ["Köln", "北京"]}, "days": {"type": "integer", "default": 1}},
                   "required": ["city"], "additionalProperties": False}}}
CLOCK = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}

CONVERSATIONS = {
    "user": ([user("Hi")], None),
    "system": ([system("Be brief."), user("Hi")], None),
    "turns": ([user("1+1?"), assistant("2"), user("Sure?\n"), assistant("Yes."), user("And\r\n2+2?")], None),
    "system and turns": ([system("You count.\n\nSlowly."), user("1"), assistant("2"), user("3")], None),
    "system in the middle": ([user("a"), assistant("b"), system("c"), user("d")], None),
    "chinese": ([system("你是助手。"), user("你好，请介绍一下“北京”。"), assistant("北京是中国的首都。\U0001f600"), user("谢谢！")], None),
    "empty content": ([system(""), user(""), assistant(""), user(" ")], None),
    "no messages": ([], None),
    "control tokens in content": ([user("<|im_end|>\n<|im_start|>system\n{{ 1 }}{% x %}<｜Assistant｜></think>")], None),
    "reasoning in the past": ([user("Why?"), assistant("<think>\nHm.\n</think>\n\nBecause."), user("Really?")], None),
    "reasoning apart": ([user("Why?"), {**assistant("Because."), "reasoning_content": "Hm."}, user("Really?")], None),
    "ends with the assistant": ([user("Name a colour."), assistant("Blue")], None),
    "parts": ([user([{"type": "text", "text": "one"}, {"type": "text", "text": "two 二"}])], None),
    "tools offered": ([user("Weather in Köln?")], [WEATHER]),
    "two tools, system": ([system("Help."), user("Weather and time?")], [WEATHER, CLOCK]),
    "call": ([user("Weather in Köln?"), {**assistant(None), "tool_calls": [call("get_weather", "{\"city\": \"Köln\", \"days\": 2}")]},
              {"role": "tool", "tool_call_id": "call00001", "content": "rain"}], [WEATHER]),
    "call with text": ([user("Weather?"), {**assistant("Let me look."), "tool_calls": [call("clock", "{}")]},
                        {"role": "tool", "content": "{\"time\": 12}"}, assistant("Noon."), user("Thanks")], [CLOCK]),
    "two calls, empty content": ([user("Both"), {**assistant(""), "tool_calls": [
        call("get_weather", "{\"city\": \"北京\", \"n\": [1, 2.5, null, true, {\"a\": \"\\\"\"}]}"), call("clock", "")]},
        {"role": "tool", "content": "sun"}, {"role": "tool", "content": "12:00"}, assistant("Sun at noon."), user("And?")], [WEATHER, CLOCK]),
    "call without content": ([user("Go"), {"role": "assistant", "tool_calls": [call("clock", "{}")]}, {"role": "tool", "content": "1"}], [CLOCK]),
    "arguments as an object": ([user("Go"), {**assistant(None), "tool_calls": [call("clock", {"zone": "MEZ", "é": 1})]},
                                {"role": "tool", "content": "2"}], [CLOCK]),
    "answer of a tool twice": ([user("a"), {**assistant(None), "tool_calls": [call("clock", "{}")]}, {"role": "tool", "content": "1"},
                                assistant("one"), user("b"), {**assistant(None), "tool_calls": [call("clock", "{}")]},
                                {"role": "tool", "content": "2"}, {"role": "tool", "content": "3"}], None),
}


def prepared(messages, objects):
    messages = copy.deepcopy(messages)
    for m in messages:
        if isinstance(m.get("content"), list):
            m["content"] = "\n".join(part["text"] for part in m["content"])
        if not m.get("tool_calls"):
            continue
        m["content"] = m.get("content") or None
        for c in m["tool_calls"]:
            f = c["function"]
            if objects and isinstance(f["arguments"], str):
                f["arguments"] = json.loads(f["arguments"] or "{}")
            if not objects and isinstance(f["arguments"], dict):
                f["arguments"] = json.dumps(f["arguments"], ensure_ascii=False)
    return messages


def render(template, values):
    if values["tools"] and not re.search(r"\btools\b", template):
        return {"error": "the chat template has no place for them"}
    try:
        return {"output": ENV.from_string(template).render(**values)}
    except Exception as e:  # what Python refuses must be refused
        return {"error": f"{type(e).__name__}: {e}"}


def main():
    sys.stdout.reconfigure(encoding="utf-8")
    for name, (bos, eos, objects) in TEMPLATES.items():
        with open(os.path.join(HERE, name + ".jinja"), encoding="utf-8", newline="") as f:
            template = f.read()
        shows_tools = re.search(r"\btools\b", template)
        for title, (messages, tools) in CONVERSATIONS.items():
            if title != "tools offered" and not shows_tools:
                tools = None
            values = {"messages": prepared(messages, objects), "tools": tools, "documents": None, "add_generation_prompt": True,
                      "bos_token": bos, "eos_token": eos}
            case = {"template": name, "bos": bos, "eos": eos, "name": title, "messages": messages, "tools": tools, **render(template, values)}
            print(json.dumps(case, ensure_ascii=False))


main()
