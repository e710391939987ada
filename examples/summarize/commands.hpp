#pragma once
// The commands. Each returns the exit code; errors are thrown as terse::Error.
#include <csignal>
#include <iosfwd>

#include "inputs.hpp"
#include "options.hpp"
#include "run_folder.hpp"

namespace summarize {

int demo(Options options);
int train(const Options& options);
int run(const Options& options);
int evaluate(const Options& options);
int predict(const Options& options);
int generate(const Options& options);
int score(const Options& options);
int compare(const Options& options);
int tokenize(const Options& options);
int rouge(const Options& options);
int plan(const Options& options);
int report(const Options& options);
int explain(const Options& options);
int doctor(const Options& options);

// What `run` and `demo` put together.
/// `test`: what to predict; without rows: the validation's.
int run(const Options& options, const TrainingInputs& inputs, text::Dialogues test, RunFolder& folder);
void evaluate(const Options& options, const Checkpoint& checkpoint, const text::Dialogues& dialogues);
/// What the model that --init names makes of them before it is trained: zero-shot/ in --out.
void evaluate_zero_shot(const Options& options, const Checkpoint& initial, const text::Dialogues& dialogues);
/// Returns the submission's path. `writes_predictions`: predictions.jsonl too, which an evaluation before has written with references.
std::filesystem::path predict(const Options& options, const Checkpoint& checkpoint, const text::Dialogues& dialogues, bool writes_predictions);

/// report.html in --out, from what is there; the end of every command that trains or evaluates.
void write_report(const Options& options);

/// Whether the commands, and so the models beside them, are compiled with optimization.
inline constexpr bool is_optimized =
#if defined(__OPTIMIZE__)
    true;
#else
    false;
#endif

/// True once the user has pressed ctrl-C.
bool interrupted();

}  // namespace summarize
