#pragma once
// What a run starts from: --init.
#include <filesystem>
#include <optional>

#include <terse/io/config.hpp>
#include <terse/text/bpe.hpp>

#include "compiled_model.hpp"
#include "options.hpp"

namespace summarize {

/// The file of weights that --init names: the file itself, or a folder's model.safetensors or only .gguf. Empty for scratch.
/// Errors     Failure::bad_input: there is none
std::filesystem::path initial_file(const Options& options);

/// A .gguf file that `path` is, or that is the only one in such a folder, which has no model.safetensors; else empty.
std::filesystem::path gguf_of(const std::filesystem::path& path);

/// The sizes of the model that --init names, where something tells: a .gguf file or a folder's config.json.
std::optional<io::ModelSizes> initial_sizes(const Options& options);

/// The tokenizer beside or inside it, where there is one.
std::optional<text::Bpe> initial_tokenizer(const Options& options);

/// As initial_file, held against the model.
/// Errors     Failure::bad_input: its sizes are others; Failure::usage: --lora without a model to adapt, or with one that the run would remove
std::filesystem::path initial_weights(const Options& options, const ModelEntry& entry);

}  // namespace summarize
