// generate and score: texts and losses for JSON lines on stdin.
#include <iostream>

#include <terse/text/utf8.hpp>

#include "commands.hpp"
#include "json_lines.hpp"
#include "texts.hpp"

namespace summarize {

namespace {

struct Prompts {
  std::vector<std::string> ids;
  std::vector<std::vector<TokenId>> tokens;
  std::vector<std::optional<std::uint64_t>> seeds{};  ///< of those that name one; as many as ids, or none

  GenerateJob job(const Options& options, const Checkpoint& checkpoint) const {
    auto job = generate_job(options, checkpoint, tokens);
    for (std::size_t i = 0; i < seeds.size(); ++i) job.prompts[i].seed = seeds[i];
    return job;
  }
};

Prompts prompt_of_command_line(const Options& options, const Checkpoint& checkpoint) {
  auto tokens = checkpoint.tokenizer.encode(*options.prompt);
  if (tokens.empty()) tokens.push_back(checkpoint.tokenizer.end_of_text());  // how GPT-2 begins a text
  return {{"1"}, {std::move(tokens)}};
}

Prompts prompts_of_csv(const Options& options, const Checkpoint& checkpoint) {
  auto dialogues = text::read_dialogues(options.data, {.summary = false});
  keep_first(dialogues, options.limit);
  Prompts prompts{{}, text::make_prompts(checkpoint.tokenizer, dialogues, longest_prompt(options, *checkpoint.entry))};
  for (const auto& row : dialogues.rows) prompts.ids.push_back(row.id);
  return prompts;
}

Prompts prompts_of_stdin(const Options& options, const Checkpoint& checkpoint) {
  const std::size_t longest = longest_prompt(options, *checkpoint.entry);
  Prompts prompts;
  for_each_json_line(std::cin, [&](const JsonLine& line) {
    if (options.limit > 0 && prompts.ids.size() == static_cast<std::size_t>(options.limit)) return;
    prompts.ids.push_back(line.id()), prompts.seeds.push_back(line.seed());
    if (line.has("prompt")) {
      prompts.tokens.push_back(checkpoint.tokenizer.encode(line.text("prompt")));
      if (prompts.tokens.back().size() > longest)
        line.refuse(concat("\"prompt\" has ", prompts.tokens.back().size(), " tokens, ", longest, " fit before --max-new ", options.strategy.max_new));
    } else {
      prompts.tokens.push_back(text::encode_prompt(checkpoint.tokenizer, line.text("dialogue"), longest));
    }
  });
  return prompts;
}

/// Prints a continuation while it is written. Bytes of a character that isn't whole yet wait for the rest.
int stream(const Options& options, const Checkpoint& checkpoint, const Prompts& prompt) {
  auto job = prompt.job(options, checkpoint);
  std::string pending;
  job.observer.token = [&](std::size_t, TokenId id) {
    if (id < checkpoint.tokenizer.vocabulary()) pending += checkpoint.tokenizer.decode(std::span(&id, 1));
    const std::size_t whole = whole_characters(pending);
    std::cout << text::replace_malformed(std::string_view(pending).substr(0, whole)) << std::flush;
    pending.erase(0, whole);
    return std::cout && !interrupted();
  };
  checkpoint.entry->make()->generate(job);
  std::cout << text::replace_malformed(pending) << std::endl;
  return interrupted() ? static_cast<int>(Failure::interrupted) : 0;
}

/// What stands before the first `stop`; all of it where there is none.
std::string text_before(const std::string& stop, std::string text) {
  if (const auto at = stop.empty() ? std::string::npos : text.find(stop); at != std::string::npos) text.resize(at);
  return text;
}

}  // namespace

int generate(const Options& options) {
  const Checkpoint checkpoint = open_checkpoint(options);
  const auto prompts = options.prompt ? prompt_of_command_line(options, checkpoint)
                       : options.data.empty() ? prompts_of_stdin(options, checkpoint) : prompts_of_csv(options, checkpoint);
  const bool one_text = options.strategy.writes_one() && options.stop.empty();  // which can be shown as it grows
  const bool as_text = options.prompt && !options.json && !options.logprobs && options.output.empty();
  if (as_text && one_text) return stream(options, checkpoint, prompts);
  JsonLines answers(options.output);
  auto job = prompts.job(options, checkpoint);
  job.observer.token = [](std::size_t, TokenId) { return !interrupted(); };
  job.observer.text = [](std::size_t, const decode::Generation&) { return !interrupted(); };
  const auto texts = checkpoint.entry->make()->generate(job);
  if (interrupted()) return static_cast<int>(Failure::interrupted);
  if (as_text) {
    for (const auto& text : texts) require_written(std::cout << text_before(options.stop, checkpoint.text(text.text_ids())) << "\n");
    return 0;
  }
  for (std::size_t i = 0; i < texts.size(); ++i) {
    nlohmann::ordered_json answer{{"id", prompts.ids[i / static_cast<std::size_t>(options.strategy.returned)]}, {"text", text_before(options.stop, checkpoint.text(texts[i].text_ids()))},
                   {"tokens", texts[i].ids}, {"logprob", texts[i].logprob}, {"score", texts[i].score}, {"stop", name_of(texts[i].stop)}};
    if (options.logprobs) answer["token_logprobs"] = texts[i].token_logprobs;
    answers.write(answer);
  }
  answers.commit();
  return 0;
}

int score(const Options& options) {
  const Checkpoint checkpoint = open_checkpoint(options);
  text::Dialogues dialogues;
  if (!options.data.empty()) {
    dialogues = text::read_dialogues(options.data);
  } else {
    dialogues.file = "stdin";
    for_each_json_line(std::cin, [&](const JsonLine& line) {
      dialogues.rows.push_back({line.id(), line.text("dialogue"), line.text("summary"), line.number});
    });
  }
  keep_first(dialogues, options.limit);
  const auto made = text::make_samples(checkpoint.tokenizer, dialogues, static_cast<std::size_t>(checkpoint.entry->sizes.context));
  warn(options, made.warning(dialogues.file));
  JsonLines answers(options.output);
  const auto losses = checkpoint.entry->make()->score({.weights = checkpoint.weights, .samples = made.samples, .threads = options.threads_per_rank() * options.ranks});
  double sum = 0;
  std::int64_t targets = 0;
  for (std::size_t i = 0; i < losses.size(); ++i) {
    const auto& row = dialogues.rows[static_cast<std::size_t>(made.samples[i].row)];
    answers.write({{"id", row.id}, {"loss", losses[i].loss}, {"targets", losses[i].targets}});
    sum += losses[i].loss, targets += losses[i].targets;
  }
  if (!losses.empty()) answers.write({{"mean_loss", sum / static_cast<double>(losses.size())}, {"samples", losses.size()}, {"targets", targets}});
  answers.commit();
  return 0;
}

}  // namespace summarize
