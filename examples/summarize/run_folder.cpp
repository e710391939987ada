#include "run_folder.hpp"

#include <charconv>
#include <iostream>

#include <terse/core/json.hpp>

namespace summarize {

namespace {

using nlohmann::ordered_json;

const char* const files_of_a_run[] = {"run.json",        "state",             "checkpoint",     "best",       "adapter", "best-adapter", "metrics.jsonl",
                                      "evaluation.json", "predictions.jsonl", "submission.csv", "report.html",
                                      "zero-shot"};

/// What a step's samples are counted from; empty if they are all there, else the name of one that isn't.
std::string missing_size(const nlohmann::json& settings) {
  for (const char* size : {"batch", "accumulate", "ranks"})
    if (!settings.contains(size) || !settings[size].is_number_unsigned() || settings[size] < 1 || settings[size] > 65536) return size;
  return "";
}

long steps_of(const nlohmann::json& run) {
  const auto settings = run.value("settings", nlohmann::json::object());
  return settings.is_object() && settings.contains("steps") && settings["steps"].is_number_integer() ? settings["steps"].get<long>() : 0;
}

/// The first thing in the folder under a name that a run would take; empty where there is none.
std::string taken_name(const std::filesystem::path& out) {
  for (const char* name : files_of_a_run)
    if (std::filesystem::exists(out / name)) return name;
  return "";
}

bool is_true(const nlohmann::json& object, const char* key) { return object.is_object() && object.contains(key) && object[key] == true; }

bool says_finished(const std::filesystem::path& out) { return is_true(run_description(out), "finished"); }

}  // namespace

bool SavedState::stays_ended(const Options& options) const {
  const auto rule = options.early_stopping();
  return stopped_early && early_stop.metric == rule.metric && early_stop.patience == rule.patience;
}

nlohmann::json run_description(const std::filesystem::path& out) {
  if (!std::filesystem::exists(out / "run.json")) return {};
  try {
    return parse_json(io::read_file(out / "run.json"), {(out / "run.json").string(), ""});
  } catch (const Error&) {
    return {};
  }
}

std::optional<BegunRun> find_begun(const std::filesystem::path& out) {
  if (auto state = find_state(out)) return BegunRun{state->folder, std::move(state->settings), true};
  const auto run = run_description(out);
  if (!run.is_object() || !run.contains("settings") || !missing_size(run["settings"]).empty()) return std::nullopt;
  return BegunRun{out / "run.json", ordered_json(run["settings"]), is_true(run, "finished")};
}

SavedState parse_state(std::string_view text, const std::filesystem::path& folder) {
  const auto file = folder / "state.json";
  const auto json = parse_json(text, {file.string(), "the state is damaged; start over with --overwrite"});
  const auto need = [&](const char* key, bool right) {
    if (!right) fail(Failure::bad_input, file.string(), ": \"", key, "\" is missing or wrong: the state is damaged; start over with --overwrite");
  };
  need("settings", json.is_object() && json.contains("settings") && json["settings"].is_object());
  const auto missing = missing_size(json["settings"]);
  need(missing.c_str(), missing.empty());
  need("precision", !json["settings"].contains("precision") || json["settings"]["precision"].is_string());
  need("samples", json.contains("samples") && json["samples"].is_string());
  need("run", json.contains("run"));
  need("stopped_early", json.contains("stopped_early") && json["stopped_early"].is_boolean());
  train::EarlyStop early_stop;
  need("early_stop", json.contains("early_stop") && train::read_json(json["early_stop"], early_stop));
  return {folder, train::run_state_of(json["run"], file), ordered_json(json["settings"]), json["samples"].get<std::string>(), early_stop,
          json["stopped_early"].get<bool>(), is_true(json, "demo")};
}

std::optional<SavedState> find_state(const std::filesystem::path& out) {
  const auto folder = train::StateFolder(out / "state").latest();
  if (!folder) return std::nullopt;
  return parse_state(io::read_file(*folder / "state.json"), *folder);
}

long checkpoint_step(const std::filesystem::path& folder) {
  const auto file = folder / "model.safetensors";
  if (!std::filesystem::exists(file)) return -1;
  try {
    const auto metadata = io::SafetensorsFile::open(file).metadata();
    const auto found = metadata.find("step");
    long step = -1;
    if (found != metadata.end()) std::from_chars(found->second.data(), found->second.data() + found->second.size(), step);
    return step;
  } catch (const Error&) {  // the state is what counts: the checkpoint is written again from it
    return -1;
  }
}

RunFolder::RunFolder(const Options& options) : out_(options.out), states_(out_ / "state", options.keep) {
  if (options.world->is_first()) {
    std::error_code error;
    is_made_in_vain_ = std::filesystem::create_directories(out_, error);
    if (error) fail(Failure::cannot_write, out_.string(), ": cannot be made: ", error.message(), "; name another folder with --out");
    lock_.emplace(out_);
    io::remove_temporaries(out_), io::remove_temporaries(out_ / "state"), io::remove_temporaries(out_ / "zero-shot");  // of killed processes; a finished run, too, may have been killed while its report was written
  }
  if (!options.overwrite) {
    saved_ = find_state(out_);
    const bool has_checkpoint = std::filesystem::exists(out_ / "checkpoint");
    if (!options.resume && (saved_ || has_checkpoint))
      fail(Failure::usage, out_.string(), ": holds a run already; go on with it by --resume, replace it by --overwrite, or name another folder with --out");
    if (saved_) {
      is_finished_ = saved_->is_trained(options) && says_finished(out_) && checkpoint_step(out_ / "checkpoint") == saved_->run.step;
      return;
    }
    if (has_checkpoint) {
      const auto run = run_description(out_);
      is_finished_ = is_true(run, "finished") && steps_of(run) >= options.steps;
      if (!is_finished_)
        fail(Failure::usage, out_.string(), ": holds a checkpoint, but no state to go on from; replace it by --overwrite, or name another folder with --out");
      return;
    }
    // A run that was killed before it saved anything may start over; files that no run vouches for may be somebody's work.
    if (const auto name = taken_name(out_); !name.empty() && name != "run.json")
      fail(Failure::usage, out_.string(), ": holds ", name, " already; replace it by --overwrite, or name another folder with --out");
    if (options.resume) std::cerr << out_.string() << ": nothing was saved yet, so the run starts from step 0\n";
  }
}

RunFolder::~RunFolder() {
  std::error_code error;
  if (is_made_in_vain_) std::filesystem::remove(out_, error);  // if it is empty
}

std::filesystem::path RunFolder::tokenizer() const {
  const auto folder = out_ / "checkpoint";
  const auto has = [&](const char* file) { return std::filesystem::exists(folder / file); };
  return saved_ && (has("tokenizer.json") || (has("vocab.json") && has("merges.txt"))) ? folder : std::filesystem::path();
}

void RunFolder::begin(ordered_json description) {
  std::error_code error;
  is_made_in_vain_ = false;
  // Whenever this is cut short, what is left is the run before, without its state, or this one: run.json vouches for the rest until it is removed.
  if (!saved_) std::filesystem::remove(out_ / "state" / "latest", error), std::filesystem::remove_all(out_ / "state", error);
  describe(std::move(description), false);
  if (!saved_)
    for (const std::string_view name : files_of_a_run)
      if (name != "run.json") std::filesystem::remove_all(out_ / name, error);
}

void RunFolder::save(const SavedState& state, const std::function<void(const std::filesystem::path&)>& write_tensors) {
  ordered_json json{{"run", train::to_json(state.run)}, {"settings", state.settings}, {"samples", state.samples}, {"early_stop", train::to_json(state.early_stop)},
                    {"stopped_early", state.stopped_early}};
  if (state.is_demo) json["demo"] = true;
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
