// Judges: the Python package gguf 0.19, and transformers 5.23 for a llama's names and layout (goldens: tests/goldens/gguf_files.py).
#include <terse/io/gguf.hpp>
#include <terse/models/gpt.hpp>
#include <terse/models/llama.hpp>

#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace terse;

namespace {

struct Small : models::Config<models::GptConfig{.vocabulary = 37, .context = 16, .layers = 1, .heads = 2, .width = 32}> {};
using Model = models::Gpt<Small, Fp32, Cpu>;

struct SmallLlama : models::Config<models::LlamaConfig{.vocabulary = 37, .context = 32, .layers = 1, .heads = 4, .key_value_heads = 2, .width = 64, .hidden = 96}> {};
using Llama = models::Llama<SmallLlama, Fp32, Cpu>;

std::vector<float> values_of(const auto& file, std::string_view name, const io::Shape& shape, std::size_t count) {
  std::vector<float> values(count);
  file.template read<float>(name, shape, std::span(values));
  return values;
}

}  // namespace

TEST_CASE("every format's numbers are gguf's, bit for bit") {
  const auto file = io::GgufFile::open(golden("gguf_formats.gguf"));
  for (const auto& format : io::ggml_formats) {
    const std::string name(format.name);
    REQUIRE(file.find(name) != nullptr);
    CHECK(file.find(name)->type == format.type);
    const auto values = values_of(file, name, {2, 256}, 512), expected = values_of(file, name + ".expected", {2, 256}, 512);
    CHECK(std::memcmp(values.data(), expected.data(), sizeof(float) * values.size()) == 0);
    CHECK(std::count(expected.begin(), expected.end(), expected[511]) < 512);
  }
  CHECK(values_of(file, "scalars", {3}, 3) == std::vector<float>{0, 1, 2});
  CHECK(values_of(file, "cube", {2, 3, 4}, 24)[23] == 23);
}

TEST_CASE("every kind of metadata") {
  const auto file = io::GgufFile::open(golden("gguf_formats.gguf"));
  CHECK(file.text("general.architecture") == "formats");
  CHECK(file.integer("one.UINT8") == 200);
  CHECK(file.integer("one.INT8") == -100);
  CHECK(file.integer("one.UINT16") == 60000);
  CHECK(file.integer("one.INT16") == -30000);
  CHECK(file.integer("one.UINT32") == 4000000000);
  CHECK(file.integer("one.INT32") == -2000000000);
  CHECK(file.integer("one.UINT64") == (std::int64_t{1} << 62) + 1);
  CHECK(file.integer("one.INT64") == -(std::int64_t{1} << 62) - 1);
  CHECK(file.number("one.FLOAT32") == double(0.1f));
  CHECK(file.number("one.FLOAT64") == 0.1);
  CHECK(file.number("one.INT8") == -100);
  CHECK(file.flag("one.BOOL"));
  CHECK(file.text("one.STRING") == "a t\u00e9xt");
  CHECK(file.texts("many.STRING") == std::vector<std::string_view>{"", "b", "c d"});
  CHECK(file.integers("many.INT32") == std::vector<std::int64_t>{1, -2, 3});
  CHECK(file.integers("many.UINT8") == std::vector<std::int64_t>{1, 255});
  CHECK(file.metadata().at("many.FLOAT32").count == 1);
  CHECK(file.metadata().at("many.BOOL").count == 2);
}

TEST_CASE("the same content gives gguf's file, byte for byte") {
  const auto file = io::GgufFile::open(golden("gguf_written.gguf"));
  const auto values = values_of(file, "matrix", {3, 64}, 192);
  const auto row = [&](Index r, std::span<float> out) { std::copy_n(values.begin() + r * 64, out.size(), out.begin()); };
  const TemporaryFolder folder;
  io::write_gguf(folder.path() / "ours.gguf",
                 {{"general.architecture", std::string("none")},
                  {"count", std::uint32_t{7}},
                  {"signed", std::int32_t{-7}},
                  {"real", 0.1f},
                  {"truth", true},
                  {"text", std::string("a text")},
                  {"texts", std::vector<std::string>{"", "b", "c d"}},
                  {"numbers", std::vector<std::int32_t>{1, -2, 3}}},
                 {{"matrix", io::GgmlType::f32, {3, 64}, row}, {"vector", io::GgmlType::f32, {3}, row}, {"half", io::GgmlType::f16, {3, 64}, row}, {"blocks", io::GgmlType::q8_0, {3, 64}, row}});
  CHECK(io::read_file(folder.path() / "ours.gguf") == io::read_file(golden("gguf_written.gguf")));
}

