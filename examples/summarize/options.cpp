#include "options.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>
#include <limits>
#include <set>
#include <thread>

#include <CLI/CLI.hpp>

#include <terse/core/json.hpp>
#include <terse/device/openmp.hpp>
#include <terse/train/scaling.hpp>

#include "compiled_model.hpp"

namespace summarize {

train::TrainOptions Options::train_options() const {
  train::TrainOptions result;
  result.schedule = {batch, accumulate, ranks, steps, seed, shuffle, normalisation == "token" ? text::Normalisation::token : text::Normalisation::micro_batch};
  result.rates = {lr, min_lr, warmup, steps};
  result.beta1 = beta1, result.beta2 = beta2, result.weight_decay = weight_decay, result.clip = clip;
  result.layer_decay = layer_decay, result.ema = ema;
  result.dropout = static_cast<float>(dropout), result.label_smoothing = static_cast<float>(label_smoothing), result.r_drop = static_cast<float>(r_drop);
  result.schedule.twins = r_drop > 0;
  result.evaluate_every = evaluate_every, result.checkpoint_every = checkpoint_every;
  result.reproducible = reproducible, result.shard_optimizer = shard_optimizer;
  result.reduce_dtype = reduce_dtype == "bf16" ? Dtype::bf16 : Dtype::f32;
  result.trace_steps = trace.empty() ? 0 : 10;
  return result;
}

namespace {

/// Of METRIC:N, or off; nothing of what is neither.
std::optional<train::EarlyStop> early_stop_of(const std::string& text) {
  if (text == "off") return train::EarlyStop{};
  static const std::set<std::string> metrics{"loss", "rouge1", "rouge2", "rougeL", "rougeLsum"};
  const auto colon = std::min(text.find(':'), text.size());
  const std::string metric = text.substr(0, colon), patience = text.substr(std::min(colon + 1, text.size()));
  const bool is_number = !patience.empty() && patience.size() < 7 && patience.find_first_not_of("0123456789") == std::string::npos && std::stoi(patience) > 0;
  if (!metrics.contains(metric) || !is_number) return std::nullopt;
  return train::EarlyStop{.metric = metric, .patience = std::stoi(patience)};
}

}  // namespace

train::EarlyStop Options::early_stopping() const { return early_stop_of(early_stop).value(); }  // the command line let nothing else through

int Options::threads_of_each(int rank_count) const {
  if (threads > 0) return threads;
  if (std::getenv("OMP_NUM_THREADS") != nullptr) return openmp::max_threads();
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()) / rank_count);
}

void Options::require_possible() const {
  decode::require_valid(strategy);
  const double samples = static_cast<double>(steps) * static_cast<double>(batch) * static_cast<double>(accumulate) * ranks;
  if (const double most = train_options().schedule.most_samples(); samples > most)
    fail(Failure::usage, "--steps ", steps, " x --batch ", batch, " x --accumulate ", accumulate, " x --ranks ", ranks,
         " are more than ", static_cast<std::uint64_t>(most), " samples; ask for fewer");
  if (r_drop > 0 && dropout == 0) fail(Failure::usage, "--r-drop ", r_drop, ": without --dropout both passes of a sample are the same; give it one, or leave out --r-drop");
  if (reproducible && !std::has_single_bit(static_cast<unsigned long>(ranks * accumulate)))
    fail(Failure::usage, "--reproducible needs ranks x accumulate to be a power of two: ", ranks, " x ", accumulate, " is ", ranks * accumulate,
         "; choose another --accumulate or --ranks");
  if (zero_shot && init == "scratch") fail(Failure::usage, "--zero-shot judges the model that --init names; name one, or leave it out");
  if (reproducible && reduce_dtype != "fp32") fail(Failure::usage, "--reproducible sums gradients in fp32: leave out --reduce-dtype ", reduce_dtype);
  if (reproducible && device == "cuda" && ranks > 2)
    fail(Failure::usage, "--reproducible on GPUs holds for up to 2 ranks, whose sum has one order; ", ranks, " asked; use --device cpu, or leave it out");
  if (std::int64_t{ranks} * threads > 4096) fail(Failure::usage, "--ranks ", ranks, " x --threads ", threads, " are more than 4096 threads; ask for fewer");
}

