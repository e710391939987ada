// evaluate and predict: summaries for a CSV of dialogues, judged or submitted.
#include <chrono>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>

#include <nlohmann/json.hpp>

#include <terse/decode/stops.hpp>
#include <terse/metrics/rouge.hpp>
#include <terse/text/csv.hpp>
#include <terse/train/progress.hpp>

#include "commands.hpp"
#include "journal.hpp"
#include "ranks.hpp"
#include "run_folder.hpp"
#include "settings.hpp"
#include "texts.hpp"

namespace summarize {

using nlohmann::ordered_json;

std::size_t longest_prompt(const Options& options, const ModelEntry& model) {
  const auto context = static_cast<long>(model.sizes.context), room = context - options.strategy.max_new;
  if (room < 1) fail(Failure::usage, "--max-new ", options.strategy.max_new, " leaves no room for a prompt in a context of ", context);
  return static_cast<std::size_t>(room);
}

namespace {

/// --bad-words, each as the text's first word and as a later one.
std::vector<std::vector<TokenId>> bad_words(const Options& options, const text::Bpe& tokenizer) {
  std::vector<std::vector<TokenId>> ids;
  std::istringstream words(options.bad_words);
  for (std::string word; std::getline(words, word, ',');) {
    if (word.empty()) continue;
    ids.push_back(tokenizer.encode(word));
    if (word[0] != ' ') ids.push_back(tokenizer.encode(" " + word));
  }
  return ids;
}

}  // namespace

GenerateJob generate_job(const Options& options, const Checkpoint& checkpoint, std::span<const std::vector<TokenId>> prompts) {
  decode::Strategy strategy = options.strategy;
  strategy.seed = options.seed;
  if (!options.stop.empty()) strategy.stops.push_back([stop = decode::StopStrings{{options.stop}, &checkpoint.tokenizer}](const decode::History& text) { return stop.stops(text); });
  strategy.bad_words.words = bad_words(options, checkpoint.tokenizer);
  const int ranks = std::max(1, std::min(options.ranks, static_cast<int>(prompts.size())));
  return {.weights = checkpoint.weights, .prompts = decode::numbered(prompts), .strategy = strategy, .observer = {},
          .end_of_text = checkpoint.tokenizer.end_of_text(), .world = options.world, .ranks = ranks, .threads = options.threads_of_each(ranks), .decode_batch = options.decode_batch};
}

namespace {

std::size_t mix(std::size_t sum, std::string_view bytes) { return (sum ^ std::hash<std::string_view>{}(bytes)) * 0x9E3779B97F4A7C15u; }  // the golden ratio: order counts

/// Of a file's last MiB and its size: weights that were trained otherwise differ in all of their tensors.
std::size_t checksum_of_end(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  const auto size = static_cast<std::streamoff>(file.tellg());
  std::string end(static_cast<std::size_t>(std::clamp(size, std::streamoff{0}, std::streamoff{1} << 20)), '\0');
  file.seekg(size - static_cast<std::streamoff>(end.size()));
  file.read(end.data(), static_cast<std::streamsize>(end.size()));
  return mix(static_cast<std::size_t>(size), end);
}

/// What ranks that are processes must have in common to share the prompts.
ordered_json identity_of(const Options& options, const Checkpoint& checkpoint, const std::vector<std::vector<TokenId>>& prompts) {
  std::size_t mixed = 0;
  for (const auto& prompt : prompts) {
    const auto bytes = std::as_bytes(std::span(prompt));
    mixed = mix(mixed, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  ordered_json identity{{"prompts", concat(prompts.size(), ", checksum ", mixed)},
                        {"checkpoint", concat("step ", checkpoint_step(checkpoint.folder()), ", checksum ", checksum_of_end(checkpoint.weights))},
                        {"model", checkpoint.entry->model}, {"precision", checkpoint.entry->precision}, {"seed", options.seed}};
  identity.update(settings_of(options.strategy));
  identity.erase("draft");  // it doesn't change texts
  return identity;
}

}  // namespace

Summaries write_summaries(const char* what, const std::filesystem::path& output, const Options& options, const Checkpoint& checkpoint, const text::Dialogues& dialogues) {
  const auto prompts = text::make_prompts(checkpoint.tokenizer, dialogues, longest_prompt(options, *checkpoint.entry));
  const auto identity = identity_of(options, checkpoint, prompts);
  Journal journal(output.parent_path(), what);
  const bool goes_on = options.resume && (!options.after_training || journal.is_of(identity));  // a training that went on has another checkpoint
  auto written = goes_on ? journal.read(identity) : std::map<std::size_t, decode::Generation>{};
  auto in_common = identity;
  in_common["texts already written"] = written.size();
  require_agreement(*options.world, in_common);  // and all have read before one writes
  if (!goes_on && options.world->is_first()) journal.remove();
  journal.begin(options.world->has_processes() ? options.world->own()->rank() : 0, identity, goes_on);
  auto job = generate_job(options, checkpoint, prompts);
  std::erase_if(job.prompts, [&](const decode::Prompt& prompt) { return written.contains(static_cast<std::size_t>(prompt.number)); });
  const long total = static_cast<long>(prompts.size());
  train::Progress progress(what, total, std::max(1L, total / 10));
  const auto start = std::chrono::steady_clock::now();
  const auto seconds = [&] { return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count(); };
  Summaries summaries;
  long done = static_cast<long>(written.size());
  if (done > 0 && options.world->is_first()) std::cerr << what << ": " << done << " of " << total << " texts are there already\n";
  job.observer.token = [](std::size_t, TokenId) { return !interrupted(); };
  job.observer.text = [&](std::size_t i, const decode::Generation& text) {
    journal.add(static_cast<std::size_t>(job.prompts[i].number), text);
    summaries.new_tokens += static_cast<std::int64_t>(text.ids.size());
    progress.update(++done, concat(train::fixed(static_cast<double>(summaries.new_tokens) / seconds(), 0), " new tokens/s"));
    return !interrupted();
  };
  auto made = checkpoint.entry->make()->generate(job);
  summaries.seconds = seconds();
  if (options.world->any(interrupted())) fail(Failure::interrupted, "interrupted after ", done, " of ", total, " texts; they are kept: give the same command with --resume to go on");
  for (std::size_t i = 0; i < made.size(); ++i) written[static_cast<std::size_t>(job.prompts[i].number)] = std::move(made[i]);
  for (auto& [number, text] : written) summaries.generations.push_back(std::move(text));
  summaries.on_written = [journal = std::make_shared<Journal>(std::move(journal)), first = options.world->is_first()] {
    if (first) journal->remove();
  };
  for (const auto& generation : summaries.generations) summaries.texts.push_back(checkpoint.text(generation.text_ids()));
  return summaries;
}

std::vector<metrics::RougeScores> rouge_scores(const text::Dialogues& dialogues, const std::vector<std::string>& predictions) {
  metrics::RougeScorer score;
  std::vector<metrics::RougeScores> scores;
  for (std::size_t i = 0; i < predictions.size(); ++i) scores.push_back(score(dialogues.rows[i].summary, predictions[i]));
  return scores;
}

ordered_json values(const metrics::RougeSummary& rouge, double metrics::Interval::*which) {
  ordered_json values;
  for (const auto& kind : metrics::rouge_kinds) values[std::string(kind.name)] = rouge.*kind.interval.*which;
  return values;
}

namespace {

/// The first line of a dialogue: a summarizer that reads no further.
std::string lead(const std::string& dialogue) { return dialogue.substr(0, dialogue.find_first_of("\r\n")); }

metrics::RougeSummary rouge_of(const text::Dialogues& dialogues, const std::vector<std::string>& predictions, std::uint64_t seed) {
  return metrics::summarize(rouge_scores(dialogues, predictions), seed);
}

/// A file named by --output, or `name` in --out.
std::filesystem::path output_file(const Options& options, const char* name) { return options.output.empty() ? options.out / name : options.output; }

void write_predictions(const std::filesystem::path& path, const text::Dialogues& dialogues, const Summaries& summaries, bool references) {
  io::AtomicFile file(path);
  for (std::size_t i = 0; i < dialogues.rows.size(); ++i) {
    ordered_json line{{"id", dialogues.rows[i].id}, {"dialogue", dialogues.rows[i].text}};
    if (references) line["reference"] = dialogues.rows[i].summary;
    line["summary"] = summaries.texts[i];
    line["tokens"] = summaries.generations[i].ids;
    file.write(line.dump(-1, ' ', false, ordered_json::error_handler_t::replace) + "\n");
  }
  file.commit();
}

void make_folder_of(const std::filesystem::path& file) {
  std::error_code error;
  if (!file.parent_path().empty()) std::filesystem::create_directories(file.parent_path(), error);
  if (error) fail(Failure::cannot_write, file.parent_path().string(), ": cannot be made: ", error.message(), "; name another place with --output or --out");
}

void print_table(const char* title, const ordered_json& evaluation) {
  std::cout << title << " on " << evaluation["samples"] << " dialogues (95% interval)   lead-1 baseline\n";
  for (const auto& each : metrics::rouge_kinds) {
    const std::string kind(each.name);
    std::string name = kind;
    name.resize(10, ' ');
    const auto number = [&](const ordered_json& from) { return train::fixed(from[kind].get<double>(), 4); };
    std::cout << "  " << name << number(evaluation) << "  (" << number(evaluation["low"]) << " - " << number(evaluation["high"]) << ")            "
              << number(evaluation["lead1"]) << "\n";
  }
}

/// Writes summaries, judges them, and writes evaluation.json at `path` and predictions.jsonl beside it. What was written: on rank 0, null on others.
ordered_json judge(const std::filesystem::path& path, const Options& options, const Checkpoint& checkpoint, const text::Dialogues& dialogues) {
  make_folder_of(path);
  const auto summaries = write_summaries("evaluation", path, options, checkpoint, dialogues);
  if (!options.world->is_first()) return nullptr;
  std::vector<std::string> leads;
  for (const auto& row : dialogues.rows) leads.push_back(lead(row.text));
  const auto rouge = rouge_of(dialogues, summaries.texts, options.seed);
  ordered_json evaluation = values(rouge, &metrics::Interval::mean);
  evaluation["low"] = values(rouge, &metrics::Interval::low);
  evaluation["high"] = values(rouge, &metrics::Interval::high);
  evaluation["lead1"] = values(rouge_of(dialogues, leads, options.seed), &metrics::Interval::mean);
  evaluation["samples"] = dialogues.rows.size();
  evaluation["seconds"] = summaries.seconds;
  evaluation["new_tokens_per_second"] = summaries.new_tokens_per_second();
  write_predictions(path.parent_path() / "predictions.jsonl", dialogues, summaries, true);
  io::write_file(path, evaluation.dump(2) + "\n");
  summaries.on_written();
  return evaluation;
}

}  // namespace

void evaluate(const Options& options, const Checkpoint& checkpoint, const text::Dialogues& dialogues) {
  const auto evaluation = judge(output_file(options, "evaluation.json"), options, checkpoint, dialogues);
  if (evaluation.is_null()) return;
  if (options.json) std::cout << evaluation.dump(2) << "\n";
  else print_table("ROUGE F1", evaluation);
}

void evaluate_zero_shot(const Options& options, const Checkpoint& initial, const text::Dialogues& dialogues) {
  const auto evaluation = judge(options.out / "zero-shot/evaluation.json", options, initial, dialogues);
  if (!evaluation.is_null() && !options.json) print_table("zero-shot: ROUGE F1", evaluation);
}

int evaluate(const Options& options) {
  const Checkpoint checkpoint = open_checkpoint(options);
  evaluate(options, checkpoint, read_to_judge(options, options.data));
  return 0;
}

std::filesystem::path predict(const Options& options, const Checkpoint& checkpoint, const text::Dialogues& dialogues, bool writes_predictions) {
  const auto path = output_file(options, "submission.csv");
  make_folder_of(path);
  const auto summaries = write_summaries("prediction", path, options, checkpoint, dialogues);
  if (!options.world->is_first()) return path;
  io::AtomicFile file(path);
  file.write(text::csv_line({"id", "summary"}));
  for (std::size_t i = 0; i < dialogues.rows.size(); ++i) file.write(text::csv_line({dialogues.rows[i].id, summaries.texts[i]}));
  file.commit();
  if (writes_predictions) write_predictions(path.parent_path() / "predictions.jsonl", dialogues, summaries, false);
  summaries.on_written();
  return path;
}

int predict(const Options& options) {
  const Checkpoint checkpoint = open_checkpoint(options);
  const auto dialogues = read_to_predict(options, options.data);
  const auto path = predict(options, checkpoint, dialogues, true);
  if (options.json) std::cout << ordered_json{{"output", path.string()}, {"samples", dialogues.rows.size()}}.dump() << "\n";
  else std::cout << path.string() << ": " << dialogues.rows.size() << " summaries\n";
  return 0;
}

}  // namespace summarize
