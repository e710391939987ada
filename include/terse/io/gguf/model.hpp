#pragma once
/// A model in one GGUF file: its sizes from the metadata, and writing one.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <terse/io/checkpoint.hpp>
#include <terse/io/gguf/file.hpp>
#include <terse/io/gguf/weights.hpp>
#include <terse/io/gguf/write.hpp>
#include <terse/nn/model.hpp>

namespace terse::io {

/// What the metadata of a llama GGUF file say of its size and formulas: enough to find the compiled-in model that fits, or to say which would.
struct LlamaSizes {
  int vocabulary = 0, context = 0, layers = 0, heads = 0, kv_heads = 0, width = 0, mlp = 0;
  float rope_base = 10000, norm_epsilon = 1e-5f;
  bool tied = true;  ///< the head is the embedding

  bool operator==(const LlamaSizes&) const = default;

  std::string words() const {
    return concat(layers, " layers, ", heads, " heads, ", kv_heads, " of keys and values, width ", width, ", MLP ", mlp, ", context ", context, ", vocabulary ", vocabulary,
                  ", RoPE base ", rope_base, ", epsilon ", norm_epsilon, tied ? "" : ", a head of its own");
  }
};

namespace detail {

/// A count of the metadata, from 1.
inline int gguf_size(const Gguf& file, const std::string& key) {
  const std::int64_t value = file.integer(key);
  if (value < 1 || value > std::numeric_limits<int>::max()) file.refuse(key, "is ", value, ", a whole number from 1 to ", std::numeric_limits<int>::max(), " expected; convert it again");
  return static_cast<int>(value);
}

inline int gguf_vocabulary(const Gguf& file) {
  const GgufTensor* embedding = file.find("token_embd.weight");
  if (embedding == nullptr || embedding->shape.size() != 2) refuse_tensor(file.name(), "token_embd.weight", "is missing or no matrix: not a whole model");
  if (embedding->shape[0] < 1 || embedding->shape[0] > std::numeric_limits<int>::max()) refuse_tensor(file.name(), "token_embd.weight", "has ", embedding->shape[0], " rows: damaged");
  return static_cast<int>(embedding->shape[0]);
}

/// A model whose results would be silently wrong is refused: `key`, where it is there, must be `expected`.
inline void require_integer(const Gguf& file, const std::string& key, std::int64_t expected) {
  if (file.has(key) && file.integer(key) != expected) file.refuse(key, "is ", file.integer(key), ", ", expected, " expected: not a model as it is computed here");
}

inline void require_architecture(const Gguf& file, std::string_view expected) {
  if (const auto found = file.text("general.architecture"); found != expected)
    file.refuse("general.architecture", "is ", in_quotes(found), ", ", in_quotes(expected), " expected: another kind of model");
}

}  // namespace detail

/// The sizes of a llama GGUF file.
///
/// Errors     Failure::bad_input: another architecture, or formulas that models here don't have (scaled RoPE, experts, heads of another size)
inline LlamaSizes read_llama_sizes(const Gguf& file) {
  detail::require_architecture(file, "llama");
  LlamaSizes sizes;
  sizes.vocabulary = detail::gguf_vocabulary(file);
  sizes.context = detail::gguf_size(file, "llama.context_length");
  sizes.layers = detail::gguf_size(file, "llama.block_count");
  sizes.width = detail::gguf_size(file, "llama.embedding_length");
  sizes.mlp = detail::gguf_size(file, "llama.feed_forward_length");
  sizes.heads = detail::gguf_size(file, "llama.attention.head_count");
  sizes.kv_heads = file.has("llama.attention.head_count_kv") ? detail::gguf_size(file, "llama.attention.head_count_kv") : sizes.heads;
  sizes.norm_epsilon = static_cast<float>(file.number("llama.attention.layer_norm_rms_epsilon"));
  if (file.has("llama.rope.freq_base")) sizes.rope_base = static_cast<float>(file.number("llama.rope.freq_base"));
  sizes.tied = file.find("output.weight") == nullptr;
  if (sizes.width % sizes.heads != 0) file.refuse("llama.embedding_length", "is ", sizes.width, ", not divisible by ", sizes.heads, " heads: not a model as it is computed here");
  const int head_size = sizes.width / sizes.heads;
  for (const char* const key : {"llama.rope.dimension_count", "llama.attention.key_length", "llama.attention.value_length"}) detail::require_integer(file, key, head_size);
  detail::require_integer(file, "llama.expert_count", 0);
  if (file.has("llama.rope.scaling.type") && file.text("llama.rope.scaling.type") != "none")
    file.refuse("llama.rope.scaling.type", "is ", in_quotes(file.text("llama.rope.scaling.type")), ", \"none\" expected: not a model as it is computed here");
  if (file.find("rope_freqs.weight") != nullptr) detail::refuse_tensor(file.name(), "rope_freqs.weight", "scales RoPE: not a model as it is computed here");
  return sizes;
}

/// The sizes of a gpt2 GGUF file.
///
/// Errors     Failure::bad_input: another architecture, or other formulas
inline ModelSizes read_gpt2_sizes(const Gguf& file) {
  detail::require_architecture(file, "gpt2");
  const ModelSizes sizes{detail::gguf_vocabulary(file), detail::gguf_size(file, "gpt2.context_length"), detail::gguf_size(file, "gpt2.block_count"),
                         detail::gguf_size(file, "gpt2.attention.head_count"), detail::gguf_size(file, "gpt2.embedding_length")};
  detail::require_integer(file, "gpt2.feed_forward_length", 4 * std::int64_t{sizes.width});
  constexpr std::string_view epsilon = "gpt2.attention.layer_norm_epsilon";
  if (static_cast<float>(file.number(epsilon)) != 1e-5f) file.refuse(epsilon, "is ", file.number(epsilon), ", 1e-05 expected: not a GPT-2 as it is computed here");
  return sizes;
}

/// The metadata of a llama model, to which the tokenizer's may be added.
inline GgufMetadata gguf_metadata(const LlamaSizes& sizes, std::string name) {
  const auto number = [](int value) { return static_cast<std::uint32_t>(value); };
  return {{"general.architecture", std::string("llama")},
          {"general.name", std::move(name)},
          {"llama.block_count", number(sizes.layers)},
          {"llama.context_length", number(sizes.context)},
          {"llama.embedding_length", number(sizes.width)},
          {"llama.feed_forward_length", number(sizes.mlp)},
          {"llama.attention.head_count", number(sizes.heads)},
          {"llama.attention.head_count_kv", number(sizes.kv_heads)},
          {"llama.rope.freq_base", sizes.rope_base},
          {"llama.attention.layer_norm_rms_epsilon", sizes.norm_epsilon},
          {"llama.vocab_size", number(sizes.vocabulary)},
          {"llama.rope.dimension_count", number(sizes.width / sizes.heads)}};
}

/// The metadata of a GPT-2.
/// Errors     Failure::usage: exact GELU, which no GGUF program computes
inline GgufMetadata gguf_metadata(const ModelSizes& sizes, std::string name) {
  if (sizes.exact_gelu) fail(Failure::usage, "a GPT-2 with exact GELU can't be a GGUF file: its readers compute the approximation");
  const auto number = [](int value) { return static_cast<std::uint32_t>(value); };
  return {{"general.architecture", std::string("gpt2")},
          {"general.name", std::move(name)},
          {"gpt2.block_count", number(sizes.layers)},
          {"gpt2.context_length", number(sizes.context)},
          {"gpt2.embedding_length", number(sizes.width)},
          {"gpt2.feed_forward_length", number(4 * sizes.width)},
          {"gpt2.attention.head_count", number(sizes.heads)},
          {"gpt2.attention.layer_norm_epsilon", 1e-5f}};
}

namespace detail {

/// A parameter under its GGUF name and in its layout there. Vectors stay F32, as does what isn't written in blocks, but matrices then F16.
template <Real T>
GgufTensorToWrite gguf_tensor_to_write(const GgufPart& part, std::string name, const nn::ParameterInfo& parameter, const T* values, GgmlType type, Index head_size) {
  Shape shape = parameter.dimensions == 2 ? Shape{parameter.saved_rows, parameter.columns} : Shape{parameter.columns};
  const bool vector = shape.size() == 1, transposed = part.layout == GgufLayout::transposed && !vector, rotary = part.layout == GgufLayout::rotary;
  if (transposed) std::swap(shape[0], shape[1]);
  const Index columns = shape.back(), stride = parameter.columns;
  if (vector) type = GgmlType::f32;
  else if (columns % format_of(type).block != 0) type = GgmlType::f16;
  return {std::move(name), type, std::move(shape), [=](Index row, std::span<float> out) {
            for (Index c = 0; c < columns; ++c) {
              Index from = row * columns + c;
              if (transposed) from = c * stride + row;
              else if (rotary) from = vector ? rotary_row(c, head_size) : rotary_row(row, head_size) * columns + c;
              out[static_cast<std::size_t>(c)] = static_cast<float>(values[from]);
            }
          }};
}

inline std::uint32_t gguf_count(const GgufMetadata& metadata, std::string_view key) {
  for (const auto& [name, entry] : metadata)
    if (name == key && std::holds_alternative<std::uint32_t>(entry)) return std::get<std::uint32_t>(entry);
  fail(Failure::internal, "the metadata of a GGUF file need ", key);
}

}  // namespace detail

/// Writes a model's parameters, from their flat buffer in the table's layout, as a GGUF file. `metadata`: gguf_metadata of its sizes, and the tokenizer's
/// (gguf_tokenizer). `type`: of matrices, f32, f16 or q8_0; vectors are F32, and matrices whose rows aren't whole blocks F16.
///
/// Errors     those of write_gguf · Failure::internal: a parameter that the architecture has no name for
template <nn::Model Model, Real T>
void write_gguf_weights(const std::filesystem::path& path, const T* flat, const GgufMetadata& metadata, GgmlType type) {
  const auto architecture = std::get<std::string>(metadata.at(0).second);
  std::vector<GgufTensorToWrite> tensors;
  for (const nn::ParameterInfo& parameter : Model::table) {
    const std::string name = concat(detail::file_prefix<Model>(), parameter.name.view());
    const std::size_t before = tensors.size();
    for (const detail::GgufPart& part : detail::gguf_parts(architecture)) {
      auto found = detail::renamed(name, part.hugging_face, part.gguf);
      if (!found) continue;
      Index head_size = 0;
      if (part.layout == GgufLayout::rotary) head_size = detail::gguf_count(metadata, "llama.embedding_length") / detail::gguf_count(metadata, "llama.attention.head_count");
      tensors.push_back(detail::gguf_tensor_to_write(part, std::move(*found), parameter, flat + parameter.offset, type, head_size));
    }
    if (tensors.size() == before) fail(Failure::internal, path.string(), ": a GGUF file of architecture ", in_quotes(architecture), " has no tensor for ", in_quotes(name));
  }
  write_gguf(path, metadata, tensors);
}

}  // namespace terse::io
