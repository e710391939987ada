// train and run: from a CSV to best/, checkpoint/ and metrics.jsonl.
#include <algorithm>
#include <iostream>

#include <terse/metrics/rouge.hpp>
#include <terse/train/log.hpp>
#include <terse/train/progress.hpp>
#include <terse/train/trace_file.hpp>

#include "commands.hpp"
#include "initial.hpp"
#include "ranks.hpp"
#include "settings.hpp"
#include "texts.hpp"
#include "usage.hpp"

namespace summarize {

namespace {

void print_plan(const train::MemoryPlan& plan, Index tokens) {
  const auto size = train::byte_size;
  std::cerr << "memory plan for each rank: " << size(plan.total()) << " (parameters " << size(plan.parameters) << ", gradients " << size(plan.gradients)
            << ", optimizer " << size(plan.optimizer) << (plan.ema > 0 ? ", ema " + size(plan.ema) : std::string()) << ", activations " << size(plan.activations) << " for " << tokens << " tokens, scratch "
            << size(plan.scratch + plan.workspace + plan.threads) << ")\n";
}

/// As PEFT's print_trainable_parameters; empty where all are.
std::string adapters_in_words(const Options& options, const ModelEntry& entry) {
  if (options.lora == 0) return "";
  const auto trained = find_training(options, entry)->trained_parameters(), all = trained + entry.make()->trained_parameters();
  return concat("adapters: rank ", options.lora, ", alpha ", 2 * options.lora, ", of all linear layers; trainable parameters: ", trained, " of ", all, " (",
                train::fixed(100 * static_cast<double>(trained) / static_cast<double>(all), 2), " %)\n");
}

void print_header(const Options& options, const TrainingInputs& inputs, const ModelEntry& entry) {
  const auto schedule = options.train_options().schedule;
  const double epochs = static_cast<double>(schedule.steps * schedule.samples_per_step()) / static_cast<double>(inputs.split.training.size());
  const auto known = inputs.tokenizer.vocabulary(), room = entry.sizes.vocabulary;
  const std::string ranks = entry.device == "cuda"
                                ? concat(options.ranks, options.ranks == 1 ? " GPU" : " GPUs")
                                : concat(options.ranks, options.ranks == 1 ? " CPU rank" : " CPU ranks", " (", options.world->has_processes() ? "processes" : "threads", ", ",
                                         options.threads_per_rank(), options.world->has_processes() ? " threads each)" : " each)");
  std::cerr << "DDP training: " << ranks << "\n"
            << "model: " << entry.model << ", " << entry.sizes.words() << ", " << entry.precision << "\n"
            << "vocabulary size: " << known << (known < room ? concat(" (the model has room for ", room, ")") : "") << "\n"
            << "init: " << options.init << "\n"
            << adapters_in_words(options, entry)
            << "samples: " << inputs.split.training.size() << " to train on, "
            << (inputs.validation.samples.empty() ? inputs.split.validation.size() : inputs.validation.samples.size()) << " to validate with\n"
            << "iterations: " << schedule.steps << " (" << train::fixed(epochs, 1) << " epochs)\n"
            << "batch size: " << schedule.batch << "\n"
            << "gradient accumulation: " << schedule.accumulate << "\n"
            << "effective batch size: " << schedule.samples_per_step() << "\n";
}

/// What makes a run slow or its rate low without being a mistake.
void print_warnings(const Options& options) {
  const std::string warning = program_name() + ": warning: ";
  if (!is_optimized) std::cerr << warning << "this program was built without optimization, and is slow; configure it with -DCMAKE_BUILD_TYPE=Release\n";
  if (options.warmup >= options.steps)
    std::cerr << warning << "--warmup " << options.warmup << " of --steps " << options.steps << ": the learning rate never reaches " << options.lr << "; give --warmup "
              << options.steps / 10 << "\n";
}

/// The strategy in transformers' words, without what is neutral; of greedy decoding and beams it wants no temperature.
nlohmann::json generation_defaults(const decode::Strategy& strategy) {
  const bool samples = !strategy.greedy && !strategy.has_beams();
  nlohmann::json options{{"do_sample", samples}, {"max_new_tokens", strategy.max_new}};
  if (samples) options.update({{"temperature", as_typed(strategy.temperature)}, {"top_k", strategy.top_k}, {"top_p", as_typed(strategy.top_p)}});
  if (samples && strategy.min_p > 0) options["min_p"] = as_typed(strategy.min_p);
  if (samples && strategy.typical < 1) options["typical_p"] = as_typed(strategy.typical);
  if (strategy.repetition_penalty.penalty != 1) options["repetition_penalty"] = as_typed(strategy.repetition_penalty.penalty);
  if (strategy.no_repeat_ngram.size > 0) options["no_repeat_ngram_size"] = strategy.no_repeat_ngram.size;
  if (strategy.min_new.count > 0) options["min_new_tokens"] = strategy.min_new.count;
  if (!strategy.has_beams()) return options;
  options.update({{"num_beams", strategy.beams}, {"length_penalty", as_typed(strategy.length_penalty)}, {"early_stopping", strategy.early_stopping == decode::EarlyStopping::yes}});
  if (strategy.early_stopping == decode::EarlyStopping::never) options["early_stopping"] = "never";
  return options;
}

/// One training in a folder: what rank 0 shows, writes and saves.
class TrainingRun final : public train::TrainObserver {
 public:
  TrainingRun(const Options& options, const TrainingInputs& inputs, const ModelEntry& entry, RunFolder& folder)
      : options_(options), inputs_(inputs), entry_(entry), folder_(folder), progress_("step", options.steps, options.log_every, first_step()) {
    state_.settings = resolved_settings();
    state_.samples = inputs.identity();
    state_.early_stop = options.early_stopping(), state_.is_demo = options.is_demo;
    if (const auto& saved = folder.saved()) {
      auto& rule = state_.early_stop;
      if (saved->early_stop.metric == rule.metric && (rule.metric == "loss" || writes_as(*saved))) rule.best = saved->early_stop.best, rule.evaluations_since = saved->early_stop.evaluations_since;
      state_.stopped_early = saved->stays_ended(options), state_.is_demo |= saved->is_demo;
      last_step_ = saved->run.step;
    }
  }

