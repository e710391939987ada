#pragma once
// Summaries for dialogues, with a progress bar.
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/metrics/rouge.hpp>

#include "inputs.hpp"

namespace summarize {

struct Summaries {
  std::vector<decode::Generation> generations;  ///< one for each dialogue, in order
  std::vector<std::string> texts;
  double seconds = 0;
  std::int64_t new_tokens = 0;
  std::function<void()> on_written;  ///< to be called when they are where they were to go: until then they are kept for --resume

  double new_tokens_per_second() const { return seconds > 0 ? static_cast<double>(new_tokens) / seconds : 0; }
};

/// `what`: they are for, as the progress bar names it. With --resume, those that an interrupted attempt left beside `output` aren't written again.
/// Errors     Failure::interrupted: the user pressed ctrl-C
Summaries write_summaries(const char* what, const std::filesystem::path& output, const Options& options, const Checkpoint& checkpoint, const text::Dialogues& dialogues);

/// The job that generates from `prompts` with this checkpoint.
GenerateJob generate_job(const Options& options, const Checkpoint& checkpoint, std::span<const std::vector<TokenId>> prompts);

/// Most tokens a prompt may have, so that the new tokens fit behind it.
/// Errors     Failure::usage: --max-new leaves no room
std::size_t longest_prompt(const Options& options, const ModelEntry& model);

/// Of each prediction, against the summary of its dialogue.
std::vector<metrics::RougeScores> rouge_scores(const text::Dialogues& dialogues, const std::vector<std::string>& predictions);
/// Means, or an end of the intervals, by name.
nlohmann::ordered_json values(const metrics::RougeSummary& rouge, double metrics::Interval::*which);

}  // namespace summarize
