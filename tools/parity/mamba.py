"""Writes tests/parity/mamba.safetensors: a tiny random Mamba of Hugging Face Transformers with its logits.

    python tools/parity/mamba.py tests/parity/mamba.safetensors

Needs torch, transformers and safetensors. The tests read the file alone.
"""
import sys

import torch
import transformers
from safetensors.torch import save_file
from transformers import MambaConfig, MambaForCausalLM

torch.manual_seed(0)
config = MambaConfig(vocab_size=24, hidden_size=16, state_size=4, num_hidden_layers=2,
                     layer_norm_epsilon=1e-5, use_mambapy=False)
model = MambaForCausalLM(config).float().eval()
with torch.no_grad():
    # Larger than at the start, so that each term shows in the logits.
    for parameter in model.parameters():
        parameter.add_(torch.randn_like(parameter) * 0.1)
    ids = torch.randint(24, (2, 37))
    logits = model(ids, use_cache=False).logits
    # The same tokens one by one, through the library's own cache.
    cache, steps = None, []
    for t in range(ids.size(1)):
        out = model(ids[:, t:t + 1], cache_params=cache, use_cache=True)
        cache = out.cache_params
        steps.append(out.logits)
    tensors = {name: value.contiguous().clone() for name, value in model.state_dict().items()
               if name != "lm_head.weight"}
tensors.update(ids=ids, logits=logits, stepped_logits=torch.cat(steps, 1))
print("forward and steps of the library differ by", (logits - tensors["stepped_logits"]).abs().max().item())
save_file(tensors, sys.argv[1], {"made_with": f"transformers {transformers.__version__}, torch {torch.__version__}"})
