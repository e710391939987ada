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

/// Multiply-adds of forward and backward, counted as 6 operations a weight and token, 4 where the weight is frozen; the head on target rows alone.
double operations_per_step(const io::ModelSizes& sizes, double samples, bool is_frozen) {
  const double width = sizes.width, body = sizes.layers * sizes.weights_of_a_layer(), head = static_cast<double>(sizes.vocabulary) * width;
  return samples * (is_frozen ? 4 : 6) * (body * tokens_per_sample + head * targets_per_sample);
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
          .parameter_bytes = options.lora > 0 ? static_cast<std::size_t>(values * sizeof(float)) : memory.parameters,
          // gradient, weight and two moments read, the latter three and the 16-bit weight written; for the average weight and average read, and the latter written
          .optimizer_bytes = static_cast<std::size_t>(values * (options.ema > 0 ? 42 : 30)),
          .micro_batches = options.accumulate,
          .final_late = options.lora > 0 ? 1.0 / sizes.layers : std::min(1.0, embeddings / values),
          .shards = options.shard_optimizer};
}

std::pair<train::Processor, train::Link> machine_of(const Options& options) {
  return {train::named(train::processors, options.gpu).value(), train::named(train::links, options.link).value()};  // the command line let no others through
}

/// The step on paper, on so many GPUs.
void print_scaling(const train::StepWork& work, const Options& options) {
  const auto [gpu, link] = machine_of(options);
  const auto time = train::predict(work, gpu, link, options.ranks);
  const auto milliseconds = [](double seconds) { return train::fixed(seconds * 1e3, seconds < 0.1 ? 1 : 0) + " ms"; };
  std::cout << "\non paper, " << options.ranks << " x " << gpu.name << " at " << gpu.operations / 1e12 << " TFLOP/s, linked by " << link.words << " (" << link.bandwidth / 1e9 << " GB/s each way):\n"
            << "  forward and backward " << milliseconds(time.compute) << ", sums over ranks " << milliseconds(time.sums) << " of which " << milliseconds(time.exposed)
            << " aren't behind backward, optimizer " << milliseconds(time.optimizer) << (work.shards ? ", parameters gathered " + milliseconds(time.gather) : std::string()) << "\n"
            << "  a step " << milliseconds(time.step()) << ": " << train::fixed(100 * (1 - (time.exposed + time.gather) / time.step()), 0) << " % of it isn't waiting for other ranks\n";
}

/// A way to train the model, and its memory.
struct TrainingPlan {
  struct Memory {
    train::MemoryPlan plan;
    std::size_t other_activations;  ///< with activation checkpointing where `plan` is without, and the other way round
  };
  int lora;  ///< 0: all parameters
  std::string precision;
  Index trained_parameters;
  Memory typical, largest;
};

