#pragma once
// What each object file of the test of texts writes; compiled for several instruction sets that fuse products.
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

/// Model and strategy, and a checksum of the texts and their log-probabilities.
using Texts = std::vector<std::pair<std::string, std::uint64_t>>;

Texts texts_avx2();
Texts texts_avx512();
