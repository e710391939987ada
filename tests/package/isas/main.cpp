// Prints what both objects computed; fails where one took the other's code. The test compares this program's output for both link orders.
#include <cstdio>

#include "report.hpp"

int main() {
  const Report baseline = report_baseline(), avx2 = report_avx2();
  for (const auto* report : {&baseline, &avx2}) {
    std::printf("%s, registers of %d bytes\n", report->device.c_str(), report->register_bytes);
    for (const auto& [name, checksum] : report->results) std::printf("  %-30s %016llx\n", name.c_str(), static_cast<unsigned long long>(checksum));
  }
  if (baseline.device != "terse::baseline::Cpu" || baseline.register_bytes != 16) return std::puts("the baseline object took other code"), 1;
  if (avx2.device != "terse::avx2::Cpu" || avx2.register_bytes != 32) return std::puts("the avx2 object took other code"), 1;
  int differ = 0;
  for (std::size_t i = 0; i < baseline.results.size(); ++i) differ += baseline.results[i] != avx2.results[i];
  if (differ < 4) return std::puts("hardly a result depends on the instruction set, so this test shows nothing"), 1;
}
