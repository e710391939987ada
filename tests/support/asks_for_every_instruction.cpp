// A program for a CPU that was never made: terse-summarize's check must stop it before main.
#include <terse/device/cpu_features.hpp>

namespace summarize {
extern const terse::CpuFeatures program_features = ~terse::CpuFeatures{0};
}

int main() { return 1; }