TEST_CASE("a llama's tensors are those that transformers reads") {
  const auto file = io::GgufFile::open(golden("gguf_llama.gguf"));
  const auto expected = io::SafetensorsFile::open(golden("gguf_llama.safetensors"));
  const io::GgufWeights weights(file);
  CHECK(weights.tensors().size() == expected.tensors().size());
  for (const auto& [name, info] : expected.tensors()) {
    INFO(name);
    const auto count = static_cast<std::size_t>(info.elements());
    CHECK(values_of(weights, name, info.shape, count) == values_of(expected, name, info.shape, count));
  }
  CHECK(io::read_sizes(file) == io::ModelSizes::of<SmallLlama>());
  std::vector<float> values(64 * 64);
  CHECK_THROWS_WITH(weights.read<float>("model.layers.0.self_attn.q_proj.weight", {32, 64}, std::span(values)),
                    Catch::Contains("gguf_llama.gguf: tensor \"blk.0.attn_q.weight\": shape is (64, 64), (32, 64) expected"));
  CHECK_THROWS_WITH(weights.read<float>("model.layers.1.mlp.up_proj.weight", {32, 64}, std::span(values)), Catch::Contains("tensor \"blk.1.ffn_up.weight\": is missing"));
}

TEST_CASE("a llama is read from GGUF as from safetensors, and written again") {
  Cpu cpu(1);
  Llama expected(cpu), read(cpu), again(cpu);
  const auto same = [&](const Llama& model) { return std::equal(expected.flat(), expected.flat() + Llama::flat_size, model.flat()); };
  io::read_weights<Llama>(golden("gguf_llama.safetensors"), expected.flat());
  io::read_weights<Llama>(golden("gguf_llama.gguf"), read.flat());
  CHECK(same(read));
  const auto sizes = io::read_sizes(io::GgufFile::open(golden("gguf_llama.gguf")));
  const TemporaryFolder folder;
  io::write_gguf_weights<Llama>(folder.path() / "ours.gguf", read.flat(), io::gguf_metadata(sizes, "ours"), io::GgmlType::f32);
  io::read_weights<Llama>(folder.path() / "ours.gguf", again.flat());
  CHECK(same(again));
  const auto ours = io::GgufFile::open(folder.path() / "ours.gguf"), theirs = io::GgufFile::open(golden("gguf_llama.gguf"));
  CHECK(io::read_sizes(ours) == sizes);
  for (const auto& [name, tensor] : theirs.tensors())  // in the file's own layout too, as the reference wrote it
    CHECK(values_of(ours, name, tensor.shape, static_cast<std::size_t>(tensor.rows() * tensor.columns())) ==
          values_of(theirs, name, tensor.shape, static_cast<std::size_t>(tensor.rows() * tensor.columns())));
}

TEST_CASE("a GPT-2 is read from GGUF as from safetensors, and written again") {
  Cpu cpu(1);
  Model expected(cpu), read(cpu), again(cpu);
  io::read_weights<Model>(golden("gguf_gpt2.safetensors"), expected.flat());
  io::read_weights<Model>(golden("gguf_gpt2.gguf"), read.flat());
  CHECK(std::equal(expected.flat(), expected.flat() + Model::flat_size, read.flat()));
  CHECK(std::count(read.flat(), read.flat() + Model::flat_size, 0.f) < Model::flat_size / 2);
  const auto sizes = io::read_sizes(io::GgufFile::open(golden("gguf_gpt2.gguf")));
  CHECK(sizes == io::ModelSizes::of<Small>());

  const TemporaryFolder folder;
  for (const auto type : {io::GgmlType::f32, io::GgmlType::q8_0}) {  // what came from blocks of 32 goes into the same ones again
    io::write_gguf_weights<Model>(folder.path() / "ours.gguf", read.flat(), io::gguf_metadata(sizes, "ours"), type);
    io::read_weights<Model>(folder.path() / "ours.gguf", again.flat());
    CHECK(std::equal(expected.flat(), expected.flat() + Model::flat_size, again.flat()));
    CHECK(io::read_sizes(io::GgufFile::open(folder.path() / "ours.gguf")) == sizes);
  }
  CHECK_THROWS_WITH(io::read_weights<Model>(golden("gguf_llama.gguf"), read.flat()), Catch::Contains("tensor \"wte.weight\": is missing; is this another model's file?"));
  CHECK_THROWS_WITH(io::read_sizes(io::GgufFile::open(golden("gguf_formats.gguf"))),
                    Catch::Contains("\"general.architecture\" is \"formats\", \"llama\" or \"gpt2\" expected: another kind of model"));
}
