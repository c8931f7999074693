#!/usr/bin/env python3
"""Asks llama.cpp, by its Python binding, and keeps its answers in this folder.

    pip install llama-cpp-python==0.3.36 numpy jinja2
    reference.py tokens MODEL.gguf OUT.jsonl   ids of each line of lines.bin: no special token added, none parsed
    reference.py greedy MODEL.gguf OUT.jsonl   20 prompts, each continued greedily by 48 tokens, then scored

tokens.*.jsonl has one JSON list per line. llama.cpp ends the whole process on a code point above U+10FFFF; such a
sequence is given to it as one U+FFFD per byte, which is how it reads all other bytes that are no UTF-8.

greedy.*.jsonl has one JSON object per prompt: prompt, text (with the continuation), tokens, and for each token but the
first its logprob and the five likeliest [id, logprob], from one pass over the whole text (float64 log-softmax of the
float32 logits, rounded to 6 digits). The continuation goes on past 48 where that would cut a character. `text`
tokenises to `tokens`, so whoever scores it starts from the same ids. The prompts are our own.
"""
import ctypes
import json
import pathlib
import re
import sys

import llama_cpp
import numpy

CONTINUE = 48
TOP = 5
BEYOND = re.compile(rb"(?:\xf4[\x90-\xbf]|[\xf5-\xf7][\x80-\xbf])[\x80-\xbf]{2}")

PROMPTS = [
    "The old lighthouse had been dark for eleven years when a letter arrived from the harbour office. It said",
    "Bread rises because yeast turns sugar into carbon dioxide. The gas is trapped by the dough, and as a result",
    "Dear Ms Okafor, thank you for your question about the delivery of the two wooden chairs. Unfortunately,",
    "Three things to check before a long bicycle ride:\n1. The tyres\n2. The brakes\n3.",
    "今天的天气很好，我们打算和几个朋友一起去公园散步。公园里有很多",
    "水在零度时结冰，在一百度时沸腾。这是因为",
    "def fibonacci(n):\n    \"\"\"Return the n-th Fibonacci number.\"\"\"\n    if n < 2:\n        return n\n",
    "#include <stdio.h>\n\nint main(void)\n{\n    for (int i = 0; i < 10; i++) {\n"
    "        printf(\"%d\\n\", i * i);\n    }\n",
    "SELECT city, COUNT(*) AS visits FROM trips WHERE year = 2021 GROUP BY city ORDER BY",
    "The following problems are about trains and speed.\n1. A train travels 180 km in 3 hours. What is its average "
    "speed?\n2.",
    "To find the area of a triangle with base 6 and height 4, we multiply the base by the height and halve "
    "the product. For other shapes",
    "1 + 1 = 2, 2 + 2 = 4, 4 + 4 = 8, 8 + 8 = 16, 16 + 16 =",
    "Shopping list:\n- apples\n- flour\n- butter\n- cinnamon\n- brown sugar\n-",
    "| Planet | Moons |\n| --- | --- |\n| Mercury | 0 |\n| Venus | 0 |\n| Earth | 1 |\n| Mars |",
    "{\"name\": \"Marta\", \"age\": 31, \"languages\": [\"Portuguese\", \"English\"], \"address\": {\"city\":",
    "Once upon a time there was a small green frog who wanted to learn how to play the violin. Every evening",
    "The difference between weather and climate is that weather describes what happens today, while climate",
    "Ingredientes para cuatro personas: dos tomates maduros, una cebolla, aceite de oliva y sal. Primero",
    "In 1905 a young clerk at the patent office in Bern published four papers. The first one explained",
    "Monday: rain, 12 degrees. Tuesday: clouds, 14 degrees. Wednesday: sun, 19 degrees. Thursday:",
]


def tokens(model, out):
    params = llama_cpp.llama_model_default_params()
    params.vocab_only = True
    loaded = llama_cpp.llama_model_load_from_file(model.encode(), params)
    vocab = llama_cpp.llama_model_get_vocab(loaded)
    with open(out, "w") as f:
        for line in pathlib.Path(__file__).with_name("lines.bin").read_bytes().split(b"\n"):
            line = BEYOND.sub(lambda m: "\ufffd".encode() * len(m[0]), line)
            room = (ctypes.c_int32 * (len(line) + 1))()
            n = llama_cpp.llama_tokenize(vocab, line, len(line), room, len(room), False, False)
            assert n >= 0, (line, n)
            f.write(json.dumps(room[:n], separators=(",", ":")) + "\n")


def logprobs(logits):
    x = logits.astype(numpy.float64)
    x -= x.max()
    return x - numpy.log(numpy.exp(x).sum())


def whole(text):
    try:
        return bool(text.decode())
    except UnicodeDecodeError:
        return False


def greedy(model, out):
    m = llama_cpp.Llama(model, n_ctx=1024, n_threads=2, logits_all=True, verbose=False)
    with open(out, "w") as f:
        for prompt in PROMPTS:
            ids = m.tokenize(prompt.encode(), add_bos=False, special=False)
            n_prompt = len(ids)
            assert n_prompt >= 16, (prompt, n_prompt)
            m.reset()
            m.eval(ids)
            while len(ids) < n_prompt + CONTINUE or not whole(m.detokenize(ids, special=True)):
                ids.append(int(m.scores[m.n_tokens - 1].argmax()))
                assert not llama_cpp.llama_vocab_is_eog(m._model.vocab, ids[-1]), prompt
                m.eval(ids[-1:])
            text = m.detokenize(ids, special=True).decode()
            assert text.startswith(prompt) and m.tokenize(text.encode(), add_bos=False, special=False) == ids, prompt
            m.reset()
            m.eval(ids)
            rows = []
            for i in range(1, len(ids)):
                lp = logprobs(m.scores[i - 1])
                best = numpy.lexsort((numpy.arange(len(lp)), -lp))[:TOP]
                rows.append([round(float(lp[ids[i]]), 6), [[int(b), round(float(lp[b]), 6)] for b in best]])
            f.write(json.dumps({"prompt": prompt, "text": text, "prompt_tokens": n_prompt, "tokens": ids,
                                "logprob": [r[0] for r in rows], "top": [r[1] for r in rows]},
                               ensure_ascii=False, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("tokens", "greedy"):
        sys.exit(__doc__)
    {"tokens": tokens, "greedy": greedy}[sys.argv[1]](sys.argv[2], sys.argv[3])
