#pragma once
// A run's settings as JSON, under the names of the command line: in files that --config reads, in run.json, and in a saved state.
#include <nlohmann/json.hpp>

#include <terse/dist/environment.hpp>

#include "options.hpp"

namespace summarize {

/// What train and run were told, defaults included.
nlohmann::ordered_json settings_of(const Options& options);

/// How texts are written.
nlohmann::ordered_json settings_of(const decode::Strategy& strategy);

/// After the command line was read: what it leaves open comes from --config; then, with --resume, from the run in --out, which goes on as it was begun.
/// Both may have options of `run` that `command` lacks: they are settings of the job, and are kept.
/// Errors     Failure::usage: an unknown name or a value out of range in --config; a setting that the saved run began otherwise;
///            Failure::bad_input: a file can't be read
void complete(CLI::App& command, Options& options);

/// Where somebody started several ranks: --ranks is as many.
/// Errors     Failure::usage: other ones were asked for
void take_ranks(CLI::App& command, const dist::Environment& here);

/// What --device auto means here, and how many ranks there are where nobody said: two on the CPU, one for each GPU.
/// Errors     Failure::device: --device cuda, and this program has none or finds no GPU, or not one for each rank of this machine
void choose_device(const CLI::App& command, const dist::Environment& here, Options& options);

/// 0.7, not 0.699999988079071.
double as_typed(float value);

}  // namespace summarize
