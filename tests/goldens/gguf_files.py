"""Goldens of GGUF files: the Python package gguf for their bytes and numbers, transformers for whole models.

    python tests/goldens/gguf_files.py [OUTPUT]

OUTPUT (tests/data) gets
  gguf_formats.gguf     a tensor NAME (2, 256) of each format that is read, and NAME.expected, F32, as gguf dequantizes it; metadata of all kinds
  gguf_written.gguf     what terse writes again byte for byte: F32, F16 and Q8_0 of the same values, metadata of the kinds that are written
  gguf_llama.gguf       a llama of one layer, and gguf_llama.safetensors: the state dict that transformers reads from it
  gguf_gpt2.gguf        a gpt2 of one layer, and gguf_gpt2.safetensors: the model it was made of, with what quantization did to it
Needs gguf 0.19, transformers 5.23, safetensors 0.8.
    python tests/goldens/gguf_files.py --read FILE.gguf REFERENCE.gguf
compares a file that terse wrote with another one, by gguf: metadata and dequantized tensors; exit 1 where they differ.
"""
import pathlib
import sys
import tempfile

import numpy
from gguf import GGMLQuantizationType as Type, GGUFReader, GGUFValueType as Kind, GGUFWriter
from gguf.constants import GGML_QUANT_SIZES
from gguf.quants import dequantize, quantize

ROOT = pathlib.Path(__file__).resolve().parents[2]
FORMATS = [Type.F32, Type.F16, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.Q8_0, Type.Q4_K, Type.Q5_K, Type.Q6_K, Type.BF16]
HALVES = {Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}  # where a block has its scales of 16 bits


