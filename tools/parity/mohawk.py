"""Writes tests/parity/mohawk.safetensors: a tiny Phi and a tiny Phi-Mamba, and what the three stages compare.

    git clone https://github.com/goombalab/phi-mamba /tmp/phi-mamba
    python tools/parity/mohawk.py /tmp/phi-mamba tests/parity/mohawk.safetensors

Needs torch, transformers, einops and safetensors. The tests read the file alone. The student is the published one, whose
scans run on a GPU; here they are the published reference functions (discrete_mamba2_ref.py), on the CPU. The teacher is
Phi of Hugging Face Transformers.
"""
import pathlib
import subprocess
import sys
import types

import torch
import transformers
from safetensors.torch import save_file

ROOT = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(ROOT))
LAYERS, HEADS, WIDTH, STATES, VOCAB, TOKENS = 2, 2, 8, 3, 24, 21


def chunk_scan(x, dt, dt_softplus, A, B, C, chunk_size, return_final_states):
    """The kernel's contract by the reference: the caller has divided x by softplus(dt)."""
    from modules.mixers.discrete_mamba2_ref import ssd_minimal_discrete
    assert dt_softplus and not return_final_states
    step = torch.nn.functional.softplus(dt)
    return ssd_minimal_discrete(x * step.unsqueeze(-1), step * A, B, C, chunk_size)[0]


def state_update(x, dt, dt_softplus, A, B, C, state, dt_bias, D):
    from modules.mixers.discrete_mamba2_ref import step
    a = dt[..., 0]
    y, after = step(x * torch.nn.functional.softplus(a).unsqueeze(-1), B, C, a, {"ssm": state})
    state.copy_(after)
    return y


def stand_in(name, **members):
    parts = name.split(".")
    for i in range(1, len(parts) + 1):
        sys.modules.setdefault(".".join(parts[:i]), types.ModuleType(".".join(parts[:i])))
    for member, value in members.items():
        setattr(sys.modules[name], member, value)


def published_student():
    stand_in("mamba_ssm.ops.triton.ssd_combined", mamba_chunk_scan_combined=chunk_scan)
    stand_in("mamba_ssm.ops.triton.selective_state_update", selective_state_update=state_update)
    stand_in("mamba_ssm.utils.generation", GenerationMixin=type("GenerationMixin", (), {}))
    stand_in("yaml", Dumper=type("Dumper", (), {}))
    stand_in("huggingface_hub_mixin")
    import huggingface_hub
    huggingface_hub.PyTorchModelHubMixin = type("PyTorchModelHubMixin", (), {})
    from modules.lm_head import LMHeadModel
    from utils.config import Config
    return LMHeadModel(Config.from_dict({
        "LanguageModel": {"input": {"vocab_size": VOCAB, "pad_vocab_size_multiple": 8}},
        "MixerModel": {"input": {"d_model": WIDTH, "n_layer": LAYERS, "lm_head_prenorm": "layer"}},
        "Block1": {"n_layers": LAYERS, "BlockType": "modules.phi_block", "block_input": {"resid_dropout": 0.0},
                   "CoreType": "modules.mixers.discrete_mamba2",
                   "core_input": {"d_state": STATES, "n_v_heads": HEADS, "n_qk_heads": HEADS, "d_conv": 4,
                                  "conv_bias": True, "expand": 1, "chunk_size": 8, "activation": "identity",
                                  "bias": False}}}))


torch.manual_seed(0)
teacher = transformers.PhiForCausalLM(transformers.PhiConfig(
    vocab_size=VOCAB, hidden_size=WIDTH, intermediate_size=4 * WIDTH, num_hidden_layers=LAYERS,
    num_attention_heads=HEADS, partial_rotary_factor=0.5, layer_norm_eps=1e-5, attn_implementation="eager")).eval()
