#!/usr/bin/env python3
"""Asks llama.cpp, by its Python binding, and keeps its answers in this folder.

    pip install llama-cpp-python==0.3.36 numpy jinja2
    reference.py tokens MODEL.gguf OUT.jsonl   ids of each line of lines.bin: no special token added, no control token parsed
    reference.py sums MODEL.gguf OUT.sums      a number for the ids of each line and of 500 texts made of them
    reference.py greedy MODEL.gguf OUT.jsonl   20 prompts, each continued greedily, up to 100 tokens, then scored

tokens.*.jsonl has one JSON list per line. With BPE llama.cpp ends the whole process on a code point above U+10FFFF; such a
sequence is given to it as one U+FFFD per byte, which is how it reads all other bytes that are no UTF-8.

tokens.*.sums has one number per text, the FNV-1a hash of its ids as 32-bit numbers, for vocabularies whose ids would
take much room: first the lines, then every four of them joined (see joined). Of a file that is cut off behind its keys
only these are given to llama.cpp.

greedy.*.jsonl has one JSON object per prompt: prompt, text (with the continuation), tokens, and for each token but the
first its logprob and the five likeliest [id, logprob], from one pass over the whole text (float64 log-softmax of the
float32 logits, rounded to 6 digits). A continuation ends where the model ends its turn, and where its text would no
longer tokenise to the same `tokens`, so that whoever scores the text starts from the same ids. The prompts are our own.

llama.cpp does not agree with itself to the last digit: a text read in one batch and token by token gives log-probabilities
that differ by 0.02 to 0.03 nat on average, now and then by so much that another token comes first, although the first two
were 0.4 nat apart. Such a place says nothing about anybody else. So a prompt is left out unless llama.cpp meets, against
itself, what compare.py asks of others: the two readings put the same token first at ALIKE of the places of the
continuation, and at the rest the first two are at most UNSTEADY nat apart. The first 20 prompts that remain are kept.
"""
import ctypes
import json
import pathlib
import re
import struct
import sys
import tempfile

import llama_cpp
import numpy

CONTINUE = 100
UNSTEADY = 0.15
ALIKE = 0.98
SHORTEST = 16
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
    "How to make a cup of tea:\n1. Boil the water.\n2. Put a tea bag into the cup.\n3. Pour the water over it.\n4.",
    "The seven days of the week are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday. The twelve months are",
    "for (int i = 0; i < n; i++) {\n    sum += values[i];\n}\n\nreturn sum / n;\n}\n\nint maximum(",
    "Question: How many legs do three spiders have?\nAnswer: A spider has eight legs, so three spiders have",
    "My grandmother kept bees behind the house. In spring she would open the hives and look for the queen, and we",
    "Dear neighbours, on Saturday we celebrate the birthday of our daughter. It may be louder than usual until",
    "The water cycle has four parts. First, the sun warms the sea and water evaporates. Second, the vapour rises and",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z\nA B C D E F G H",
    "My favourite season is autumn, because the leaves turn red and yellow and the air smells of rain and",
    "Mix 200 g of flour with two eggs and half a litre of milk. Let the batter rest for half an hour. Then",
    "Rules of the library: 1. Speak quietly. 2. Do not eat or drink at the tables. 3. Bring books back on time. 4.",
    "The train to the coast leaves at ten past nine and arrives at noon. On the way it stops at",
    "We keep the spare key in the blue box under the stairs. The box also holds a torch, two candles and",
    "Thank you for your order. Your parcel has left our warehouse and will reach you within three working days. If you",
    "The museum is open from Tuesday to Sunday between ten and six. On Mondays it is closed. Children under twelve",
    "A good password is long and has no meaning to others. Do not use your name or your birthday. Instead,",
    "There are four seasons in a year: spring, summer, autumn and winter. In spring the days grow longer and",
    "To plant a tree, dig a hole that is twice as wide as the roots. Place the tree in the middle and",
    "The heart has four chambers. The two upper ones are called atria, and the two lower ones are called",
    "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,",
    "Paris is the capital of France, Rome is the capital of Italy, Madrid is the capital of Spain, and Berlin",
    "The cat sat on the mat. The dog sat on the rug. The bird sat on the branch. The mouse sat",
    "Once there were three brothers who lived by the sea. The eldest built boats, the second mended nets, and the youngest",
    "First we washed the car, then we dried it with an old towel, and at last we",
]


NAMES = [b"<bos>", b"<eos>", b"<|im_start|>", b"<|im_end|>", b"<|endoftext|>", b"</s>", b"<start_of_turn>", b"<end_of_turn>",
         b"<think>", b"</think>", b"<tool_call>", b"<unk>", b"<pad>", b"<unused7>", b"[multimodal]", b"<0x0A>"]


def lines():
    return pathlib.Path(__file__).with_name("lines.bin").read_bytes().split(b"\n")


