"""
Exports one network of timm as ONNX, with random weights, the same in every run: NETWORK EXPORTER SIZE FILE. Prints the versions as JSON.

Needs torch, timm, onnx and, for the exporter "dynamo", onnxscript.
"""

import json
import sys
import warnings

import timm
import torch

warnings.filterwarnings("ignore")


def main(name, exporter, size, path):
    torch.manual_seed(0)
    model = timm.create_model(name).eval()
    # Statistics as a training leaves them: not those of a layer that does nothing.
    for key, buffer in model.named_buffers():
        if key.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        if key.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    x = torch.randn(1, 3, int(size), int(size))
    names = {"input_names": ["image"], "output_names": ["logits"]}
    if exporter == "dynamo":
        torch.onnx.export(model, (x,), path, dynamo=True, external_data=False, verbose=False, **names)
    else:
        torch.onnx.export(model, x, path, dynamo=False, opset_version=17, **names)


if __name__ == "__main__":
    # What the exporters say of their progress is not what this says.
    out, sys.stdout = sys.stdout, sys.stderr
    main(*sys.argv[1:])
    print(json.dumps({"torch": torch.__version__, "timm": timm.__version__}), file=out)
