#pragma once
/// What a run needs to go on where it stopped, as files: numbers in state.json, parameters and moments in tensors.safetensors.

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/core/error.hpp>
#include <terse/io/checkpoint.hpp>
#include <terse/train/early_stop.hpp>
#include <terse/train/run_state.hpp>
#include <terse/train/state_tensors.hpp>

namespace terse::train {

/// The state as state.json has it; a best validation loss that is none yet is null.
inline nlohmann::ordered_json to_json(const RunState& state) {
  nlohmann::ordered_json json{{"step", state.step}, {"optimizer_steps", state.optimizer_steps}, {"scale", state.scale},
                              {"clean_steps", state.clean_steps}, {"skipped_in_a_row", state.skipped_in_a_row}, {"best_validation_loss", nullptr}};
  if (std::isfinite(state.best_validation_loss)) json["best_validation_loss"] = state.best_validation_loss;
  return json;
}

/// What to_json wrote. `file` is for messages.
/// Errors     Failure::bad_input: a number is missing or none that a run can have
inline RunState run_state_of(const nlohmann::json& json, const std::filesystem::path& file) {
  const auto damaged = [&](const char* key) { fail(Failure::bad_input, file.string(), ": \"", key, "\" is missing or wrong: the state is damaged; start over with --overwrite"); };
  const auto count = [&](const char* key, std::int64_t most) {
    // As unsigned: nlohmann compares numbers above 2^63 as negative ones.
    if (!json.is_object() || !json.contains(key) || !json[key].is_number_unsigned() || json[key].get<std::uint64_t>() > static_cast<std::uint64_t>(most)) damaged(key);
    return json[key].get<std::int64_t>();
  };
  constexpr std::int64_t most_steps = std::int64_t{1} << 40, most_in_a_row = 1 << 20;
  RunState state;
  state.step = count("step", most_steps), state.optimizer_steps = count("optimizer_steps", state.step);
  state.clean_steps = static_cast<int>(count("clean_steps", most_in_a_row)), state.skipped_in_a_row = static_cast<int>(count("skipped_in_a_row", most_in_a_row));
  if (!json.contains("scale") || !json["scale"].is_number()) damaged("scale");
  state.scale = json["scale"].get<float>();
  if (!(state.scale > 0) || std::isinf(state.scale)) damaged("scale");
  if (!json.contains("best_validation_loss")) damaged("best_validation_loss");
  if (json["best_validation_loss"].is_number()) state.best_validation_loss = json["best_validation_loss"].get<double>();
  else if (!json["best_validation_loss"].is_null()) damaged("best_validation_loss");
  return state;
}

/// As state.json has it: metric, patience, and best, null where there is none yet.
inline nlohmann::ordered_json to_json(const EarlyStop& stop) {
  nlohmann::ordered_json json{{"metric", stop.metric}, {"patience", stop.patience}, {"best", nullptr}, {"evaluations_since", stop.evaluations_since}};
  if (std::isfinite(stop.best)) json["best"] = stop.best;
  return json;
}

/// What to_json wrote, into `stop`; false if it is none that a run can have.
inline bool read_json(const nlohmann::json& json, EarlyStop& stop) {
  const auto count = [&](const char* key, int& value) {
    if (!json.contains(key) || !json[key].is_number_unsigned() || json[key].get<std::uint64_t>() > 1'000'000) return false;
    value = json[key].get<int>();
    return true;
  };
  if (!json.is_object() || !json.contains("metric") || !json["metric"].is_string() || !json.contains("best") || !(json["best"].is_null() || json["best"].is_number())) return false;
  stop.metric = json["metric"].get<std::string>();
  if (json["best"].is_number()) stop.best = json["best"].get<double>();
  return count("patience", stop.patience) && count("evaluations_since", stop.evaluations_since);
}

/// What names of a state tensor's tensors in the file begin with.
constexpr const char* prefix_of(StateTensor tensor) {
  switch (tensor) {
    case StateTensor::parameters: return "parameters.";
    case StateTensor::first_moments: return "exp_avg.";
    case StateTensor::second_moments: return "exp_avg_sq.";
    case StateTensor::ema: return "ema.";
  }
  return "";
}

namespace detail {

/// Adds the state tensors from the `first` on to `tensors`, and writes them all.
template <class Trainer>
void write_tensors_from(std::size_t first, const std::filesystem::path& path, const Trainer& trainer, const io::Metadata& metadata, std::vector<io::TensorToWrite> tensors) {
  while (first < all_state_tensors.size() && !trainer.has(all_state_tensors[first])) ++first;
  if (first == all_state_tensors.size()) return io::write_safetensors(path, std::move(tensors), metadata);
  const StateTensor tensor = all_state_tensors[first];
  trainer.read(tensor, [&](const auto* values) {  // which are on the host until the file is written
    io::add_tensors<typename Trainer::Model>(tensors, prefix_of(tensor), values);
    write_tensors_from(first + 1, path, trainer, metadata, std::move(tensors));
  });
}

}  // namespace detail

/// Writes parameters (full precision), moments and, where the run has one, the average of a Trainer as safetensors; `metadata`: what else the file says.
/// Errors     Failure::cannot_write
template <class Trainer>
void write_tensors(const std::filesystem::path& path, const Trainer& trainer, io::Metadata metadata = {}) {
  metadata["format"] = "pt";
  detail::write_tensors_from(0, path, trainer, metadata, {});
}

/// Reads what write_tensors wrote.
/// Errors     Failure::bad_input, naming file and tensor
template <class Trainer>
void read_tensors(const std::filesystem::path& path, Trainer& trainer) {
  using Model = typename Trainer::Model;
  const auto file = io::SafetensorsFile::open(path);
  for (const StateTensor tensor : all_state_tensors)
    if (trainer.has(tensor)) trainer.write(tensor, [&](auto* values) { io::read_tensors<Model>(file, prefix_of(tensor), values); });
}

}  // namespace terse::train