/// A row for each part of the memory, two columns for each way to train.
void print_memory(const std::vector<TrainingPlan>& plans, const Options& options) {
  const auto row = [&](const std::string& name, auto&& bytes_of, const char* end = "") {
    std::string line = "  " + name;
    line.resize(31, ' ');
    for (const auto& plan : plans)
      for (const auto* memory : {&plan.typical, &plan.largest}) {
        const std::size_t next = line.size() + 22;
        line += train::byte_size(bytes_of(*memory));
        line.resize(next, ' ');
      }
    std::cout << line.substr(0, line.find_last_not_of(' ') + 1) << end << "\n";
  };
  const auto part = [&](const std::string& name, std::size_t train::MemoryPlan::*bytes) { row(name, [=](const TrainingPlan::Memory& memory) { return memory.plan.*bytes; }); };
  const bool checkpointing = options.activation_checkpointing;
  part("parameters", &train::MemoryPlan::parameters);
  part("gradients", &train::MemoryPlan::gradients);
  part("optimizer", &train::MemoryPlan::optimizer);
  if (options.ema > 0) part("ema", &train::MemoryPlan::ema);
  part(checkpointing ? "checkpointed activations" : "saved activations", &train::MemoryPlan::activations);
  row(checkpointing ? "  (all of them" : "  (checkpointed", [](const TrainingPlan::Memory& memory) { return memory.other_activations; }, ")");
  part("scratch", &train::MemoryPlan::scratch);
  part("workspace", &train::MemoryPlan::workspace);
  part("threads", &train::MemoryPlan::threads);
  row("total", [](const TrainingPlan::Memory& memory) { return memory.plan.total(); });
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
  const ModelEntry& found = find_model(options, true);
  const ModelEntry& entry = found.precision == "int8" ? *find_compiled(found.model, "fp32", found.device) : found;  // whose adapters int8's are
  const auto model = entry.make();
  const auto schedule = options.train_options().schedule;
  const Index sequences = options.batch * schedule.copies(), worst = sequences * entry.sizes.context, usual = static_cast<Index>(static_cast<double>(sequences) * tokens_per_sample);
  const int gpu_capability = usable_gpus().empty() ? 75 : usable_gpus().front().capability;
  const auto plan_of = [&](int lora, const std::string& precision, const CompiledTraining& training) {
    const auto of_tokens = [&](Index tokens, bool checkpointing) {
      return training.plan(tokens, sequences, options.threads_per_rank(), options.train_options(), checkpointing, gpu_capability);
    };
    const auto plans_of = [&](Index tokens) {
      return TrainingPlan::Memory{of_tokens(tokens, options.activation_checkpointing), of_tokens(tokens, !options.activation_checkpointing).activations};
    };
    return TrainingPlan{lora, precision, training.trained_parameters(), plans_of(std::min(usual, worst)), plans_of(worst)};
  };
  const TrainingPlan chosen = plan_of(options.lora, found.precision, *find_training(options, found));
  const ModelEntry* const int8 = find_compiled(entry.model, "int8", entry.device);
  std::vector<TrainingPlan> plans{plan_of(0, entry.precision, *model)};
  for (const ModelEntry* const adapted : {find_compiled(entry.model, "fp32", entry.device), int8})
    if (adapted != nullptr)
      for (const LoraEntry& adapters : adapted->lora) plans.push_back(plan_of(adapters.rank, adapted->precision, *adapters.make()));
  const auto samples = static_cast<double>(schedule.samples_per_step() * schedule.copies());
  const bool checkpointing = options.activation_checkpointing;
  const double recomputed = checkpointing ? recomputed_per_step(entry.sizes, samples) : 0, operations = operations_per_step(entry.sizes, samples, options.lora > 0) + recomputed;
  const train::MemoryPlan &typical = chosen.typical.plan, &largest = chosen.largest.plan;
  const auto work = work_of(entry.sizes, typical, options, operations);
  const std::size_t int8_bytes = int8 == nullptr ? 0 : int8->make()->generation_bytes(options.decode_batch);
  if (options.json) {
    ordered_json memory{{"typical_tokens", usual}, {"typical_bytes", train::to_json(typical)}, {"largest_tokens", worst}, {"largest_bytes", train::to_json(largest)},
                        {"generation_bytes", model->generation_bytes(options.decode_batch)}};
    if (int8 != nullptr) memory["int8_generation_bytes"] = int8_bytes;
    const char *here = checkpointing ? "checkpointed" : "all", *otherwise = checkpointing ? "all" : "checkpointed";
    memory["typical_activation_bytes"] = {{here, typical.activations}, {otherwise, chosen.typical.other_activations}};
    memory["largest_activation_bytes"] = {{here, largest.activations}, {otherwise, chosen.largest.other_activations}};
    memory["recomputed_operations_per_step"] = recomputed;
    if (plans.size() > 1)
      for (const auto& each : plans)
        memory["trainings"].push_back({{"lora", each.lora}, {"precision", each.precision}, {"trained_parameters", each.trained_parameters}, {"typical_bytes", train::to_json(each.typical.plan)}, {"largest_bytes", train::to_json(each.largest.plan)}});
    return plan_json(options, found, memory, work, operations);
  }
  const auto size = train::byte_size;
  std::cout << "model " << entry.model << " (" << entry.sizes.words() << "), " << found.precision << "\n"
            << "batch " << options.batch << " x accumulate " << options.accumulate << " x ranks " << options.ranks << " = " << schedule.samples_per_step()
            << " samples a step, " << options.steps << " steps\n\n";
  std::string heading = concat("memory of each rank            usual (", usual, " tokens)   largest (", worst, " tokens)");
  for (std::size_t i = 1; i < plans.size(); ++i) {
    heading.resize(std::max(heading.size() + 2, 31 + i * 44), ' ');
    heading += concat("with --lora ", plans[i].lora, plans[i].precision == entry.precision ? "" : " --precision " + plans[i].precision);
  }
  std::cout << heading << "\n";
  print_memory(plans, options);
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
