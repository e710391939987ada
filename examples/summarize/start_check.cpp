// Before anything else of the program runs: does this CPU have the instructions that the program was compiled for?
//
// This file alone is compiled for any x86-64 CPU (terse_add_summarizer.cmake). It runs before the initialisation of the other files'
// globals, which may use those instructions already, and so before iostreams are there. It calls nothing inline of the standard library,
// since the linker may have kept another file's copy of that.
#include <terse/device/cpu_features.hpp>

#if defined(__x86_64__)
#include <cerrno>  // program_invocation_short_name, which the C library sets before it comes here
#include <cstdio>
#include <cstring>

#include <unistd.h>

namespace summarize {

extern const terse::CpuFeatures program_features;  // main.cpp's

namespace {

class Line {
 public:
  void add(const char* text) {
    const std::size_t length = std::strlen(text), room = sizeof text_ - length_;
    if (length < room) std::memcpy(text_ + length_, text, length), length_ += length;
  }
  void write() const {
    if (::write(STDERR_FILENO, text_, length_) < 0) return;  // nobody is left to be told
  }

 private:
  char text_[1500];
  std::size_t length_ = 0;
};

[[gnu::constructor(101)]] void require_instructions() {
  const terse::CpuFeatures lacking = terse::missing(program_features, terse::running_features());
  if (lacking == 0) return;
  char cpu[49];
  terse::running_cpu_name(cpu);
  Line line;
  line.add(program_invocation_short_name), line.add(": error: this program was compiled for a CPU with");
  bool first = true;
  for (int i = 0; i < terse::cpu_feature_count; ++i)
    if (lacking >> i & 1) line.add(first ? " " : ", "), line.add(terse::cpu_features[i].name), first = false;
  line.add(", which this one");
  if (cpu[0] != 0) line.add(" ("), line.add(cpu), line.add(")");
  line.add(" lacks; build it again on this machine, or for any CPU with cmake -DTERSE_NATIVE=OFF\n");
  line.write();
  ::_exit(4);  // Failure::device
}

}  // namespace

}  // namespace summarize
#endif
