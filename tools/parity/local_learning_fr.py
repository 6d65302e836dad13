"""Writes tests/parity/local_learning_fr.safetensors: InfoPro's decoder, auxiliary classifiers and contrastive loss.

    git clone https://github.com/blackfeather-wang/InfoPro-Pytorch
    python tools/parity/local_learning_fr.py "InfoPro-Pytorch/Experiments on CIFAR-SVHN-STL10" \\
        tests/parity/local_learning_fr.safetensors

Needs torch, safetensors and the authors' code, which is imported and not part of Formwork. The tests read the file
alone. (No code is known of "Local Learning on Transformers via Feature Reconstruction"; this is the method it builds on.)
"""
import sys

import torch
from safetensors.torch import save_file

sys.path.insert(0, sys.argv[1])
from networks.auxiliary_nets import AuxClassifier, Decoder  # noqa: E402
from networks.losses import SupConLoss  # noqa: E402

torch.manual_seed(0)
tensors = {}


def keep(name, module):
    """Weights away from their beginnings, so that each term shows."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    tensors.update({f"{name}.{key}": value.detach().clone() for key, value in module.state_dict().items()
                    if "running" not in key and "num_batches" not in key})


labels = torch.tensor([0, 1, 2, 0, 1, 0])
image = torch.rand(6, 3, 16, 16)
tensors["labels"], tensors["image"] = labels, image

for name, widen in (("decoder", 1), ("decoder_wide", 2)):
    decoder = Decoder(16, 16, widen=widen)
    keep(name, decoder)
    features = torch.randn(6, 16, 4, 4, requires_grad=True)
    loss = decoder(features, image)
    loss.backward()
    tensors.update({f"{name}.features": features.detach(), f"{name}.loss": loss.detach(), f"{name}.slope": features.grad})

for config in ("0c1f", "0c2f", "1c1f", "1c2f", "1c3f", "2c2f"):
    for planes in (16, 64):
        for mode in ("contrast", "cross_entropy"):
            name = f"{config}.{planes}.{mode}"
            # One of the wide last stage, whose convolution keeps the map and its channels.
            if planes == 64 and (config != "1c2f" or mode == "contrast"):
                continue
            net = AuxClassifier(planes, net_config=config, loss_mode=mode, class_num=3, widen=0.25, feature_dim=8)
            keep(name, net)
            features = torch.randn(6, planes, 4, 4, requires_grad=True)
            loss = net(features, labels)
            loss.backward()
            tensors.update({f"{name}.features": features.detach(), f"{name}.loss": loss.detach(),
                            f"{name}.slope": features.grad})

z = torch.nn.functional.normalize(torch.randn(6, 8), dim=1)
tensors["supcon.z"] = z
for tau in (0.07, 0.5):
    tensors[f"supcon.{tau}"] = SupConLoss(base_temperature=tau)(z.unsqueeze(1), labels, temperature=tau)

save_file({name: value.contiguous() for name, value in tensors.items()}, sys.argv[2],
          {"made_with": f"blackfeather-wang/InfoPro-Pytorch a38362a, torch {torch.__version__}"})
print(len(tensors), "tensors;", {name: float(value) for name, value in tensors.items() if name.endswith("loss")})
