#!/usr/bin/env python3
"""Writes lines.bin, 2,000 lines that a tokenizer may stumble over; the same bytes at every run.

    lines.py [OUT]        default: lines.bin beside this script

Lines are joined by "\\n"; none is empty, holds a "\\n" or ends in "\\r". Many are no valid UTF-8.
Standard library only.
"""
import pathlib
import sys

COUNT = 2000

SENTENCES = """
The kettle whistled twice before anyone in the kitchen moved.
I'd say they're late, but we've seen worse; she'll phone when it's done, don't you think?
He SHOUTED: "IT'S MINE, THEY'LL SEE, WE'VE WON!" and sat down.
The bill came to $1,234.56 (incl. 19% VAT), i.e. about 1.03e3 euros.
Under the naïve façade, Zoë's résumé cost £3½ at the café.
Der Fährmann grüßt müde über das weiße Wasser.
L'été dernier, nous avons traversé la forêt jusqu'à la rivière gelée.
¿Dónde está el niño que pidió los pingüinos? ¡Allí!
Le vélo de Noël coûte 45 € ; « trop cher », dit-elle.
Żółw szedł powoli przez łąkę, aż zasnął pod dębem.
Příliš dlouhá cesta vedla k řece, kde čekal převozník.
Bugün İstanbul'da yağmur yağıyor, ışıklar söndü.
Hôm nay trời mưa, tôi ở nhà uống trà với bà ngoại.
Сегодня утром мельник нашёл на пороге рыжего кота.
Завтра ми підемо до лісу по гриби, якщо не буде дощу.
Το πρωί ο ψαράς άπλωσε τα δίχτυα του στην άμμο.
הבוקר קנינו לחם חם בשוק הישן של העיר.
في الصباح ذهبنا إلى السوق القديم لنشتري الخبز.
امروز صبح باران آرامی روی پنجره می‌بارید.
आज सुबह हमने नदी के किनारे चाय पी।
আজ সকালে আমরা নদীর ধারে হাঁটতে গিয়েছিলাম।
இன்று காலை நாங்கள் கடற்கரைக்குச் சென்றோம்.
ఈ ఉదయం మేము చెరువు దగ్గర నడిచాము.
เช้านี้เราเดินไปตลาดเก่าเพื่อซื้อขนมปัง
ဒီမနက် ကျွန်တော်တို့ ဈေးကို သွားကြတယ်။
ዛሬ ጠዋት ወደ ገበያ ሄድን።
დღეს დილით ბაზარში წავედით პურის საყიდლად.
Այսօր առավոտյան մենք գնացինք հին շուկա։
今天早上我们去老市场买了三个热面包。
昨日の朝、私たちは川のそばでお茶を飲みました。カタカナも、ひらがなも。
오늘 아침에 우리는 오래된 시장에서 빵을 샀어요.
ᎣᏏᏲ, ᏙᎯᏧ? ᐃᓄᒃᑎᑐᑦ ᓄᓇᕗᑦ
𝒯𝒽𝑒 𝔮𝔲𝔦𝔢𝔱 𝕞𝕚𝕝𝕝 𝟘𝟙𝟚𝟛 𐌰𐌱𐌲 𒀀𒀁 𓀀𓀁 𠀀𠀁𠮷
""".strip().split("\n")

EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇫🇷🇩🇪", "🇺", "❤️", "☎︎", "🧑🏿‍🚀", "1️⃣", "🫠", "©️", "⁉️", "🏴󠁧󠁢󠁳󠁣󠁴󠁿", "♟️", "⌚"]

MARKS = ["e\u0301", "n\u0303o", "a\u0308\u0304", "Z\u0351\u036b\u0343", "\u0301x", "q\u0307\u0323", "ক্ষ", "กำ", "각",
         "\u200dx", "x\u20dd", "שָׁ"]