namespace {

constexpr long most_steps = 1'000'000'000;

/// A number in a range, which not-a-number isn't.
template <class T>
CLI::Validator from_to(T least, T most) {
  const std::string what = concat(std::is_integral_v<T> ? "a whole number from " : "a number from ", least, " to ", most);
  const auto check = [=](const std::string& text) {
    T value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool good = error == std::errc() && end == text.data() + text.size() && value >= least && value <= most;
    return good ? std::string() : concat(in_quotes(text), " isn't ", what);
  };
  return CLI::Validator(check, concat("[", least, " - ", most, "]"));
}

template <class Named, std::size_t count>
std::vector<std::string> list_of(const std::array<Named, count>& all) {
  std::vector<std::string> list;
  for (const Named& each : all) list.emplace_back(each.name);
  return list;
}
template <class Named, std::size_t count>
std::string names_of(const std::array<Named, count>& all) {
  std::string joined;
  for (const Named& each : all) joined += (joined.empty() ? "" : ", ") + std::string(each.name);
  return joined;
}

std::string names(std::string ModelEntry::*member) {
  std::string joined;
  std::set<std::string> seen;
  for (const auto& entry : compiled_models())
    if (seen.insert(entry.*member).second) joined += (joined.empty() ? "" : ", ") + entry.*member;
  return joined;
}

std::string lora_ranks() {
  std::set<int> ranks;
  for (const auto& entry : compiled_models())
    for (const auto& lora : entry.lora) ranks.insert(lora.rank);
  std::string joined;
  for (const int rank : ranks) joined += (joined.empty() ? "" : ", ") + std::to_string(rank);
  return joined.empty() ? "none" : joined;
}

void add_model(CLI::App& command, Options& o) {
  command.add_option_function<std::string>("--model", [&o](const std::string& name) { o.model = name, o.model_given = true; },
                                           "one of those compiled in: " + names(&ModelEntry::model))->default_str(o.model);
}

void add_machine(CLI::App& command, Options& o) {
  command.add_option("--device", o.device, "auto, cpu or cuda")->check(CLI::IsMember({"auto", "cpu", "cuda"}))->capture_default_str();
  command.add_option("--ranks", o.ranks, "how many ranks share the work: threads on CPU, on GPUs one each (default there: all GPUs, or one without NCCL); mpirun, torchrun and srun say it themselves")
      ->check(from_to(1, 1024))
      ->capture_default_str();
  command.add_option("--rank-timeout", o.rank_timeout, "seconds that a rank which is a process of this machine may be silent, before the others give it up")
      ->check(from_to(1, 86400))
      ->capture_default_str();
  command.add_option("--log-ranks", o.log_ranks, "folder for what ranks other than the first would print, where each is a process; else they are silent");
  command.add_option("--threads", o.threads, "threads of each rank; 0: the cores, shared among the ranks")->check(from_to(0, 4096))->capture_default_str();
  command.add_option("--precision", o.precision, "auto, " + names(&ModelEntry::precision))->check(CLI::IsMember({"auto", "fp32", "fp16", "bf16", "int8"}))->capture_default_str();
}

void add_tokenizer(CLI::App& command, Options& o, const std::string& without) {
  command.add_option("--tokenizer", o.tokenizer, "folder of tokenizer.json, or vocab.json and merges.txt, or a .gguf file; " + without);
}

void add_training(CLI::App& command, Options& o) {
  const auto positive = from_to(1L, most_steps), any = from_to(0L, most_steps);
  const auto fraction = from_to(0.0, 0.999999);
  command.add_option("--validation", o.validation, "CSV to judge by; default: a part of --data");
  command.add_option("--validation-split", o.validation_split, "part of --data to judge by")->check(fraction)->capture_default_str();
  command.add_option("--init", o.init, "scratch, or a .safetensors or .gguf file of weights, or the folder of one")->capture_default_str();
  command.add_option("--lora", o.lora, "train adapters of this rank (LoRA) on the model that --init names, which stays as it is; 0: train all parameters; compiled in: " + lora_ranks())
      ->check(from_to(0, 9999))
      ->capture_default_str();
  command.add_option("--batch", o.batch, "samples per rank and micro-batch")->check(from_to(1L, 65536L))->capture_default_str();
  command.add_option("--accumulate", o.accumulate, "micro-batches per rank and step")->check(from_to(1L, 65536L))->capture_default_str();
  command.add_option("--steps", o.steps, "optimizer steps")->check(positive)->capture_default_str();
  command.add_option("--lr", o.lr, "highest learning rate")->check(from_to(0.0, 1000.0))->capture_default_str();
  command.add_option("--min-lr", o.min_lr, "learning rate at the end")->check(from_to(0.0, 1000.0))->capture_default_str();
  command.add_option("--warmup", o.warmup, "steps of rising learning rate")->check(any)->capture_default_str();
  command.add_option("--weight-decay", o.weight_decay, "of matrices and embeddings")->check(from_to(0.0, 1000.0))->capture_default_str();
  command.add_option("--layer-decay", o.layer_decay, "of the learning rate: times this for each block nearer to the input; 1: one rate for all")->check(from_to(1e-6, 1.0))->capture_default_str();
  command.add_option("--beta1", o.beta1, "AdamW's")->check(fraction)->capture_default_str();
  command.add_option("--beta2", o.beta2, "AdamW's")->check(fraction)->capture_default_str();
  command.add_option("--clip", o.clip, "largest global gradient norm; 0: no clipping")->check(from_to(0.0, 1e9))->capture_default_str();
  command.add_option("--dropout", o.dropout, "at GPT-2's four sites")->check(fraction)->capture_default_str();
  command.add_option("--label-smoothing", o.label_smoothing, "what the training loss gives to the whole vocabulary instead of the target; 0: nothing")->check(fraction)->capture_default_str();
  command.add_option("--r-drop", o.r_drop, "weight of R-Drop: each sample twice, through two dropouts, whose predictions are pulled together; 0: once")->check(from_to(0.0, 1000.0))->capture_default_str();
  command.add_option("--ema", o.ema, "decay of an average of the weights, such as 0.999, that is validated and kept in place of them; 0: none")->check(fraction)->capture_default_str();
  command.add_option("--normalisation", o.normalisation, "mean loss over each micro-batch, or over the step's tokens")
      ->check(CLI::IsMember({"micro-batch", "token"}))
      ->capture_default_str();
  command.add_option("--shuffle", o.shuffle, "true: a new order each epoch; false: file order")->check(CLI::IsMember({"true", "false"}))->capture_default_str();
  command.add_option("--evaluate-every", o.evaluate_every, "steps between validations; 0: only at the end")->check(any)->capture_default_str();
  command.add_option("--evaluate-samples", o.evaluate_samples, "validation samples used while training")->check(any)->capture_default_str();
  command.add_option("--log-every", o.log_every, "steps between lines")->check(positive)->capture_default_str();
  command.add_flag("--shard-optimizer", o.shard_optimizer, "each rank keeps its part of the optimizer's state (ZeRO-1): less memory, the same numbers");
  command.add_option("--reduce-dtype", o.reduce_dtype, "in which gradients are summed over ranks; bf16: half the bytes, rounded to 8 bits")
      ->check(CLI::IsMember({"fp32", "bf16"}))
      ->capture_default_str();
  command.add_flag("--activation-checkpointing", o.activation_checkpointing, "keep only the stream between blocks and compute the rest again in backward: less memory, a fifth more time, the same numbers");
  command.add_option("--trace", o.trace, "file for what each rank did when in the first 10 steps, for ui.perfetto.dev or chrome://tracing");
  command.add_flag("--reproducible", o.reproducible, "the same parameters, bit for bit, however ranks x accumulate divide a step; a power of two");
}

void add_starting_again(CLI::App& command, Options& o) {
  command.add_option("--config", o.config, "JSON file of these options, by name; the command line wins");
  command.add_flag("--resume", o.resume, "go on from the state in --out, as the run was begun; from step 0 where nothing was saved");
  command.add_flag("--overwrite", o.overwrite, "replace the run in --out");
  command.add_option("--checkpoint-every", o.checkpoint_every, "steps between saved states; 0: only at the end")->check(from_to(0L, most_steps))->capture_default_str();
  command.add_option("--keep", o.keep, "saved states that stay")->check(from_to(1L, 1000000L))->capture_default_str();
  command.add_option("--early-stop", o.early_stop, "off, or e.g. rougeL:3: stop after 3 evaluations without a better one; loss, rouge1, rouge2, rougeL, rougeLsum")
      ->check(CLI::Validator([](std::string& text) {
          return early_stop_of(text) ? "" : "\"" + text + "\" is neither off nor METRIC:N, such as rougeL:3, with METRIC loss, rouge1, rouge2, rougeL or rougeLsum";
        }, "METRIC:N"))
      ->capture_default_str();
}

void add_seed(CLI::App& command, Options& o) {
  command.add_option("--seed", o.seed, "of everything random")->check(from_to(std::uint64_t{0}, ~std::uint64_t{0}))->capture_default_str();
}

void add_strict(CLI::App& command, Options& o) { command.add_flag("--strict", o.strict, "rows without dialogue or summary are an error (exit 3)"); }

void add_amounts(CLI::App& command, Options& o) {
  command.add_option("--max-new", o.strategy.max_new, "most new tokens of a text")->check(from_to(1, 1 << 20))->capture_default_str();
  command.add_option("--decode-batch", o.decode_batch, "texts written at a time; doesn't change them")->check(from_to(1L, 65536L))->capture_default_str();
}

void add_decoding(CLI::App& command, Options& o) {
  auto& s = o.strategy;
  command.add_flag("--greedy", s.greedy, "the likeliest token, always");
  command.add_option("--temperature", s.temperature, "below 1, likely tokens become likelier")->check(from_to(0.0, 1e6))->capture_default_str();
  CLI::Option* const top_k = command.add_option("--top-k", s.top_k, "only the k likeliest tokens; 0: all")->check(from_to(0, std::numeric_limits<int>::max()))->capture_default_str();
  command.add_option("--top-p", s.top_p, "only the likeliest tokens of this total probability")->check(from_to(0.0, 1.0))->capture_default_str();
  command.add_option("--min-p", s.min_p, "only tokens at least so likely as a share of the likeliest one; 0: all")->check(from_to(0.0, 1.0))->capture_default_str();
  command.add_option("--typical", s.typical, "only tokens about as surprising as expected, of this total probability; 1: all")->check(from_to(1e-6, 1.0))->capture_default_str();
  command.add_option("--penalty-alpha", s.penalty_alpha, "above 0: contrastive search among the --top-k likeliest tokens; how much one loses that is like one before it")->check(from_to(0.0, 1.0))->needs(top_k)->capture_default_str();
  command.add_option("--repetition-penalty", s.repetition_penalty.penalty, "above 1, tokens of prompt and text become less likely")->check(from_to(1e-6, 1e6))->capture_default_str();
  command.add_option("--no-repeat-ngram", s.no_repeat_ngram.size, "no run of so many tokens comes twice in prompt and text; 0: off")->check(from_to(0, 1 << 20))->capture_default_str();
  command.add_option("--min-new", s.min_new.count, "new tokens before a text may end")->check(from_to(0, 1 << 20))->capture_default_str();
  command.add_option("--beams", s.beams, "above 1: beam search, without sampling: temperature, top-k and top-p don't apply")->check(from_to(1, 1024))->capture_default_str();
  command.add_option("--length-penalty", s.length_penalty, "of beams: above 0, longer texts are preferred")->check(from_to(-100.0, 100.0))->capture_default_str();
  command.add_option_function<std::string>("--early-stopping", [&s](const std::string& name) { s.early_stopping = decode::early_stopping_of(name); }, "of beams: false, true or never: when enough texts have ended")
      ->check(CLI::IsMember({"false", "true", "never"}))
      ->default_str("false");
  command.add_option("--beam-groups", s.beam_groups, "diverse beam search: so many groups of beams, each kept from the tokens of those before")->check(from_to(1, 1024))->capture_default_str();
  command.add_option("--diversity", s.diversity, "what a token loses for each beam of a group before that took it")->check(from_to(0.0, 1e6))->capture_default_str();
  command.add_option("--draft", s.draft, "tokens guessed at a time from the text itself: the same text, sooner where it copies; 0: off")->check(from_to(0, 64))->capture_default_str();
  add_amounts(command, o);
}

void add_limit(CLI::App& command, Options& o) {
  command.add_option("--limit", o.limit, "only the first rows; 0: all")->check(from_to(0L, most_steps))->capture_default_str();
}

void add_answers(CLI::App& command, Options& o, const std::string& output, const std::string& json) {
  add_limit(command, o);
  command.add_option("--output", o.output, output);
  command.add_flag("--json", o.json, json);
}

void add_checkpoint(CLI::App& command, Options& o) {
  command.add_option("--checkpoint", o.checkpoint, "folder of a trained model, or a .gguf file; default: best/ of --out, else checkpoint/");
  command.add_option("--out", o.out, "folder of the run")->capture_default_str();
}

CLI::App& add_command(CLI::App& app, const std::string& name, const std::string& what) {
  CLI::App& command = *app.add_subcommand(name, what);
  command.set_help_flag("-h,--help", "print this help and exit");
  return command;
}

void add_training_command(CLI::App& app, Options& o, const std::string& name, const std::string& what) {
  CLI::App& command = add_command(app, name, what);
  command.add_option("--data", o.data, "CSV with the columns id, dialogue, summary; needed");
  add_model(command, o);
  add_tokenizer(command, o, "default: the --init folder; a model whose vocabulary isn't GPT-2's trains its own on the data");
  add_training(command, o), add_machine(command, o), add_seed(command, o);
  command.add_option("--out", o.out, "folder for all results")->capture_default_str();
  add_strict(command, o);
  add_starting_again(command, o);
  if (name != "run") return;
  command.add_option("--test", o.test, "CSV with the columns id, dialogue to write submission.csv for; default: the validation rows");
  command.add_flag("--zero-shot", o.zero_shot, "judge the --init model before training too: zero-shot/, and beside the others in report.html");
  add_answers(command, o, "submission.csv to write; default: into --out", "print evaluation.json on stdout");
  add_decoding(command, o);
}

}  // namespace

