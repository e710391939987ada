#include "settings.hpp"

#include <set>

#include <CLI/CLI.hpp>

#include <terse/core/json.hpp>
#include <terse/io/file.hpp>

#include "gpus.hpp"
#include "inputs.hpp"
#include "run_folder.hpp"
#include "usage.hpp"

namespace summarize {

namespace {

using nlohmann::ordered_json;

/// The command's option of that name; where it has none, run's, which has all of a job.
CLI::Option* option_of(CLI::App& command, const std::string& name) {
  if (name == "config" || name == "help") return nullptr;
  if (CLI::Option* own = command.get_option_no_throw("--" + name)) return own;
  return command.get_parent()->get_subcommand("run")->get_option_no_throw("--" + name);
}

/// Gives the options what `settings` say, where nothing was given yet.
void apply(CLI::App& command, const ordered_json& settings, const std::string& source) {
  for (const auto& [name, value] : settings.items()) {
    CLI::Option* const option = option_of(command, name);
    if (option == nullptr) {
      std::vector<std::string> names;
      for (const auto* known : command.get_options()) names.push_back(known->get_name().substr(2));
      const std::string meant = nearest(name, names);
      fail(Failure::usage, source, ": no option ", in_quotes(name), " of ", program_name(), " ", command.get_name(),
           meant.empty() ? "; its --help lists them" : "; did you mean \"" + meant + "\"?");
    }
    if (option->count() > 0) continue;
    if (value.is_object() || value.is_array() || value.is_null()) fail(Failure::usage, source, ": \"", name, "\" must be a string, a number, true or false");
    if (value == "") fail(Failure::usage, source, ": \"", name, "\" is empty; leave it out, or say what it is");
    try {
      option->add_result(value.is_string() ? value.get<std::string>() : value.dump());
      option->run_callback();
    } catch (const CLI::Error& error) {
      fail(Failure::usage, source, ": ", error.what());
    }
  }
}

/// Settings that a run may go on with otherwise than it began; batch and threads only where sums needn't be reproducible.
bool may_change(const std::string& name, bool reproducible) {
  static const std::set<std::string> free{"data", "validation", "test", "output", "limit", "tokenizer", "init", "device", "ranks", "accumulate", "steps", "strict",
                                          "evaluate-every", "checkpoint-every", "shard-optimizer", "activation-checkpointing", "reduce-dtype", "keep", "early-stop", "log-every",
                                          "zero-shot", "decode-batch"};
  static const ordered_json decoding = settings_of(decode::Strategy{});
  return free.contains(name) || decoding.contains(name) || (!reproducible && (name == "batch" || name == "threads"));
}

/// batch x accumulate x ranks stays what it was: accumulate follows the others unless it was given.
void share_step(bool accumulate_given, Options& options, const ordered_json& begun) {
  const long samples = begun["batch"].get<long>() * begun["accumulate"].get<long>() * begun["ranks"].get<long>();
  const long together = options.batch * options.ranks;
  if (!accumulate_given) {
    if (samples % together != 0)
      fail(Failure::usage, "--ranks ", options.ranks, ": a step of this run has ", samples, " samples, which ", options.ranks, " ranks x batch ", options.batch,
           " don't divide; choose another --ranks or --batch");
    options.accumulate = samples / together;
  }
  if (together * options.accumulate != samples)
    fail(Failure::usage, "batch ", options.batch, " x accumulate ", options.accumulate, " x ranks ", options.ranks, " is ", together * options.accumulate,
         " samples a step; this run began with ", samples, "; leave --accumulate out, and it is chosen");
}

void continue_run(CLI::App& command, Options& options, const BegunRun& run, bool accumulate_given) {
  apply(command, run.settings, run.source.string());
  if (!run.has_begun) return;
  if (options.precision == "auto") options.precision = run.settings.value("precision", "auto");
  const auto now = settings_of(options);
  ordered_json begun{{"layer-decay", 1.0}, {"label-smoothing", 0.0}, {"r-drop", 0.0}, {"ema", 0.0}, {"lora", 0}};  // a state of an older version doesn't say so
  begun.update(run.settings);
  for (const auto& [name, value] : begun.items())
    if (now.contains(name) && now[name] != value && !may_change(name, options.reproducible))
      fail(Failure::usage, "--", name, " ", now[name].dump(), ": the run in ", options.out.string(), " began with ", value.dump(),
           "; leave it out, or start over with --overwrite");
  share_step(accumulate_given, options, run.settings);
}

}  // namespace

void take_ranks(CLI::App& command, const dist::Environment& here) {
  CLI::Option& ranks = *command.get_option("--ranks");
  if (ranks.count() > 0 && ranks.as<int>() != here.size)
    fail(Failure::usage, "--ranks ", ranks.as<int>(), ": ", name_of(here.launcher), " started ", here.size, " ranks; leave --ranks out");
  ranks.clear();
  ranks.add_result(std::to_string(here.size));  // as if it was given: a run that is resumed has these
  ranks.run_callback();
}

void choose_device(const CLI::App& command, const dist::Environment& here, Options& options) {
  if (command.get_option_no_throw("--device") == nullptr) options.device = "cpu";
  if ((options.precision == "int8" || options.lora > 0) && options.device == "auto") options.device = "cpu";
  if (options.device == "cpu") return;
  if (options.lora > 0) fail(Failure::usage, "--lora ", options.lora, ": adapters are trained on the CPU so far; use --device cpu");
  if (options.precision == "int8") fail(Failure::usage, "--precision int8: 8-bit weights are for the CPU; use --device cpu, or another precision");
  const auto gpus = usable_gpus().size();
  if (options.device == "auto") options.device = gpus > 0 ? "cuda" : "cpu";
  if (options.device == "cpu") return;
  if (gpus == 0) fail(Failure::device, "--device cuda: ", why_no_gpu(), "; use --device cpu");
  const CLI::Option* const ranks = command.get_option_no_throw("--ranks");
  if (ranks == nullptr || ranks->count() == 0) options.ranks = has_nccl() ? static_cast<int>(gpus) : 1;
  const int ranks_here = here.launcher == dist::Launcher::none ? options.ranks : here.local_size;
  if (static_cast<std::size_t>(ranks_here) > gpus)
    fail(Failure::device, "--ranks ", ranks_here, ": there ", gpus == 1 ? "is 1 GPU" : concat("are ", gpus, " GPUs"),
         ", and a rank needs one of its own; ask for fewer, or use --device cpu");
}

double as_typed(float value) { return std::stod(concat(value)); }

ordered_json settings_of(const decode::Strategy& s) {
  return {{"greedy", s.greedy}, {"temperature", as_typed(s.temperature)}, {"top-k", s.top_k}, {"top-p", as_typed(s.top_p)}, {"min-p", as_typed(s.min_p)}, {"typical", as_typed(s.typical)},
          {"repetition-penalty", as_typed(s.repetition_penalty.penalty)}, {"no-repeat-ngram", s.no_repeat_ngram.size}, {"min-new", s.min_new.count}, {"beams", s.beams},
          {"length-penalty", as_typed(s.length_penalty)}, {"early-stopping", decode::name_of(s.early_stopping)}, {"beam-groups", s.beam_groups}, {"diversity", as_typed(s.diversity)},
          {"penalty-alpha", as_typed(s.penalty_alpha)}, {"draft", s.draft}, {"max-new", s.max_new}};
}

ordered_json settings_of(const Options& o) {
  ordered_json settings;
  const auto path = [&](const char* name, const std::filesystem::path& value) {
    if (!value.empty()) settings[name] = std::filesystem::absolute(value).lexically_normal().string();
  };
  path("data", o.data), path("validation", o.validation), path("test", o.test), path("output", o.output), path("tokenizer", o.tokenizer);
  const ordered_json rest{{"validation-split", o.validation_split}, {"model", o.model}, {"precision", o.precision}, {"ranks", o.ranks}, {"threads", o.threads},
                          {"batch", o.batch}, {"accumulate", o.accumulate}, {"steps", o.steps}, {"lr", o.lr}, {"min-lr", o.min_lr}, {"warmup", o.warmup},
                          {"weight-decay", o.weight_decay}, {"layer-decay", o.layer_decay}, {"beta1", o.beta1}, {"beta2", o.beta2}, {"clip", o.clip}, {"dropout", o.dropout},
                          {"label-smoothing", o.label_smoothing}, {"r-drop", o.r_drop}, {"ema", o.ema},
                          {"normalisation", o.normalisation}, {"reproducible", o.reproducible}, {"shard-optimizer", o.shard_optimizer},
                          {"activation-checkpointing", o.activation_checkpointing}, {"reduce-dtype", o.reduce_dtype}, {"seed", o.seed}, {"shuffle", o.shuffle},
                          {"evaluate-every", o.evaluate_every}, {"evaluate-samples", o.evaluate_samples}, {"checkpoint-every", o.checkpoint_every}, {"keep", o.keep},
                          {"early-stop", o.early_stop}, {"log-every", o.log_every}, {"strict", o.strict}, {"zero-shot", o.zero_shot}, {"limit", o.limit}, {"decode-batch", o.decode_batch}};
  settings.update(rest), settings.update(settings_of(o.strategy));
  settings["lora"] = o.lora;
  settings["init"] = o.init == "scratch" ? o.init : std::filesystem::absolute(o.init).lexically_normal().string();
  return settings;
}

void complete(CLI::App& command, Options& options) {
  const bool accumulate_given = command.get_option("--accumulate")->count() > 0;  // by the user, now: a --config is older than the run
  if (!options.config.empty()) {
    const auto settings = ordered_json(parse_json(io::read_file(options.config), {options.config.string(), "write it as {\"steps\": 500, …}"}));
    if (!settings.is_object()) fail(Failure::bad_input, options.config.string(), ": not a JSON object of options");
    apply(command, settings, options.config.string());
  }
  if (options.resume && options.overwrite) fail(Failure::usage, "--resume goes on with a run, --overwrite starts over: give one of them");
  if (options.resume)
    if (const auto run = find_begun(options.out)) continue_run(command, options, *run, accumulate_given);
  if (options.data.empty())
    fail(Failure::usage, "--data is required: a CSV with the columns id, dialogue, summary; try ", program_name(), " ", command.get_name(), " --help");
  options.model = named_model(options);  // --resume finds it among the settings
}

}  // namespace summarize
