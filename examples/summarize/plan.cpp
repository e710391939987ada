// plan: what a training will take, without data or device.
#include <bit>
#include <iostream>

#include <nlohmann/json.hpp>

#include <terse/train/log.hpp>
#include <terse/train/progress.hpp>
#include <terse/train/scaling.hpp>

#include "commands.hpp"
#include "gpus.hpp"

namespace summarize {

using nlohmann::ordered_json;

namespace {

/// Mean tokens of a sample of the reference job's dialogues; its samples, padded to the context, would be 1024.
constexpr double tokens_per_sample = 240, targets_per_sample = 26;

/// Multiply-adds of forward and backward, counted as 6 operations a weight and token; the head on target rows alone.
double operations_per_step(const io::ModelSizes& sizes, double samples) {
  const double width = sizes.width, body = sizes.layers * sizes.weights_of_a_layer(), head = static_cast<double>(sizes.vocabulary) * width;
  return samples * 6 * (body * tokens_per_sample + head * targets_per_sample);
}

/// What of forward is computed again, by all layers but the last: 2 operations a weight and token.
double recomputed_per_step(const io::ModelSizes& sizes, double samples) {
  return samples * 2 * (sizes.layers - 1) * sizes.recomputed_weights_of_a_layer() * tokens_per_sample;
}

/// What a rank does in a step of the reference job's dialogues, its share of the operations.
train::StepWork work_of(const io::ModelSizes& sizes, const train::MemoryPlan& memory, const Options& options, double operations) {
  const std::size_t sent = options.reduce_dtype == "bf16" ? sizeof(bfloat16) : sizeof(float);
  const double copies = options.reproducible ? static_cast<double>(std::bit_width(static_cast<unsigned long>(options.accumulate))) : 1;
  const double values = static_cast<double>(memory.gradients) / (copies * sizeof(float) + (sent == sizeof(bfloat16) && options.ranks > 1 ? sizeof(bfloat16) : 0));
  const double embeddings = static_cast<double>(sizes.vocabulary + sizes.context) * sizes.width;
  return {.operations = operations / options.ranks,
          .gradient_bytes = static_cast<std::size_t>(values) * sent,
          .parameter_bytes = memory.parameters,
          // gradient, weight and two moments read, the latter three and the 16-bit weight written; for the average weight and average read, and the latter written
          .optimizer_bytes = static_cast<std::size_t>(values * (options.ema > 0 ? 42 : 30)),
          .micro_batches = options.accumulate,
          .final_late = std::min(1.0, embeddings / values),
          .shards = options.shard_optimizer};
}

/// The step on paper, on so many GPUs; what isn't named is an error.
std::pair<train::Processor, train::Link> machine_of(const Options& options) {
  return {train::named(train::processors, options.gpu).value(), train::named(train::links, options.link).value()};  // the command line let no others through
}

void print_scaling(const train::StepWork& work, const Options& options) {
  const auto [gpu, link] = machine_of(options);
  const auto time = train::predict(work, gpu, link, options.ranks);
  const auto milliseconds = [](double seconds) { return train::fixed(seconds * 1e3, seconds < 0.1 ? 1 : 0) + " ms"; };
  std::cout << "\non paper, " << options.ranks << " x " << gpu.name << " at " << gpu.operations / 1e12 << " TFLOP/s, linked by " << link.words << " (" << link.bandwidth / 1e9 << " GB/s each way):\n"
            << "  forward and backward " << milliseconds(time.compute) << ", sums over ranks " << milliseconds(time.sums) << " of which " << milliseconds(time.exposed)
            << " aren't behind backward, optimizer " << milliseconds(time.optimizer) << (work.shards ? ", parameters gathered " + milliseconds(time.gather) : std::string()) << "\n"
            << "  a step " << milliseconds(time.step()) << ": " << train::fixed(100 * (1 - (time.exposed + time.gather) / time.step()), 0) << " % of it isn't waiting for other ranks\n";
}

int plan_json(const Options& options, const ModelEntry& entry, const ordered_json& memory, const train::StepWork& work, double operations) {
  const auto [gpu, link] = machine_of(options);
  const auto time = train::predict(work, gpu, link, options.ranks);
  ordered_json result{{"model", entry.model}, {"precision", entry.precision}, {"ranks", options.ranks}, {"batch", options.batch}, {"accumulate", options.accumulate},
                      {"effective_batch", options.train_options().schedule.samples_per_step()}, {"steps", options.steps}};
  result.update(memory);
  result["operations_per_step"] = operations;
  result["on_paper"] = {{"gpu", gpu.name}, {"link", link.name}, {"compute_seconds", time.compute}, {"sums_seconds", time.sums}, {"exposed_seconds", time.exposed},
                        {"optimizer_seconds", time.optimizer}, {"gather_seconds", time.gather}, {"step_seconds", time.step()}};
  std::cout << result.dump(2) << "\n";
  return 0;
}

}  // namespace

int plan(const Options& options) {
  const ModelEntry& entry = find_model(options, true);
  const auto model = entry.make();
  const auto schedule = options.train_options().schedule;
  const Index worst = options.batch * entry.sizes.context, usual = static_cast<Index>(static_cast<double>(options.batch) * tokens_per_sample);
  const int gpu_capability = usable_gpus().empty() ? 75 : usable_gpus().front().capability;
  const bool checkpointing = options.activation_checkpointing;
  const auto plan_of = [&](Index tokens, bool with) { return model->plan(tokens, options.batch, options.threads_per_rank(), options.train_options(), with, gpu_capability); };
  const auto plans_of = [&](Index tokens) { return std::pair(plan_of(tokens, checkpointing), plan_of(tokens, !checkpointing)); };
  const auto [largest, largest_else] = plans_of(worst);
  const auto [typical, typical_else] = plans_of(std::min(usual, worst));
  const auto samples = static_cast<double>(schedule.samples_per_step());
  const double recomputed = checkpointing ? recomputed_per_step(entry.sizes, samples) : 0, operations = operations_per_step(entry.sizes, samples) + recomputed;
  const auto work = work_of(entry.sizes, typical, options, operations);
  const ModelEntry* const int8 = find_compiled(entry.model, "int8", entry.device);
  const std::size_t int8_bytes = int8 == nullptr ? 0 : int8->make()->generation_bytes(options.decode_batch);
  if (options.json) {
    ordered_json memory{{"typical_tokens", usual}, {"typical_bytes", train::to_json(typical)}, {"largest_tokens", worst}, {"largest_bytes", train::to_json(largest)},
                        {"generation_bytes", model->generation_bytes(options.decode_batch)}};
    if (int8 != nullptr) memory["int8_generation_bytes"] = int8_bytes;
    const char *here = checkpointing ? "checkpointed" : "all", *otherwise = checkpointing ? "all" : "checkpointed";
    memory["typical_activation_bytes"] = {{here, typical.activations}, {otherwise, typical_else.activations}};
    memory["largest_activation_bytes"] = {{here, largest.activations}, {otherwise, largest_else.activations}};
    memory["recomputed_operations_per_step"] = recomputed;
    return plan_json(options, entry, memory, work, operations);
  }
  const auto size = train::byte_size;
  std::cout << "model " << entry.model << " (" << entry.sizes.words() << "), " << entry.precision << "\n"
            << "batch " << options.batch << " x accumulate " << options.accumulate << " x ranks " << options.ranks << " = " << schedule.samples_per_step()
            << " samples a step, " << options.steps << " steps\n\n"
            << "memory of each rank            usual (" << usual << " tokens)   largest (" << worst << " tokens)\n";
  const auto row = [&](const std::string& name, std::size_t usual_bytes, std::size_t largest_bytes, const char* end = "") {
    std::string first = "  " + name, second = size(usual_bytes);
    first.resize(31, ' '), second.resize(22, ' ');
    std::cout << first << second << size(largest_bytes) << end << "\n";
  };
  row("parameters", typical.parameters, largest.parameters);
  row("gradients", typical.gradients, largest.gradients);
  row("optimizer", typical.optimizer, largest.optimizer);
  if (options.ema > 0) row("ema", typical.ema, largest.ema);
  row(checkpointing ? "checkpointed activations" : "saved activations", typical.activations, largest.activations);
  row(checkpointing ? "  (all of them" : "  (checkpointed", typical_else.activations, largest_else.activations, ")");
  row("scratch", typical.scratch, largest.scratch);
  row("workspace", typical.workspace, largest.workspace);
  row("threads", typical.threads, largest.threads);
  row("total", typical.total(), largest.total());
  std::cout << "generation, " << options.decode_batch << " at a time: " << size(model->generation_bytes(options.decode_batch)) << (int8 == nullptr ? std::string() : ", in int8 " + size(int8_bytes)) << "\n\n"
            << "a step of " << tokens_per_sample << " tokens a sample, nothing padded: " << train::fixed(operations / 1e12, 2) << " TFLOP"
            << (checkpointing ? concat(", ", train::fixed(recomputed / 1e12, 2), " of them again") : std::string()) << "\n"
            << "  at 100 GFLOP/s (a laptop core or two): " << train::clock_time(operations / 1e11) << " a step, "
            << train::clock_time(operations / 1e11 * static_cast<double>(options.steps)) << " in all\n"
            << "  at 24 TFLOP/s (a T4, sustained) on each of " << options.ranks << " ranks: " << train::fixed(operations / 24e12 / options.ranks, 2) << " s a step\n";
  print_scaling(work, options);
  return 0;
}

}  // namespace summarize
