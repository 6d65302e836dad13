"""The decoder of Formwork's Specs (RMSNorm, rotary, SwiGLU, tied head) as one writes it in PyTorch."""
import torch
import torch.nn.functional as F
from torch import nn


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.heads = heads
        self.mixer_norm = nn.Parameter(torch.ones(width))
        self.channel_norm = nn.Parameter(torch.ones(width))
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x, cosines, sines):
        batch, tokens, width = x.shape
        qkv = self.qkv(F.rms_norm(x, (width,), self.mixer_norm, 1e-5))
        q, k, v = qkv.view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        q, k = turn(q, cosines, sines), turn(k, cosines, sines)
        mixed = F.scaled_dot_product_attention(q, k.to(q.dtype), v.to(q.dtype), is_causal=True)
        x = x + self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
        gate, up = self.gate_up(F.rms_norm(x, (width,), self.channel_norm, 1e-5)).chunk(2, -1)
        return x + self.down(F.silu(gate) * up)


def turn(x, cosines, sines):
    a, b = x.chunk(2, -1)
    cosines, sines = cosines.to(x.dtype), sines.to(x.dtype)
    return torch.cat((a * cosines - b * sines, b * cosines + a * sines), -1)


class Decoder(nn.Module):
    def __init__(self, vocab, width, layers, heads, hidden, tokens):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.blocks = nn.ModuleList(Block(width, heads, hidden) for _ in range(layers))
        self.norm = nn.Parameter(torch.ones(width))
        head_width = width // heads
        frequencies = 10000.0 ** (-torch.arange(0, head_width, 2).float() / head_width)
        angles = torch.arange(tokens).float()[:, None] * frequencies
        self.register_buffer("cosines", angles.cos())
        self.register_buffer("sines", angles.sin())

    def forward(self, ids):
        x = self.embed(ids)
        tokens = ids.shape[1]
        for block in self.blocks:
            x = block(x, self.cosines[:tokens], self.sines[:tokens])
        return F.linear(F.rms_norm(x, (x.shape[-1],), self.norm, 1e-5), self.embed.weight)

    def take(self, weights):
        """Weights of a Formwork folder."""
        names = {"embed.weight": self.embed.weight, "norm.weight": self.norm}
        for i, block in enumerate(self.blocks):
            at = f"layers.{i}."
            names |= {at + "mixer.norm.weight": block.mixer_norm, at + "channel.norm.weight": block.channel_norm,
                      at + "mixer.qkv.weight": block.qkv.weight, at + "mixer.out.weight": block.out.weight,
                      at + "channel.gate_up.weight": block.gate_up.weight,
                      at + "channel.down.weight": block.down.weight}
        for name, parameter in names.items():
            parameter.data.copy_(weights[name])


def loss_of(model, ids, targets):
    logits = model(ids)
    return F.cross_entropy(logits.float().view(-1, logits.shape[-1]), targets.view(-1))