  TrainJob job() {
    TrainJob job{.data = inputs_.data(options_.evaluate_samples), .options = options_.train_options(), .world = options_.world, .threads = options_.threads_per_rank(),
                 .activation_checkpointing = options_.activation_checkpointing, .weights = {}, .tensors = {}, .state = {}, .validation_texts = {}, .on_start = {}, .on_resume = {}, .keep_best = {}, .keep_last = {}, .on_trace = {}};
    if (const auto& saved = folder_.saved()) job.tensors = saved->tensors(), job.state = saved->run;
    if (!folder_.saved() || options_.lora > 0) job.weights = initial_weights(options_, entry_);
    if (state_.stopped_early) job.options.schedule.steps = last_step_;  // it was killed after its last state, before the rest was written
    if (metric().starts_with("rouge")) job.validation_texts = validation_texts();
    job.on_start = [this](const train::MemoryPlan& plan, Index tokens) { begin(plan, tokens); };
    job.on_resume = [this](const train::RunState& state, const TrainJob::Results& results) {
      if (checkpoint_step(folder_.path() / "checkpoint") != state.step) write_results("checkpoint", "adapter", results);
    };
    job.keep_best = [this](const train::RunState&, const TrainJob::Results& results) { write_results("best", "best-adapter", results); };
    job.keep_last = [this](const train::RunState& state, const TrainJob::Results& results, const TrainJob::Write& tensors) {
      state_.run = state;
      log_->sync();
      folder_.save(state_, tensors);
      write_results("checkpoint", "adapter", results);
    };
    job.on_trace = [this](const std::vector<std::string>& ranks, double share_behind) {
      std::vector<nlohmann::json> events;
      for (const auto& rank : ranks) events.push_back(nlohmann::json::parse(rank));
      io::write_file(options_.trace, train::trace_file(events));
      progress_.say(concat("trace: ", options_.trace.string(), options_.ranks == 1 || last_step_ == first_step() ? std::string() : concat("; ", train::fixed(share_behind * 100, 0), " % of the sums over ranks ran behind backward")));
    };
    return job;
  }

  /// What all ranks must have in common before they begin.
  nlohmann::ordered_json identity() const {
    auto identity = state_.settings;
    identity["samples"] = state_.samples, identity["resumed step"] = first_step(), identity["trace"] = !options_.trace.empty();
    return identity;
  }

  bool on_step(const train::StepRecord& record) override {
    auto line = train::to_json(record);
    std::string details = concat("loss ", train::fixed(record.loss, 4), "  ", train::fixed(record.milliseconds, 0), " ms  ",
                                 train::fixed(record.tokens_per_second(), 0), " tokens/s");
    if (record.validation_loss) {
      details += concat("  validation loss ", train::fixed(*record.validation_loss, 4));
      if (rouge_) line["validation_" + metric()] = *rouge_, details += concat("  ", metric(), " ", train::fixed(*rouge_, 4));
      if (!metric().empty()) state_.stopped_early = state_.early_stop.is_enough(rouge_ ? *rouge_ : -*record.validation_loss);
    }
    log_->write(line);
    progress_.update(record.step, details);
    if (state_.stopped_early)
      progress_.say(concat("no better ", metric(), " in ", state_.early_stop.patience, " evaluations: the run ends early, after step ", record.step));
    last_step_ = record.step;
    return !state_.stopped_early && !interrupted();
  }
  void on_overflow(const std::string& message) override { progress_.say(message); }

