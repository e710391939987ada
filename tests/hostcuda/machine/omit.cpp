// HOSTCUDA_OMIT=file:line[@kernel] leaves out the synchronisation, or loosens the bounds check, at that place; HOSTCUDA_LIST=path appends every
// place that was passed.

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "block.hpp"
#include "hostcuda/control.hpp"
#include "hostcuda/kernel.hpp"

namespace hostcuda {

namespace {

/// The place that is left out: the end of its file's path, its line and, where one is named, the kernel.
struct Omission {
  std::string file, kernel;
  int line = 0;

  explicit Omission(std::string_view text) {
    if (const auto at = text.find('@'); at != text.npos) kernel = text.substr(at + 1), text = text.substr(0, at);
    if (const auto colon = text.rfind(':'); colon != text.npos) file = text.substr(0, colon), line = std::atoi(std::string(text.substr(colon + 1)).c_str());
  }
  bool names(Where where, std::string_view running) const {
    return line != 0 && line == where.line && std::string_view(where.file).ends_with(file) && (kernel.empty() || kernel == running);
  }
};

Omission& omission() {
  static Omission the_omission([] {
    const char* const text = std::getenv("HOSTCUDA_OMIT");
    return std::string_view(text == nullptr ? "" : text);
  }());
  return the_omission;
}

/// Places passed, without locks or allocations: CUDA threads call this.
class Passed {
 public:
  ~Passed() {
    std::FILE* const file = path_ == nullptr ? nullptr : std::fopen(path_, "a");
    if (file == nullptr) return;
    for (const Place& place : places_)
      if (place.what.load() != nullptr) std::fprintf(file, "%s:%d\t%s\t%s\n", place.where.file, place.where.line, place.kernel, place.what.load());
    std::fclose(file);
  }
  bool is_wanted() const { return path_ != nullptr; }
  void note(Where where, const char* kernel, const char* what) {
    for (std::size_t i = 0, at = static_cast<std::size_t>(where.line) * 16; i < places_.size(); ++i, ++at) {
      Place& place = places_[at % places_.size()];
      const char* none = nullptr;
      if (place.what.load() == nullptr && place.what.compare_exchange_strong(none, what)) place.where = where, place.kernel = kernel;
      if (place.where == where && place.kernel == kernel && place.what.load() == what) return;
    }
  }

 private:
  struct Place {
    std::atomic<const char*> what{nullptr};
    Where where;
    const char* kernel = "";
  };
  const char* path_ = std::getenv("HOSTCUDA_LIST");
  std::array<Place, 8192> places_;
};

Passed& passed() {
  static Passed the_passed;
  return the_passed;
}

}  // namespace

// Kernels ask at every check: most of the answers are known by the line.
static const bool all_are_noted = passed().is_wanted();
static int omitted_line = omission().line;
bool places_matter = all_are_noted || omitted_line != 0;

void omit(const std::string& place) {
  omission() = Omission(place), omitted_line = omission().line;
  places_matter = all_are_noted || omitted_line != 0;
}

bool omitted(Where where, const char* what) {
  if (!all_are_noted && where.line != omitted_line) return false;
  const Block* const block = Block::current();
  const char* const kernel = block != nullptr && block->in_kernel() ? block->kernel_name() : "";
  if (all_are_noted) passed().note(where, kernel, what);
  return omission().names(where, kernel);
}

}  // namespace hostcuda