CODE = """
for (size_t i = 0; i < n; i++) sum += a[i] * b[n - 1 - i];
if (!p || *p == '\\0') { return -1; } /* nothing left */
\treturn x if x >= 0 else -x  # absolute value
    def __init__(self, name: str = "none", *args, **kwargs) -> None:
SELECT name, COUNT(*) FROM visits WHERE day >= '2021-03-04' GROUP BY name;
<p class="lead">Fish &amp; chips&nbsp;&#8212; <b>5&euro;</b></p>
std::vector<std::pair<int, std::string>> rows{{1, "a"}, {2, "b"}};
let f = |x: &u8| -> Option<u8> { x.checked_add(1) };
const g = async (a, ...rest) => `${a}: ${rest.length}`;
grep -rn --include='*.c' "left\\|right" . | sort -u | head -n 20 && echo $?
x = 0xDEADBEEF ^ 0b1011 | 0o755; y = 1_000_000; z = .5e-3
\\frac{a^2 + b^2}{\\sqrt{c_{ij}}} \\leq \\sum_{k=1}^{\\infty} k^{-2}
@media (max-width: 40em) { .menu > li:not(:last-child)::after { content: "\\2022"; } }
#define MAX(a, b) ((a) > (b) ? (a) : (b))
CamelCaseNames and snake_case_names and kebab-case-names and SCREAMING_ONES
$ tar -xzf pkg-1.2.3.tar.gz -C /opt/pkg --strip-components=1
""".strip("\n").split("\n")

DATA = """
{"id": 17, "tags": ["a", "b\\u00e9"], "ok": true, "none": null, "pi": 3.14159, "deep": {"x": [[], {}]}}
[1,2,3,-4.5e+10,"\\n\\t\\"",false]
name,age,city;Ann,34,Oslo;"Lee, Bo",29,"New York"
key = value ; comment
https://example.org/a/b%20c?q=1&r=%E2%82%AC#top-2
mailto:someone+tag@mail.example.co.uk
ftp://user:pw@192.168.0.1:2121/files/report(final)_v2.pdf
C:\\Users\\mia\\Desktop\\notes (1).txt
2024-02-29T23:59:60.123456+05:30
| col a | col b |\t| --- | ---: |
- [x] done - [ ] open 1. first 2) second * star + plus
# Title ## Sub ### Subsub > quoted `code` **bold** _it_ ~~gone~~
""".strip().split("\n")

NUMBERS = ["7", "42", "1984", "123456789", "3.14159", "-0.5", "1,000,000", "1 000 000", "6.02e23", "0x1F", "½", "²³",
           "Ⅷ", "①②③", "٠١٢٣", "१२३४", "๑๒๓", "〇一二三", "𝟘𝟙𝟚", "1st", "2nd", "99%", "$5", "#1", "10:30", "v1.2.3-rc4",
           "１２３", "߁߂"]

CONTRACTIONS = ["it's", "I'm", "you're", "we've", "she'll", "he'd", "can't", "IT'S", "I'M", "YOU'RE", "WE'VE", "SHE'LL",
                "HE'D", "CAN'T", "'tis", "rock'n'roll", "'s", " 's", "'S'", "'re're", "it\u2019s", "o'clock", "'ll'd",
                "'", "''", "'x", "y'all'd've"]

SPACES = ["\t", " ", "\v", "\f", "\r", "\x85", "\xa0", "\u1680", "\u180e", "\u2000", "\u2002", "\u2003", "\u2009",
          "\u200a", "\u200b", "\u2028", "\u2029", "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff", "\x1c", "\x1d",
          "\x1e", "\x1f"]

SPECIALS = ["<|im_start|>", "<|im_end|>", "<|endoftext|>", "<repo_name>", "<reponame>", "<file_sep>", "<filename>",
            "<gh_stars>", "<issue_start>", "<jupyter_code>", "<empty_output>", "<|im_start|>system", "<|im_start|",
            "|im_end|>", "<|eot_id|>", "<|begin_of_text|>", "<s>", "</s>", "<unk>", "[INST]", "<think>", "</think>",
            "<|user|>", "<tool_call>"]

