// report: what a run left in --out, as one page.
#include <iostream>

#include <terse/train/report.hpp>

#include "commands.hpp"

namespace summarize {

void write_report(const Options& options) {
  if (train::write_report(options.out)) std::cerr << "report: " << (options.out / "report.html").string() << "\n";
}

int report(const Options& options) {
  if (!std::filesystem::is_directory(options.out)) fail(Failure::bad_input, options.out.string(), ": no such folder; name a run's with --out");
  if (!train::write_report(options.out))
    fail(Failure::bad_input, options.out.string(), ": no metrics.jsonl, evaluation.json, predictions.jsonl or run.json in it; train or evaluate first");
  std::cout << (options.out / "report.html").string() << "\n";
  return 0;
}

}  // namespace summarize
