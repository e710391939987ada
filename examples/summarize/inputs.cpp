#include "inputs.hpp"

#include <algorithm>
#include <iostream>
#include <iterator>
#include <set>
#include <utility>

#include <terse/io/gguf.hpp>
#include <terse/models/config.hpp>
#include <terse/text/bpe_trainer.hpp>
#include <terse/text/utf8.hpp>

#include "gpus.hpp"
#include "initial.hpp"
#include "usage.hpp"

namespace summarize {

namespace {

/// Where GPT-2's vocab.json and merges.txt are on this machine: in the folder that the program was built from, or installed beside it. Empty: nowhere.
std::filesystem::path gpt2_tokenizer() {
  std::error_code error;
  const auto installed = std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / "../share/terse/summarize/gpt2";
  for (const std::filesystem::path& folder : {std::filesystem::path(TERSE_GPT2_TOKENIZER), installed})
    if (std::filesystem::exists(folder / "vocab.json", error)) return folder.lexically_normal();
  return {};
}

text::Bpe resolve_tokenizer(const Options& options, const ModelEntry& entry, const text::Dialogues& dialogues) {
  if (!options.tokenizer.empty()) return io::load_tokenizer(options.tokenizer);
  if (auto tokenizer = initial_tokenizer(options)) return *std::move(tokenizer);
  if (entry.sizes.vocabulary != models::GptConfig{}.vocabulary) {  // not GPT-2's: one of its own
    std::vector<std::string> texts;
    for (const auto& row : dialogues.rows) texts.push_back(row.text), texts.push_back(row.summary);
    return text::train_bpe(texts, {.vocabulary = entry.sizes.vocabulary});
  }
  const auto gpt2 = gpt2_tokenizer();
  fail(Failure::usage, "--model ", entry.model, " needs --tokenizer DIR with vocab.json and merges.txt, or tokenizer.json; GPT-2's are in ",
       gpt2.empty() ? "examples/summarize/gpt2 of terse's sources" : gpt2.string());
}

/// `path`: the tokenizer's folder or file, for the message.
void require_fit(const text::Bpe& tokenizer, const std::filesystem::path& path, const ModelEntry& entry) {
  if (tokenizer.vocabulary() <= entry.sizes.vocabulary) return;
  const auto in = [&](const char* file) { return std::filesystem::exists(path / file); };
  fail(Failure::bad_input, (in("tokenizer.json") ? path / "tokenizer.json" : in("vocab.json") ? path / "vocab.json" : path).string(), ": has ", tokenizer.vocabulary(), " ids, --model ", entry.model,
       " only ", entry.sizes.vocabulary, "; use the tokenizer that belongs to the model");
}

text::Samples samples_of(const Options& options, const text::Bpe& tokenizer, const text::Dialogues& dialogues, const ModelEntry& entry) {
  auto samples = text::make_samples(tokenizer, dialogues, static_cast<std::size_t>(entry.sizes.context));
  if (samples.samples.empty()) fail(Failure::bad_input, samples.warning(dialogues.file), "; so none is left: each needs a dialogue and a summary");
  warn(options, samples.warning(dialogues.file));
  return samples;
}

/// Those that come with terse.
const std::set<std::string>& known_models() {
  static const std::set<std::string> known{"demo", "tiny", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "smollm2-135m"};
  return known;
}

/// What makes a program that has the model; in int8 it comes with fp32.
std::string how_to_compile(const std::string& model, const std::string& asked) {
  const std::string precision = asked == "int8" ? "fp32" : asked;
  const auto& known = known_models();
  if (model != default_model() && !known.contains(model)) return "choose one of these";
  if (!known.contains(default_model()))
    return concat("choose one of these, or give its terse_add_summarizer ", model == default_model() ? "" : "MODELS " + model + " and ", "PRECISIONS ", precision);
  return concat("choose one of these, or build it in: cmake -S . -B build -DTERSE_MODELS=", model, " -DTERSE_PRECISIONS=", precision, " && cmake --build build");
}

bool prefers_bfloat16() { return Blas::multiplies_bfloat16(); }

const ModelEntry* of_size(const io::ModelSizes& sizes, const std::string& precision, const std::string& device) {
  for (const auto& entry : compiled_models())
    if (entry.sizes.reads(sizes) && entry.precision == precision && entry.device == device) return &entry;
  return nullptr;
}

/// What --precision auto means on a GPU: 16 bits, of the kind that its tensor cores know, which is bfloat16 from capability 8.0.
std::string precision_of_gpus() {
  const auto& gpus = usable_gpus();
  return std::all_of(gpus.begin(), gpus.end(), [](const Gpu& gpu) { return gpu.capability >= 80; }) ? "bf16" : "fp16";
}

}  // namespace

train::TrainData TrainingInputs::data(long evaluate_samples) const {
  const auto few = [&](std::span<const std::uint32_t> numbers) {
    return numbers.first(std::min(numbers.size(), static_cast<std::size_t>(evaluate_samples)));
  };
  if (validation.samples.empty()) return {training.samples, split.training, training.samples, few(split.validation)};
  return {training.samples, split.training, validation.samples, few(split.validation)};
}

std::vector<text::Dialogue> TrainingInputs::judged(long evaluate_samples) const {
  std::vector<text::Dialogue> rows;
  for (std::size_t i = 0; i < data(evaluate_samples).validation_numbers.size(); ++i)
    rows.push_back(validation_rows.rows[validation.samples.empty() ? i : static_cast<std::size_t>(validation.samples[split.validation[i]].row)]);
  return rows;
}

std::string TrainingInputs::identity() const {
  std::uint64_t tokens = 0, mixed = 0;
  const auto take = [&](const text::Samples& from, std::uint32_t number) {
    const auto& sample = from.samples[number];
    const auto bytes = std::as_bytes(std::span(sample.ids));
    const auto hash = std::hash<std::string_view>{}({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    tokens += sample.tokens(), mixed = (mixed ^ (hash + sample.prompt)) * 0x9E3779B97F4A7C15u;  // the golden ratio: order counts
  };
  for (const auto number : split.training) take(training, number);
  for (const auto number : split.validation) take(validation.samples.empty() ? training : validation, number);
  return concat(split.training.size(), " and ", split.validation.size(), " samples, ", tokens, " tokens, checksum ", mixed);
}

text::Dialogues read_test(const Options& options) {
  if (options.test.empty()) return {};
  return read_to_predict(options, options.test);
}

text::Bpe training_tokenizer(const Options& options, const ModelEntry& entry, const text::Dialogues& dialogues) {
  auto tokenizer = resolve_tokenizer(options, entry, dialogues);
  require_fit(tokenizer, options.tokenizer.empty() ? std::filesystem::path(options.init) : options.tokenizer, entry);
  return tokenizer;
}

TrainingInputs read_training(const Options& given, const RunFolder& folder) {
  Options options = given;
  if (options.tokenizer.empty()) options.tokenizer = folder.tokenizer();
  const ModelEntry& entry = find_model(options, true);
  if (!folder.saved() || (options.lora > 0 && !folder.is_finished())) initial_weights(options, entry);  // a wrong --init is said before the data is read
  const auto dialogues = text::read_dialogues(options.data);
  TrainingInputs inputs{training_tokenizer(options, entry, dialogues), {}, {}, {}, {}};
  inputs.training = samples_of(options, inputs.tokenizer, dialogues, entry);
  if (!options.validation.empty()) {
    inputs.validation_rows = text::read_dialogues(options.validation);
    inputs.validation = samples_of(options, inputs.tokenizer, inputs.validation_rows, entry);
    inputs.split = text::split(inputs.training.samples.size(), 0, options.seed, options.shuffle);
    inputs.split.validation = text::split(inputs.validation.samples.size(), 0, options.seed, false).training;
    if (options.shuffle) text::permute(inputs.split.validation, inputs.validation.samples.size(), RandomStream(options.seed, RandomUse::split));
    return inputs;
  }
  inputs.split = text::split(inputs.training.samples.size(), options.validation_split, options.seed, options.shuffle);
  if (inputs.split.training.empty()) fail(Failure::usage, "--validation-split ", options.validation_split, " leaves no sample to train on");
  inputs.validation_rows.file = dialogues.file;
  for (const auto number : inputs.split.validation)
    inputs.validation_rows.rows.push_back(dialogues.rows[static_cast<std::size_t>(inputs.training.samples[number].row)]);
  return inputs;
}

namespace {

/// The compiled-in model that writes texts with weights of these sizes. `told_by`: the file that has them, for the message.
const ModelEntry& entry_for_texts(const Options& options, const io::ModelSizes& sizes, const std::filesystem::path& told_by) {
  const std::string precision = options.precision != "auto" ? options.precision : options.device == "cuda" ? precision_of_gpus() : "fp32";
  const ModelEntry* const entry = of_size(sizes, precision, options.device);
  if (entry == nullptr) fail(Failure::bad_input, told_by.string(), ": no model of ", sizes.words(), " in ", precision, " is compiled in, only ", models_in_words(options.device));
  return *entry;
}

}  // namespace

Checkpoint open_checkpoint(const Options& options) {
  auto folder = options.checkpoint;
  if (const auto gguf = gguf_of(folder); !gguf.empty()) {
    if (!std::filesystem::exists(gguf)) fail(Failure::bad_input, gguf.string(), ": not found; --checkpoint names the folder of model.safetensors, or a .gguf file");
    Checkpoint checkpoint{gguf, io::load_tokenizer(gguf), &entry_for_texts(options, io::read_sizes(io::GgufFile::open(gguf)), gguf)};
    require_fit(checkpoint.tokenizer, gguf, *checkpoint.entry);
    return checkpoint;
  }
  if (folder.empty()) {
    folder = options.out / "best";
    if (!std::filesystem::exists(folder)) folder = options.out / "checkpoint";
    if (!std::filesystem::exists(folder)) fail(Failure::bad_input, options.out.string(), ": no best/ or checkpoint/ in it; train first, or name one with --checkpoint");
  } else if (!std::filesystem::is_directory(folder)) {
    fail(Failure::bad_input, folder.string(), ": not a folder; --checkpoint names the folder of model.safetensors, or a .gguf file");
  }
  const auto sizes = io::read_config(folder / "config.json");
  Checkpoint checkpoint{folder / "model.safetensors", text::Bpe::load(folder), &entry_for_texts(options, sizes, folder / "config.json")};
  require_fit(checkpoint.tokenizer, folder, *checkpoint.entry);
  return checkpoint;
}

Checkpoint open_initial(const Options& options, const text::Bpe& tokenizer) {
  const ModelEntry& trained = find_model(options, true);
  const ModelEntry& entry = entry_for_texts(options, trained.sizes, initial_file(options));
  return {initial_weights(options, entry), tokenizer, &entry};
}

std::string text_of(const text::Bpe& tokenizer, std::span<const TokenId> ids) {
  std::vector<TokenId> known;
  std::copy_if(ids.begin(), ids.end(), std::back_inserter(known), [&](TokenId id) { return id < tokenizer.vocabulary(); });
  return text::replace_malformed(tokenizer.decode(known));
}

std::string models_in_words(const std::string& device) {
  std::vector<std::pair<std::string, std::vector<std::string>>> models;
  for (const auto& entry : compiled_models()) {
    if (!device.empty() && entry.device != device) continue;
    if (models.empty() || models.back().first != entry.model) models.push_back({entry.model, {}});
    auto& precisions = models.back().second;
    if (precisions.empty() || precisions.back() != entry.precision) precisions.push_back(entry.precision);  // once for all devices
  }
  std::string words;
  for (const auto& [model, precisions] : models) {
    words += (words.empty() ? "" : ", ") + model;
    for (const auto& precision : precisions) words += (&precision == &precisions.front() ? " (" : ", ") + precision;
    words += ")";
  }
  return words;
}

const ModelEntry* find_compiled(const std::string& model, const std::string& precision, const std::string& device) {
  for (const auto& entry : compiled_models())
    if (entry.model == model && entry.precision == precision && entry.device == device) return &entry;
  return nullptr;
}

std::string named_model(const Options& options) {
  if (options.model_given || options.init == "scratch") return options.model;
  if (const auto sizes = initial_sizes(options))
    for (const auto& entry : compiled_models())
      if (entry.sizes.reads(*sizes)) return entry.model;
  return options.model;
}

const ModelEntry& find_model(const Options& options, bool training) {
  const std::string model = named_model(options);
  std::string precision = options.precision;
  if (precision == "auto" && options.device == "cuda") {
    precision = precision_of_gpus();
  } else if (precision == "auto") {
    precision = "fp32";
    if (training && options.lora == 0 && prefers_bfloat16() && find_compiled(model, "bf16", "cpu") != nullptr) precision = "bf16";
  }
  const ModelEntry* entry = find_compiled(model, precision, options.device);
  if (entry == nullptr) {
    const std::string device = options.device == "cuda" ? " --device cuda" : "", others = models_in_words(options.device);
    fail(Failure::usage, "--model ", model, " --precision ", precision, device, " isn't compiled in, ",
         others.empty() ? "nor is any model" : "only " + others, "; ",
         others.empty() ? "build for it, or use another --device" : how_to_compile(model, precision));
  }
  return *entry;
}

std::unique_ptr<CompiledTraining> find_training(const Options& options, const ModelEntry& entry) {
  if (options.lora == 0) return entry.make();
  if (entry.precision != "fp32" && entry.precision != "int8")
    fail(Failure::usage, "--lora ", options.lora, " --precision ", entry.precision, ": adapters are trained in fp32; leave --precision out, or let int8 spare the frozen model's memory");
  std::string ranks;
  for (const LoraEntry& lora : entry.lora) {
    if (lora.rank == options.lora) return lora.make();
    ranks += concat(ranks.empty() ? "" : ", ", lora.rank);
  }
  fail(Failure::usage, "--lora ", options.lora, ": ", ranks.empty() ? "no adapters are compiled in" : concat("compiled in are adapters of rank ", ranks), "; ", ranks.empty() ? "" : "choose one, or ",
       known_models().contains(entry.model) ? concat("build these in: cmake -S . -B build -DTERSE_MODELS=", entry.model, " -DTERSE_LORA_RANKS=", options.lora, " && cmake --build build")
                                            : concat("give its terse_add_summarizer LORA_RANKS ", options.lora));
}

void warn(const Options& options, const std::string& message) {
  if (message.empty()) return;
  if (options.strict) fail(Failure::bad_input, message, "; mend the file, or leave --strict out");
  std::cerr << program_name() << ": warning: " << message << "\n";
}

text::Dialogues read_to_judge(const Options& options, const std::filesystem::path& file) {
  auto dialogues = text::read_dialogues(file);
  keep_first(dialogues, options.limit);
  const auto skipped = text::drop_empty(dialogues);
  if (dialogues.rows.empty()) fail(Failure::bad_input, skipped, "; so none is left: each needs a dialogue and a summary");
  warn(options, skipped);
  return dialogues;
}

text::Dialogues read_to_predict(const Options& options, const std::filesystem::path& file) {
  auto dialogues = text::read_dialogues(file, {.summary = false});
  keep_first(dialogues, options.limit);
  warn(options, text::empty_dialogues(dialogues));
  return dialogues;
}

void keep_first(text::Dialogues& dialogues, long limit) {
  if (limit > 0 && dialogues.rows.size() > static_cast<std::size_t>(limit)) dialogues.rows.resize(static_cast<std::size_t>(limit));
}

}  // namespace summarize
