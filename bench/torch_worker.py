"""The PyTorch side of versus.py, one contender a process: torch_worker.py KIND JSON, then a JSON request a line."""
import json
import sys
import time

import torch

request = json.loads(sys.argv[2])
torch.set_num_threads(request.get("threads", 1))
torch.set_flush_denormal(True)  # random rows make denormal gradients, which slow a step to a third
shape = request["shape"]


def peak_bytes():
    for line in open("/proc/self/status"):
        if line.startswith("VmHWM"):
            return int(line.split()[1]) * 1024


def make_decoder():
    from torch_decoder import Decoder
    torch.manual_seed(0)
    return Decoder(*(shape[key] for key in ("vocab", "width", "layers", "heads", "hidden", "tokens")))


def train(compiled):
    from torch_decoder import loss_of
    model = make_decoder()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)
    loss = torch.compile(loss_of) if compiled else loss_of
    stream = torch.randint(shape["vocab"], (1 << 20,))

    def step():
        starts = torch.randint(len(stream) - shape["tokens"] - 1, (shape["batch"],)).tolist()
        rows = torch.stack([stream[start : start + shape["tokens"] + 1] for start in starts])
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=request["precision"] == "bf16"):
            value = loss(model, rows[:, :-1].contiguous(), rows[:, 1:].contiguous())
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value.item()

    for line in sys.stdin:
        speeds = []
        for i in range(json.loads(line)["steps"] + 2):
            start = time.perf_counter()
            step()
            speeds.append(shape["batch"] * shape["tokens"] / (time.perf_counter() - start))
        print(json.dumps({"speeds": speeds[2:], "peak": peak_bytes()}), flush=True)


def logits():
    from safetensors.torch import load_file, save_file
    torch.manual_seed(1)
    ids = torch.randint(shape["vocab"], (2, shape["tokens"]))
    if sys.argv[3] == "write":
        return save_file({"input_ids": ids}, request["ids"])
    model = make_decoder()
    model.take(load_file(request["folder"] + "/model.safetensors"))
    with torch.no_grad():
        difference = (model(ids) - load_file(request["out"])["logits"]).abs().max().item()
    print(json.dumps({"difference": difference}))


{"eager": lambda: train(False), "compile": lambda: train(True), "logits": logits}[sys.argv[1]]()
