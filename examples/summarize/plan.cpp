// plan: what a training will take, without data or device.
#include <iostream>

#include <nlohmann/json.hpp>

#include <terse/train/log.hpp>
#include <terse/train/progress.hpp>

#include "commands.hpp"
#include "gpus.hpp"

namespace summarize {

using nlohmann::ordered_json;

namespace {

/// Mean tokens of a sample of the reference job's dialogues; its samples, padded to the context, would be 1024.
constexpr double tokens_per_sample = 240, targets_per_sample = 26;

/// Multiply-adds of forward and backward, counted as 6 operations a weight and token; the head on target rows alone.
double operations_per_step(const io::ModelSizes& sizes, double samples) {
  const double width = sizes.width, body = 12.0 * sizes.layers * width * width, head = static_cast<double>(sizes.vocabulary) * width;
  return samples * 6 * (body * tokens_per_sample + head * targets_per_sample);
}

}  // namespace

int plan(const Options& options) {
  const ModelEntry& entry = find_model(options, true);
  const auto model = entry.make();
  const auto schedule = options.train_options().schedule;
  const Index worst = options.batch * entry.sizes.context, usual = static_cast<Index>(static_cast<double>(options.batch) * tokens_per_sample);
  const int gpu_capability = usable_gpus().empty() ? 75 : usable_gpus().front().capability;
  const auto plan_of = [&](Index tokens) { return model->plan(tokens, options.batch, options.threads_per_rank(), options.train_options(), gpu_capability); };
  const auto largest = plan_of(worst), typical = plan_of(std::min(usual, worst));
  const double operations = operations_per_step(entry.sizes, static_cast<double>(schedule.samples_per_step()));
  if (options.json) {
    const ordered_json result{{"model", entry.model}, {"precision", entry.precision}, {"ranks", options.ranks}, {"batch", options.batch},
                              {"accumulate", options.accumulate}, {"effective_batch", schedule.samples_per_step()}, {"steps", options.steps},
                              {"typical_tokens", usual}, {"typical_bytes", train::to_json(typical)}, {"largest_tokens", worst},
                              {"largest_bytes", train::to_json(largest)}, {"generation_bytes", model->generation_bytes(options.decode_batch)},
                              {"operations_per_step", operations}};
    std::cout << result.dump(2) << "\n";
    return 0;
  }
  const auto size = train::byte_size;
  std::cout << "model " << entry.model << " (" << entry.sizes.words() << "), " << entry.precision << "\n"
            << "batch " << options.batch << " x accumulate " << options.accumulate << " x ranks " << options.ranks << " = " << schedule.samples_per_step()
            << " samples a step, " << options.steps << " steps\n\n"
            << "memory of each rank            usual (" << usual << " tokens)   largest (" << worst << " tokens)\n";
  const auto row = [&](const std::string& name, std::size_t usual_bytes, std::size_t largest_bytes) {
    std::string first = "  " + name, second = size(usual_bytes);
    first.resize(31, ' '), second.resize(22, ' ');
    std::cout << first << second << size(largest_bytes) << "\n";
  };
  row("parameters", typical.parameters, largest.parameters);
  row("gradients", typical.gradients, largest.gradients);
  row("optimizer", typical.optimizer, largest.optimizer);
  row("saved activations", typical.activations, largest.activations);
  row("scratch", typical.scratch, largest.scratch);
  row("workspace", typical.workspace, largest.workspace);
  row("threads", typical.threads, largest.threads);
  row("total", typical.total(), largest.total());
  std::cout << "generation, " << options.decode_batch << " at a time: " << size(model->generation_bytes(options.decode_batch)) << "\n\n"
            << "a step of " << tokens_per_sample << " tokens a sample, nothing padded: " << train::fixed(operations / 1e12, 2) << " TFLOP\n"
            << "  at 100 GFLOP/s (a laptop core or two): " << train::clock_time(operations / 1e11) << " a step, "
            << train::clock_time(operations / 1e11 * static_cast<double>(options.steps)) << " in all\n"
            << "  at 24 TFLOP/s (a T4, sustained) on each of " << options.ranks << " ranks: " << train::fixed(operations / 24e12 / options.ranks, 2) << " s a step\n";
  return 0;
}

}  // namespace summarize
