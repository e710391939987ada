#pragma once
/// A model in a folder, as transformers' `from_pretrained` reads it: model.safetensors and config.json.

#include <algorithm>
#include <filesystem>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <terse/io/config.hpp>
#include <terse/io/gguf/weights.hpp>
#include <terse/io/safetensors.hpp>
#include <terse/nn/model.hpp>

namespace terse::io {

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
template <class File, Real T>
void read_tensor(const File& file, const std::string& prefix, const nn::ParameterInfo& parameter, T* values) {
  const auto count = static_cast<std::size_t>(parameter.saved_rows * parameter.columns);
  file.template read<T>(prefix + std::string(parameter.name.view()), shape_of(parameter), std::span<T>(values, count));
  std::fill_n(values + count, static_cast<std::size_t>(parameter.size()) - count, T{});
}

template <class Model>
std::string words_of() {
  if constexpr (requires { requires models::ModelConfig<typename Model::Config>; }) return ModelSizes::of<typename Model::Config>().words();
  else return concat(Model::table.size(), " tensors, the first ", in_quotes(Model::table.front().name.view()));
}

}  // namespace detail

/// Adds the tensors of a flat buffer of the model's layout, under its parameters' names with `prefix` before them; no padding.
template <nn::Model Model, Real T>
void add_tensors(std::vector<TensorToWrite>& tensors, const std::string& prefix, const T* flat) {
  for (const nn::ParameterInfo& parameter : Model::table) {
    const auto count = static_cast<std::size_t>(parameter.saved_rows * parameter.columns);
    tensors.push_back(tensor_to_write(prefix + std::string(parameter.name.view()), detail::shape_of(parameter), std::span<const T>(flat + parameter.offset, count)));
  }
}

/// Reads what add_tensors named; rows that are padding become 0. `file`: Safetensors, or GgufWeights.
///
/// Errors     Failure::bad_input, naming file and tensor: missing, another shape or dtype
template <nn::Model Model, class File, Real T>
void read_tensors(const File& file, const std::string& prefix, T* flat) {
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

/// The same of parameters that needn't be in memory all at a time: values_of(parameter) points to one's, and may put them where the one before was.
template <nn::Model Model, class ValuesOf>
void write_weights_in_turn(const std::filesystem::path& path, ValuesOf&& values_of, Metadata metadata = {}) {
  std::vector<TensorToWrite> tensors;
  for (const nn::ParameterInfo& parameter : Model::table) {
    const auto make = [&values_of, &parameter] { return std::as_bytes(std::span(values_of(parameter), static_cast<std::size_t>(parameter.saved_rows * parameter.columns))); };
    tensors.push_back({std::string(detail::file_prefix<Model>()) + std::string(parameter.name.view()), stored(dtype_of<typename Model::Parameter>()), detail::shape_of(parameter), {}, make});
  }
  metadata["format"] = "pt";
  write_safetensors(path, std::move(tensors), metadata);
}

namespace detail {

// What some files carry and no model needs: the masks of GPT-2's old ones, the frequencies of Llama's.
inline bool is_buffer(std::string_view name) { return name.ends_with(".attn.bias") || name.ends_with(".attn.masked_bias") || name.ends_with(".rotary_emb.inv_freq"); }

template <nn::Model Model, class File, class Take>
void read_all_weights(const File& file, Take&& take) {
  std::string prefix(file_prefix<Model>());
  if (file.find(prefix + std::string(Model::table.front().name.view())) == nullptr) prefix.clear();
  for (const nn::ParameterInfo& parameter : Model::table) read_tensor(file, prefix, parameter, take.room_for(parameter)), take(parameter);
  std::set<std::string, std::less<>> expected;
  for (const nn::ParameterInfo& parameter : Model::table) expected.insert(prefix + std::string(parameter.name.view()));
  for (const auto& [name, info] : file.tensors()) {
    if (expected.contains(name) || is_buffer(name)) continue;
    const auto* embedding = file.find(prefix + std::string(Model::table.front().name.view()));
    if (name == "lm_head.weight" && embedding != nullptr) {
      if (same_values(info, *embedding)) continue;
      refuse_tensor(file.name(), name, "differs from the embedding: a head of its own isn't part of this model (", words_of<Model>(), ")");
    }
    refuse_tensor(file.name(), name, "isn't part of this model (", words_of<Model>(), "); is this another model's file?");
  }
}

// A flat buffer has room for all.
template <class T>
struct TakesFlat {
  T* flat;
  T* room_for(const nn::ParameterInfo& parameter) const { return flat + parameter.offset; }
  void operator()(const nn::ParameterInfo&) const {}
};

}  // namespace detail

/// Reads a model's parameters one at a time, in the order of its table: values go to take.room_for(parameter), then take(parameter) is called, and the room may
/// be the next one's. Rows that are padding become 0. Names with or without the model's `file_prefix`; masks and frequencies that some files carry are
/// ignored; so is a head that is the embedding again.
///
/// Errors     Failure::bad_input, naming file and tensor: missing, surplus, another shape or dtype
template <nn::Model Model, class Take>
void read_weights_in_turn(const Safetensors& file, Take&& take) {
  detail::read_all_weights<Model>(file, take);
}

/// The same from a llama or gpt2 GGUF file, whatever its tensors' formats: they are found by Hugging Face's names (GgufWeights).
template <nn::Model Model, class Take>
void read_weights_in_turn(const Gguf& file, Take&& take) {
  detail::read_all_weights<Model>(GgufWeights(file), take);
}

/// The same from a file by its name; its first bytes say which of the two it is.
template <nn::Model Model, class Take>
void read_weights_in_turn(const std::filesystem::path& path, Take&& take) {
  if (is_gguf(path)) read_weights_in_turn<Model>(GgufFile::open(path), take);
  else read_weights_in_turn<Model>(SafetensorsFile::open(path), take);
}

/// The same into the model's flat buffer; `file`: Safetensors, Gguf or a path.
template <nn::Model Model, class File, Real T>
void read_weights(const File& file, T* flat) {
  read_weights_in_turn<Model>(file, detail::TakesFlat<T>{flat});
}

}  // namespace terse::io