def any_blocks(random, kind, rows, columns):
    """Random bytes for formats that gguf can't quantize to, but with scales that are ordinary numbers."""
    block, size = GGML_QUANT_SIZES[kind]
    data = random.integers(0, 256, (rows, columns // block, size), dtype=numpy.uint8)
    for at in HALVES[kind]:
        scales = random.normal(0, 0.02, (rows, columns // block)).astype(numpy.float16)
        data[:, :, at:at + 2] = scales.view(numpy.uint8).reshape(rows, columns // block, 2)
    return data.reshape(rows, -1)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_formats(path):
    random = numpy.random.default_rng(1)
    writer = GGUFWriter(path, "formats")
    for kind, value in [("UINT8", 200), ("INT8", -100), ("UINT16", 60000), ("INT16", -30000), ("UINT32", 4000000000), ("INT32", -2000000000),
                        ("UINT64", 2**62 + 1), ("INT64", -(2**62) - 1), ("FLOAT32", 0.1), ("FLOAT64", 0.1), ("BOOL", True), ("STRING", "a t\u00e9xt")]:
        writer.add_key_value(f"one.{kind}", value, Kind[kind])
    writer.add_key_value("too.large", 2**63, Kind.UINT64)
    writer.add_array("many.STRING", ["", "b", "c d"])
    writer.add_key_value("many.INT32", [1, -2, 3], Kind.ARRAY, Kind.INT32)
    writer.add_key_value("many.UINT8", [1, 255], Kind.ARRAY, Kind.UINT8)
    writer.add_key_value("many.FLOAT32", [0.5], Kind.ARRAY, Kind.FLOAT32)
    writer.add_key_value("many.BOOL", [True, False], Kind.ARRAY, Kind.BOOL)
    for kind in FORMATS:
        values = random.normal(0, 0.05, (2, 256)).astype(numpy.float32)
        values[0, :32] = 0
        data = any_blocks(random, kind, 2, 256) if kind in HALVES else quantize(values, kind)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        writer.add_tensor(kind.name + ".expected", dequantize(data, kind))
    writer.add_tensor("scalars", numpy.arange(3, dtype=numpy.float32))
    writer.add_tensor("cube", numpy.arange(24, dtype=numpy.float32).reshape(2, 3, 4))
    finish(writer)


def write_written(path):
    values = numpy.random.default_rng(2).normal(0, 1, (3, 64)).astype(numpy.float32)
    values[1, :32] = 0
    values[2, 7] = 1e-42
    values[2, :32] *= numpy.float32(1e-4)
    writer = GGUFWriter(path, "none")
    writer.add_uint32("count", 7)
    writer.add_int32("signed", -7)
    writer.add_float32("real", 0.1)
    writer.add_bool("truth", True)
    writer.add_string("text", "a text")
    writer.add_array("texts", ["", "b", "c d"])
    writer.add_array("numbers", [1, -2, 3])
    writer.add_tensor("matrix", values)
    writer.add_tensor("vector", values[0, :3].copy())
    writer.add_tensor("half", values.astype(numpy.float16))
    writer.add_tensor("blocks", quantize(values, Type.Q8_0), raw_dtype=Type.Q8_0)
    finish(writer)


def rotary(weight, heads):
    """Hugging Face's rows in GGUF's order: convert_hf_to_gguf.py, LlamaModel.permute."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, *weight.shape[1:]).swapaxes(1, 2).reshape(weight.shape)


def write_llama(folder):
    from safetensors.torch import save_file
    from transformers import AutoModelForCausalLM
    random = numpy.random.default_rng(3)
    width, heads, kv_heads, mlp, vocabulary = 64, 4, 2, 96, 37

    def draw(*shape):
        return random.normal(0, 0.1, shape).astype(numpy.float32)
    path = folder / "gguf_llama.gguf"
    writer = GGUFWriter(path, "llama")
    writer.add_block_count(1)
    writer.add_context_length(32)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(mlp)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(100000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(vocabulary)
    writer.add_rope_dimension_count(width // heads)
    tokens = ["<|endoftext|>"] + [chr(33 + i) for i in range(vocabulary - 1)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([3] + [1] * (vocabulary - 1))
    writer.add_token_merges(["! \""])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    for name, values, kind in [("token_embd", draw(vocabulary, width), Type.Q8_0), ("output_norm", 1 + draw(width), Type.F32),
                               ("blk.0.attn_norm", 1 + draw(width), Type.F32), ("blk.0.ffn_norm", 1 + draw(width), Type.F32),
                               ("blk.0.attn_q", rotary(draw(width, width), heads), Type.Q4_1),
                               ("blk.0.attn_k", rotary(draw(width // 2, width), kv_heads), Type.Q4_0),
                               ("blk.0.attn_v", draw(width // 2, width), Type.F16), ("blk.0.attn_output", draw(width, width), Type.Q5_1),
                               ("blk.0.ffn_gate", draw(mlp, width), Type.Q5_0), ("blk.0.ffn_up", draw(mlp, width), Type.F16),
                               ("blk.0.ffn_down", draw(width, mlp), Type.Q8_0)]:
        writer.add_tensor(name + ".weight", quantize(values, kind), raw_dtype=kind)
    finish(writer)
    state = AutoModelForCausalLM.from_pretrained(folder, gguf_file=path.name).state_dict()
    state = {name: tensor.float().contiguous() for name, tensor in state.items() if name != "lm_head.weight"}
    save_file(state, folder / "gguf_llama.safetensors", {"format": "pt"})


def write_gpt2(folder):
    from safetensors.numpy import save_file
    random = numpy.random.default_rng(4)
    width, vocabulary, context = 32, 37, 16
    path = folder / "gguf_gpt2.gguf"
    writer = GGUFWriter(path, "gpt2")
    writer.add_block_count(1)
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(2)
    writer.add_layer_norm_eps(1e-5)
    model = {}
    for theirs, ours, shape in [("token_embd.weight", "wte.weight", (vocabulary, width)), ("position_embd.weight", "wpe.weight", (context, width)),
                                ("blk.0.attn_norm", "h.0.ln_1", (width,)), ("blk.0.attn_qkv", "h.0.attn.c_attn", (width, 3 * width)),
                                ("blk.0.attn_output", "h.0.attn.c_proj", (width, width)), ("blk.0.ffn_norm", "h.0.ln_2", (width,)),
                                ("blk.0.ffn_up", "h.0.mlp.c_fc", (width, 4 * width)), ("blk.0.ffn_down", "h.0.mlp.c_proj", (4 * width, width)),
                                ("output_norm", "ln_f", (width,))]:
        both = [("", shape)] if theirs.endswith("weight") else [(".weight", shape), (".bias", shape[-1:])]
        for suffix, sizes in both:
            values = random.normal(0, 0.1, sizes).astype(numpy.float32)
            kind = Type.Q8_0 if len(sizes) == 2 else Type.F32
            turned = "c_" in ours and len(sizes) == 2
            data = quantize(values.T.copy() if turned else values, kind)
            writer.add_tensor(theirs + suffix, data, raw_dtype=kind)
            back = dequantize(data, kind)
            model["transformer." + ours + suffix] = back.T.copy() if turned else back
    finish(writer)
    save_file(model, folder / "gguf_gpt2.safetensors", {"format": "pt"})


def contents(path):
    reader = GGUFReader(path)
    metadata = {key: (field.types, field.contents()) for key, field in reader.fields.items() if not key.startswith("GGUF.")}
    tensors = {t.name: (t.tensor_type, t.shape.tolist(), dequantize(t.data, t.tensor_type)) for t in reader.tensors}
    return metadata, tensors


def compare(path, reference):
    """Metadata that the reference has, and every tensor: the same numbers, whatever their format."""
    (metadata, tensors), (wanted, expected) = contents(path), contents(reference)
    wrong = [f"{key}: {metadata.get(key)}, {value} expected" for key, value in wanted.items() if metadata.get(key) != value]
    wrong += [f"{name}: only in one of them" for name in tensors.keys() ^ expected.keys()]
    for name in tensors.keys() & expected.keys():
        (_, shape, values), (_, shape_expected, values_expected) = tensors[name], expected[name]
        if shape != shape_expected or not numpy.array_equal(values.reshape(-1), values_expected.reshape(-1)):
            wrong.append(f"{name}: {shape}, {shape_expected} expected, or other values")
    print("\n".join(wrong) or f"{len(tensors)} tensors and {len(wanted)} metadata are the same")
    return 1 if wrong else 0


def main():
    if sys.argv[1:2] == ["--read"]:
        return compare(*sys.argv[2:])
    output = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "tests/data"
    write_formats(output / "gguf_formats.gguf")
    write_written(output / "gguf_written.gguf")
    with tempfile.TemporaryDirectory() as folder:  # transformers leaves notes beside the file
        folder = pathlib.Path(folder)
        write_llama(folder)
        write_gpt2(folder)
        for file in folder.glob("gguf_*.*"):
            (output / file.name).write_bytes(file.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())
