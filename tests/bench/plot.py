"""The speed of both sides behind longer and longer texts, drawn.

usage: plot.py CSV > SVG: of what `peers.py --context --csv CSV` wrote; a panel for each model and test.
"""

import csv
import statistics
import sys

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 380, 264, 56, 58, 40
SIDES = [("jevons", "#0b6e4f"), ("llama", "#b5541c")]
NAMES = {"jevons": "jevons", "llama": "llama.cpp"}


def read(path):
    """{(model, test): {context: {side: median tokens a second}}}"""
    rows = {}
    with open(path, encoding="utf-8", newline="") as f:
        for row in csv.DictReader(f):
            at = rows.setdefault((row["model"], row["test"]), {}).setdefault(int(row["context"]), {"jevons": [], "llama": []})
            for side, _ in SIDES:
                at[side].append(float(row[side]))
    return {k: {c: {s: statistics.median(v) for s, v in sides.items()} for c, sides in v.items()} for k, v in rows.items()}


def round_up(value):
    unit = 10 ** (len(str(int(value))) - 1)
    return next(unit * f for f in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if unit * f >= value)


def panel(x0, y0, title, points):
    most_x, most_y = max(points), round_up(max(v for sides in points.values() for v in sides.values()))
    wide, high = WIDTH - LEFT - 24, HEIGHT - TOP - BOTTOM

    def at(context, speed):
        return f"{x0 + LEFT + wide * context / most_x:.1f},{y0 + TOP + high * (1 - speed / most_y):.1f}"

    out = [f'<text x="{x0 + LEFT}" y="{y0 + 44}">{title}</text>']
    for i in range(5):
        speed = most_y * i / 4
        x, y = at(0, speed).split(",")
        out.append(f'<line x1="{x}" y1="{y}" x2="{x0 + LEFT + wide}" y2="{y}" class="grid"/>')
        out.append(f'<text x="{float(x) - 6}" y="{float(y) + 4}" class="end">{speed:g}</text>')
    for context in sorted(points):
        x, y = at(context, 0).split(",")
        out.append(f'<text x="{x}" y="{float(y) + 16}" class="middle">{context}</text>')
    for side, colour in SIDES:
        line = [at(c, points[c][side]) for c in sorted(points)]
        out.append(f'<polyline points="{" ".join(line)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out += [f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3" fill="{colour}"/>' for p in line]
    out.append(f'<text x="{x0 + LEFT + wide / 2}" y="{y0 + HEIGHT - 6}" class="middle">tokens in front</text>')
    return out


def main():
    found = read(sys.argv[1])
    models = sorted({model for model, _ in found})
    wide, high = 2 * WIDTH, len(models) * HEIGHT + 28
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high}" width="{wide}" height="{high}">',
           "<style>text{font:12px sans-serif;fill:#222}.title{font-weight:bold}.end{text-anchor:end}"
           ".middle{text-anchor:middle}.grid{stroke:#ddd}</style>",
           f'<rect width="{wide}" height="{high}" fill="#fff"/>']
    for row, model in enumerate(models):
        out.append(f'<text x="{LEFT}" y="{row * HEIGHT + 22}" class="title">{model.removesuffix(".gguf")}</text>')
        for column, test in enumerate(("prefill", "decode")):
            out += panel(column * WIDTH, row * HEIGHT, f"{test}, tokens a second", found[model, test])
    for i, (side, colour) in enumerate(SIDES):
        out.append(f'<circle cx="{LEFT + 110 * i}" cy="{high - 14}" r="5" fill="{colour}"/>')
        out.append(f'<text x="{LEFT + 12 + 110 * i}" y="{high - 10}">{NAMES[side]}</text>')
    print("\n".join(out + ["</svg>"]))


if __name__ == "__main__":
    main()
