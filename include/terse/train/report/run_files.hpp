#pragma once
/// What a report is made of: the files that a run leaves in its folder.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <nlohmann/json.hpp>

#include <terse/io/file.hpp>

namespace terse::train::report {

using Json = nlohmann::ordered_json;

/// A line of metrics.jsonl. What it lacks, or has as null, is not a number.
struct Step {
  double step = 0, loss = 0, validation_loss = 0, lr = 0, grad_norm = 0, milliseconds = 0, tokens = 0;
  bool skipped = false;
  std::vector<std::pair<std::string, double>> parts;  ///< milliseconds
};

/// A line of predictions.jsonl.
struct Prediction {
  std::string id, dialogue, summary;
  std::optional<std::string> reference;
};

struct RunFiles {
  std::vector<Step> steps;  ///< by step, each once
  long unreadable = 0;      ///< whole lines of metrics.jsonl and predictions.jsonl that are no JSON objects
  std::vector<Prediction> predictions;
  Json evaluation, run;     ///< null where there is none
  Json zero_shot;           ///< evaluation.json of zero-shot/: of the same dialogues, before training; null where there is none
  std::vector<std::string> zero_shot_summaries;  ///< of each prediction's dialogue; empty where there are none
  bool evaluation_is_older = false;  ///< than the training

  bool empty() const { return steps.empty() && predictions.empty() && evaluation.is_null() && run.is_null(); }
};

namespace detail {

inline double number_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_number() ? found->get<double>() : std::numeric_limits<double>::quiet_NaN();
}

inline std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  return found->is_string() ? found->get<std::string>() : found->dump();
}

/// Calls body(object) for each whole line; what follows the last line end was cut off by whatever ended its writer. Returns how many
/// lines are no objects.
template <class Body>
long for_each_object(const std::filesystem::path& file, Body&& body) {
  if (!std::filesystem::exists(file)) return 0;
  const io::MappedFile mapped(file);
  std::string_view rest = mapped.text();
  long unreadable = 0;
  for (std::size_t end; (end = rest.find('\n')) != std::string_view::npos; rest.remove_prefix(end + 1)) {
    const auto line = rest.substr(0, end);
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    const Json object = Json::parse(line, nullptr, false);
    if (object.is_object()) body(object);
    else ++unreadable;
  }
  return unreadable;
}

inline Json object_in(const std::filesystem::path& file) {
  if (!std::filesystem::exists(file)) return nullptr;
  Json object = Json::parse(io::MappedFile(file).text(), nullptr, false);
  if (!object.is_object()) fail(Failure::bad_input, file.string(), ": not a JSON object; delete it, and run what writes it again");
  return object;
}

inline Step step_of(const Json& line) {
  Step step{.step = number_at(line, "step"), .loss = number_at(line, "loss"), .validation_loss = number_at(line, "validation_loss"), .lr = number_at(line, "lr"),
            .grad_norm = number_at(line, "grad_norm"), .milliseconds = number_at(line, "ms"), .tokens = number_at(line, "tokens"), .skipped = line.value("skipped", Json()) == true, .parts = {}};
  if (const auto parts = line.find("parts"); parts != line.end() && parts->is_object())
    for (const auto& [name, milliseconds] : parts->items())
      if (milliseconds.is_number()) step.parts.emplace_back(name, milliseconds.get<double>());
  return step;
}

/// A folder may be evaluated on other dialogues later: what was judged before training is shown beside the same ones only.
inline void read_zero_shot(const std::filesystem::path& folder, RunFiles& files) {
  std::vector<std::string> summaries;
  bool are_same = true;
  files.unreadable += for_each_object(folder / "predictions.jsonl", [&](const Json& line) {
    const std::size_t i = summaries.size();
    are_same = are_same && i < files.predictions.size() && files.predictions[i].id == text_at(line, "id") && files.predictions[i].dialogue == text_at(line, "dialogue");
    summaries.push_back(text_at(line, "summary"));
  });
  if (!are_same || summaries.empty() || summaries.size() != files.predictions.size()) return;
  files.zero_shot = object_in(folder / "evaluation.json"), files.zero_shot_summaries = std::move(summaries);
}

}  // namespace detail

/// Reads metrics.jsonl, evaluation.json, predictions.jsonl and run.json, each if it is there. Of a step that is there twice (a run
/// that was resumed) the later counts.
/// Errors     Failure::bad_input: one can't be read
inline RunFiles read_run(const std::filesystem::path& folder) {
  using namespace detail;
  namespace fs = std::filesystem;
  RunFiles files;
  const fs::path metrics = folder / "metrics.jsonl", evaluation = folder / "evaluation.json";
  files.unreadable += for_each_object(metrics, [&](const Json& line) {
    Step step = step_of(line);
    if (!std::isfinite(step.step)) return;
    while (!files.steps.empty() && files.steps.back().step >= step.step) files.steps.pop_back();
    files.steps.push_back(std::move(step));
  });
  files.unreadable += for_each_object(folder / "predictions.jsonl", [&](const Json& line) {
    Prediction prediction{text_at(line, "id"), text_at(line, "dialogue"), text_at(line, "summary"), {}};
    if (line.contains("reference")) prediction.reference = text_at(line, "reference");
    files.predictions.push_back(std::move(prediction));
  });
  files.evaluation = object_in(evaluation), files.run = object_in(folder / "run.json");
  read_zero_shot(folder / "zero-shot", files);
  if (!files.evaluation.is_null() && !files.steps.empty()) files.evaluation_is_older = fs::last_write_time(evaluation) < fs::last_write_time(metrics);
  return files;
}

}  // namespace terse::train::report
