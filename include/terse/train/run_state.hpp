#pragma once
/// What a run needs to go on where it stopped: numbers, parameters, moments.

#include <cmath>
#include <filesystem>
#include <limits>

#include <nlohmann/json.hpp>

#include <terse/core/error.hpp>
#include <terse/device/host_access.hpp>
#include <terse/io/checkpoint.hpp>

namespace terse::train {

/// Where a run stands between two steps. The sampler's cursor is step * samples_per_step, and random numbers are counted, not drawn, so nothing
/// else but parameters and moments is needed to go on with the same bits.
struct RunState {
  long step = 0;               ///< steps done
  long optimizer_steps = 0;    ///< of them not skipped
  float scale = 1;             ///< of the loss
  int clean_steps = 0;         ///< since the scale changed
  int skipped_in_a_row = 0;
  double best_validation_loss = std::numeric_limits<double>::infinity();

  bool operator==(const RunState&) const = default;
};

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

/// Writes parameters (full precision) and moments of a Trainer as safetensors.
/// Errors     Failure::cannot_write
template <class Trainer>
void write_tensors(const std::filesystem::path& path, const Trainer& trainer) {
  using Model = typename Trainer::Model;
  const auto on_host = [&](const auto* values, auto&& body) { return read_on_host(trainer.device(), values, Model::flat_size, body); };
  on_host(trainer.parameters(), [&](const auto* parameters) {
    on_host(trainer.first_moments(), [&](const auto* exp_avg) {
      on_host(trainer.second_moments(), [&](const auto* exp_avg_sq) {
        std::vector<io::TensorToWrite> tensors;
        io::add_tensors<Model>(tensors, "parameters.", parameters);
        io::add_tensors<Model>(tensors, "exp_avg.", exp_avg);
        io::add_tensors<Model>(tensors, "exp_avg_sq.", exp_avg_sq);
        io::write_safetensors(path, std::move(tensors));
      });
    });
  });
}

/// Reads what write_tensors wrote.
/// Errors     Failure::bad_input, naming file and tensor
template <class Trainer>
void read_tensors(const std::filesystem::path& path, const Trainer& trainer) {
  using Model = typename Trainer::Model;
  const auto file = io::SafetensorsFile::open(path);
  const auto read = [&](const char* prefix, auto* values) {
    write_on_host(trainer.device(), values, Model::flat_size, [&](auto* on_host) { io::read_tensors<Model>(file, prefix, on_host); });
  };
  read("parameters.", trainer.parameters()), read("exp_avg.", trainer.first_moments()), read("exp_avg_sq.", trainer.second_moments());
}

}  // namespace terse::train
