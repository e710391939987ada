#pragma once
/// A model in a folder, as transformers' `from_pretrained` reads it: model.safetensors and config.json.

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/core/json.hpp>
#include <terse/core/packed_batch.hpp>
#include <terse/io/safetensors.hpp>
#include <terse/nn/model.hpp>

namespace terse::io {

/// What a config.json says of a GPT-2's size.
struct ModelSizes {
  int vocabulary = 0, context = 0, layers = 0, heads = 0, width = 0;
  bool exact_gelu = false;

  bool operator==(const ModelSizes&) const = default;

  template <class Config>
  static constexpr ModelSizes of() {
    return {Config::vocabulary, Config::context, Config::layers, Config::heads, Config::width, Config::gelu != decltype(Config::gelu)::tanh};
  }
  std::string words() const {
    return concat(layers, " layers, ", heads, " heads, width ", width, ", context ", context, ", vocabulary ", vocabulary, exact_gelu ? ", exact GELU" : "");
  }
};

namespace detail {

inline Shape shape_of(const nn::ParameterInfo& parameter) {
  return parameter.dimensions == 2 ? Shape{parameter.saved_rows, parameter.columns} : Shape{parameter.columns};
}

// What stands before a model's names in its files.
template <class Model>
constexpr std::string_view file_prefix() {
  if constexpr (requires { Model::file_prefix; }) return Model::file_prefix;
  else return "";
}

// Values of a parameter; rows that are padding become 0.
template <Real T>
void read_tensor(const Safetensors& file, const std::string& prefix, const nn::ParameterInfo& parameter, T* values) {
  const auto count = static_cast<std::size_t>(parameter.saved_rows * parameter.columns);
  file.read<T>(prefix + std::string(parameter.name.view()), shape_of(parameter), std::span<T>(values, count));
  std::fill_n(values + count, static_cast<std::size_t>(parameter.size()) - count, T{});
}

template <class Model>
std::string words_of() {
  if constexpr (requires { Model::Config::heads; }) return ModelSizes::of<typename Model::Config>().words();
  else return concat(Model::table.size(), " tensors, the first ", in_quotes(Model::table.front().name.view()));
}

}  // namespace detail

/// The sizes in a config.json's text. What isn't a GPT-2 as models::Gpt computes it is refused, since its numbers would be silently wrong. `name`: the file's, for messages.
///
/// Errors     Failure::bad_input: not JSON, not a GPT-2, or one with other formulas
inline ModelSizes parse_config(std::string_view text, const std::string& name) {
  const auto config = parse_json(text, {name, "copy or write it again", 32});
  if (!config.is_object()) fail(Failure::bad_input, name, ": ", in_words(config), ", not the configuration of a GPT-2");
  const auto size = [&](const char* key) {
    if (!config.contains(key)) fail(Failure::bad_input, name, ": \"", key, "\" is missing: not the configuration of a GPT-2");
    const auto& value = config[key];
    if (!value.is_number_integer() || value < 1 || value > std::numeric_limits<int>::max())
      fail(Failure::bad_input, name, ": \"", key, "\" is ", in_words(value), ", a whole number from 1 to ", std::numeric_limits<int>::max(), " expected");
    return value.get<int>();
  };
  const auto require = [&](const char* key, std::initializer_list<nlohmann::json> known) {
    if (config.contains(key) && std::ranges::find(known, config[key]) == known.end())
      fail(Failure::bad_input, name, ": \"", key, "\" is ", in_words(config[key]), ", ", in_words(*known.begin()), " expected: not a GPT-2 as it is computed here");
  };
  require("model_type", {"gpt2"});
  const ModelSizes sizes{size("vocab_size"), size("n_positions"), size("n_layer"), size("n_head"), size("n_embd"),
                         config.contains("activation_function") && config["activation_function"] == "gelu"};
  require("activation_function", {"gelu_new", "gelu_pytorch_tanh", "gelu"});
  require("layer_norm_epsilon", {1e-5});
  require("n_inner", {nullptr, 4 * std::int64_t{sizes.width}});
  require("scale_attn_weights", {true});
  require("scale_attn_by_inverse_layer_idx", {false});
  return sizes;
}

/// The sizes in a config.json.
/// Errors     those of parse_config, and Failure::bad_input where the file cannot be read
inline ModelSizes read_config(const std::filesystem::path& path) { return parse_config(read_file(path), path.string()); }

/// config.json and generation_config.json. Dropout is what transformers would train on with.
inline void write_config(const std::filesystem::path& folder, const ModelSizes& sizes, TokenId end_of_text, double dropout, const nlohmann::json& generation) {
  const nlohmann::ordered_json config{{"architectures", {"GPT2LMHeadModel"}},
                                      {"model_type", "gpt2"},
                                      {"vocab_size", sizes.vocabulary},
                                      {"n_positions", sizes.context},
                                      {"n_ctx", sizes.context},
                                      {"n_embd", sizes.width},
                                      {"n_layer", sizes.layers},
                                      {"n_head", sizes.heads},
                                      {"n_inner", nullptr},
                                      {"activation_function", sizes.exact_gelu ? "gelu" : "gelu_new"},
                                      {"layer_norm_epsilon", 1e-5},
                                      {"initializer_range", 0.02},
                                      {"resid_pdrop", dropout},
                                      {"embd_pdrop", dropout},
                                      {"attn_pdrop", dropout},
                                      {"bos_token_id", end_of_text},
                                      {"eos_token_id", end_of_text},
                                      {"tie_word_embeddings", true},
                                      {"torch_dtype", "float32"}};
  write_file(folder / "config.json", config.dump(2) + "\n");
  nlohmann::ordered_json defaults{{"bos_token_id", end_of_text}, {"eos_token_id", end_of_text}};
  defaults.update(generation);
  write_file(folder / "generation_config.json", defaults.dump(2) + "\n");
}

/// Adds the tensors of a flat buffer of the model's layout, under its parameters' names with `prefix` before them; no padding.
template <nn::Model Model, Real T>
void add_tensors(std::vector<TensorToWrite>& tensors, const std::string& prefix, const T* flat) {
  for (const nn::ParameterInfo& parameter : Model::table) {
    const auto count = static_cast<std::size_t>(parameter.saved_rows * parameter.columns);
    tensors.push_back(tensor_to_write(prefix + std::string(parameter.name.view()), detail::shape_of(parameter), std::span<const T>(flat + parameter.offset, count)));
  }
}

/// Reads what add_tensors named; rows that are padding become 0.
///
/// Errors     Failure::bad_input, naming file and tensor: missing, another shape or dtype
template <nn::Model Model, Real T>
void read_tensors(const Safetensors& file, const std::string& prefix, T* flat) {
  for (const nn::ParameterInfo& parameter : Model::table) detail::read_tensor(file, prefix, parameter, flat + parameter.offset);
}

/// Writes a model's parameters, from their flat buffer, under the names of its table, after the model's `file_prefix` if it has one:
/// so a Gpt's names are those of GPT2LMHeadModel's files.
template <nn::Model Model, Real T>
void write_weights(const std::filesystem::path& path, const T* flat, Metadata metadata = {}) {
  std::vector<TensorToWrite> tensors;
  add_tensors<Model>(tensors, std::string(detail::file_prefix<Model>()), flat);
  metadata["format"] = "pt";
  write_safetensors(path, std::move(tensors), metadata);
}

/// Reads a model's parameters one at a time, in the order of its table: values go to take.room_for(parameter), then take(parameter) is called, and the room may
/// be the next one's. Rows that are padding become 0. Names with or without the model's `file_prefix`; masks that GPT-2's old files carry are ignored; an
/// untied head is refused.
///
/// Errors     Failure::bad_input, naming file and tensor: missing, surplus, another shape or dtype
template <nn::Model Model, class Take>
void read_weights_in_turn(const Safetensors& file, Take&& take) {
  std::string prefix(detail::file_prefix<Model>());
  if (file.find(prefix + std::string(Model::table.front().name.view())) == nullptr) prefix.clear();
  for (const nn::ParameterInfo& parameter : Model::table) detail::read_tensor(file, prefix, parameter, take.room_for(parameter)), take(parameter);
  std::set<std::string, std::less<>> expected;
  for (const nn::ParameterInfo& parameter : Model::table) expected.insert(prefix + std::string(parameter.name.view()));
  for (const auto& [name, info] : file.tensors()) {
    if (expected.contains(name) || name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias")) continue;
    const TensorInfo* embedding = file.find(prefix + "wte.weight");
    if (name == "lm_head.weight" && embedding != nullptr) {
      if (info.dtype == embedding->dtype && std::ranges::equal(info.bytes, embedding->bytes)) continue;
      fail(Failure::bad_input, file.name(), ": tensor \"lm_head.weight\" differs from wte.weight: a head of its own isn't supported");
    }
    fail(Failure::bad_input, file.name(), ": tensor ", in_quotes(name), " isn't part of this model (", detail::words_of<Model>(), "); is this another model's file?");
  }
}

namespace detail {

// A flat buffer has room for all.
template <class T>
struct TakesFlat {
  T* flat;
  T* room_for(const nn::ParameterInfo& parameter) const { return flat + parameter.offset; }
  void operator()(const nn::ParameterInfo&) const {}
};

}  // namespace detail

/// The same into the model's flat buffer.
template <nn::Model Model, Real T>
void read_weights(const Safetensors& file, T* flat) {
  read_weights_in_turn<Model>(file, detail::TakesFlat<T>{flat});
}

/// And from a file by its name.
template <nn::Model Model, Real T>
void read_weights(const std::filesystem::path& path, T* flat) {
  read_weights<Model>(SafetensorsFile::open(path), flat);
}

}  // namespace terse::io
