#pragma once
// What the command line says, with the reference job's values as defaults. One struct for all commands; each reads its part.
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include <terse/decode/strategy.hpp>
#include <terse/dist/world.hpp>
#include <terse/train/early_stop.hpp>
#include <terse/train/trainer.hpp>

namespace CLI {
class App;
}

namespace summarize {

using namespace terse;

struct Options {
  // data and model
  std::filesystem::path data, validation, test, tokenizer, checkpoint, output, out = "out-summarization";
  double validation_split = 0.05;
  std::string model, precision = "auto", device = "auto", init = "scratch";
  bool model_given = false;  ///< else `model` is default_model()

  // how to run
  int ranks = 2, threads = 0, rank_timeout = 1800;
  std::filesystem::path log_ranks, trace;
  const dist::World* world = nullptr;  ///< the ranks, once they are known

  // training
  long batch = 16, accumulate = 8, steps = 500, demo_steps = 1000, warmup = 100, evaluate_every = 100, evaluate_samples = 32, log_every = 1;
  double lr = 3e-4, min_lr = 3e-5, weight_decay = 0.1, beta1 = 0.9, beta2 = 0.95, clip = 1.0, dropout = 0.1, label_smoothing = 0, r_drop = 0, layer_decay = 1, ema = 0;
  std::string normalisation = "micro-batch", reduce_dtype = "fp32";
  bool shuffle = true, strict = false, zero_shot = false;
  std::uint64_t seed = 42;
  bool reproducible = false, shard_optimizer = false, activation_checkpointing = false;
  int lora = 0;  ///< rank of the adapters that are trained; 0: all parameters are

  // starting again
  std::filesystem::path config;
  bool resume = false, overwrite = false, is_demo = false;
  bool after_training = false;  ///< evaluation and prediction are part of `run`
  long checkpoint_every = 100, keep = 2;
  std::string early_stop = "off";

  // decoding
  decode::Strategy strategy;
  std::string stop, bad_words;
  long decode_batch = 32, limit = 0;
  bool json = false, logprobs = false;

  // plan
  std::string gpu = "t4", link = "host";

  // small tools
  std::optional<std::string> prompt;
  bool decode = false, mean = false, watch = false;
  long sample = 0;

  train::TrainOptions train_options() const;
  /// What --early-stop says; patience 0 where it is off.
  train::EarlyStop early_stopping() const;
  /// Errors     Failure::usage: each number is in its range, but together they ask for more than there can be
  void require_possible() const;
  /// Threads of each rank: as given, else the machine's cores shared among the ranks.
  int threads_per_rank() const { return threads_of_each(ranks); }
  int threads_of_each(int rank_count) const;
};

/// Makes the commands and their options, which write what they are given into `options`.
void define_commands(CLI::App& app, Options& options);

}  // namespace summarize
