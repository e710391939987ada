#pragma once
/// Saved states of a run, the newest of which can always be trusted.

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/io/file.hpp>

namespace terse::train {

/// A folder of states: step-N/, and the file `latest`, which names one.
///
/// A state is written under a temporary name, synced and renamed; then `latest` is renamed into its place. So a kill at any moment leaves
/// the state before or the new one, whole.
class StateFolder {
 public:
  /// `keep`: how many of the newest states stay.
  explicit StateFolder(std::filesystem::path folder, long keep = 2) : folder_(std::move(folder)), keep_(keep) {}

  /// The newest state; nothing where none was saved.
  /// Errors     Failure::bad_input: `latest` names no state
  std::optional<std::filesystem::path> latest() const {
    const auto file = folder_ / "latest";
    if (!std::filesystem::exists(file)) return std::nullopt;
    std::string name = io::read_file(file);
    if (name.ends_with('\n')) name.pop_back();
    if (!step_of(name) || !std::filesystem::is_directory(folder_ / name))
      fail(Failure::bad_input, file.string(), ": names no state beside it; start over with --overwrite");
    return folder_ / name;
  }

  /// Saves the state after `step`: `fill(path)` writes its files. Older ones than the newest `keep` are removed.
  /// Errors     Failure::cannot_write; the states before are as they were
  template <class Fill>
  void save(long step, Fill&& fill) {
    const std::string name = concat("step-", step);
    std::error_code error;
    std::filesystem::create_directories(folder_, error);
    if (error) fail(Failure::cannot_write, folder_.string(), ": cannot be made: ", error.message());
    io::AtomicFolder state(folder_ / name);
    fill(state.path());
    state.commit();
    io::write_file(folder_ / "latest", name + "\n");
    prune(step);
  }

 private:
  static std::optional<long> step_of(std::string_view name) {
    constexpr std::string_view prefix = "step-";
    if (!name.starts_with(prefix)) return std::nullopt;
    long step = 0;
    const auto end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + prefix.size(), end, step);
    if (error != std::errc() || rest != end || step < 0) return std::nullopt;
    return step;
  }

  /// States above `newest` were saved by a run that was killed before it could name them.
  void prune(long newest) const {
    std::vector<long> old;
    std::error_code error;  // what can't be removed now is tried again after the next state
    for (const auto& entry : std::filesystem::directory_iterator(folder_, error))
      if (const auto step = step_of(entry.path().filename().string()); step && *step != newest) old.push_back(*step);
    std::ranges::sort(old, [&](long a, long b) { return (a < newest) != (b < newest) ? a < newest : a > b; });
    for (std::size_t i = static_cast<std::size_t>(std::max(1L, keep_) - 1); i < old.size(); ++i) std::filesystem::remove_all(folder_ / concat("step-", old[i]), error);
  }

  std::filesystem::path folder_;
  long keep_;
};

}  // namespace terse::train
