"""Weights that tests/support/random_weights.hpp generates too, bit for bit, and models that hold them."""
import numpy
import torch
from transformers import GPT2Config, GPT2LMHeadModel

SEED = 1
CONFIGURATIONS = {  # A: a small GPT; B: odd sizes; G: A with room to decode
    "A": dict(vocabulary=211, context=64, layers=2, heads=3, width=48),
    "B": dict(vocabulary=97, context=33, layers=3, heads=5, width=35),
    "G": dict(vocabulary=211, context=128, layers=2, heads=3, width=48),
}


def fnv1a(data, value=0xCBF29CE484222325):
    for byte in data:
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value


def random_unit(seed, name, count):
    """(count) float32, uniform in [-1, 1): SplitMix64 from fnv1a(name) + seed on, upper 24 bits."""
    start = numpy.uint64((fnv1a(name.encode()) + seed) & 0xFFFFFFFFFFFFFFFF)
    with numpy.errstate(over="ignore"):
        z = start + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    z ^= z >> numpy.uint64(31)
    bits = (z >> numpy.uint64(40)).astype(numpy.int32) - (1 << 23)
    return bits.astype(numpy.float32) * numpy.float32(2.0**-23)


def random_weights(name, shape, spread=False, seed=SEED):
    """One tensor of a GPT-2, by its name on the hub; the rules stand in random_weights.hpp."""
    values = random_unit(seed, name, int(numpy.prod(shape))).reshape(shape)
    if name.endswith(".weight") and "ln_" in name:
        return numpy.float32(1) + values * numpy.float32(2**-3)
    if name.endswith(".bias"):
        return values * numpy.float32(2**-5)
    if name == "wpe.weight":
        return values * numpy.float32(2**-2 if spread else 2**-4)
    if name == "wte.weight":
        scale = numpy.full((shape[0], 1), 2**-3 * (2 if spread else 1), dtype=numpy.float32)
        scale[-1] *= 1.5 if spread else 1
        return values * scale
    return values * numpy.float32(2**-3 * (3 if spread else 1))


def hub_name(name):
    return name.removeprefix("transformer.")


def named_tensors(model):
    """(name on the hub, parameter) of each trained tensor; the head is tied to wte."""
    return [(hub_name(name), parameter) for name, parameter in model.named_parameters()]


def build(configuration, activation="gelu_new", spread=False, dtype=torch.float32, attention="eager"):
    """A GPT2LMHeadModel with random_weights, no dropout."""
    sizes = CONFIGURATIONS[configuration]
    config = GPT2Config(vocab_size=sizes["vocabulary"], n_positions=sizes["context"], n_layer=sizes["layers"],
                        n_head=sizes["heads"], n_embd=sizes["width"], activation_function=activation,
                        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0,
                        bos_token_id=sizes["vocabulary"] - 1, eos_token_id=sizes["vocabulary"] - 1)
    config._attn_implementation = attention
    model = GPT2LMHeadModel(config).eval()
    assert model.lm_head.weight is model.transformer.wte.weight
    with torch.no_grad():
        for name, parameter in named_tensors(model):
            parameter.copy_(torch.from_numpy(random_weights(name, tuple(parameter.shape), spread)))
    return model.to(dtype)


def weight_checks(configuration, spread=False):
    """Checksums of all tensors, so that both generators can be held against each other."""
    return {name: f"{fnv1a(random_weights(name, tuple(parameter.shape), spread).tobytes()):016x}"
            for name, parameter in named_tensors(build(configuration))}
