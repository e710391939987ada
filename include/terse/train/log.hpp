#pragma once
/// metrics.jsonl: one JSON object a step.

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include <terse/core/error.hpp>
#include <terse/train/trainer.hpp>

namespace terse::train {

/// `mfu` is null unless the device's peak is known; numbers that aren't finite are null too, as JSON has none.
inline nlohmann::ordered_json to_json(const StepRecord& record) {
  nlohmann::ordered_json line{{"step", record.step},       {"loss", record.loss},       {"grad_norm", record.grad_norm},
                              {"lr", record.lr},           {"scale", record.scale},     {"skipped", record.skipped},
                              {"samples", record.samples}, {"tokens", record.tokens},   {"targets", record.targets},
                              {"ms", record.milliseconds}, {"tokens_per_second", record.tokens_per_second()}, {"mfu", nullptr}};
  if (record.validation_loss) line["validation_loss"] = *record.validation_loss;
  return line;
}

/// Appends lines; each is in the file when `write` returns.
class MetricsLog {
 public:
  /// Starts a new file. Errors     Failure::cannot_write
  explicit MetricsLog(const std::filesystem::path& path) : path_(path), file_(path, std::ios::trunc) { check(); }

  void write(const StepRecord& record) {
    file_ << to_json(record).dump() << '\n' << std::flush;
    check();
  }

 private:
  void check() const {
    if (!file_) fail(Failure::cannot_write, path_.string(), ": cannot be written: ", std::strerror(errno));
  }

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace terse::train
