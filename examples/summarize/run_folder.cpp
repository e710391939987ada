#include "run_folder.hpp"

#include <charconv>
#include <cmath>
#include <iostream>

#include <terse/core/json.hpp>

namespace summarize {

namespace {

using nlohmann::ordered_json;

// run.json first: where a removal is cut short, what is left doesn't pass for a finished run.
const char* const files_of_a_run[] = {"run.json", "state", "checkpoint", "best", "metrics.jsonl", "evaluation.json", "predictions.jsonl", "submission.csv", "report.html"};

train::EarlyStop early_stop_of(const nlohmann::json& json) {
  train::EarlyStop stop;
  if (json.is_object() && json.contains("best") && json["best"].is_number()) stop.best = json["best"].get<double>();
  if (json.is_object() && json.contains("evaluations_since") && json["evaluations_since"].is_number_unsigned() && json["evaluations_since"].get<std::uint64_t>() <= 1000000) stop.evaluations_since = json["evaluations_since"].get<int>();
  return stop;
}

/// The first thing in the folder under a name that a run would take; empty where there is none.
std::string taken_name(const std::filesystem::path& out) {
  for (const char* name : files_of_a_run)
    if (std::filesystem::exists(out / name)) return name;
  return "";
}

bool says_finished(const std::filesystem::path& out) {
  if (!std::filesystem::exists(out / "run.json")) return false;
  const auto json = parse_json(io::read_file(out / "run.json"), {(out / "run.json").string(), "start over with --overwrite"});
  return json.is_object() && json.contains("finished") && json["finished"] == true;
}

}  // namespace

SavedState parse_state(std::string_view text, const std::filesystem::path& folder) {
  const auto file = folder / "state.json";
  const auto json = parse_json(text, {file.string(), "the state is damaged; start over with --overwrite"});
  const auto need = [&](const char* key, bool right) {
    if (!right) fail(Failure::bad_input, file.string(), ": \"", key, "\" is missing or wrong: the state is damaged; start over with --overwrite");
  };
  need("settings", json.is_object() && json.contains("settings") && json["settings"].is_object());
  for (const char* size : {"batch", "accumulate", "ranks"}) {
    const auto& settings = json["settings"];
    need(size, settings.contains(size) && settings[size].is_number_unsigned() && settings[size] >= 1 && settings[size] <= 65536);
  }
  need("precision", !json["settings"].contains("precision") || json["settings"]["precision"].is_string());
  need("samples", json.contains("samples") && json["samples"].is_string());
  need("run", json.contains("run"));
  need("stopped_early", json.contains("stopped_early") && json["stopped_early"].is_boolean());
  return {folder, train::run_state_of(json["run"], file), ordered_json(json["settings"]), json["samples"].get<std::string>(), early_stop_of(json.value("early_stop", nlohmann::json())),
          json["stopped_early"].get<bool>()};
}

std::optional<SavedState> find_state(const std::filesystem::path& out) {
  const auto folder = train::StateFolder(out / "state").latest();
  if (!folder) return std::nullopt;
  return parse_state(io::read_file(*folder / "state.json"), *folder);
}

long checkpoint_step(const std::filesystem::path& folder) {
  const auto file = folder / "model.safetensors";
  if (!std::filesystem::exists(file)) return -1;
  const auto metadata = io::SafetensorsFile::open(file).metadata();
  const auto found = metadata.find("step");
  long step = -1;
  if (found != metadata.end()) std::from_chars(found->second.data(), found->second.data() + found->second.size(), step);
  return step;
}

RunFolder::RunFolder(const Options& options) : out_(options.out), states_(out_ / "state", options.keep) {
  std::error_code error;
  std::filesystem::create_directories(out_, error);
  if (error) fail(Failure::cannot_write, out_.string(), ": cannot be made: ", error.message(), "; name another folder with --out");
  lock_.emplace(out_);

  if (!options.overwrite) {
    saved_ = find_state(out_);
    const bool has_checkpoint = std::filesystem::exists(out_ / "checkpoint");
    if (!options.resume && (saved_ || has_checkpoint))
      fail(Failure::usage, out_.string(), ": holds a run already; go on with it by --resume, replace it by --overwrite, or name another folder with --out");
    if (saved_) {
      const bool trained = saved_->stopped_early || saved_->run.step >= options.steps;
      is_finished_ = trained && says_finished(out_) && checkpoint_step(out_ / "checkpoint") == saved_->run.step;
      return;
    }
    if (has_checkpoint) {
      is_finished_ = says_finished(out_);
      if (!is_finished_) fail(Failure::usage, out_.string(), ": holds a checkpoint, but no state to go on from; replace it by --overwrite, or name another folder with --out");
      return;
    }
    // A run that was killed before it saved anything may start over; files that no run vouches for may be somebody's work.
    if (const auto name = taken_name(out_); !name.empty() && name != "run.json")
      fail(Failure::usage, out_.string(), ": holds ", name, " already; replace it by --overwrite, or name another folder with --out");
    if (options.resume) std::cerr << out_.string() << ": nothing was saved yet, so the run starts from step 0\n";
  }
}

void RunFolder::begin() const {
  std::error_code error;
  io::remove_temporaries(out_), io::remove_temporaries(out_ / "state");
  if (!saved_)
    for (const char* name : files_of_a_run) std::filesystem::remove_all(out_ / name, error);
}

void RunFolder::save(const SavedState& state, const std::function<void(const std::filesystem::path&)>& write_tensors) {
  ordered_json json{{"run", train::to_json(state.run)}, {"settings", state.settings}, {"samples", state.samples}, {"stopped_early", state.stopped_early}};
  json["early_stop"]["evaluations_since"] = state.early_stop.evaluations_since;
  if (std::isfinite(state.early_stop.best)) json["early_stop"]["best"] = state.early_stop.best;
  states_.save(state.run.step, [&](const std::filesystem::path& folder) {
    write_tensors(folder / "tensors.safetensors");
    io::write_file(folder / "state.json", json.dump(2) + "\n");
  });
}

void RunFolder::describe(ordered_json description, bool finished) const {
  description["finished"] = finished;
  io::write_file(out_ / "run.json", description.dump(2) + "\n");
}

}  // namespace summarize
