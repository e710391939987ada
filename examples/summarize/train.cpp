// train and run: from a CSV to best/, checkpoint/ and metrics.jsonl.
#include <iostream>
#include <mutex>

#include <terse/dist/threads.hpp>
#include <terse/train/log.hpp>
#include <terse/train/progress.hpp>

#include "commands.hpp"
#include "texts.hpp"

namespace summarize {

namespace {

void make_out_folder(const std::filesystem::path& out) {
  std::error_code error;
  std::filesystem::create_directories(out, error);
  if (error) fail(Failure::cannot_write, out.string(), ": cannot be made: ", error.message(), "; name another folder with --out");
}

void print_plan(const train::MemoryPlan& plan, Index tokens) {
  const auto size = train::byte_size;
  std::cerr << "memory plan for each rank: " << size(plan.total()) << " (parameters " << size(plan.parameters) << ", gradients " << size(plan.gradients)
            << ", optimizer " << size(plan.optimizer) << ", activations " << size(plan.activations) << " for " << tokens << " tokens, scratch "
            << size(plan.scratch + plan.conversion + plan.threads) << ")\n";
}

void print_header(const Options& options, const TrainingInputs& inputs, const ModelEntry& entry) {
  const auto schedule = options.train_options().schedule;
  std::cerr << "DDP training: " << options.ranks << (options.ranks == 1 ? " CPU rank" : " CPU ranks") << " (threads, " << options.threads_per_rank() << " each)\n"
            << "model: " << entry.model << ", " << entry.sizes.words() << ", " << entry.precision << "\n"
            << "vocabulary size: " << inputs.tokenizer.vocabulary() << "\n"
            << "init: " << options.init << "\n"
            << "samples: " << inputs.split.training.size() << " to train on, "
            << (inputs.validation.samples.empty() ? inputs.split.validation.size() : inputs.validation.samples.size()) << " to validate with\n"
            << "iterations: " << schedule.steps << "\n"
            << "batch size: " << schedule.batch << "\n"
            << "gradient accumulation: " << schedule.accumulate << "\n"
            << "effective batch size: " << schedule.samples_per_step() << "\n";
}

/// The strategy in transformers' words; of greedy decoding it wants no temperature.
nlohmann::json generation_defaults(const decode::Strategy& strategy) {
  const auto as_typed = [](float value) { return std::stod(concat(value)); };  // 0.7, not 0.699999988079071
  if (strategy.greedy) return {{"do_sample", false}, {"max_new_tokens", strategy.max_new}};
  return {{"do_sample", true}, {"temperature", as_typed(strategy.temperature)}, {"top_k", strategy.top_k}, {"top_p", as_typed(strategy.top_p)}, {"max_new_tokens", strategy.max_new}};
}

/// A folder that transformers' from_pretrained reads; replaces the one before in one step.
void write_checkpoint(const std::filesystem::path& folder, const Options& options, const TrainingInputs& inputs, const ModelEntry& entry,
                      const TrainJob::WriteWeights& write_weights) {
  io::AtomicFolder checkpoint(folder);
  write_weights(checkpoint.path() / "model.safetensors");
  io::write_config(checkpoint.path(), entry.sizes, inputs.tokenizer.end_of_text(), options.dropout, generation_defaults(options.strategy));
  inputs.tokenizer.save(checkpoint.path());
  checkpoint.commit();
}

/// What rank 0 shows and writes while training.
class Reporter final : public train::TrainObserver {
 public:
  explicit Reporter(const Options& options) : log_(options.out / "metrics.jsonl"), progress_("step", options.steps, options.log_every) {}

  bool on_step(const train::StepRecord& record) override {
    log_.write(record);
    std::string details = concat("loss ", train::fixed(record.loss, 4), "  ", train::fixed(record.milliseconds, 0), " ms  ", train::fixed(record.tokens_per_second(), 0), " tokens/s");
    if (record.validation_loss) details += concat("  validation loss ", train::fixed(*record.validation_loss, 4));
    progress_.update(record.step, details);
    return !interrupted();
  }
  void on_overflow(const std::string& message) override { progress_.say(message); }

 private:
  train::MetricsLog log_;
  train::Progress progress_;
};

}  // namespace

int train(const Options& options, const TrainingInputs& inputs) {
  if (interrupted()) fail(Failure::interrupted, "interrupted before the first step; nothing was written");
  const ModelEntry& entry = find_model(options, true);
  make_out_folder(options.out);
  const auto model = entry.make();
  bool has_best = false;
  TrainJob job{.data = inputs.data(options.evaluate_samples), .options = options.train_options(), .threads = options.threads_per_rank(),
               .weights = initial_weights(options, entry), .keep = {}, .on_plan = {}};
  job.on_plan = [&](const train::MemoryPlan& plan, Index tokens) { print_plan(plan, tokens), print_header(options, inputs, entry); };
  job.keep = [&](bool is_best, const TrainJob::WriteWeights& write) {
    write_checkpoint(options.out / (is_best ? "best" : "checkpoint"), options, inputs, entry, write);
    has_best = has_best || is_best;
    if (!has_best) std::filesystem::remove_all(options.out / "best");  // an earlier run's: evaluate would take it for this one's
  };
  {
    Reporter reporter(options);
    dist::launch(options.ranks, [&](dist::Communicator& communicator) { model->train(job, communicator, reporter); });
  }
  std::cerr << "checkpoint: " << (options.out / "checkpoint").string();
  if (has_best) std::cerr << ", lowest validation loss: " << (options.out / "best").string();
  std::cerr << "\n";
  return interrupted() ? static_cast<int>(Failure::interrupted) : 0;
}

int train(const Options& options) { return train(options, read_training(options)); }

int run(const Options& options) {
  decode::require_valid(options.strategy);  // before hours of training, not after
  longest_prompt(options, find_model(options, true));
  const auto inputs = read_training(options);
  text::Dialogues test;
  if (!options.test.empty()) test = read_to_predict(options, options.test);
  if (const int code = train(options, inputs); code != 0) return code;
  const Checkpoint checkpoint = open_checkpoint(options);
  auto validation = inputs.validation_rows;
  keep_first(validation, options.limit);
  if (options.test.empty()) test = validation;
  text::drop_empty(validation);  // the training has warned of them; a submission keeps them
  auto evaluation = options;
  evaluation.output.clear();  // --output names the submission
  if (validation.rows.empty()) std::cerr << "terse-summarize: warning: no row is left to validate with, so nothing was evaluated; raise --validation-split or name a --validation file\n";
  else evaluate(evaluation, checkpoint, validation);
  const auto submission = predict(options, checkpoint, test, validation.rows.empty());
  if (!options.json) std::cout << submission.string() << ": " << test.rows.size() << " summaries\n";
  return 0;
}

}  // namespace summarize
