"""Writes tests/parity/icl_linear_models.safetensors: a tiny random CausalLM of the authors, with its predictions.

    git clone https://github.com/ekinakyurek/google-research
    python tools/parity/icl_linear_models.py google-research/incontext tests/parity/icl_linear_models.safetensors

Needs jax, flax, absl-py, safetensors and the authors' code, which is imported and not part of Formwork. The tests
read the file alone.
"""
import importlib.metadata
import sys
import types

import numpy as np
from safetensors.numpy import save_file

# What newer versions of numpy, jax and flax have no more; and the patch of flax stands beside the package that imports it.
np.product = np.prod
sys.path.insert(0, sys.argv[1])
import flax  # noqa: E402
import flax.linen.attention  # noqa: E402
import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402

jnp.float_ = jnp.float32
flax.linen.attention.zeros = jax.nn.initializers.zeros
import incontext  # noqa: E402

beside = types.ModuleType("incontext.flax")
beside.__path__ = [sys.argv[1] + "/flax"]
sys.modules["incontext.flax"] = beside
incontext.flax = beside
from incontext.predictor_flax import CausalLM  # noqa: E402
from incontext.transformer_lib_flax import TransformerConfig  # noqa: E402

rng = np.random.default_rng(0)
tensors = {}
d, n, rows = 3, 5, 2
x, w = rng.standard_normal((rows, n, d)), rng.standard_normal((rows, d))
tokens = np.zeros((rows, 2 * n, d + 1))
tokens[:, ::2, 1:] = x
tokens[:, 1::2, 0] = np.einsum("bnd,bd->bn", x, w)
tensors["tokens"] = tokens.astype(np.float32)

for name, x_steps in (("y", False), ("x", True)):
    # 4 heads of 16 / 16 = 1 channel each: qkv_features is hidden_size / num_heads, shared among the heads.
    config = TransformerConfig(num_heads=4, num_layers=3, hidden_size=16, max_len=2 * (n + 1), norm_first=True,
                               loss_on_x_steps=x_steps)
    model = CausalLM(config)
    key = jax.random.PRNGKey(0)
    shapes = model.init(key, inputs=jnp.asarray(tensors["tokens"]), train=False)
    # Larger than at the start, so that each term shows.
    leaves, tree = jax.tree_util.tree_flatten(shapes)
    variables = jax.tree_util.tree_unflatten(
        tree, [(rng.standard_normal(leaf.shape) * 0.4).astype(np.float32) for leaf in leaves])
    errors, (_, _, predictions, hidden) = model.apply(variables, inputs=jnp.asarray(tensors["tokens"]),
                                                           train=False)
    flat = flax.traverse_util.flatten_dict(variables["params"], sep=".")
    tensors.update({f"{name}.{key}": np.asarray(value) for key, value in flat.items()})
    tensors[f"{name}.predictions"], tensors[f"{name}.errors"] = np.asarray(predictions), np.asarray(errors)
    tensors[f"{name}.hidden"] = np.stack([np.asarray(layer) for layer in hidden])
    print(name, "predictions", predictions.shape, "up to", float(np.abs(predictions).max()))

versions = ", ".join(f"{package} {importlib.metadata.version(package)}" for package in ("jax", "flax"))
save_file({name: np.ascontiguousarray(value) for name, value in tensors.items()}, sys.argv[2],
          {"made_with": f"ekinakyurek/google-research 00bab170 (incontext), {versions}"})
