"""Writes tests/parity/llm_int8.safetensors: codes, scales, outlier columns and products of bitsandbytes.

    python tools/parity/llm_int8.py tests/parity/llm_int8.safetensors

Needs torch, bitsandbytes (its CPU backend serves) and safetensors. The tests read the file alone.
"""
import sys

import bitsandbytes
import torch
from bitsandbytes import functional
from safetensors.torch import save_file

torch.manual_seed(0)
threshold = 6.0
x = torch.randn(9, 64)
x[:, 5] *= 8
x[3, 40] = -7.25
x, weight, bias = x.half(), torch.randn(24, 64).half(), torch.randn(24).half()
assert ((x.abs() >= threshold).any(0)).sum() == 2 and not (x.abs() >= threshold).all(0)[5]

tensors = {"x": x, "weight": weight, "bias": bias}
tensors["weight_codes"], tensors["weight_scale"], _ = functional.int8_vectorwise_quant(weight)
tensors["x_codes"], tensors["x_scale"], outliers = functional.int8_vectorwise_quant(x, threshold)
tensors["outliers"] = outliers.to(torch.int64)
tensors["plain_x_codes"], tensors["plain_x_scale"], _ = functional.int8_vectorwise_quant(x)
with torch.no_grad():
    for name, t in (("decomposed", threshold), ("plain", 0.0)):
        layer = bitsandbytes.nn.Linear8bitLt(64, 24, has_fp16_weights=False, threshold=t)
        layer.weight = bitsandbytes.nn.Int8Params(weight.clone(), requires_grad=False, has_fp16_weights=False)
        layer.bias.data = bias.clone()
        tensors[name] = layer.eval().to("cpu")(x)
tensors = {name: value.contiguous() for name, value in tensors.items()}
for name in ("decomposed", "plain"):
    exact = torch.nn.functional.linear(x.double(), weight.double(), bias.double())
    print(name, tensors[name].dtype, "differs from the float64 product by",
          (tensors[name].double() - exact).abs().max().item())
save_file(tensors, sys.argv[1],
          {"made_with": f"bitsandbytes {bitsandbytes.__version__}, torch {torch.__version__}"})
