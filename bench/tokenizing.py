"""Encoding speed against the Hugging Face tokenizers library, one thread each, taking turns in one run.

    .venv/bin/python bench/tokenizing.py --program build/release/bench_tokenize --models FOLDER

Lines of the data sets in FORMWORK_DATA, 10 MB in all, are encoded as they are, one after the other. A row is the median
over rounds; a ratio above 1 means that Formwork is faster. Tokens made must be equal. Models: SmolLM2 (from the GGUF file
under FOLDER) for byte-level BPE, MiniLM (its tokenizer.json) for WordPiece, and small ones that are trained on the spot.
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"
HERE = pathlib.Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent / "tests/system/tokenizers")  # this file has the library's name, so its folder must go

from tokenizers import Tokenizer  # noqa: E402

import families  # noqa: E402
from gguf_vocabulary import tokenizer_of  # noqa: E402


def corpus(size):
    data = pathlib.Path(os.environ["FORMWORK_DATA"])
    files = [path for name in ("text", "nlp", "translation", "gec") for path in sorted((data / name).iterdir())]
    text = "\n".join(path.read_bytes().decode(errors="replace").replace("\r", "") for path in files)
    lines, total = [], 0
    for line in (text * (size // len(text) + 1)).split("\n"):
        if line:
            lines.append(line)
            total += len(line.encode()) + 1
        if total >= size:
            break
    return lines, total


def contenders(models, lines):
    training = lines[:: max(1, len(lines) // 20000)]
    for path in sorted(models.rglob("*.gguf")):
        yield f"byte-level BPE ({path.stem.split('-Instruct')[0]})", tokenizer_of(path)
    for path in sorted(models.rglob("tokenizer.json")):
        yield "WordPiece (MiniLM)", Tokenizer.from_file(str(path))
    yield "Unigram (T5 pipeline, 8,000 pieces)", families.t5(training, size=8000)
    yield "BPE, whole text as one word (Llama 2 pipeline)", families.llama2(training)
    yield "byte-level BPE (Llama 3 pipeline)", families.llama3(training)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--program", required=True)
    parser.add_argument("--models", type=pathlib.Path, default=pathlib.Path("/nonexistent"))
    parser.add_argument("--megabytes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    lines, size = corpus(int(arguments.megabytes * 1e6))
    print(f"{size / 1e6:.1f} MB in {len(lines)} lines, {arguments.rounds} rounds\n")
    print("| tokenizer | Formwork, MB/s | tokenizers, MB/s | ratio |\n|---|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as folder:
        text = pathlib.Path(folder) / "text"
        text.write_text("\n".join(lines))
        for name, tokenizer in contenders(arguments.models, lines):
            tokenizer.no_padding()
            tokenizer.no_truncation()
            path = pathlib.Path(folder) / "tokenizer.json"
            tokenizer.save(str(path))
            ours, theirs = [], []
            for _ in range(arguments.rounds):
                done = subprocess.run([arguments.program, path, text], check=True, capture_output=True, text=True)
                ours.append(float(done.stdout.split()[0]))
                start = time.perf_counter()
                encodings = tokenizer.encode_batch_fast(lines, add_special_tokens=False)
                theirs.append(time.perf_counter() - start)
            tokens = sum(len(encoding.ids) for encoding in encodings)
            if tokens != int(done.stdout.split()[1]):
                raise SystemExit(f"{name}: {done.stdout.split()[1]} tokens, tokenizers makes {tokens}")
            mine, peer = statistics.median(ours), statistics.median(theirs)
            print(f"| {name} | {size / mine / 1e6:.1f} | {size / peer / 1e6:.1f} | {peer / mine:.2f} |", flush=True)


main()
