"""Decoding beside Hugging Face transformers, CTranslate2 and llama.cpp: the same weights, taking turns in one run.

Part of `make bench-versus`; alone: decoding.py --program build/release/formwork [--only NAME] [--rounds 3] [--gguf FILE]

Measured: loading, reading a prompt of 128 and of 1,024 tokens, decoding 64 tokens after 128 at batch 1 and 8, and the
peak memory of the process. A contender that is not installed is left out, and the report says so.
"""
import argparse
import importlib.util
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
SHAPES = {"llama-15M": dict(hidden_size=288, num_hidden_layers=6, num_attention_heads=6, intermediate_size=768),
          "llama-110M": dict(hidden_size=768, num_hidden_layers=12, num_attention_heads=12, intermediate_size=2048)}
CASES = [dict(name="prompt 128", batch=1, prompt=128, tokens=0, value="prompt"),
         dict(name="prompt 1024", batch=1, prompt=1024, tokens=0, value="prompt"),
         dict(name="decode batch 1", batch=1, prompt=128, tokens=64, value="decode"),
         dict(name="decode batch 8", batch=8, prompt=128, tokens=64, value="decode")]
TARGETS = {  # (weights, case, peer): ratio of speeds
    ("f32", "decode batch 1", "llama.cpp"): 1.2, ("q8_0", "decode batch 1", "llama.cpp"): 1.6,
    ("q4_1", "decode batch 1", "llama.cpp"): 1.6} | {
    (kind, "decode batch 8", "llama.cpp"): 1.2 for kind in ("f32", "q8_0", "q4_1")} | {
    (kind, case, "llama.cpp"): 1.2 for kind in ("f32", "q8_0", "q4_1") for case in ("prompt 128", "prompt 1024")} | {
    ("f32", case, "ctranslate2"): 1.0 for case in ("prompt 128", "prompt 1024")} | {
    ("f32", "decode batch 1", "transformers"): 2.5, ("f32", "decode batch 8", "transformers"): 1.5}
MODULES = {"transformers": "transformers", "ctranslate2": "ctranslate2", "llama.cpp": "llama_cpp"}


def call(*words):
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"decoding: {' '.join(map(str, words))} failed:\n{done.stdout}{done.stderr}")


