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

inline int gguf_whole_number(const Gguf& file, const std::string& key, double value) {
  if (value != std::round(value) || value < 1 || value > std::numeric_limits<int>::max()) file.refuse(key, "is ", file.number(key), ": not a model as it is computed here");
  return static_cast<int>(value);
}

inline ModelSizes llama_sizes(const Gguf& file) {
  ModelSizes sizes{.family = ModelSizes::Family::llama, .vocabulary = gguf_vocabulary(file), .context = gguf_size(file, "llama.context_length"),
                   .layers = gguf_size(file, "llama.block_count"), .heads = gguf_size(file, "llama.attention.head_count"), .width = gguf_size(file, "llama.embedding_length")};
  sizes.hidden = gguf_size(file, "llama.feed_forward_length");
  sizes.key_value_heads = file.has("llama.attention.head_count_kv") ? gguf_size(file, "llama.attention.head_count_kv") : sizes.heads;
  constexpr const char *epsilon = "llama.attention.layer_norm_rms_epsilon", *theta = "llama.rope.freq_base";
  sizes.inverse_epsilon = gguf_whole_number(file, epsilon, std::round(1 / file.number(epsilon) * 10) / 10);  // a float: 1e-5 is 1 / 99999.99
  sizes.rope_theta = file.has(theta) ? gguf_whole_number(file, theta, file.number(theta)) : 10000;
  sizes.tied = file.find("output.weight") == nullptr;
  if (sizes.width % sizes.heads != 0) file.refuse("llama.embedding_length", "is ", sizes.width, ", not divisible by ", sizes.heads, " heads: not a model as it is computed here");
  for (const char* const key : {"llama.rope.dimension_count", "llama.attention.key_length", "llama.attention.value_length"}) require_integer(file, key, sizes.width / sizes.heads);
  require_integer(file, "llama.expert_count", 0);
  if (file.has("llama.rope.scaling.type") && file.text("llama.rope.scaling.type") != "none")
    file.refuse("llama.rope.scaling.type", "is ", in_quotes(file.text("llama.rope.scaling.type")), ", \"none\" expected: not a model as it is computed here");
  if (file.find("rope_freqs.weight") != nullptr) refuse_tensor(file.name(), "rope_freqs.weight", "scales RoPE: not a model as it is computed here");
  return sizes;
}

inline ModelSizes gpt2_sizes(const Gguf& file) {
  const ModelSizes sizes{.vocabulary = gguf_vocabulary(file), .context = gguf_size(file, "gpt2.context_length"), .layers = gguf_size(file, "gpt2.block_count"),
                         .heads = gguf_size(file, "gpt2.attention.head_count"), .width = gguf_size(file, "gpt2.embedding_length")};
  require_integer(file, "gpt2.feed_forward_length", 4 * std::int64_t{sizes.width});
  constexpr std::string_view epsilon = "gpt2.attention.layer_norm_epsilon";
  if (static_cast<float>(file.number(epsilon)) != 1e-5f) file.refuse(epsilon, "is ", file.number(epsilon), ", 1e-05 expected: not a GPT-2 as it is computed here");
  return sizes;
}

}  // namespace detail

/// The sizes of a llama or gpt2 GGUF file: enough to find the compiled-in model that fits, or to say which would.
///
/// Errors     Failure::bad_input: another architecture, or formulas that models here don't have (scaled RoPE, experts, heads of another size)
inline ModelSizes read_sizes(const Gguf& file) {
  const auto architecture = file.text("general.architecture");
  if (architecture == "llama") return detail::llama_sizes(file);
  if (architecture == "gpt2") return detail::gpt2_sizes(file);
  file.refuse("general.architecture", "is ", in_quotes(architecture), ", \"llama\" or \"gpt2\" expected: another kind of model");
}

/// The metadata of a model, to which the tokenizer's may be added.
/// Errors     Failure::usage: a GPT-2 with exact GELU, which no GGUF program computes
inline GgufMetadata gguf_metadata(const ModelSizes& sizes, std::string name) {
  if (sizes.exact_gelu) fail(Failure::usage, "a GPT-2 with exact GELU can't be a GGUF file: its readers compute the approximation");
  const bool llama = sizes.family == ModelSizes::Family::llama;
  const std::string architecture = llama ? "llama" : "gpt2";
  GgufMetadata metadata{{"general.architecture", architecture}, {"general.name", std::move(name)}};
  const auto add = [&](const char* key, auto value) { metadata.push_back({architecture + key, value}); };
  const auto number = [](int value) { return static_cast<std::uint32_t>(value); };
  add(".block_count", number(sizes.layers)), add(".context_length", number(sizes.context)), add(".embedding_length", number(sizes.width));
  add(".feed_forward_length", number(llama ? sizes.hidden : 4 * sizes.width)), add(".attention.head_count", number(sizes.heads));
  if (!llama) {
    add(".attention.layer_norm_epsilon", 1e-5f);
    return metadata;
  }
  add(".attention.head_count_kv", number(sizes.key_value_heads)), add(".rope.freq_base", static_cast<float>(sizes.rope_theta));
  add(".attention.layer_norm_rms_epsilon", 1 / static_cast<float>(sizes.inverse_epsilon));
  add(".vocab_size", number(sizes.vocabulary)), add(".rope.dimension_count", number(sizes.width / sizes.heads));
  return metadata;
}

namespace detail {

/// A parameter under its GGUF name and in its layout there. Vectors stay F32, as does what isn't written in blocks, but matrices then F16.
template <Real T>
GgufTensorToWrite gguf_tensor_to_write(const GgufPart& part, std::string name, const nn::ParameterInfo& parameter, const T* values, GgmlType type, Index head_size) {
  Shape shape = shape_of(parameter);
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