  /// Says how it ended; true if nothing is left to do.
  bool finish() {
    progress_.finish();
    const bool finished = state_.stopped_early || last_step_ >= options_.steps;
    folder_.describe(description(), finished);
    std::cerr << "checkpoint: " << (options_.out / "checkpoint").string();
    if (options_.lora > 0) std::cerr << ", adapter: " << (options_.out / "adapter").string();
    if (std::filesystem::exists(options_.out / "best")) std::cerr << ", lowest validation loss: " << (options_.out / "best").string();
    std::cerr << "\n";
    if (!finished)
      std::cerr << "interrupted after step " << last_step_ << "; the state is saved, and "
                << (state_.is_demo ? concat(program_name(), " run --resume --out ", options_.out.string()) : "the same command with --resume") << " goes on\n";
    return finished;
  }

 private:
  /// What --early-stop judges by; empty: it is off.
  const std::string& metric() const { return state_.early_stop.metric; }
  long first_step() const { return folder_.saved() ? folder_.saved()->run.step : 0; }

  /// What the command line left to the machine is said here, since a resumed run must do the same.
  nlohmann::ordered_json resolved_settings() const {
    Options resolved = options_;
    resolved.precision = entry_.precision;
    if (options_.reproducible) resolved.threads = options_.threads_per_rank();
    return settings_of(resolved);
  }

  nlohmann::ordered_json description() const {
    nlohmann::ordered_json run{{"model", entry_.model}, {"precision", entry_.precision}, {"sizes", entry_.sizes.words()}, {"settings", state_.settings}};
    if (state_.is_demo) run["demo"] = true;
    if (!plan_.is_null()) run["memory_plan"] = plan_, run["token_capacity"] = token_capacity_;
    return run;
  }

  void begin(const train::MemoryPlan& plan, Index tokens) {
    print_plan(plan, tokens), print_header(options_, inputs_, entry_), print_warnings(options_);
    if (folder_.saved()) std::cerr << "resumed: step " << first_step() << " of " << options_.steps << " is done\n";
    if (!options_.trace.empty()) io::write_file(options_.trace, "");  // before hours of training, not after
    plan_ = train::to_json(plan), token_capacity_ = tokens;
    folder_.begin(description());
    log_.emplace(folder_.path() / "metrics.jsonl", first_step());
  }

  /// Whether texts are written as the saved run wrote them: else its best ROUGE says nothing.
  bool writes_as(const SavedState& saved) const {
    const auto mine = settings_of(options_.strategy);
    for (const auto& [name, value] : mine.items())
      if (saved.settings.contains(name) && saved.settings[name] != value) return false;
    return true;
  }

  ValidationTexts validation_texts() {
    for (const auto& row : inputs_.judged(options_.evaluate_samples)) {
      references_.push_back(row.summary);
      prompts_.push_back(text::encode_prompt(inputs_.tokenizer, row.text, longest_prompt(options_, entry_)));
    }
    ValidationTexts texts{.prompts = decode::numbered(prompts_), .strategy = options_.strategy, .end_of_text = inputs_.tokenizer.end_of_text(), .on_texts = {}};
    auto& strategy = texts.strategy;  // greedy, by the rules that were asked for
    strategy.greedy = true, strategy.beams = strategy.beam_groups = 1, strategy.penalty_alpha = 0;
    texts.on_texts = [this](const std::vector<decode::Generation>& made) { rouge_ = mean_rouge(made); };
    return texts;
  }

  /// F1 of the texts that the model in training wrote, by the name of --early-stop.
  double mean_rouge(const std::vector<decode::Generation>& made) const {
    const auto kind = std::ranges::find(metrics::rouge_kinds, metric(), &metrics::RougeKind::name);
    metrics::RougeScorer score;
    double sum = 0;
    for (std::size_t i = 0; i < made.size(); ++i) sum += (score(references_[i], text_of(inputs_.tokenizer, made[i].text_ids())).*kind->score).f1;
    return sum / static_cast<double>(made.size());
  }

