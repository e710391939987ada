#pragma once
/// report.html: a run as one self-contained page.

#include <filesystem>

#include <terse/io/file.hpp>
#include <terse/train/report/page.hpp>

namespace terse::train {

/// Writes FOLDER/report.html from what a run has left there: metrics.jsonl, evaluation.json, predictions.jsonl, run.json, each if it is
/// there. The page holds loss and learning-rate curves, ROUGE beside lead-1, dialogues with their summaries, the memory plan and the
/// time of a step; it refers to nothing outside itself. Returns false, and writes nothing, where none of the files is there.
///
/// Errors     Failure::bad_input: a file can't be read; Failure::cannot_write
inline bool write_report(const std::filesystem::path& folder) {
  const auto files = report::read_run(folder);
  if (files.empty()) return false;
  const auto name = std::filesystem::absolute(folder / ".").lexically_normal().parent_path().filename().string();
  io::write_file(folder / "report.html", report::page(files, name));
  return true;
}

}  // namespace terse::train
