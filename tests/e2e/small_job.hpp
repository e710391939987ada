#pragma once
// A job of seconds: synthetic dialogues, and a demo model that has learnt from them for a few steps.
#include <algorithm>
#include <utility>

#include <terse/text/csv.hpp>
#include <terse/text/synthetic.hpp>

#include "program.hpp"

/// Writes `rows` dialogues as CSV, with summaries.
inline void write_dialogues(const std::filesystem::path& path, std::size_t rows, terse::text::SyntheticPart part = terse::text::SyntheticPart::training) {
  std::ofstream file(path, std::ios::binary);
  file << terse::text::csv_line({"id", "dialogue", "summary"});
  for (const auto& row : terse::text::synthesize(rows, 42, part)) file << terse::text::csv_line({row.id, row.text, row.summary});
}

/// A folder with train.csv of 40 dialogues.
class SmallJob {
 public:
  SmallJob() { write_dialogues(data(), 40); }

  std::filesystem::path folder() const { return folder_.path(); }
  std::string data() const { return (folder() / "train.csv").string(); }
  std::string file(const std::string& name) const { return (folder() / name).string(); }

  /// Trains into folder()/name; `options` win over these.
  Running::Result train(const std::string& name, const Arguments& options = {}) const { return succeed(training(name, options)); }
  Arguments training(const std::string& name, const Arguments& options = {}) const {
    return Arguments{"train"} +
           with_defaults(options, {{"--data", data()}, {"--out", file(name)}, {"--model", "demo"}, {"--precision", "fp32"}, {"--steps", "4"}, {"--batch", "2"}, {"--accumulate", "1"}, {"--threads", "1"}, {"--warmup", "2"}, {"--lr", "0.002"}});
  }
  std::vector<json> metrics(const std::string& name) const { return json_lines_of(content_of(folder() / name / "metrics.jsonl")); }

 private:
  static Arguments with_defaults(Arguments options, const std::vector<std::pair<std::string, std::string>>& defaults) {
    const Arguments given = options;
    for (const auto& [name, value] : defaults)
      if (std::find(given.begin(), given.end(), name) == given.end()) options.push_back(name), options.push_back(value);
    return options;
  }

  TemporaryFolder folder_;
};