class Contender:
    def __init__(self, command, threads):
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
        self.process = subprocess.Popen([str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        text=True, env=environment)
        self.load = self.answer()["load_seconds"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"decoding: a contender ended: {self.process.args}")
        return json.loads(line)

    def ask(self, case):
        self.process.stdin.write(json.dumps({key: case[key] for key in ("batch", "prompt", "tokens")}) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def random_llama(folder, shape):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, logging
    logging.disable_progress_bar()
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(vocab_size=32000, rms_norm_eps=1e-5, tie_word_embeddings=False,
                                 max_position_embeddings=2048, **shape)).save_pretrained(folder)


def to_ctranslate2(source, target):
    """Tokens are named by their numbers: what is measured are ids."""
    from ctranslate2.converters import transformers as converter
    from transformers import AutoConfig
    size = AutoConfig.from_pretrained(source).vocab_size

    class Loader(converter.LlamaLoader):
        def get_vocabulary(self, model, tokenizer):
            return [f"t{id}" for id in range(size)]

        def set_vocabulary(self, spec, tokens):
            spec.register_vocabulary(tokens)

        def set_config(self, config, model, tokenizer):
            config.bos_token, config.eos_token, config.unk_token = "t1", "t2", "t0"
            config.layer_norm_epsilon = model.config.rms_norm_eps

    class Tokenizer:
        @staticmethod
        def from_pretrained(*arguments, **options):
            return None

    converter._MODEL_LOADERS["LlamaConfig"] = Loader()
    converter.transformers.AutoTokenizer = Tokenizer
    converter.TransformersConverter(str(source)).convert(str(target), force=True)


def make_models(program, name, work, gguf, peers):
    """Paths of one model for every contender: {weights: {contender: path}}."""
    source, kinds, models = work / name, ["f32", "q8_0", "q4_1"], {}
    if name in SHAPES:
        random_llama(source, SHAPES[name])
    else:  # a GGUF file as it is, and what its weights are in float32
        call(program, "compress", gguf, "to_dense", "--out", work / "dense")
        call(program, "export", work / "dense", "--out", source)
        kinds, models = ["f32"], {"q4_1": {"llama.cpp": gguf, "formwork": gguf}}
    models["f32"] = {"transformers": source}
    if "ctranslate2" in peers:
        to_ctranslate2(source, work / f"{name}-ct2")
        models["f32"]["ctranslate2"] = work / f"{name}-ct2"
    for kind in kinds:
        path = work / f"{name}-{kind}.gguf"
        call(program, "export", source, "--out", path, "--type", kind)
        models.setdefault(kind, {})["llama.cpp"] = path
        models[kind]["formwork"] = path
    return models


def share(a, b):
    """Of two lists of rows of tokens: how many begin alike, on average."""
    lengths = [next((i for i, (x, y) in enumerate(zip(p, q)) if x != y), len(p)) / len(p) for p, q in zip(a, b)]
    return sum(lengths) / len(lengths)


def measure(program, name, kind, paths, options):
    worker = program.parent / "bench_runtime_worker"
    commands = {"formwork": [worker, paths["formwork"], options.threads]} | {
        peer: [sys.executable, HERE / "decode_peers.py", peer, path, options.threads]
        for peer, path in paths.items() if peer != "formwork" and peer in options.peers}
    running = {who: Contender(command, options.threads) for who, command in commands.items()}
    for contender in running.values():  # the first touch of the weights is none of what is measured
        contender.ask(dict(batch=1, prompt=32, tokens=1))
    rows = []
    for case in CASES:
        seconds, ids, peaks = {who: [] for who in running}, {}, {}
        for _ in range(options.rounds):
            for who, contender in running.items():
                answer = contender.ask(case)
                seconds[who].append(answer[f"{case['value']}_seconds"])
                ids[who], peaks[who] = answer["ids"], answer["peak"]
        made = case["batch"] * (case["prompt"] if case["value"] == "prompt" else case["tokens"])
        speeds = {who: made / statistics.median(values) for who, values in seconds.items()}
        for peer in running:
            if peer == "formwork":
                continue
            rows.append(dict(model=name, weights=kind, case=case["name"], peer=peer, formwork=speeds["formwork"],
                             theirs=speeds[peer], ratio=speeds["formwork"] / speeds[peer],
                             target=TARGETS.get((kind, case["name"], peer)), same=share(ids["formwork"], ids[peer]),
                             memory=peaks["formwork"] / peaks[peer]))
            print(json.dumps(rows[-1]), flush=True)
    loads = {who: contender.load for who, contender in running.items()}
    for contender in running.values():
        contender.close()
    return rows, loads


def decoding_rows(program, options, work):
    rows, loads = [], {}
    names = [name for name in (*SHAPES, "smollm2-135M") if name in SHAPES or options.gguf]
    for name in names:
        if options.only and name not in options.only:
            continue
        for kind, paths in make_models(program, name, work, options.gguf, options.peers).items():
            more, loads[name, kind] = measure(program, name, kind, paths, options)
            rows += more
    return rows, loads


def verdict(value, target):
    return "" if target is None else f"{target:g} {'met' if value >= target else '**missed**'}"


def report(rows, loads, options):
    missing = [peer for peer in MODULES if peer not in options.peers]
    lines = ["## Decoding", "",
             "Greedy, from the same weights, the runtime without LibTorch against each peer in turns: tokens a second of",
             "reading a prompt, and of 64 tokens after a prompt of 128. `same` is the share of the tokens made before the",
             "first that differs (random weights decide by little).", ""]
    if missing:
        lines += [f"Not installed, so not measured: {', '.join(missing)}.", ""]
    lines += ["| model | weights | what | peer | Formwork tokens/s | x peer | target | peak memory, x peer | same |",
              "|---|---|---|---|--:|--:|---|--:|--:|"]
    lines += [f"| {r['model']} | {r['weights']} | {r['case']} | {r['peer']} | {r['formwork']:,.1f} | {r['ratio']:.2f} |"
              f" {verdict(r['ratio'], r['target'])} | {r['memory']:.2f} | {r['same']:.2f} |" for r in rows]
    lines += ["", "Loading, seconds:", "", "| model | weights | " + " | ".join(("formwork", *MODULES)) + " |",
              "|---|---|" + "--:|" * (1 + len(MODULES))]
    for (name, kind), times in loads.items():
        cells = [f"{times[who]:.3f}" if who in times else "" for who in ("formwork", *MODULES)]
        lines.append(f"| {name} | {kind} | " + " | ".join(cells) + " |")
    return lines + [""]


def installed_peers():
    return [peer for peer, module in MODULES.items() if importlib.util.find_spec(module)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="the formwork program")
    parser.add_argument("--only", action="append", help="names of models to measure; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--gguf", help="SmolLM2-135M's GGUF file")
    options = parser.parse_args()
    options.peers = installed_peers()
    with tempfile.TemporaryDirectory() as work:
        rows, loads = decoding_rows(pathlib.Path(options.program).resolve(), options, pathlib.Path(work))
    print("\n".join(report(rows, loads, options)))


if __name__ == "__main__":
    main()
