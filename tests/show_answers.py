#!/usr/bin/env python3
"""Shows what a pipeline of documents has written as a table for people.

    show_answers.py ANSWERS.jsonl [MEASURED.jsonl]

A row of the table is a line of ANSWERS, joined by `id` with the line of MEASURED, where the times are kept. It needs
the fields `id` and `answer`; `question`, `tokens_in`, `tokens_out` and the seconds that were worked (not those that
were waited) are shown where they are.
"""
import json
import shutil
import sys
import unicodedata

NUMBERS_WIDTH = 8
LEAST_TEXT_WIDTH = 30


def char_width(c):
    """Columns a character takes on a terminal (Unicode Standard Annex 11)."""
    if unicodedata.combining(c) or unicodedata.category(c) in ("Cf", "Cc", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(c) in "WF" else 1


def width(text):
    return sum(map(char_width, text))


def pieces(paragraph):
    """What a line may be broken between: words with the space before them, and wide characters with the marks that
    close or follow them."""
    piece = ""
    for c in paragraph:
        wide = piece and 2 in (char_width(c), char_width(piece[-1]))
        if piece and (c == " " or wide and unicodedata.category(c) not in ("Pe", "Pf", "Po")):
            yield piece
            piece = ""
        piece += c
    if piece:
        yield piece


def wrap(text, columns):
    """The text as lines of at most so many columns; what is wider without a place to break is broken anywhere."""
    lines = []
    for paragraph in text.split("\n"):
        line = ""
        for piece in pieces(" ".join(paragraph.split())):
            if line and width(line) + width(piece) > columns:
                lines.append(line)
                line, piece = "", piece.lstrip(" ")
            for c in piece:
                if width(line) + char_width(c) > columns:
                    lines.append(line)
                    line = ""
                line += c
        lines.append(line)
    return lines


def printable(value):
    """Text from a file must not steer the terminal."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) != "Cc" else "\ufffd" for c in str(value))


def read(path):
    rows = {}
    with open(path, encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            row = json.loads(line)
            if "id" not in row:
                sys.exit(f"{path}:{number}: no field id")
            rows[row["id"]] = row
    return rows


def seconds(row):
    """What a row took, less what it waited for others."""
    if "seconds" not in row:
        return None
    return float(row["seconds"]) - float(row.get("seconds_wait", 0))


def number(value):
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


class Table:
    """Three kinds of columns: a name, a text, and numbers at the right."""

    def __init__(self, names, heads):
        terminal = shutil.get_terminal_size((100, 24)).columns
        self.heads = heads
        self.name = min(max(map(width, names)), max(terminal // 4, 8))
        self.text = max(terminal - self.name - len(heads) * NUMBERS_WIDTH - 4, LEAST_TEXT_WIDTH)

    def row(self, name, text, numbers):
        left, middle = wrap(name, self.name), wrap(text, self.text)
        for i in range(max(len(left), len(middle))):
            cells = []
            for lines, columns in ((left, self.name), (middle, self.text)):
                cell = lines[i] if i < len(lines) else ""
                cells.append(cell + " " * (columns - width(cell)))
            line = "  ".join(cells) + "".join(n.rjust(NUMBERS_WIDTH) for n in numbers if i == 0)
            print(line.rstrip())

    def rule(self):
        print("-" * (self.name + self.text + 2 + len(self.heads) * NUMBERS_WIDTH))


def main(answers_path, measured_path=None):
    rows = read(answers_path)
    for key, measured in (read(measured_path) if measured_path else {}).items():
        rows.setdefault(key, {}).update(measured)
    if not rows:
        sys.exit(f"{answers_path}: no answers")
    for key, row in rows.items():
        if "answer" not in row:
            sys.exit(f"{answers_path}: {key} has no field answer")

    questions = {printable(row["question"]) for row in rows.values() if "question" in row}
    table = Table([printable(key) for key in rows], ("tok in", "tok out", "seconds"))
    print()
    if len(questions) == 1:
        print("\n".join(wrap("Question: " + questions.pop(), table.name + table.text)))
        print()
    table.row("document", "question, answer" if questions else "answer", table.heads)
    table.rule()
    sums = [0, 0, 0.0]
    for key, row in rows.items():
        numbers = (row.get("tokens_in"), row.get("tokens_out"), seconds(row))
        sums = [a + (b or 0) for a, b in zip(sums, numbers)]
        question = printable(row.get("question", "")) + "\n" if questions else ""
        table.row(printable(key), question + printable(row["answer"]).strip(), [number(n) for n in numbers])
        table.rule()
    table.row(f"{len(rows)} documents", "", [number(n) for n in sums])
    print()


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
