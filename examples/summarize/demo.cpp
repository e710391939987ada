// demo: the whole job on dialogues that it makes up.
#include <algorithm>
#include <iostream>

#include <terse/text/csv.hpp>
#include <terse/text/synthetic.hpp>

#include "commands.hpp"

namespace summarize {

namespace {

void write_rows(const std::filesystem::path& path, std::span<const text::Dialogue> rows, bool summaries) {
  io::AtomicFile file(path);
  file.write(summaries ? text::csv_line({"id", "dialogue", "summary"}) : text::csv_line({"id", "dialogue"}));
  for (const auto& row : rows) file.write(summaries ? text::csv_line({row.id, row.text, row.summary}) : text::csv_line({row.id, row.text}));
  file.commit();
}

/// What of the reference job's settings a small model from scratch needs otherwise.
void choose_settings(Options& options) {
  options.is_demo = true, options.model = "demo", options.precision = "fp32", options.init = "scratch";
  options.steps = options.demo_steps, options.batch = 8, options.accumulate = 1;
  options.warmup = std::min(80L, options.steps / 10), options.lr = 3e-3, options.min_lr = 3e-4, options.dropout = 0;
  options.evaluate_every = 200, options.evaluate_samples = 64, options.log_every = 20;
  options.strategy.greedy = true, options.strategy.max_new = 40;
}

bool holds_demo(const std::filesystem::path& out) {
  const auto run = run_description(out);
  return run.is_object() && run.value("demo", nlohmann::json()) == true;
}

void print_files(const Options& options) {
  const auto out = [&](const char* name) { return (options.out / name).string(); };
  std::cout << "\nEverything is in " << options.out.string() << ": checkpoint/ and best/ (transformers reads them), metrics.jsonl, evaluation.json,\n"
            << "predictions.jsonl (dialogue, reference, summary), submission.csv, and report.html, which shows them in a browser. The dialogues are synthetic: "
            << out("train.csv") << ", " << out("validation.csv") << ", " << out("test.csv") << "\n\n"
            << "With a CSV of your own (columns id,dialogue,summary), this model, from scratch:\n\n"
            << "  " << std::filesystem::read_symlink("/proc/self/exe").string()
            << " run --model demo --data train.csv --batch 8 --accumulate 1 --steps 300 --warmup 30 --lr 3e-3 --out out-mine\n\n"
            << "These are steps for some hundred dialogues; more of both is better. For GPT-2: README.md, \"Your own CSV\"\n";
}

}  // namespace

int demo(Options options) {
  constexpr std::size_t training_rows = 16000, held_out_rows = 200;
  choose_settings(options);
  options.require_possible();
  options.overwrite = options.overwrite || holds_demo(options.out);
  if (!options.overwrite)
    for (const char* name : {"train.csv", "validation.csv", "test.csv"})
      if (std::filesystem::exists(options.out / name))
        fail(Failure::usage, (options.out / name).string(), ": is there already; replace it by --overwrite, or name another folder with --out");
  RunFolder folder(options);
  std::cerr << "writing " << training_rows << " synthetic dialogues to learn from and " << 2 * held_out_rows << " others to be judged by; nobody ever spoke them\n";
  const auto make = [&](const char* name, std::size_t rows, text::SyntheticPart part) {
    write_rows(options.out / name, text::synthesize(rows, options.seed, part), part != text::SyntheticPart::test);
  };
  make("train.csv", training_rows, text::SyntheticPart::training);
  make("validation.csv", held_out_rows, text::SyntheticPart::validation);
  make("test.csv", held_out_rows, text::SyntheticPart::test);
  options.data = options.out / "train.csv", options.validation = options.out / "validation.csv", options.test = options.out / "test.csv";
  if (const int code = run(options, read_training(options, folder), read_test(options), folder); code != 0) return code;
  print_files(options);
  return 0;
}

}  // namespace summarize
