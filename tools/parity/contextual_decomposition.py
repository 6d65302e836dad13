"""Writes tests/parity/contextual_decomposition.safetensors: splits of tiny random models by the code of CD-T.

    git clone https://github.com/adelaidehsu/CD_Circuit /tmp/CD_Circuit
    python tools/parity/contextual_decomposition.py /tmp/CD_Circuit tests/parity/contextual_decomposition.safetensors

Needs torch, transformers and safetensors. The tests read the file alone. Its functions take modules of TransformerLens
and of BERT and read weights off them; stand-ins with these attributes hold the weights here, so that TransformerLens
itself is not needed.
"""
import pathlib
import re
import subprocess
import sys
import types

import torch
import transformers
from safetensors.torch import save_file

ROOT = pathlib.Path(sys.argv[1])
LAYERS, HEADS, WIDTH, HIDDEN, VOCAB, TOKENS = 3, 4, 16, 32, 23, 9
HEAD = WIDTH // HEADS


def einsum(pattern, *tensors):
    """Names of several letters become letters."""
    names = dict.fromkeys(re.findall(r"\w+", pattern))
    letters = {name: chr(ord("a") + i) for i, name in enumerate(names)}
    return torch.einsum(re.sub(r"\w+", lambda m: letters[m.group()], pattern).replace(" ", ""), *tensors)


def load_published():
    sys.modules["fancy_einsum"] = types.SimpleNamespace(einsum=einsum)
    sys.modules["transformer_lens"] = types.SimpleNamespace(HookedTransformer=type("HookedTransformer", (), {}))
    sys.modules.setdefault("tqdm", types.SimpleNamespace(tqdm=lambda rows, **_: rows))
    if not hasattr(transformers.modeling_utils, "ModuleUtilsMixin"):
        transformers.modeling_utils.ModuleUtilsMixin = None
    package = types.ModuleType("pyfunctions")
    package.__path__ = []
    sys.modules["pyfunctions"] = package
    for name in ("cdt_core", "wrappers", "cdt_ablations", "cdt_basic", "cdt_from_source_nodes", "cdt_source_to_target"):
        module = types.ModuleType("pyfunctions." + name)
        sys.modules["pyfunctions." + name] = module
        # An alias of Python 3.12, for older ones.
        source = re.sub(r"^type (\w+) = ", r"\1 = ", (ROOT / "pyfunctions" / (name + ".py")).read_text(), flags=re.M)
        exec(compile(source, name, "exec"), module.__dict__)
    return sys.modules["pyfunctions.cdt_basic"], sys.modules["pyfunctions.cdt_source_to_target"]


def randn(*sizes, scale=0.35):
    return torch.randn(*sizes) * scale


def gpt(tensors):
    def take(name, *sizes, one=0):
        tensors["gpt." + name] = randn(*sizes) + one
        return tensors["gpt." + name]

    def norm(path):
        return types.SimpleNamespace(w=take(path + ".weight", WIDTH, one=1), b=take(path + ".bias", WIDTH))

    def by_head(path):
        weight, bias = take(path + ".weight", WIDTH, WIDTH), take(path + ".bias", WIDTH)
        return weight.view(HEADS, HEAD, WIDTH).transpose(1, 2).contiguous(), bias.view(HEADS, HEAD)

    blocks = []
    for i in range(LAYERS):
        mixer, channel = f"layers.{i}.mixer", f"layers.{i}.channel"
        attention = types.SimpleNamespace(cfg=types.SimpleNamespace(n_heads=HEADS, d_head=HEAD))
        for letter, role in (("Q", "query"), ("K", "key"), ("V", "value")):
            weight, bias = by_head(f"{mixer}.{role}")
            setattr(attention, "W_" + letter, weight)
            setattr(attention, "b_" + letter, bias)
        attention.W_O = take(mixer + ".out.weight", WIDTH, WIDTH).T.contiguous().view(HEADS, HEAD, WIDTH)
        attention.b_O = take(mixer + ".out.bias", WIDTH)
        mlp = types.SimpleNamespace(W_in=take(channel + ".up.weight", HIDDEN, WIDTH).T, b_in=take(channel + ".up.bias", HIDDEN),
                                    W_out=take(channel + ".down.weight", WIDTH, HIDDEN).T, b_out=take(channel + ".down.bias", WIDTH))
        blocks.append(types.SimpleNamespace(ln1=norm(mixer + ".norm"), attn=attention, ln2=norm(channel + ".norm"), mlp=mlp))
    embedding, positions = take("embed.weight", VOCAB, WIDTH, one=0), take("position.weight", 12, WIDTH)
    return types.SimpleNamespace(
        blocks=blocks, embed=lambda ids: embedding[ids], pos_embed=lambda ids: positions[:ids.shape[1]].unsqueeze(0),
        ln_final=norm("norm"), unembed=types.SimpleNamespace(W_U=take("head.weight", VOCAB, WIDTH).T, b_U=take("head.bias", VOCAB)))


