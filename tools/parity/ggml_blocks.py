"""Writes tests/parity/ggml_blocks.safetensors: blocks of ggml's formats and the values that they stand for.

    python tools/parity/ggml_blocks.py tests/parity/ggml_blocks.safetensors [libggml-base.so]

Needs numpy, gguf (the package of llama.cpp) and safetensors. "<format>.blocks" are random bytes with sane scales,
"<format>.decoded" their values; "values" are numbers and "<format>.encoded" what the package rounds them to. The
package does not encode the formats of 256 values: their reference comes from ggml's own library, which
llama-cpp-python holds, where its path is given. The tests read the file alone.
"""
import ctypes
import sys

import numpy as np
from gguf import GGMLQuantizationType as Type, quants
from safetensors.numpy import save_file

random = np.random.default_rng(0)
# format: values and bytes of a block, and where its halves are
formats = {"f16": (1, 2, []), "bf16": (1, 2, []), "q8_0": (32, 34, [0]), "q4_0": (32, 18, [0]), "q4_1": (32, 20, [0, 2]),
           "q4_k": (256, 144, [0, 2]), "q5_k": (256, 176, [0, 2]), "q6_k": (256, 210, [208])}
values = (random.standard_normal((3, 512)) * np.exp(random.standard_normal((3, 512)))).astype(np.float32)
values[0, :32], values[1, 64:96], values[2, 256:] = 0, 0.25, np.abs(values[2, 256:])
tensors = {"values": values}


def encode_by_ggml(library, kind):
    blocks = np.zeros(values.size // formats[kind][0] * formats[kind][1], np.uint8)
    function = getattr(ctypes.CDLL(library), f"quantize_row_{kind.replace('k', 'K')}_ref")
    function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64]
    function(values.ctypes.data, blocks.ctypes.data, values.size)
    return blocks.reshape(3, -1)


for kind, (count, size, halves) in formats.items():
    blocks = random.integers(0, 256, (3, 512 // count, size), np.uint8)
    for place in halves:
        half = random.standard_normal((3, 512 // count)).astype(np.float16)
        blocks[:, :, place:place + 2] = half.view(np.uint8).reshape(3, -1, 2)
    if not halves:
        numbers = random.standard_normal((3, 512)).astype(np.float32)
        bits = numbers.astype(np.float16).view(np.uint16) if kind == "f16" else numbers.view(np.uint32) >> 16
        blocks = bits.astype(np.uint16).view(np.uint8).reshape(3, 512, 2)
    blocks = np.ascontiguousarray(blocks.reshape(3, -1))
    tensors[f"{kind}.blocks"] = blocks
    tensors[f"{kind}.decoded"] = quants.dequantize(blocks, Type[kind.upper()]).astype(np.float32)
    if kind.endswith("k"):
        if len(sys.argv) > 2:
            tensors[f"{kind}.encoded"] = encode_by_ggml(sys.argv[2], kind)
    else:
        encoded = quants.quantize(values, Type[kind.upper()])
        tensors[f"{kind}.encoded"] = np.ascontiguousarray(encoded).view(np.uint8).reshape(3, -1)
save_file(tensors, sys.argv[1])
