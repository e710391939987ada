#pragma once
// --out: what runs leave there, and what the next one may do with it.
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include <terse/io/lock.hpp>
#include <terse/train/saved_state.hpp>
#include <terse/train/state_folder.hpp>

#include "options.hpp"

namespace summarize {

/// A state that a run was saved in: state/step-N/ with state.json and tensors.safetensors.
struct SavedState {
  std::filesystem::path folder;
  train::RunState run;
  nlohmann::ordered_json settings;  ///< under the names of the command line
  std::string samples;              ///< tells the run's samples from others
  train::EarlyStop early_stop;
  bool stopped_early = false;
  bool is_demo = false;

  std::filesystem::path tensors() const { return folder / "tensors.safetensors"; }
  /// Ended early, by the rule that holds now too.
  bool stays_ended(const Options& options) const;
  /// Nothing is left to train.
  bool is_trained(const Options& options) const { return run.step >= options.steps || stays_ended(options); }
};

/// What state.json says; `folder` is its own.
/// Errors     Failure::bad_input: it is damaged
SavedState parse_state(std::string_view text, const std::filesystem::path& folder);

/// The newest state in an --out folder; nothing where there is none.
/// Errors     Failure::bad_input: it is damaged
std::optional<SavedState> find_state(const std::filesystem::path& out);

/// What run.json says; null where there is none, or none that can be read.
nlohmann::json run_description(const std::filesystem::path& out);

/// How the run in an --out folder was begun.
struct BegunRun {
  std::filesystem::path source;     ///< of the settings
  nlohmann::ordered_json settings;  ///< under the names of the command line
  bool has_begun = false;           ///< it learnt something: most settings can't change any more
};

/// From the newest state, or where none was saved, from run.json; nothing where there is neither.
/// Errors     Failure::bad_input: the state is damaged
std::optional<BegunRun> find_begun(const std::filesystem::path& out);

/// The folder of a run that begins or goes on; nobody else works in it while this object lives.
class RunFolder {
 public:
  /// Makes the folder, takes its lock and removes what killed processes left half-written, where rank 0 runs; others only look.
  /// Errors     Failure::usage: a run is in it, and neither --resume nor --overwrite was given; Failure::cannot_write: another process works in it
  explicit RunFolder(const Options& options);
  /// A folder that was made in vain goes again.
  ~RunFolder();
  RunFolder(const RunFolder&) = delete;
  RunFolder& operator=(const RunFolder&) = delete;

  const std::filesystem::path& path() const { return out_; }
  /// What to go on from; nothing for a new run.
  const std::optional<SavedState>& saved() const { return saved_; }
  /// Nothing is left to train, and all is written.
  bool is_finished() const { return is_finished_; }
  /// The folder of the tokenizer that the run goes on with; empty where none was saved.
  std::filesystem::path tokenizer() const;

  /// Just before the first step, when nothing can be wrong with files and options any more: writes run.json, and where it
  /// starts over, removes the run before.
  void begin(nlohmann::ordered_json description);
  /// Saves a state; `write_tensors(path)`. `folder` of `state` is not read.
  void save(const SavedState& state, const std::function<void(const std::filesystem::path&)>& write_tensors);
  /// Writes run.json.
  void describe(nlohmann::ordered_json description, bool finished) const;

 private:
  std::filesystem::path out_;
  std::optional<io::FolderLock> lock_;
  train::StateFolder states_;
  std::optional<SavedState> saved_;
  bool is_finished_ = false, is_made_in_vain_ = false;
};

/// The step that the checkpoint in `folder` was written at; -1 where there is none, or none that can be read.
long checkpoint_step(const std::filesystem::path& folder);

}  // namespace summarize
