#pragma once
// What commands read: tokenizer, samples, checkpoints; and which compiled-in model they need.
#include <filesystem>
#include <string>
#include <vector>

#include <terse/text/bpe.hpp>
#include <terse/text/dialogue.hpp>

#include "compiled_model.hpp"
#include "options.hpp"
#include "run_folder.hpp"

namespace summarize {

/// Everything a training needs, read and checked before any rank starts.
struct TrainingInputs {
  text::Bpe tokenizer;
  text::Samples training, validation;  ///< validation: samples of --validation; else empty and a part of `training`
  text::Split split;
  text::Dialogues validation_rows;  ///< the dialogues to evaluate on afterwards

  train::TrainData data(long evaluate_samples) const;
  /// The dialogues of data()'s validation samples, in their order.
  std::vector<text::Dialogue> judged(long evaluate_samples) const;
  /// Tells these samples, as the model sees them, from others.
  std::string identity() const;
};

/// For the run in `folder`: one that goes on needs no --init, and keeps its tokenizer.
/// Errors     Failure::bad_input, Failure::usage: whatever is wrong with files and options
TrainingInputs read_training(const Options& options, const RunFolder& folder);

/// The rows of --test; none without it.
text::Dialogues read_test(const Options& options);

/// What generated ids say, as valid UTF-8: a character that breaks off becomes U+FFFD. Ids that only the model has (the tokenizer's
/// vocabulary may be smaller) say nothing.
std::string text_of(const text::Bpe& tokenizer, std::span<const TokenId> ids);

/// --tokenizer, else that of the --init folder, else one trained on the data where the model has a vocabulary of its own.
/// Errors     Failure::bad_input: it doesn't fit the model; Failure::usage: there is none
text::Bpe training_tokenizer(const Options& options, const ModelEntry& entry, const text::Dialogues& dialogues);

/// A trained model on disk.
struct Checkpoint {
  std::filesystem::path weights;  ///< model.safetensors of a folder, or a .gguf file
  text::Bpe tokenizer;
  const ModelEntry* entry;

  std::filesystem::path folder() const { return weights.parent_path(); }
  std::string text(std::span<const TokenId> ids) const { return text_of(tokenizer, ids); }
};

/// --checkpoint, else best/ or checkpoint/ of --out; the compiled-in model of its size.
Checkpoint open_checkpoint(const Options& options);
/// What --init names, for texts before it is trained.
Checkpoint open_initial(const Options& options, const text::Bpe& tokenizer);

/// The models compiled in for a device, or for all, each with its precisions: "demo (fp32, bf16), tiny (fp32)".
std::string models_in_words(const std::string& device = "");

/// The one of these names; nullptr: it isn't compiled in.
const ModelEntry* find_compiled(const std::string& model, const std::string& precision, const std::string& device);

/// --model, else the compiled-in one that fits what --init names, else the program's default.
std::string named_model(const Options& options);

/// The compiled-in model that --model names, or --init's where it isn't given, for --device. `training`: what `--precision auto` means depends on it.
const ModelEntry& find_model(const Options& options, bool training);

/// How the model is trained: all of it, or by --lora adapters of that rank.
/// Errors     Failure::usage: these aren't compiled in
std::unique_ptr<CompiledTraining> find_training(const Options& options, const ModelEntry& entry);

/// A warning on stderr, where there is one. With --strict it is an error: Failure::bad_input.
void warn(const Options& options, const std::string& message);

/// The first --limit rows of a CSV, and a warning of those that can't be used: without those for `evaluate`; for `predict` with them.
text::Dialogues read_to_judge(const Options& options, const std::filesystem::path& file);
text::Dialogues read_to_predict(const Options& options, const std::filesystem::path& file);

/// The first `limit` rows (0: all).
void keep_first(text::Dialogues& dialogues, long limit);

}  // namespace summarize
