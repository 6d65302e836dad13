"""The strings on which tokenizers are compared: lines of real text and code, and everything Unicode can do."""
import gzip
import json
import os
import pathlib
import random

ROOT = pathlib.Path(__file__).resolve().parents[3]


def lines_of(path):
    opened = gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb")
    with opened as file:
        return [line.rstrip("\n") for line in file.read().decode(errors="replace").splitlines(keepends=True)]


def real_lines(count, generator):
    """Lines of the data sets in FORMWORK_DATA, or else of this project's own files."""
    data = os.environ.get("FORMWORK_DATA")
    if data:
        folders = [pathlib.Path(data) / name for name in ("text", "nlp", "translation", "gec", "code")]
    else:
        folders = [ROOT / "docs", ROOT / "formwork" / "text"]
    per_folder = count // len(folders) + 1
    lines = []
    for folder in folders:
        found = [line for path in sorted(folder.rglob("*")) if path.is_file() for line in lines_of(path)]
        if folder.name == "code":
            found = [part for line in found for part in code_of(line)]
        lines += generator.sample(found, min(per_folder, len(found)))
    return [line[:1500] for line in lines][:count]


def code_of(line):
    try:
        problem = json.loads(line)
    except json.JSONDecodeError:
        return [line]
    return [text for key in ("prompt", "canonical_solution", "test") if key in problem
            for text in (problem[key], *problem[key].split("\n"))]


def any_character(generator):
    while True:
        code = generator.choice((generator.randrange(0x80), generator.randrange(0x3000), generator.randrange(0x10000),
                                 generator.randrange(0x10000, 0x20000), generator.randrange(0x20000, 0x32400),
                                 generator.randrange(0x110000)))
        if not 0xD800 <= code <= 0xDFFF:
            return chr(code)


MARKS = [chr(c) for c in (*range(0x300, 0x370), 0x1AB0, 0x20DD, 0x3099, 0x309A, 0x5B0, 0x64B, 0x93C, 0x94D, 0xE31)]
EMOJI = ["\U0001F600", "\U0001F468\u200D\U0001F469\u200D\U0001F467", "\U0001F1E9\U0001F1EA", "\U0001F44D\U0001F3FD",
         "\u2764\uFE0F", "1\uFE0F\u20E3", "\U0001F3F4\U000E0067\U000E0062\U000E007F", "\u200D", "\uFE0F"]
SPACES = [" ", "  ", "\t", "\n", "\r\n", "\r", "\v", "\f", "\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u3000", "\u200b",
          "\ufeff", "\u180e", "   "]
PIECES = ["'s", "'S", "'T", "'re", "'LL", "'ve", "'\u017F", "'", "n't", "0", "1", "123", "4567", "\u0664", "\u2167", "\xbd", "a",
          "B", "the", "The", "\xe9", "e\u0301", "\u4e2d\u6587", "\u0130", "\xdf", "\ufb01", "\u2581", "_", "-", "--", ".", "...",
          "!", "?", "<s>", "</s>", "[CLS]", "[SEP]", "[MASK]", "##ing", "<unk>", "<0x0A>", "<|im_start|>", "\u212b", "\uac00",
          "\u1100\u1161", "$", "+", "\\", "/", "\0", "\x01", "\x7f", "\ufffd", " ", " ", "\u0e33", "\u30ac", "\u30ab\u3099"]


def made_strings(count, generator):
    kinds = [lambda: any_character(generator),
             lambda: generator.choice("aeiou \u4e2d\u05d0\u0628\u0915") + "".join(generator.choices(MARKS, k=generator.randrange(3))),
             lambda: generator.choice(EMOJI + [" ", "x"]),
             lambda: generator.choice(SPACES + ["a", "1", ".", "\xe9"]),
             lambda: generator.choice(PIECES)]
    strings = []
    for number in range(count):
        if number % 6 == 5:
            data = bytes(generator.choice((generator.randrange(256), generator.randrange(0xC0, 256), 0x41, 0x80))
                         for _ in range(generator.randrange(1, 24)))
            strings.append(data.decode(errors="replace"))
            continue
        kind = kinds[number % 6]
        strings.append("".join(kind() for _ in range(generator.randrange(1, 24))))
    return strings


def all_strings(count):
    generator = random.Random(20)
    edges = ["", " ", "  ", "\n", "a", " a", "a ", "\u2581", "\u2581a", "'s", "<s>", "<s> a", "a<s>b</s>", "x" * 3000, "a b " * 500,
             "\xe9" * 300, "\u4e2d" * 200, "1234567890" * 50, " " * 200, "\n" * 100, "." * 100]
    made = made_strings(count * 2 // 5, generator)
    return (edges + made + real_lines(count - len(edges) - len(made), generator))[:count]
