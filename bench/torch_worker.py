"""The PyTorch side of versus.py, one contender a process: torch_worker.py KIND JSON, then a JSON request a line."""
import json
import pathlib
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


def export(model, folder):
    """Weights of a Hugging Face Llama under Formwork's names."""
    from safetensors.torch import save_file
    state, head_width = model.state_dict(), shape["width"] // shape["heads"]
    weights = {"embed.weight": state["model.embed_tokens.weight"], "norm.weight": state["model.norm.weight"],
               "head.weight": state["lm_head.weight"]}
    frequencies = 10000.0 ** (-torch.arange(0, head_width, 2).double() / head_width)
    for i in range(shape["layers"]):
        theirs, ours = f"model.layers.{i}.", f"layers.{i}."
        qkv = [state[theirs + f"self_attn.{name}_proj.weight"] for name in "qkv"]
        gate_up = [state[theirs + f"mlp.{name}_proj.weight"] for name in ("gate", "up")]
        weights |= {ours + "mixer.norm.weight": state[theirs + "input_layernorm.weight"],
                    ours + "mixer.position.inverse_frequency": torch.cat((frequencies, frequencies)).float(),
                    ours + "mixer.qkv.weight": torch.cat(qkv), ours + "channel.gate_up.weight": torch.cat(gate_up),
                    ours + "mixer.out.weight": state[theirs + "self_attn.o_proj.weight"],
                    ours + "channel.norm.weight": state[theirs + "post_attention_layernorm.weight"],
                    ours + "channel.down.weight": state[theirs + "mlp.down_proj.weight"]}
    save_file({name: tensor.contiguous() for name, tensor in weights.items()},
              pathlib.Path(folder) / "model.safetensors")


def generate():
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=shape["vocab"], hidden_size=shape["width"], num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"], intermediate_size=shape["hidden"], rms_norm_eps=1e-5)).eval()
    for line in sys.stdin:
        case = json.loads(line)
        if "export" in case:
            export(model, request["folder"])
            print(json.dumps({}), flush=True)
            continue
        rows, columns = torch.arange(case["batch"])[:, None], torch.arange(case["prompt"])
        ids = (rows * 7919 + columns * 104729) % shape["vocab"]
        options = dict(do_sample=False, attention_mask=torch.ones_like(ids), pad_token_id=0, eos_token_id=None)
        with torch.no_grad():
            start = time.perf_counter()
            model.generate(ids, max_new_tokens=1, min_new_tokens=1, **options)
            first = time.perf_counter() - start
            start = time.perf_counter()
            out = model.generate(ids, max_new_tokens=case["tokens"] + 1, min_new_tokens=case["tokens"] + 1, **options)
            rest = time.perf_counter() - start - first
        print(json.dumps({"tokens_per_second": case["batch"] * case["tokens"] / rest, "peak": peak_bytes(),
                          "ids": out[:, case["prompt"]:].tolist()}), flush=True)


{"eager": lambda: train(False), "compile": lambda: train(True), "logits": logits, "generate": generate}[sys.argv[1]]()
