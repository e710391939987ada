#pragma once
/// metrics.jsonl: one JSON object a step.

#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <span>
#include <sstream>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <terse/core/error.hpp>
#include <terse/core/json.hpp>
#include <terse/io/file.hpp>
#include <terse/train/trainer.hpp>

namespace terse::train {

/// `mfu` is null unless the device's peak is known; numbers that aren't finite are null too, as JSON has none.
inline nlohmann::ordered_json to_json(const StepRecord& record) {
  nlohmann::ordered_json line{{"step", record.step},       {"loss", record.loss},       {"grad_norm", record.grad_norm},
                              {"lr", record.lr},           {"scale", record.scale},     {"skipped", record.skipped},
                              {"samples", record.samples}, {"tokens", record.tokens},   {"targets", record.targets},
                              {"ms", record.milliseconds}, {"tokens_per_second", record.tokens_per_second()}, {"mfu", nullptr}};
  line["parts"] = {{"data", record.parts.data}, {"forward_backward", record.parts.forward_backward}, {"reduce", record.parts.reduce}, {"optimizer", record.parts.optimizer}};
  if (record.validation_loss) line["validation_loss"] = *record.validation_loss;
  return line;
}

/// The plan as run.json has it: bytes.
inline nlohmann::ordered_json to_json(const MemoryPlan& plan) {
  return {{"parameters", plan.parameters}, {"gradients", plan.gradients}, {"optimizer", plan.optimizer}, {"ema", plan.ema},       {"activations", plan.activations},
          {"scratch", plan.scratch},       {"workspace", plan.workspace}, {"threads", plan.threads},     {"total", plan.total()}};
}

/// Appends lines; each is in the file when `write` returns.
class MetricsLog {
 public:
  /// Goes on after the line of `step`: what a run wrote beyond it, and was killed, is cut off. 0: a new file.
  /// Errors     Failure::cannot_write
  MetricsLog(const std::filesystem::path& path, long step) : path_(path) {
    io::write_file(path, step > 0 ? lines_until(path, step) : "");
    file_ = Descriptor(::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
    if (!file_.is_open()) io::detail::cannot_write(path, errno);
  }

  void write(const nlohmann::ordered_json& line) {
    const std::string text = line.dump() + "\n";
    io::detail::write_all(file_, path_, std::as_bytes(std::span(text)));
  }
  /// What was written survives a power cut: before a state is saved that stands behind it.
  void sync() const {
    if (::fsync(file_.number()) != 0) io::detail::cannot_write(path_, errno);
  }

 private:
  static std::string lines_until(const std::filesystem::path& path, long step) {
    if (!std::filesystem::exists(path)) return "";
    std::istringstream in(io::read_file(path));
    std::string kept;
    for (std::string line; std::getline(in, line);) {
      const auto object = nlohmann::json::parse(std::string_view(line), nullptr, false);
      if (!object.is_object() || !object.contains("step") || !is_whole_number(object["step"], std::numeric_limits<std::int64_t>::min(), step)) break;
      kept += line + "\n";
    }
    return kept;
  }

  std::filesystem::path path_;
  Descriptor file_;
};

}  // namespace terse::train
