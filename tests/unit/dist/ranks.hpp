#pragma once
// What every communicator must do, whatever it stands on: called on each rank, throws where something is wrong.
#include <bit>
#include <numeric>
#include <string>
#include <vector>

#include <terse/core/error.hpp>
#include <terse/dist/communicator.hpp>

/// The order that sums promise: neighbours first, the left branch the largest that is full.
inline float sum_in_a_tree(std::vector<float> values) {
  if (values.size() == 1) return values[0];
  const auto half = static_cast<std::ptrdiff_t>(std::bit_ceil(values.size()) / 2);
  return sum_in_a_tree({values.begin(), values.begin() + half}) + sum_in_a_tree({values.begin() + half, values.end()});
}

/// Value i of a rank.
inline float value_of(int rank, std::size_t i) { return 1.0f / static_cast<float>(i % 1009 + 1 + static_cast<std::size_t>(rank) * 7); }

/// `count`: of values; sizes that don't divide, and more than fit into any window, are worth trying.
inline void check_communicator(terse::dist::Communicator& communicator, std::size_t count) {
  const int rank = communicator.rank(), ranks = communicator.size();
  const auto require = [&](bool holds, const auto&... words) {
    if (!holds) terse::fail(terse::Failure::internal, "rank ", rank, " of ", ranks, ", ", count, " values: ", words...);
  };
  const auto expected = [&](std::size_t i) {
    std::vector<float> terms;
    for (int r = 0; r < ranks; ++r) terms.push_back(value_of(r, i));
    return sum_in_a_tree(terms);
  };
  std::vector<float> own(count);
  for (std::size_t i = 0; i < count; ++i) own[i] = value_of(rank, i);

  auto values = own;
  communicator.all_reduce(std::span<float>(values));
  for (std::size_t i = 0; i < count; ++i) require(values[i] == expected(i), "sum ", i, " is ", values[i], " for ", expected(i));

  // In bfloat16: what is sent is rounded, their sum as floats is in the same order, and is rounded once.
  std::vector<terse::bfloat16> narrow(count);
  for (std::size_t i = 0; i < count; ++i) narrow[i] = terse::bfloat16(own[i]);
  communicator.all_reduce(std::span(narrow));
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<float> terms;
    for (int r = 0; r < ranks; ++r) terms.push_back(terse::bfloat16(value_of(r, i)));
    require(narrow[i].bits == terse::bfloat16(sum_in_a_tree(terms)).bits, "bfloat16 sum ", i, " is ", static_cast<float>(narrow[i]));
  }

  values = own;
  communicator.reduce_scatter(std::span<float>(values));
  const auto mine = communicator.slice(count, rank);
  for (std::size_t i = mine.first; i < mine.end; ++i) require(values[i] == expected(i), "scattered sum ", i);

  std::vector<std::uint16_t> words(count, 0);
  for (std::size_t i = mine.first; i < mine.end; ++i) words[i] = static_cast<std::uint16_t>(i * 31 + 1);
  communicator.gather_slices(std::as_writable_bytes(std::span(words)), sizeof(std::uint16_t));
  for (std::size_t i = 0; i < count; ++i) require(words[i] == static_cast<std::uint16_t>(i * 31 + 1), "gathered ", i);

  double tiny[] = {1.0 + rank};
  communicator.all_reduce(std::span<double>(tiny));
  require(tiny[0] == ranks * (ranks + 1) / 2.0, "double ", tiny[0]);

  for (int root = 0; root < ranks; ++root) {
    auto bytes = own;
    communicator.broadcast(std::as_writable_bytes(std::span(bytes)), root);
    for (std::size_t i = 0; i < count; ++i) require(bytes[i] == value_of(root, i), "broadcast ", i, " of ", root);
  }

  const auto texts = communicator.all_gather(std::string(static_cast<std::size_t>(rank) * 1000, 'x'));
  require(texts.size() == static_cast<std::size_t>(ranks), "texts");
  for (int r = 0; r < ranks; ++r) require(texts[static_cast<std::size_t>(r)].size() == static_cast<std::size_t>(r) * 1000, "text ", r);
  communicator.barrier();
}
