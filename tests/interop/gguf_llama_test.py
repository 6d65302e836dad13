"""Checks exported GGUF files against llama.cpp: the same greedy tokens from F32 and Q8_0 files.

    gguf_llama_test.py PROGRAM

Small random models of architectures llama, qwen2 and gpt2 are written as Formwork folders, exported, and continued by
both. From F32 files the tokens are the same. Of Q8_0 files llama.cpp rounds the scales of inputs to 16 bits and Formwork
does not, so a token may differ where llama.cpp itself finds the two nearly equal. Needs llama-cpp-python and numpy; exits with 77 (skipped) where they are not installed.
"""
import ctypes
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

try:
    import llama_cpp
    import numpy as np
except ImportError as error:
    print(f"SKIPPED: exported GGUF files are compared with llama.cpp, which is not installed ({error}); "
          "`pip install llama-cpp-python` builds it in some minutes")
    sys.exit(77)

PROGRAM = sys.argv[1]
TOKENS, PROMPT = 48, [17, 40, 5, 61, 33, 8]
VOCAB, WIDTH, HIDDEN, HEADS, KV_HEADS, LAYERS = 96, 64, 96, 4, 2, 2
HEAD = WIDTH // HEADS
NEARLY_EQUAL = 0.06  # standard deviations of the logits; a wrong product gives 1 and more


def llama(bias):
    mixer = {"type": "attention", "heads": HEADS, "kv_heads": KV_HEADS, "bias": bias, "position": "rotary"}
    layer = {"mixer": mixer, "channel": {"type": "gated_mlp", "hidden": HIDDEN}}
    spec = {"type": "decoder", "vocab": VOCAB, "width": WIDTH, "tie": False,
            "layers": {"repeat": LAYERS, "pattern": [layer]}}
    rows = (HEADS + 2 * KV_HEADS) * HEAD
    shapes = {"embed.weight": [VOCAB, WIDTH], "norm.weight": [WIDTH], "head.weight": [VOCAB, WIDTH]}
    for i in range(LAYERS):
        name = f"layers.{i}."
        shapes |= {name + "mixer.norm.weight": [WIDTH], name + "mixer.qkv.weight": [rows, WIDTH],
                   name + "mixer.out.weight": [WIDTH, WIDTH], name + "channel.norm.weight": [WIDTH],
                   name + "channel.gate_up.weight": [2 * HIDDEN, WIDTH], name + "channel.down.weight": [WIDTH, HIDDEN],
                   name + "mixer.position.inverse_frequency": None}
        if bias:
            shapes[name + "mixer.qkv.bias"] = [rows]
    return spec, shapes


def gpt2():
    layer = {"norm": "layer_norm", "mixer": {"type": "attention", "heads": HEADS, "bias": True, "out_bias": True},
             "channel": {"type": "mlp", "hidden": HIDDEN, "activation": "gelu_tanh"}}
    spec = {"type": "decoder", "vocab": VOCAB, "width": WIDTH, "tie": True, "norm": "layer_norm",
            "position": {"type": "learned", "context": 64}, "layers": {"repeat": LAYERS, "pattern": [layer]}}
    shapes = {"embed.weight": [VOCAB, WIDTH], "position.weight": [64, WIDTH], "norm.weight": [WIDTH], "norm.bias": [WIDTH]}
    for i in range(LAYERS):
        name = f"layers.{i}."
        shapes |= {name + f"{part}.norm.{kind}": [WIDTH] for part in ("mixer", "channel") for kind in ("weight", "bias")}
        for part, out, into in (("mixer.qkv", 3 * WIDTH, WIDTH), ("mixer.out", WIDTH, WIDTH),
                                ("channel.up", HIDDEN, WIDTH), ("channel.down", WIDTH, HIDDEN)):
            shapes |= {name + part + ".weight": [out, into], name + part + ".bias": [out]}
    return spec, shapes


def random_tensor(random, name, shape):
    if shape is None:
        frequencies = 10000.0 ** (-np.arange(0, HEAD, 2) / HEAD)
        return np.concatenate([frequencies, frequencies])
    if name.endswith("norm.weight"):
        return 1 + 0.1 * random.standard_normal(shape)
    size = 1.0 if name.startswith(("embed", "head", "position")) else 1.5 / np.sqrt(shape[-1]) if len(shape) == 2 else 0.3
    return size * random.standard_normal(shape)


def write_folder(folder, spec, shapes):
    random = np.random.default_rng(4)
    header, data = {}, b""
    for name, shape in shapes.items():
        values = random_tensor(random, name, shape).astype("<f4")
        header[name] = {"dtype": "F32", "shape": list(values.shape), "data_offsets": [len(data), len(data) + values.nbytes]}
        data += values.tobytes()
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    (folder / "formwork.json").write_text(json.dumps({"formwork": 1, "model": spec}))


def formwork(*words):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"FAILED: formwork {' '.join(map(str, words))}\n{done.stderr}")
    return done.stdout


def ours(model):
    return [int(word) for word in formwork("generate", model, "--ids", ",".join(map(str, PROMPT)), "--tokens", TOKENS)
            .replace(",", " ").split()][-TOKENS:]


def theirs(path, forced=None):
    """The tokens that llama.cpp makes; with `forced`, how far its logits of those tokens lie below the best ones, at
    most, in standard deviations of the logits."""
    model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
    if not model:
        sys.exit(f"FAILED: llama.cpp does not load {path}")
    params = llama_cpp.llama_context_default_params()
    params.n_ctx, params.n_threads, params.n_threads_batch = 64, 1, 1
    context = llama_cpp.llama_init_from_model(model, params)
    made, tokens, below = [], list(PROMPT), 0.0
    for i in range(TOKENS):
        array = (llama_cpp.llama_token * len(tokens))(*tokens)
        assert llama_cpp.llama_decode(context, llama_cpp.llama_batch_get_one(array, len(tokens))) == 0
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits_ith(context, -1), (VOCAB,))
        tokens = [int(logits.argmax())] if forced is None else forced[i : i + 1]
        below = max(below, float((logits.max() - logits[tokens[0]]) / logits.std()))
        made += tokens
    llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return made if forced is None else below


@llama_cpp.llama_log_callback
def silent(level, text, data):
    if level >= 4:
        sys.stderr.write(text.decode(errors="replace"))


def main():
    llama_cpp.llama_log_set(silent, ctypes.c_void_p(0))
    failures = 0
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place)
        for name, (spec, shapes) in {"llama": llama(False), "qwen2": llama(True), "gpt2": gpt2()}.items():
            write_folder(place / name, spec, shapes)
            plain = ours(place / name)
            for kind in ("f32", "q8_0"):
                path = place / f"{name}-{kind}.gguf"
                formwork("export", place / name, "--out", path, "--type", kind)
                mine, llamas = ours(path), theirs(path)
                same, below = mine == llamas, theirs(path, mine)
                good = same and mine == plain if kind == "f32" else below < NEARLY_EQUAL
                failures += not good
                print(f"{name:6} {kind:5} {'the same' if same else 'other'} {TOKENS} tokens, {len(set(mine))} kinds, at most "
                      f"{below:.4f} below the best")
                if not good:
                    print("  Formwork ", mine, "\n  llama.cpp", llamas, "\n  before   ", plain)
    sys.exit(1 if failures else 0)


main()