def joined():
    """Every four lines, each followed by one to five line feeds, and the name of a special token, which is text."""
    rows = lines()
    for j in range(len(rows) // 4):
        yield b"".join(row + b"\n" * (j % 5 + 1) for row in rows[4 * j:4 * j + 4]) + NAMES[j % 16]


def keys_only(model, to):
    """A copy of the keys of a model file, without its tensors."""
    sizes = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
    with open(model, "rb") as f:
        head = f.read(1 << 26)
    n_keys, at = struct.unpack_from("<Q", head, 16)[0], 24

    def string():
        return 8 + struct.unpack_from("<Q", head, at)[0]

    for _ in range(n_keys):
        at += string()
        type, item, count = struct.unpack_from("<IIQ", head, at)
        at += 4
        if type == 9:
            at += 12
        if type == 8 or (type == 9 and item == 8):
            for _ in range(count if type == 9 else 1):
                at += string()
        else:
            at += sizes[item] * count if type == 9 else sizes[type]
    to.write(head[:8] + bytes(8) + head[16:at])
    to.flush()


def ids_of(model, texts):
    with tempfile.NamedTemporaryFile(suffix=".gguf") as file:
        keys_only(model, file)
        params = llama_cpp.llama_model_default_params()
        params.vocab_only = True
        vocab = llama_cpp.llama_model_get_vocab(llama_cpp.llama_model_load_from_file(file.name.encode(), params))
    for text in texts:
        if llama_cpp.llama_vocab_type(vocab) == llama_cpp.LLAMA_VOCAB_TYPE_BPE:
            text = BEYOND.sub(lambda m: "\ufffd".encode() * len(m[0]), text)
        room = (ctypes.c_int32 * (3 * len(text) + 4))()
        n = llama_cpp.llama_tokenize(vocab, text, len(text), room, len(room), False, False)
        assert n >= 0, (text, n)
        yield room[:n]


def tokens(model, out):
    with open(out, "w") as f:
        for ids in ids_of(model, lines()):
            f.write(json.dumps(ids, separators=(",", ":")) + "\n")


def sums(model, out):
    with open(out, "w") as f:
        for ids in ids_of(model, [*lines(), *joined()]):
            h = 2166136261
            for byte in struct.pack("<%di" % len(ids), *ids):
                h = (h ^ byte) * 16777619 & 0xffffffff
            f.write("%08x\n" % h)


def logprobs(logits):
    x = logits.astype(numpy.float64)
    x -= x.max()
    return x - numpy.log(numpy.exp(x).sum())


def same(m, ids):
    """Whether the text of these ids is whole and tokenises to them again."""
    text = m.detokenize(ids, special=True)
    try:
        return m.tokenize(text.decode().encode(), add_bos=False, special=False) == ids
    except UnicodeDecodeError:
        return False


def continuation(m, prompt):
    """The prompt's ids with what follows greedily, and how many are the prompt's."""
    ids = m.tokenize(prompt.encode(), add_bos=False, special=False)
    n_prompt = len(ids)
    m.reset()
    m.eval(ids)
    while len(ids) < n_prompt + CONTINUE:
        best = int(m.scores[m.n_tokens - 1].argmax())
        if llama_cpp.llama_vocab_is_eog(m._model.vocab, best):
            break
        ids.append(best)
        m.eval(ids[-1:])
    while not same(m, ids):
        ids.pop()
    return ids, n_prompt


def read(m, ids):
    """The log-probabilities behind each token, in the batches that m was made with."""
    m.reset()
    m.eval(ids)
    return [logprobs(m.scores[i]) for i in range(len(ids))]


def unsteadiness(a, b, n_prompt):
    """Of the places of the continuation: the widest gap where the two put different tokens first, and the share alike."""
    gaps = [float(numpy.diff(numpy.sort(x)[-2:])[0]) for x, y in zip(a[n_prompt - 1:-1], b[n_prompt - 1:-1]) if x.argmax() != y.argmax()]
    return max(gaps, default=0.0), 1 - len(gaps) / (len(a) - n_prompt)


def greedy(model, out):
    m, single = (llama_cpp.Llama(model, n_ctx=1024, n_threads=2, n_batch=n, n_ubatch=n, logits_all=True, verbose=False)
                 for n in (512, 1))
    kept = 0
    with open(out, "w") as f:
        for prompt in PROMPTS:
            if kept == 20:
                break
            ids, n_prompt = continuation(m, prompt)
            assert n_prompt >= 16, (prompt, n_prompt)
            if len(ids) < n_prompt + SHORTEST:
                print(f"left out: too short: {prompt[:50]!r}")
                continue
            gap, share = unsteadiness(read(m, ids), read(single, ids), n_prompt)
            steady = gap <= UNSTEADY and share >= ALIKE
            print(f"{'kept' if steady else 'left out'}: widest gap {gap:.3f}, {share:.2%} alike: {prompt[:50]!r}")
            if not steady:
                continue
            kept += 1
            rows = []
            for i, lp in enumerate(read(m, ids)[:-1], 1):
                best = numpy.lexsort((numpy.arange(len(lp)), -lp))[:TOP]
                rows.append([round(float(lp[ids[i]]), 6), [[int(b), round(float(lp[b]), 6)] for b in best]])
            text = m.detokenize(ids, special=True).decode()
            f.write(json.dumps({"prompt": prompt, "text": text, "prompt_tokens": n_prompt, "tokens": ids,
                                "logprob": [r[0] for r in rows], "top": [r[1] for r in rows]},
                               ensure_ascii=False, separators=(",", ":")) + "\n")
    assert kept == 20, kept


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in ("tokens", "sums", "greedy"):
        sys.exit(__doc__)
    {"tokens": tokens, "sums": sums, "greedy": greedy}[sys.argv[1]](sys.argv[2], sys.argv[3])