student = published_student()
with torch.no_grad():
    # Larger than at the start, so that each term shows.
    for model in (teacher, student):
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    given, own = dict(teacher.named_parameters()), dict(student.named_parameters())
    for ours, theirs in {"backbone.embedding": "model.embed_tokens", "backbone.final_layernorm": "model.final_layernorm",
                         "lm_head": "lm_head"}.items():
        for kind in ("weight", "bias"):
            if f"{ours}.{kind}" in own:
                own[f"{ours}.{kind}"].copy_(given[f"{theirs}.{kind}"])
    for i in range(LAYERS):
        for part in ("input_layernorm", "mlp.fc1", "mlp.fc2"):
            for kind in ("weight", "bias"):
                own[f"backbone.layers.{i}.{part}.{kind}"].copy_(given[f"model.layers.{i}.{part}.{kind}"])

ids = torch.randint(VOCAB, (2, TOKENS))
tensors = {"ids": ids}
mixed = []
hooks = [layer.self_attn.register_forward_hook(lambda _, __, out: mixed.append(out[0])) for layer in teacher.model.layers]
with torch.no_grad():
    seen = teacher(input_ids=ids, output_hidden_states=True, output_attentions=True, use_cache=False)
for hook in hooks:
    hook.remove()
# hidden_states ends behind the final norm, so the last block's own output is taken from the block.
streams = list(seen.hidden_states[:LAYERS])
with torch.no_grad():
    positions = torch.arange(TOKENS).unsqueeze(0)
    mask = torch.full((TOKENS, TOKENS), float("-inf")).triu(1)[None, None]
    rotary = teacher.model.rotary_emb(streams[-1], position_ids=positions)
    last = teacher.model.layers[-1](streams[-1], attention_mask=mask, position_ids=positions,
                                    position_embeddings=rotary, use_cache=False)
streams.append(last[0] if isinstance(last, tuple) else last)
assert torch.allclose(teacher.model.final_layernorm(streams[-1]), seen.hidden_states[-1], atol=1e-5)

# The published sketches of stages 1 and 2, and cross-entropy as in the published trainer.
matrix_loss = mixer_loss = block_loss = 0
for i, layer in enumerate(student.backbone.layers):
    out = layer(hidden_states=streams[i], run_mlp_component=False, return_mixer_matrix=True)
    tensors[f"matrix.{i}"] = out["transfer_matrix"]
    tensors[f"attention.{i}"] = seen.attentions[i]
    tensors[f"mixed.{i}"] = out["hidden_states"]
    matrix_loss = matrix_loss + torch.linalg.matrix_norm(out["transfer_matrix"] - seen.attentions[i], ord="fro").mean()
    mixer_loss = mixer_loss + torch.norm(out["hidden_states"] - mixed[i], p=2, dim=(-1,)).mean()
    whole = layer(hidden_states=streams[i])["hidden_states"]
    block_loss = block_loss + torch.norm(whole - streams[i + 1], p=2, dim=(-1,)).mean()
logits = student(ids).logits
logit_loss = torch.nn.functional.cross_entropy(logits.view(-1, VOCAB) / 1.5, seen.logits.view(-1, VOCAB).softmax(-1))
for name, loss in {"matrices": matrix_loss, "mixer": mixer_loss, "block": block_loss, "logits": logit_loss}.items():
    tensors["loss." + name] = loss
    student.zero_grad()
    loss.backward(retain_graph=True)
    for kind in ("in_proj.weight", "conv1d.weight", "D", "z_bias", "out_proj.weight"):
        grad = dict(student.backbone.layers[0].mixer.named_parameters())[kind].grad
        if grad is not None:
            tensors[f"grad.{name}.{kind}"] = grad.clone()
tensors.update(teacher_logits=seen.logits, student_logits=logits)

with torch.no_grad():
    mixer = student.backbone.layers[0].mixer
    normed = student.backbone.layers[0].input_layernorm(streams[0])
    state = mixer.allocate_inference_cache(2, TOKENS)
    tensors["stepped"] = torch.stack([mixer.step(normed[:, t:t + 1], state)[0] for t in range(TOKENS)], 1)
print("forward and steps of the published mixer differ by", (tensors["stepped"] - tensors["mixed.0"]).abs().max().item())
tensors.update({"teacher." + name: value for name, value in given.items()})
tensors.update({"student." + name: value for name, value in own.items()})
commit = subprocess.run(["git", "-C", str(ROOT), "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip()
save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, sys.argv[2],
          {"made_with": f"goombalab/phi-mamba {commit}, transformers {transformers.__version__}, torch {torch.__version__}"})
