#pragma once
// What each object file of this test computes; compiled for two instruction sets, with and without OpenMP.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

struct Report {
  std::string device;  ///< the full name of terse::Cpu
  int register_bytes;
  std::vector<std::pair<std::string, std::uint64_t>> results;  ///< op, checksum of its output
};

Report report_baseline();
Report report_avx2();
