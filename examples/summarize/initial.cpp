#include "initial.hpp"

#include <vector>

#include <terse/io/gguf.hpp>

namespace summarize {

namespace {

bool is_gguf(const std::filesystem::path& file) { return file.extension() == ".gguf" || (std::filesystem::is_regular_file(file) && io::is_gguf(file)); }

std::vector<std::filesystem::path> gguf_files_in(const std::filesystem::path& folder) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(folder))
    if (entry.path().extension() == ".gguf") found.push_back(entry.path());
  return found;
}

std::filesystem::path in_folder(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "model.safetensors")) return folder / "model.safetensors";
  const auto found = gguf_files_in(folder);
  if (found.size() == 1) return found[0];
  fail(Failure::bad_input, folder.string(), ": ", found.empty() ? "no model.safetensors and no .gguf file in it; --init is" : "has several .gguf files; name one of them: --init is",
       " \"scratch\", a folder with one of these, or such a file");
}

/// Where it says so, for messages.
std::filesystem::path told_by(const std::filesystem::path& file) { return is_gguf(file) ? file : file.parent_path() / "config.json"; }

/// Adapters are nothing without the model that they began on, also when the run goes on.
void require_base(const Options& options, const std::filesystem::path& file) {
  if (file.empty()) fail(Failure::usage, "--lora ", options.lora, ": adapters are trained on a model that has learnt; name its folder or file by --init, or leave --lora out");
}

/// What is read again after training mustn't be what the run itself writes.
void require_kept(const Options& options, const std::filesystem::path& file) {
  const auto folder = std::filesystem::weakly_canonical(file).parent_path();
  for (const char* name : {"checkpoint", "best"})
    if (folder == std::filesystem::weakly_canonical(options.out / name))
      fail(Failure::usage, "--init ", options.init, ": this run writes its own model there, and ", options.lora > 0 ? "its adapters need the one they began on" : "--zero-shot judges the one it began on",
           "; name another folder by --out");
}

}  // namespace

std::filesystem::path gguf_of(const std::filesystem::path& path) {
  if (is_gguf(path)) return path;
  if (!std::filesystem::is_directory(path) || std::filesystem::exists(path / "model.safetensors")) return {};
  const auto found = gguf_files_in(path);
  return found.size() == 1 ? found[0] : std::filesystem::path();
}

std::filesystem::path initial_file(const Options& options) {
  if (options.init == "scratch") return {};
  const std::filesystem::path file = std::filesystem::is_directory(options.init) ? in_folder(options.init) : std::filesystem::path(options.init);
  if (!std::filesystem::exists(file))
    fail(Failure::bad_input, file.string(), ": not found; ",
         options.resume && options.lora > 0 ? "the run's adapters began on it: say by --init where it is now" : "--init is \"scratch\", a folder with model.safetensors or a .gguf file, or such a file");
  return file;
}

std::optional<io::ModelSizes> initial_sizes(const Options& options) {
  const auto file = initial_file(options);
  if (is_gguf(file)) return io::read_sizes(io::GgufFile::open(file));
  if (std::filesystem::is_directory(options.init) && std::filesystem::exists(file.parent_path() / "config.json")) return io::read_config(file.parent_path() / "config.json");
  return {};
}

std::optional<text::Bpe> initial_tokenizer(const Options& options) {
  const auto file = initial_file(options);
  if (is_gguf(file)) return io::load_tokenizer(file);
  if (!file.empty() && text::BpeTables::are_in(file.parent_path())) return text::Bpe::load(file.parent_path());
  return {};
}

std::filesystem::path initial_weights(const Options& options, const ModelEntry& entry) {
  const auto sizes = initial_sizes(options);
  const auto file = initial_file(options);
  if (options.lora > 0) require_base(options, file);
  if (options.lora > 0 || options.zero_shot) require_kept(options, file);
  if (sizes && !entry.sizes.reads(*sizes))
    fail(Failure::bad_input, told_by(file).string(), ": ", sizes->words(), "; --model ", entry.model, " has ", entry.sizes.words(),
         "; choose another of the two, or compile this one (terse_add_summarizer): ", sizes->declaration());
  return file;
}

}  // namespace summarize