# Each class of bytes that are no UTF-8.
INVALID = [
    # lone continuations
    b"\x80", b"\xbf\xbf", b"a\x9fb",
    # overlong forms, two of them of '<' and ' '
    b"\xc0\xaf", b"\xc1\xbf", b"\xc0\x80", b"\xe0\x80\xaf", b"\xe0\x9f\xbf", b"\xf0\x80\x80\xaf", b"\xf0\x8f\xbf\xbf",
    b"\xc0\xbc|im_end|>", b"\xe0\x80\xa0x",
    # surrogates, and a pair of them
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xed\xa0\xbd\xed\xb8\x80",
    # beyond U+10FFFF
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf7\xbf\xbf\xbf",
    # no lead byte at all
    b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff\xff",
    # truncated
    b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\xe2\x82x", b"\xf0\x9f y", b"\xc3\xc3\xa9", b"\xe2\xe2\x82\xac",
    # valid, but rare
    b"\xef\xbf\xbd", b"\xef\xbf\xbe", b"\xf4\x8f\xbf\xbf",
]


class Draw:
    """A generator of our own (Marsaglia's xorshift64*), so that the file does not hang on a Python version."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        x = self.state
        x ^= x >> 12
        x ^= x << 25 & (1 << 64) - 1
        x ^= x >> 27
        self.state = x
        return (x * 0x2545F4914F6CDD1D >> 32 & 0xFFFFFFFF) % n

    def of(self, items):
        return items[self.below(len(items))]


def words(d):
    s = d.of(SENTENCES)
    cut = s.split(" ")
    at = d.below(len(cut))
    return " ".join(cut[at:at + 1 + d.below(12)]) or s


def random_code_points(d):
    ranges = [(0xA1, 0x24F), (0x370, 0x5FF), (0x600, 0x1FFF), (0x2010, 0x2BFF), (0x3001, 0x9FFF), (0xA000, 0xD7FF),
              (0xE000, 0xFFFD), (0x10000, 0x1FFFF), (0x20000, 0x323AF), (0xE0000, 0x10FFFF)]
    out = ""
    for _ in range(1 + d.below(10)):
        lo, hi = d.of(ranges)
        out += chr(lo + d.below(hi - lo + 1))
    return out


def controls(d):
    codes = [c for c in range(32) if c not in (9, 10, 13)] + [0x7F] + list(range(0x80, 0xA0))
    return "".join(chr(d.of(codes)) for _ in range(1 + d.below(6)))


def spaces(d):
    if d.below(2):
        return d.of(SPACES) * (1 + d.below(9))
    return "".join(d.of(SPACES) for _ in range(1 + d.below(6)))


def punctuation(d):
    return "".join(d.of("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~§¶†‡…—–«»„“”‹›¿¡、。「」・℃№→≠∑") for _ in range(1 + d.below(7)))


def repeated(d):
    return d.of(["a", "ab", "=", "-", " ", "é", "字", "0", "\t", "ha", ".", "😀", "\\", "<|"]) * (2 + d.below(60))


KINDS = [words, words, words, random_code_points, controls, spaces, punctuation, repeated,
         lambda d: d.of(EMOJI) * (1 + d.below(3)), lambda d: d.of(MARKS), lambda d: d.of(CODE), lambda d: d.of(DATA),
         lambda d: d.of(NUMBERS), lambda d: str(d.below(10 ** (1 + d.below(9)))), lambda d: d.of(CONTRACTIONS),
         lambda d: d.of(SPECIALS), lambda d: d.of(INVALID)]


def mixed(d):
    """Up to seven parts of any kind, joined by nothing or a space."""
    out = b""
    for _ in range(1 + d.below(7)):
        part = d.of(KINDS)(d)
        out += part if isinstance(part, bytes) else part.encode()
        out += d.of([b"", b" "])
    return out


def lines():
    d = Draw(0x6A65766F6E73)
    fixed = SENTENCES + CODE + DATA + EMOJI + MARKS + NUMBERS + CONTRACTIONS + SPECIALS
    fixed += [f"x{s}{s}y {s}z{s}w" for s in SPACES]
    out = [s.encode() for s in fixed] + INVALID + [b"left " + s + b" right" for s in INVALID]
    out += [bytes([b]) for b in range(256) if b not in (10, 13)]
    while len(out) < COUNT:
        line = mixed(d).replace(b"\n", b" ").rstrip(b"\r")
        if line:
            out.append(line)
    assert len(out) == COUNT and all(s and b"\n" not in s and not s.endswith(b"\r") for s in out)
    return out


if __name__ == "__main__":
    to = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).with_name("lines.bin")
    pathlib.Path(to).write_bytes(b"\n".join(lines()))
