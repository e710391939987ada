#pragma once
// cub::DeviceRadixSort by its documentation (CUB API, "cub::DeviceRadixSort"): stable, by bits [begin, end) of the keys; without temporary
// storage a call only says how much it takes. What the storage held is gone.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <numeric>
#include <type_traits>
#include <vector>

#include <cuda_runtime.h>

#include "hostcuda/work.hpp"

namespace cub {

struct DeviceRadixSort {
  template <class Key, class Value, class Count>
  static cudaError_t SortPairs(void* storage, std::size_t& storage_bytes, const Key* keys, Key* sorted_keys, const Value* values, Value* sorted_values, Count count,
                               int begin_bit = 0, int end_bit = sizeof(Key) * 8, cudaStream_t stream = nullptr) {
    static_assert(std::is_integral_v<Key> && sizeof(Key) <= 8, "hostcuda sorts by integers");
    const auto n = static_cast<std::size_t>(count), needed = 8192 + (n + 255) / 256 * 1024;
    if (storage == nullptr) return storage_bytes = needed, cudaSuccess;
    if (storage_bytes < needed || begin_bit < 0 || end_bit > static_cast<int>(sizeof(Key) * 8) || begin_bit >= end_bit) return cudaErrorInvalidValue;
    return hostcuda::queue_work(
        stream, "cub::DeviceRadixSort of " + std::to_string(n) + " pairs",
        {{storage, needed, true},
         {keys, n * sizeof(Key), false},
         {sorted_keys, n * sizeof(Key), true},
         {values, n * sizeof(Value), false},
         {sorted_values, n * sizeof(Value), true}},
        [=] {
          std::memset(storage, 0xFF, needed);
          std::vector<std::size_t> order(n);
          std::iota(order.begin(), order.end(), std::size_t{0});
          std::stable_sort(order.begin(), order.end(), [=](std::size_t a, std::size_t b) { return digits(keys[a], begin_bit, end_bit) < digits(keys[b], begin_bit, end_bit); });
          std::vector<Key> moved_keys;
          std::vector<Value> moved_values;
          for (const std::size_t i : order) moved_keys.push_back(keys[i]), moved_values.push_back(values[i]);
          std::copy(moved_keys.begin(), moved_keys.end(), sorted_keys);
          std::copy(moved_values.begin(), moved_values.end(), sorted_values);
        });
  }

 private:
  /// A signed key's highest bit is turned round, so that negative ones come first; then only the bits asked for count.
  template <class Key>
  static std::uint64_t digits(Key key, int begin_bit, int end_bit) {
    using Bits = std::make_unsigned_t<Key>;
    auto bits = static_cast<Bits>(key);
    if constexpr (std::is_signed_v<Key>) bits = static_cast<Bits>(bits ^ Bits{1} << (sizeof(Key) * 8 - 1));
    const int width = end_bit - begin_bit;
    const std::uint64_t shifted = static_cast<std::uint64_t>(bits) >> begin_bit;
    return width == 64 ? shifted : shifted & ((std::uint64_t{1} << width) - 1);
  }
};

}  // namespace cub
