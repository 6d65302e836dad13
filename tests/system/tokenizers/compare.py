#!/usr/bin/env python3
"""compare.py PROGRAM: the program's tokens against the Hugging Face tokenizers library, SentencePiece and tiktoken.

Every family of families.py, folders of older files against transformers (older_files.py), and every tokenizer.json and
GGUF vocabulary under FORMWORK_MODELS, encodes and decodes the same 20,000 strings. Exit status 77 (skipped) without the Python packages.
"""
import base64
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

try:
    import sentencepiece
    import tiktoken
    from tokenizers import Tokenizer
except ImportError as error:
    print(f"SKIPPED: {error}; run: .venv/bin/pip install tokenizers sentencepiece tiktoken")
    sys.exit(77)

from families import FAMILIES, LLAMA3, sentencepiece_model
from older_files import FOLDERS
from gguf_vocabulary import tokenizer_of
from strings import all_strings

STRINGS = int(os.environ.get("FORMWORK_TOKENIZER_STRINGS", 20000))
PROGRAM = sys.argv[1]


def ours(path, strings_file, special):
    command = [PROGRAM, "tokenize", str(path), "--lines", str(strings_file)] + (["--special"] if special else [])
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    rows = [json.loads(line) for line in done.stdout.split("\n") if line]
    return [row["ids"] for row in rows], [row["text"] for row in rows]


def report(name, strings, what, mine, theirs):
    wrong = [i for i, (a, b) in enumerate(zip(mine, theirs, strict=True)) if a != b]
    for i in wrong[:3]:
        print(f"  {name}: {what} of {strings[i][:200]!r}:\n    ours   {str(mine[i])[:400]!r}\n    theirs {str(theirs[i])[:400]!r}")
    return len(wrong)


def check(name, path, theirs, decode, strings, strings_file, special, unknown=None):
    start = time.time()
    ids, texts = ours(path, strings_file, special)
    wrong = report(name, strings, "ids", ids, theirs)
    known = [i for i, row in enumerate(ids) if unknown not in row]  # SentencePiece prints its own sign for the unknown
    wrong += report(name, [strings[i] for i in known], "text", [texts[i] for i in known],
                    [text.encode(errors="replace").decode() for text in decode([ids[i] for i in known])])
    print(f"{name}: {len(strings)} strings, {wrong} differ ({time.time() - start:.1f} s)", flush=True)
    return wrong


def check_library(name, tokenizer, folder, strings, strings_file):
    path = folder / f"{name}.json"
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.save(str(path))
    theirs = [encoding.ids for encoding in tokenizer.encode_batch_fast(strings)]
    return check(name, path, theirs, lambda ids: tokenizer.decode_batch(ids, skip_special_tokens=False), strings,
                 strings_file, special=True)


def check_sentencepiece(kind, lines, folder, strings, strings_file, **options):
    """Strings with control characters or spelled-out control pieces are left out: there the two differ on purpose."""
    path = folder / f"{kind}{len(options)}.model"
    path.write_bytes(sentencepiece_model(lines, kind, **options))
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    plain = [s for s in strings if not any(piece in s for piece in ("<s>", "</s>", "<unk>", "\0"))]
    plain_file = folder / "plain.jsonl"
    plain_file.write_text("".join(json.dumps(s) + "\n" for s in plain))
    return check(f"sentencepiece-{kind}{options or ''}", path, processor.encode(plain), processor.decode, plain, plain_file, False,
                 processor.unk_id())


def check_older_files(name, lines, folder, strings, strings_file):
    """Folders that hold no tokenizer.json, as transformers reads them."""
    place = folder / name
    place.mkdir()
    made = FOLDERS[name](lines, place)
    if made is None:
        print(f"{name}: transformers is not installed: left out")
        return 0
    peer, taken = made
    chosen = [s.replace("[MASK]", "<mask>") for s in strings if taken(s)]
    chosen_file = folder / f"{name}.jsonl"
    chosen_file.write_text("".join(json.dumps(s) + "\n" for s in chosen))
    # What it makes of an unknown token when it decodes is not that token.
    unknown = peer.unk_token_id if name == "marian" else None
    return check(name, place, peer(chosen)["input_ids"], peer.batch_decode, chosen, chosen_file, True, unknown)


def check_tiktoken(tokenizer, folder, strings, strings_file):
    """Ranks made from a trained byte-level vocabulary; tiktoken itself is the peer."""
    model = json.loads(tokenizer.to_str())["model"]
    back = {char: byte for byte, char in enumerate(byte_characters())}
    tokens = [bytes(back[c] for c in text) for text, _ in sorted(model["vocab"].items(), key=lambda item: item[1])
              if all(c in back for c in text) and not text.startswith("<|")]
    ranks = {token: rank for rank, token in enumerate(tokens)}
    path = folder / "small.tiktoken"
    path.write_text("".join(f"{base64.b64encode(token).decode()} {rank}\n" for token, rank in ranks.items()))
    peer = tiktoken.Encoding("small", pat_str=LLAMA3, mergeable_ranks=ranks, special_tokens={})
    return check("tiktoken", path, [peer.encode_ordinary(s) for s in strings], peer.decode_batch, strings, strings_file, False)


def byte_characters():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    spare = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(spare)) for byte in range(256)]


def real_tokenizers():
    folder = os.environ.get("FORMWORK_MODELS")
    if not folder:
        print("FORMWORK_MODELS is not set: real models' tokenizers are left out")
        return
    for path in sorted(pathlib.Path(folder).rglob("*.gguf")):
        yield path.stem, tokenizer_of(path)
    for path in sorted(pathlib.Path(folder).rglob("tokenizer.json")):
        yield str(path.relative_to(folder)).replace("/", "-"), Tokenizer.from_file(str(path))


def main():
    os.environ["TOKENIZERS_PARALLELISM"] = "true"
    strings = all_strings(STRINGS)
    training = [s for s in strings if 20 < len(s) < 400 and s.isascii()][:4000] + [s for s in strings if len(s) < 40][-3000:]
    training = [s for s in training if "\0" not in s]
    wrong = 0
    only = sys.argv[2:]
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        strings_file = folder / "strings.jsonl"
        strings_file.write_text("".join(json.dumps(s) + "\n" for s in strings))
        for family, make in FAMILIES.items():
            if not only or family in only:
                wrong += check_library(family, make(training), folder, strings, strings_file)
        for kind in FOLDERS:
            if not only or kind in only:
                wrong += check_older_files(kind, training, folder, strings, strings_file)
        for real, tokenizer in real_tokenizers():
            if not only or "real" in only:
                wrong += check_library(real, tokenizer, folder, strings, strings_file)
        if not only or "sentencepiece" in only:
            wrong += check_sentencepiece("unigram", training, folder, strings, strings_file)
            wrong += check_sentencepiece("bpe", training, folder, strings, strings_file, byte_fallback=True,
                                         normalization_rule_name="identity", remove_extra_whitespaces=False)
        if not only or "tiktoken" in only:
            wrong += check_tiktoken(FAMILIES["llama3"](training), folder, strings, strings_file)
    if wrong:
        raise SystemExit(f"{wrong} results differ")


main()