def gpt_tensors(published, tensors):
    model, node = gpt(tensors), published.Node
    ids = torch.randint(VOCAB, (1, TOKENS))
    mask = torch.full((TOKENS, TOKENS), torch.finfo(torch.float32).min).triu(1)[None, None]
    means = randn(LAYERS, TOKENS, WIDTH)
    sources = [node(0, 3, 1), node(0, 8, 2), node(1, 4, 0), node(1, 8, 3), node(2, 8, 1)]
    targets = [node(2, 8, 0), node(2, 5, 3)]
    tensors.update({"gpt.ids": ids, "gpt.means": means, "gpt.sources": torch.tensor(sources), "gpt.targets": torch.tensor(targets)})
    for inject in ("mean", "zero"):
        run = lambda wanted, read: published.prop_GPT(ids, mask, model, [(source,) for source in sources], wanted, "cpu",
                                                      mean_acts=means, set_irrel_to_mean=inject == "mean", target_decomp_method=read)
        out = run([], "residual")[0]
        tensors[f"gpt.{inject}.relevant"] = torch.stack([torch.as_tensor(one.rel)[0] for one in out])
        tensors[f"gpt.{inject}.rest"] = torch.stack([torch.as_tensor(one.irrel)[0] for one in out])
        for read in ("residual", "query", "key", "value"):
            found = run(targets, read)[1]
            tensors[f"gpt.{inject}.{read}.relevant"] = torch.stack([torch.stack(one.rels)[:, 0] for one in found])
            tensors[f"gpt.{inject}.{read}.rest"] = torch.stack([torch.stack(one.irrels)[:, 0] for one in found])


def bert_tensors(published, tensors):
    config = transformers.BertConfig(vocab_size=VOCAB, hidden_size=WIDTH, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                                     intermediate_size=HIDDEN, max_position_embeddings=12, attn_implementation="eager")
    encoder = transformers.BertModel(config).eval().encoder
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(randn(*parameter.shape))
    names = {"attention.self.query": "mixer.query", "attention.self.key": "mixer.key", "attention.self.value": "mixer.value",
             "attention.output.dense": "mixer.out", "attention.output.LayerNorm": "mixer.norm", "intermediate.dense": "channel.up",
             "output.dense": "channel.down", "output.LayerNorm": "channel.norm"}
    for name, value in encoder.state_dict().items():
        _, layer, part, kind = re.fullmatch(r"(layer)\.(\d+)\.(.+)\.(weight|bias)", name).groups()
        tensors[f"bert.layers.{layer}.{names[part]}.{kind}"] = value.clone()
    x = torch.randn(1, TOKENS, WIDTH)
    marks = torch.stack([torch.arange(TOKENS) == 2, torch.arange(TOKENS) < 5, torch.arange(TOKENS) % 2 == 0])
    relevant, rest = x * marks[..., None], x * ~marks[..., None]
    with torch.no_grad():
        out = published.prop_encoder(relevant.clone(), rest.clone(), None, [None] * LAYERS, encoder)
    tensors.update({"bert.x": x, "bert.marks": marks.long(), "bert.relevant": out[0], "bert.rest": out[1]})


def main():
    torch.manual_seed(0)
    basic, source_to_target = load_published()
    tensors = {}
    with torch.no_grad():
        gpt_tensors(source_to_target, tensors)
    bert_tensors(basic, tensors)
    commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
    save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, sys.argv[2],
              {"made_with": f"CD_Circuit {commit}, torch {torch.__version__}, transformers {transformers.__version__}"})


main()