  /// A folder that transformers' from_pretrained reads, and where adapters are trained one that PEFT does; each replaces the one before in one step. The checkpoint comes last:
  /// its step counts for both.
  void write_results(const char* checkpoint_name, const char* adapter_name, const TrainJob::Results& results) const {
    if (results.adapter) {
      io::AtomicFolder adapter(folder_.path() / adapter_name);
      results.adapter(adapter.path());
      adapter.commit();
    }
    io::AtomicFolder checkpoint(folder_.path() / checkpoint_name);
    results.weights(checkpoint.path() / "model.safetensors");
    io::write_config(checkpoint.path(), entry_.sizes, inputs_.tokenizer.end_of_text(), options_.dropout, generation_defaults(options_.strategy));
    inputs_.tokenizer.save(checkpoint.path());
    checkpoint.commit();
  }

  const Options& options_;
  const TrainingInputs& inputs_;
  const ModelEntry& entry_;
  RunFolder& folder_;
  SavedState state_;
  std::vector<std::vector<TokenId>> prompts_;  // where it judges by texts
  std::vector<std::string> references_;
  std::optional<double> rouge_;  // of the newest validation
  nlohmann::ordered_json plan_;
  Index token_capacity_ = 0;
  long last_step_ = 0;
  std::optional<train::MetricsLog> log_;
  train::Progress progress_;
};

bool says_finished(const RunFolder& folder) {
  if (folder.is_finished()) std::cerr << folder.path().string() << ": this run is finished; nothing is left to train\n";
  return folder.is_finished();
}

/// Trains; true if the run is finished, false if the user ended it.
bool train(const Options& options, const TrainingInputs& inputs, RunFolder& folder) {
  if (says_finished(folder)) return true;
  if (folder.saved() && folder.saved()->samples != inputs.identity())
    fail(Failure::usage, options.out.string(), ": the run learnt from other samples (", folder.saved()->samples, "; now ", inputs.identity(),
         "): give it its --data and --tokenizer, or start over with --overwrite");
  if (options.early_stopping().patience > 0 && (options.evaluate_every == 0 || inputs.data(options.evaluate_samples).validation_numbers.empty()))
    fail(Failure::usage, "--early-stop ", options.early_stop, ": nothing would be judged while training; "
         "raise --evaluate-every, --evaluate-samples or --validation-split");
  if (interrupted()) fail(Failure::interrupted, "interrupted before the first step; nothing was written");
  const ModelEntry& entry = find_model(options, true);
  const auto training = find_training(options, entry);
  TrainingRun run(options, inputs, entry, folder);
  require_agreement(*options.world, run.identity());
  const auto job = run.job();
  options.world->run([&](dist::Communicator& communicator) { training->train(job, communicator, run); });
  std::byte finished{options.world->is_first() && run.finish()};
  options.world->broadcast(std::span(&finished, 1));
  return finished != std::byte{0};
}

}  // namespace

int train(const Options& options) {
  find_training(options, find_model(options, true));  // before all data is read, not after
  RunFolder folder(options);
  if (says_finished(folder)) return 0;
  return train(options, read_training(options, folder), folder) ? 0 : static_cast<int>(Failure::interrupted);
}

int run(const Options& options) {
  decode::require_valid(options.strategy);  // before hours of training, not after
  const ModelEntry& entry = find_model(options, true);
  longest_prompt(options, entry), find_training(options, entry);
  if (options.zero_shot) initial_weights(options, entry);
  RunFolder folder(options);
  const auto inputs = read_training(options, folder);
  return run(options, inputs, read_test(options), folder);
}

int run(const Options& options, const TrainingInputs& inputs, text::Dialogues test, RunFolder& folder) {
  if (!train(options, inputs, folder)) return static_cast<int>(Failure::interrupted);
  auto writing = options;
  if (options.lora > 0) writing.precision = "fp32";  // in 8 bits once more, most of what adapters change would be rounded back
  const Checkpoint checkpoint = open_checkpoint(writing);
  auto validation = inputs.validation_rows;
  keep_first(validation, options.limit);
  if (options.test.empty()) test = validation;
  text::drop_empty(validation);  // the training has warned of them; a submission keeps them
  auto prediction = writing, evaluation = writing;
  prediction.after_training = evaluation.after_training = true, evaluation.output.clear();  // --output names the submission
  if (options.zero_shot && !validation.rows.empty()) evaluate_zero_shot(evaluation, open_initial(writing, checkpoint.tokenizer), validation);
  if (validation.rows.empty())
    std::cerr << program_name() << ": warning: no row is left to validate with, so nothing was evaluated; raise --validation-split or name a --validation file\n";
  else
    evaluate(evaluation, checkpoint, validation);
  const auto submission = predict(prediction, checkpoint, test, validation.rows.empty());
  if (!options.json) std::cout << submission.string() << ": " << test.rows.size() << " summaries\n";
  return 0;
}

}  // namespace summarize
