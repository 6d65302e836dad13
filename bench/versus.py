"""Formwork against its peers: the same model, weights, batch and threads, taking turns in one run. Training against
PyTorch stands here, decoding in decoding.py.

    make bench-versus                       everything, into docs/performance.md
    .venv/bin/python bench/versus.py --program build/release/formwork --only train-0.2M --rounds 3

A row is a ratio of throughputs (above 1: Formwork is faster) of medians over rounds. Each round gives every
contender the same number of steps. Before timing, Formwork's logits are compared with PyTorch's.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile

import decoding
from decoding import verdict

HERE = pathlib.Path(__file__).resolve().parent

TRAINING = {  # name: shape, targets as ratios of throughput to eager
    "train-0.2M": dict(vocab=256, width=64, layers=4, heads=4, hidden=176, tokens=64, batch=32, steps=80, warm=20,
                       targets={"float32": 2.0}),
    "train-4M": dict(vocab=256, width=256, layers=5, heads=8, hidden=688, tokens=256, batch=8, steps=8,
                     targets={"float32": 1.1, "bf16": 1.25}),
    "train-27M": dict(vocab=8192, width=512, layers=8, heads=8, hidden=1376, tokens=256, batch=8, steps=3,
                      targets={"float32": 1.0, "bf16": 1.1}),
}


def write_spec(path, shape):
    layer = {"mixer": {"type": "attention", "heads": shape["heads"], "position": "rotary"},
             "channel": {"type": "gated_mlp", "hidden": shape["hidden"]}}
    spec = {"formwork": 1, "model": {"type": "decoder", "width": shape["width"], "vocab": shape["vocab"],
                                     "tie": shape.get("tie", True),
                                     "layers": {"repeat": shape["layers"], "pattern": [layer]}}}
    pathlib.Path(path).write_text(json.dumps(spec))


class Worker:
    """A PyTorch contender in a process of its own: one JSON request a line, one answer a line."""

    def __init__(self, kind, **request):
        self.process = subprocess.Popen([sys.executable, HERE / "torch_worker.py", kind, json.dumps(request)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, **request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"versus: the PyTorch process ended: {self.process.args}")
        return json.loads(line)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def run(command, **options):
    """Runs a program -> (output, peak resident bytes)."""
    with tempfile.TemporaryFile() as out:
        process = subprocess.Popen([str(part) for part in command], stdout=out, stderr=subprocess.STDOUT, **options)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        out.seek(0)
        text = out.read().decode(errors="replace")
    if status != 0:
        raise SystemExit(f"versus: {' '.join(map(str, command))} failed:\n{text}")
    return text, usage.ru_maxrss * 1024


def train_formwork(program, spec, shape, precision, steps, folder, threads):
    shutil.rmtree(folder, ignore_errors=True)
    command = [program, "train", spec, "--task", "text", "--data", f"length={shape['tokens']}", "--data",
               "train_share=0.98", "--batch", shape["batch"], "--steps", steps, "--rate", "1e-3", "--log_every", 1, "--precision",
               precision, "--folder", folder]
    if shape["vocab"] != 256:
        command += ["--data", "tokenizer=bpe", "--data", f"vocab={shape['vocab']}"]
    _, peak = run(command, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    lines = [json.loads(line) for line in (pathlib.Path(folder) / "metrics.jsonl").read_text().splitlines()]
    speeds = [line["tokens_per_second"] for line in lines if "tokens_per_second" in line]
    return speeds[shape.get("warm", 2):], peak  # the first steps warm the allocator and the caches


def same_logits(program, folder, shape, work):
    ids, out = work / "ids.safetensors", work / "logits.safetensors"
    helper = [sys.executable, HERE / "torch_worker.py", "logits",
              json.dumps(dict(shape=shape, folder=str(folder), ids=str(ids), out=str(out)))]
    run(helper + ["write"])
    run([program, "forward", folder, "--inputs", ids, "--out", out])
    return json.loads(run(helper + ["compare"])[0].splitlines()[-1])["difference"]


def training_rows(program, name, shape, options, work):
    spec, folder = work / f"{name}.json", work / name
    write_spec(spec, shape)
    rows = []
    train_formwork(program, spec, shape, "float32", 3, folder, options.threads)
    difference = same_logits(program, folder, shape, work)
    for precision in ("float32", "bf16"):
        workers = {kind: Worker(kind, shape=shape, precision=precision, threads=options.threads)
                   for kind in ("eager", "compile")}
        speeds, peaks = {"formwork": [], "eager": [], "compile": []}, {}
        for _ in range(options.rounds):
            measured, peaks["formwork"] = train_formwork(program, spec, shape, precision,
                                                         shape["steps"] + shape.get("warm", 2), folder,
                                                         options.threads)
            speeds["formwork"] += measured
            for kind, worker in workers.items():
                answer = worker.ask(steps=shape["steps"])
                speeds[kind] += answer["speeds"]
                peaks[kind] = answer["peak"]
        for worker in workers.values():
            worker.close()
        middle = {kind: statistics.median(values) for kind, values in speeds.items()}
        rows.append(dict(name=name, precision=precision, tokens_per_second=middle, peak=peaks,
                         eager=middle["formwork"] / middle["eager"], compile=middle["formwork"] / middle["compile"],
                         memory=peaks["formwork"] / peaks["eager"], target=shape["targets"].get(precision),
                         difference=difference))
        print(json.dumps(rows[-1]), flush=True)
    return rows


def processor():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def write_report(path, training, decoded, options, commit):
    lines = ["# Performance", "",
             "Written by `make bench-versus` (`bench/versus.py`): the same model, weights, batch and threads in Formwork",
             "and in each peer, taking turns in one run; medians over rounds. A ratio above 1 means that Formwork is",
             "faster, a memory ratio below 1 that its process needs less.", "",
             f"{datetime.date.today()}, commit {commit}, {processor()}, {options.threads} threads, "
             f"{options.rounds} rounds.", ""]
    if training:
        lines += ["## Training step", "",
                  "A decoder with RMSNorm, rotary positions, SwiGLU and a tied head; fused AdamW, clipping. Logits agree",
                  f"within {max(row['difference'] for row in training):.1e}.", "",
                  "| model | precision | Formwork tokens/s | x eager | target | x torch.compile | peak memory, x eager |",
                  "|---|---|--:|--:|---|--:|--:|"]
        lines += [f"| {r['name'][6:]} | {r['precision']} | {r['tokens_per_second']['formwork']:,.0f} | {r['eager']:.2f} |"
                  f" {verdict(r['eager'], r['target'])} | {r['compile']:.2f} | {r['memory']:.2f} |" for r in training]
        lines.append("")
    if decoded[0]:
        lines += decoding.report(*decoded, options)
    notes = HERE / "notes.md"
    if notes.exists():
        lines.append(notes.read_text())
    pathlib.Path(path).write_text("\n".join(lines).rstrip() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the formwork program")
    parser.add_argument("--report", help="the Markdown file to write")
    parser.add_argument("--only", action="append", help="names of the rows to measure; repeatable")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--gguf", help="SmolLM2-135M's GGUF file, to decode it too")
    options = parser.parse_args()
    program = pathlib.Path(options.program).resolve()
    chosen = lambda name: not options.only or name in options.only
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    options.peers, training = decoding.installed_peers(), []
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for name, shape in TRAINING.items():
            if chosen(name):
                training += training_rows(program, name, shape, options, work)
        decoded = decoding.decoding_rows(program, options, work)
    if options.report:
        write_report(options.report, training, decoded, options, commit.strip() or "unknown")


main()
