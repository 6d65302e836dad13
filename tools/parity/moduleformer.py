"""Writes tests/parity/moduleformer.safetensors: a tiny random ModuleFormer of its authors, with its logits.

    git clone https://github.com/IBM/ModuleFormer
    python tools/parity/moduleformer.py ModuleFormer tests/parity/moduleformer.safetensors

Needs torch, transformers, safetensors and the authors' code, which is imported and not part of Formwork. The
tests read the file alone.
"""
import sys
import types

import torch
from safetensors.torch import save_file

# The configuration imports what newer versions of transformers have no more, and does not use it.
sys.modules["transformers.onnx"] = types.SimpleNamespace(OnnxConfigWithPast=object, PatchingSpec=object)
sys.path.insert(0, sys.argv[1])
from moduleformer.configuration_moduleformer import ModuleFormerConfig  # noqa: E402
from moduleformer.modeling_moduleformer import ModuleFormerBlock, stickbreaking_att  # noqa: E402
from moduleformer.utils.gate import top_k_gating  # noqa: E402

torch.manual_seed(0)
tensors = {}


def spread(module):
    for parameter in module.parameters():
        parameter.data.normal_(0, 0.3)
    return module.eval()


def put(prefix, module):
    tensors.update({prefix + name: value.detach().clone() for name, value in module.state_dict().items()
                    if not name.endswith((".mask", ".cum_weight"))})


# The score alone: queries of two modules and three heads, the row longer than the queries (history before).
q, k, v = torch.randn(2, 5, 2, 3, 8), torch.randn(2, 9, 3, 8), torch.randn(2, 9, 3, 8)
mask = torch.tril(torch.ones(9, 9, dtype=torch.int8))[4:]
y, weights = stickbreaking_att(q, k, v, mask, torch.tril(torch.ones(9, 9), -1))
tensors.update({"score.q": q, "score.k": k, "score.v": v, "score.y": y, "score.weights": weights})

# Each kind of router: chosen modules, gates, probabilities and both balancing losses.
hidden = torch.randn(40, 16)
tensors["gate.x"] = hidden
for kind in ("mlp", "linear", "gmm"):
    torch.manual_seed(1)
    for loss in ("mi", "switch"):
        gate = spread(top_k_gating(16, 6, 2, dropout=0, hidden_size=10, aux_loss=loss, gate_type=kind))
        if loss == "mi":
            put(f"gate.{kind}.", gate)
            saved = gate.state_dict()
        gate.load_state_dict(saved)
        chosen, gates, probabilities = gate(hidden)
        tensors[f"gate.{kind}.{loss}"] = gate.loss.detach().view(1)
    tensors.update({f"gate.{kind}.chosen": chosen, f"gate.{kind}.gates": gates.detach(),
                    f"gate.{kind}.probabilities": probabilities.detach()})

# Two blocks between embedding and head, as the model wires them; with its balancing losses.
config = ModuleFormerConfig(vocab_size=24, block_size=32, history_length=32, n_embd=16, n_layer=2, n_head=3,
                            att_hidden=24, ffd_hidden=20, gating_size=10, n_att_experts=5, k_att=2,
                            n_mlp_experts=6, k_mlp=2)
embed = spread(torch.nn.Embedding(24, 16))
blocks = [spread(ModuleFormerBlock(config)) for _ in range(2)]
norm, head = spread(torch.nn.LayerNorm(16)), spread(torch.nn.Linear(16, 24, bias=False))
put("model.embed.", embed), put("model.norm.", norm), put("model.head.", head)
ids = torch.randint(24, (2, 21))
x, losses = embed(ids), []
for i, block in enumerate(blocks):
    put(f"model.layers.{i}.", block)
    x, _, loss = block(x)
    losses.append(loss.detach().view(1))
tensors.update({"model.ids": ids, "model.logits": head(norm(x)).detach(), "model.losses": torch.cat(losses)})
save_file({name: value.detach().contiguous() for name, value in tensors.items()}, sys.argv[2],
          {"made_with": f"IBM/ModuleFormer 850f1eb, torch {torch.__version__}"})