void define_commands(CLI::App& app, Options& o) {
  o.model = default_model();
  CLI::App& demo = add_command(app, "demo", "the whole job on synthetic dialogues, in minutes: trains, evaluates, predicts");
  demo.add_option("--out", o.out, "folder for all results")->capture_default_str();
  demo.add_flag("--overwrite", o.overwrite, "replace the run in --out; a demo before is always replaced");
  demo.add_option("--steps", o.demo_steps, "optimizer steps")->check(from_to(1L, most_steps))->capture_default_str();
  demo.add_option("--ranks", o.ranks, "how many ranks share the work")->check(from_to(1, 1024))->capture_default_str();
  demo.add_option("--threads", o.threads, "threads of each rank; 0: the cores, shared among the ranks")->check(from_to(0, 4096))->capture_default_str();
  add_seed(demo, o);

  add_training_command(app, o, "train", "fine-tunes, or trains from scratch, on a CSV of dialogues and summaries");
  add_training_command(app, o, "run", "train, evaluate and predict in one go");

  for (const bool evaluates : {true, false}) {
    CLI::App& command = evaluates ? add_command(app, "evaluate", "ROUGE of a checkpoint on a CSV, beside a lead-1 baseline")
                                  : add_command(app, "predict", "writes submission.csv (id,summary) for a CSV of dialogues");
    command.add_option("--data", o.data, evaluates ? "CSV with the columns id, dialogue, summary" : "CSV with the columns id, dialogue")->required();
    add_answers(command, o, "file to write; default: into --out", evaluates ? "print evaluation.json on stdout" : "say as JSON what was written");
    add_checkpoint(command, o), add_decoding(command, o), add_machine(command, o), add_seed(command, o), add_strict(command, o);
    command.add_flag("--resume", o.resume, "go on with the texts that an interrupted attempt left");
  }

  CLI::App& generate = add_command(app, "generate", "continues prompts: JSON lines {\"id\",\"prompt\"} or {\"id\",\"dialogue\"} on stdin, or --data, or --prompt");
  generate.add_option("--prompt", o.prompt, "continue this text, and print as it is written");
  generate.add_option("--data", o.data, "CSV with the columns id, dialogue");
  generate.add_option("--stop", o.stop, "a string that ends a text, which then ends before it");
  generate.add_option("--bad-words", o.bad_words, "words that don't come, between commas, as they stand and behind a space");
  generate.add_option("--samples", o.strategy.samples, "texts drawn for each prompt, of which the best are given back")->check(from_to(1, 1024))->capture_default_str();
  generate.add_option("--n-best", o.strategy.returned, "texts given back for each prompt, the best first: of --beams or --samples")->check(from_to(1, 1024))->capture_default_str();
  generate.add_flag("--logprobs", o.logprobs, "in JSON lines: token_logprobs, the log-probability of each new token");
  CLI::App& score = add_command(app, "score", "loss of given summaries: JSON lines {\"id\",\"dialogue\",\"summary\"} on stdin, or --data");
  score.add_option("--data", o.data, "CSV with the columns id, dialogue, summary");
  for (CLI::App* command : {&generate, &score}) {
    add_answers(*command, o, "file for the JSON lines; default: stdout", "JSON lines, even for --prompt");
    add_checkpoint(*command, o), add_machine(*command, o), add_seed(*command, o);
    add_decoding(*command, o);
  }

  CLI::App& compare = add_command(app, "compare", "what cheaper precisions cost: each one compiled in, or --precision, against fp32 on a CSV");
  compare.add_option("--data", o.data, "CSV with the columns id, dialogue, summary")->required();
  add_limit(compare, o), add_checkpoint(compare, o), add_amounts(compare, o), add_machine(compare, o), add_seed(compare, o), add_strict(compare, o);
  compare.add_flag("--json", o.json, "as JSON");

  CLI::App& tokenize = add_command(app, "tokenize", "stdin lines to JSON arrays of ids, a line each");
  tokenize.add_option("--tokenizer", o.tokenizer, "folder of tokenizer.json, or vocab.json and merges.txt, or a .gguf file")->required();
  tokenize.add_flag("--decode", o.decode, "the other way: JSON arrays to text");

  CLI::App& rouge = add_command(app, "rouge", "JSON lines {\"reference\",\"prediction\"} on stdin to F1 scores, a line each");
  rouge.add_flag("--mean", o.mean, "print the mean and its 95% interval too, as the last line");
  add_seed(rouge, o);

  CLI::App& plan = add_command(app, "plan", "memory, batch arithmetic and expected time of a training; needs no data");
  add_model(plan, o), add_training(plan, o), add_machine(plan, o);
  plan.add_option("--gpu", o.gpu, "whose speed the step is worked out for: " + names_of(train::processors))->check(CLI::IsMember(list_of(train::processors)))->capture_default_str();
  plan.add_option("--link", o.link, "what the ranks are linked by: " + names_of(train::links))->check(CLI::IsMember(list_of(train::links)))->capture_default_str();
  plan.add_option("--decode-batch", o.decode_batch, "texts written at a time")->check(from_to(1L, 65536L))->capture_default_str();
  plan.add_flag("--json", o.json, "as JSON");

  CLI::App& explain = add_command(app, "explain", "one sample as the trainer sees it: its tokens, their positions, and which of them carry a loss");
  explain.add_option("--sample", o.sample, "row of --data, from 0: the number that messages of the training name")->required()->check(CLI::NonNegativeNumber);
  explain.add_option("--data", o.data, "CSV with the columns id, dialogue, summary")->required();
  add_model(explain, o);
  add_tokenizer(explain, o, "default: the --init folder; the demo model trains its own on the data");
  explain.add_option("--init", o.init, "scratch, or a .safetensors or .gguf file of weights, or the folder of one")->capture_default_str();
  explain.add_flag("--json", o.json, "as JSON");

  CLI::App& doctor = add_command(app, "doctor", "what this build can do, what the machine has, and what would go wrong");
  doctor.add_option("--out", o.out, "folder whose disk is looked at")->capture_default_str();
  doctor.add_flag("--json", o.json, "as JSON");
  doctor.add_flag("--watch", o.watch, "show the use of the machine every second, until ctrl-C");

  CLI::App& report = add_command(app, "report", "writes report.html again from what is in --out");
  report.add_option("--out", o.out, "folder of the run")->capture_default_str();
}

}  // namespace summarize
