// compare: what weights in fewer bits cost, beside those in 32.
#include <algorithm>
#include <cmath>
#include <functional>
#include <iostream>
#include <numeric>

#include <nlohmann/json.hpp>

#include <terse/train/progress.hpp>

#include "commands.hpp"
#include "texts.hpp"

namespace summarize {

using nlohmann::ordered_json;

namespace {

using metrics::RougeScores;
/// What a precision makes of the dialogues.
struct Written {
  std::vector<std::string> texts;
  std::vector<RougeScores> scores;
};

/// How far a precision's expectations are from the full one's, over all targets.
struct Distance {
  double divergence = 0;  ///< sum of KL(full || other), in nats
  std::int64_t targets = 0, same_best = 0;

  /// Log-probabilities after one row.
  void add(std::span<const float> full, std::span<const float> other) {
    for (std::size_t v = 0; v < full.size(); ++v) divergence += std::exp(double{full[v]}) * (double{full[v]} - double{other[v]});
    const auto best = [](std::span<const float> row) { return std::max_element(row.begin(), row.end()) - row.begin(); };
    ++targets, same_best += best(full) == best(other) ? 1 : 0;
  }
  double mean_divergence() const { return divergence / static_cast<double>(targets); }
  double same_best_share() const { return static_cast<double>(same_best) / static_cast<double>(targets); }
};

void go_on_unless_interrupted() {
  if (interrupted()) fail(Failure::interrupted, "interrupted before all was compared; a comparison can't be resumed, but a smaller --limit is sooner done");
}

Written write_greedily(const Options& given, const Checkpoint& checkpoint, const text::Dialogues& dialogues) {
  Options options = given;
  options.strategy.greedy = true;
  const auto prompts = text::make_prompts(checkpoint.tokenizer, dialogues, longest_prompt(options, *checkpoint.entry));
  auto job = generate_job(options, checkpoint, prompts);
  long done = 0;
  const auto total = static_cast<long>(prompts.size());
  train::Progress progress("texts in " + checkpoint.entry->precision, total, std::max(1L, total / 10));
  job.observer.token = [](std::size_t, TokenId) { return !interrupted(); };
  job.observer.text = [&](std::size_t, const decode::Generation&) { return progress.update(++done, ""), !interrupted(); };
  const auto generations = checkpoint.entry->make()->generate(job);
  go_on_unless_interrupted();
  Written written;
  for (const auto& generation : generations) written.texts.push_back(checkpoint.text(generation.text_ids()));
  written.scores = rouge_scores(dialogues, written.texts);
  return written;
}

Distance distance(const Options& options, const Checkpoint& full, const ModelEntry& other, const std::vector<text::Sample>& samples) {
  const int threads = options.threads_per_rank() * options.ranks;
  const auto ours = full.entry->make()->predictor(full.weights, threads), theirs = other.make()->predictor(full.weights, threads);
  const auto vocabulary = static_cast<std::size_t>(full.entry->sizes.vocabulary);
  const auto total = static_cast<long>(samples.size());
  train::Progress progress(other.precision + " beside fp32", total, std::max(1L, total / 10));
  Distance distance;
  for (long i = 0; i < total; ++i) {
    const auto& sample = samples[static_cast<std::size_t>(i)];
    const auto expected = ours->log_probabilities(sample), found = theirs->log_probabilities(sample);
    for (std::size_t at = 0; at < expected.size(); at += vocabulary) distance.add(expected.subspan(at, vocabulary), found.subspan(at, vocabulary));
    progress.update(i + 1, ""), go_on_unless_interrupted();
  }
  return distance;
}

/// Of each dialogue: so the interval is that of pairs.
std::vector<RougeScores> differences(const Written& other, const Written& full) {
  std::vector<RougeScores> result(full.scores.size());
  for (std::size_t i = 0; i < result.size(); ++i)
    for (const auto& kind : metrics::rouge_kinds) (result[i].*kind.score).f1 = (other.scores[i].*kind.score).f1 - (full.scores[i].*kind.score).f1;
  return result;
}

/// The precisions to be held against fp32.
std::vector<const ModelEntry*> others(const Options& options, const ModelEntry& full) {
  std::vector<const ModelEntry*> found;
  for (const auto& entry : compiled_models()) {
    const bool is_wanted = options.precision == "auto" || options.precision == entry.precision;
    if (is_wanted && entry.model == full.model && entry.device == full.device && entry.precision != full.precision) found.push_back(&entry);
  }
  if (found.empty())
    fail(Failure::usage, "--precision ", options.precision, ": nothing to hold against fp32 on ", full.device, "; compiled in are ", models_in_words(full.device));
  return found;
}

void print_comparison(const ordered_json& result) {
  const auto number = [](const ordered_json& value, int digits) { return train::fixed(value.get<double>(), digits); };
  const auto& full = result["fp32"];
  for (const auto& other : result["compared"]) {
    std::cout << other["precision"].get<std::string>() << " beside fp32, on " << result["samples"] << " dialogues\n"
              << "  expectations  " << number(other["divergence"], 6) << " nats away (mean of KL(fp32 || it) at the " << result["targets"] << " tokens of the summaries)\n"
              << "  best token    the same at " << number(100 * other["same_best"].get<double>(), 1) << " % of them\n"
              << "  greedy texts  the same for " << number(100 * other["same_texts"].get<double>(), 1) << " % of the dialogues\n";
    const auto& difference = other["difference"];
    for (const auto& each : metrics::rouge_kinds) {
      const std::string kind(each.name);
      std::string name = kind;
      name.resize(14, ' ');
      std::cout << "  " << name << number(other[kind], 4) << ", fp32 " << number(full[kind], 4) << ", difference " << number(difference[kind], 4) << "  (95% interval "
                << number(difference["low"][kind], 4) << " to " << number(difference["high"][kind], 4) << ")\n";
    }
  }
}

}  // namespace

int compare(const Options& options) {
  Options in_full = options;
  in_full.precision = "fp32";
  const Checkpoint full = open_checkpoint(in_full);
  const auto entries = others(options, *full.entry);
  const auto dialogues = read_to_judge(options, options.data);
  const auto samples = text::make_samples(full.tokenizer, dialogues, static_cast<std::size_t>(full.entry->sizes.context));
  if (samples.samples.empty()) fail(Failure::bad_input, samples.warning(dialogues.file), "; so none is left");
  warn(options, samples.warning(dialogues.file));
  const auto written = write_greedily(options, full, dialogues);
  const auto means = [&](const Written& of) { return values(metrics::summarize(of.scores, options.seed), &metrics::Interval::mean); };
  ordered_json result{{"samples", dialogues.rows.size()}, {"targets", 0}, {"fp32", means(written)}, {"compared", ordered_json::array()}};
  for (const ModelEntry* entry : entries) {
    Checkpoint cheap = full;
    cheap.entry = entry;
    const auto distances = distance(options, full, *entry, samples.samples);
    const auto its = write_greedily(options, cheap, dialogues);
    const auto same = std::inner_product(written.texts.begin(), written.texts.end(), its.texts.begin(), 0, std::plus(), std::equal_to());
    const auto difference = metrics::summarize(differences(its, written), options.seed);
    ordered_json one{{"precision", entry->precision}, {"divergence", distances.mean_divergence()}, {"same_best", distances.same_best_share()},
                     {"same_texts", static_cast<double>(same) / static_cast<double>(written.texts.size())}};
    one.update(means(its));
    one["difference"] = values(difference, &metrics::Interval::mean);
    one["difference"]["low"] = values(difference, &metrics::Interval::low);
    one["difference"]["high"] = values(difference, &metrics::Interval::high);
    result["compared"].push_back(one);
    result["targets"] = distances.targets;
  }
  if (options.json) std::cout << result.dump(2) << "\n";
  else print_comparison(result);
  return 0;
}

}  // namespace summarize
