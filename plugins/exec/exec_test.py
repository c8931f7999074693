"""The commands that exec_test.c runs: exec_test.py MODE. What each does is said where it stands."""
import json
import os
import signal
import sys
import time


def records():
    for line in sys.stdin:
        yield json.loads(line)


def answer(record, **fields):
    print(json.dumps({"id": record["id"], **fields}), flush=True)


def echo():
    for r in records():
        answer(r, out=r["text"].upper(), n=len(r["text"]))


def whole_line():
    """What came, as it came."""
    for line in sys.stdin:
        answer(json.loads(line), out=line)


def pairs():
    """Answers two at a time: with fewer on their way it would wait for ever."""
    while True:
        two = [json.loads(sys.stdin.readline()) for _ in range(2)]
        for r in two:
            answer(r, out="pair")


def by_text():
    """Does what the text says."""
    for r in records():
        text = r["text"]
        if text == "die":
            sys.exit(3)
        if text == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if text == "hang":
            time.sleep(1000)
        if text == "half":
            sys.stdout.write('{"id": ')
            sys.stdout.flush()
            sys.exit(0)
        if text == "garbage":
            print("Traceback (most recent call last):", flush=True)
        elif text == "array":
            print("[1]", flush=True)
        elif text == "latin1":
            sys.stdout.buffer.write(b'{"id": "\xe9"}\n')
            sys.stdout.flush()
        elif text == "other":
            answer({"id": "another"}, out="x")
        elif text == "no id":
            print("{}", flush=True)
        elif text == "number":
            print('{"id": 1}', flush=True)
        elif text == "twice":
            answer(r, out="x")
            answer(r, out="x")
        elif text == "long":
            answer(r, out="x" * 5000)
        elif text == "endless":
            sys.stdout.write("x" * 300000 + "\n")
            sys.stdout.flush()
        elif text == "error":
            answer(r, error="no such\nplace")
        elif text == "nothing":
            answer(r)
        elif text == "null":
            answer(r, out=None, error=None)
        elif text == "wrong":
            answer(r, out=1)
        elif text == "two outs":
            print('{"id": %s, "out": "a", "out": "b"}' % json.dumps(r["id"]), flush=True)
        else:
            answer(r, out=text)


def once():
    """Answers one record, and goes."""
    r = json.loads(sys.stdin.readline())
    answer(r, out=str(os.getpid()))


def types():
    for r in records():
        print('{ "id" :%s,"b":{"base64":"/w=="},"j":{"a": [1e400, 0.10]},"i":-9007199254740993,"f":2,"more":0}'
              % json.dumps(r["id"]), flush=True)


def stderr():
    """Says more than a pipe holds before it reads anything."""
    print("one\ttwo", file=sys.stderr)
    print("é" * 2000, file=sys.stderr)
    for i in range(20000):
        print("line", i, file=sys.stderr)
    sys.stderr.flush()
    echo()
    sys.stderr.write("last words")


def surroundings():
    """Its working directory, its descriptors, the signals it finds blocked, and whether it leads its group."""
    with open("/proc/self/status") as f:
        signals = [line.split()[1] for line in f if line.startswith("SigBlk")]
    files = [f for f in os.listdir("/proc/self/fd") if os.path.exists("/proc/self/fd/" + f)]
    for r in records():
        leads = str(os.getpgid(0) == os.getpid())
        answer(r, out=" ".join([os.path.basename(os.getcwd()), *sorted(files), *signals, leads]))


def deaf():
    """Never reads."""
    time.sleep(1000)


def mute():
    """Never answers."""
    for _ in records():
        pass


def stubborn():
    """Goes neither at the end of its input nor when asked to; leaves another one behind that holds its output open."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        time.sleep(1000)
    for r in records():
        answer(r, n=os.getpid())
    time.sleep(1000)


def bad_end():
    echo()
    sys.exit(7)


def first_word():
    print("Hello, I am ready", flush=True)
    echo()


def closes_input():
    sys.stdin.close()
    os.close(0)
    time.sleep(1000)


if __name__ == "__main__":
    globals()[sys.argv[1]]()
