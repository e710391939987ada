"""A file written by the Python package safetensors: every dtype, odd names, a scalar, an empty tensor.

Usage: reference_safetensors.py [FOLDER]    (default: tests/data)
"""
import pathlib
import sys

import torch
from safetensors.torch import save_file

folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parent.parent / "data"

steps = torch.arange(12)  # value i of every tensor is (i - 5) / 3, or i
real = (steps.double() - 5) / 3
integers = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64)
tensors = {
    "h.0.attn.c_attn.weight": real.float().reshape(3, 4),
    "h.0.attn.c_attn.bias": real.half(),
    "wte.weight": real.bfloat16().reshape(2, 2, 3),
    "double": real.clone(),
    "scalar": torch.tensor(1.5),
    "empty": torch.empty(0, 3),
    'a "quoted" näme\n': torch.tensor([2.5]),
    "bool": steps % 2 == 0,
    **{str(dtype).removeprefix("torch."): steps.to(dtype) for dtype in integers},
}
save_file(tensors, folder / "reference.safetensors", {"format": "pt"})
