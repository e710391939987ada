#include "collective.hpp"

#include <algorithm>
#include <cstring>

#include "cuda_bf16.h"
#include "cuda_fp16.h"

namespace hostcuda {

namespace {

const char* name_of_type(ncclDataType_t type) {
  constexpr const char* names[] = {"int8", "uint8", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64", "bfloat16"};
  return names[type];
}

template <class T>
T combine(T a, T b, ncclRedOp_t operation) {
  switch (operation) {
    case ncclProd: return static_cast<T>(a * b);
    case ncclMax: return b > a ? b : a;
    case ncclMin: return b < a ? b : a;
    default: return static_cast<T>(a + b);
  }
}

/// A type whose values are combined as T, each result rounded back to it: NCCL adds halves in fp16, and for ncclAvg multiplies each input
/// by 1/n in its own type before it adds (nccl/src/device/reduce_kernel.h).
template <class Stored, class T = Stored>
void reduce(std::vector<CollectivePart>& parts, std::size_t first, std::size_t count, std::size_t begin, unsigned char* result) {
  const std::size_t ranks = parts.size();
  const ncclRedOp_t operation = parts[0].operation;
  const auto input = [&](std::size_t rank, std::size_t i) {
    const T value = static_cast<T>(static_cast<const Stored*>(parts[rank].from)[i]);
    if constexpr (std::is_floating_point_v<T>) return operation == ncclAvg ? static_cast<T>(static_cast<Stored>(value * (T{1} / static_cast<T>(ranks)))) : value;
    else return value;
  };
  for (std::size_t i = 0; i < count; ++i) {
    T sum = input(first, begin + i);
    for (std::size_t r = 1; r < ranks; ++r) sum = static_cast<T>(static_cast<Stored>(combine(sum, input((first + r) % ranks, begin + i), operation)));
    if constexpr (!std::is_floating_point_v<T>)
      if (operation == ncclAvg) sum = static_cast<T>(sum / static_cast<T>(ranks));
    const auto stored = static_cast<Stored>(sum);
    std::memcpy(result + i * sizeof stored, &stored, sizeof stored);
  }
}

/// Values [begin, begin + count) of all ranks together. Which rank's value comes first in a sum, the algorithm decides: here the seed.
std::vector<unsigned char> reduced(std::vector<CollectivePart>& parts, std::size_t first, std::size_t begin, std::size_t count) {
  std::vector<unsigned char> result(count * bytes_of(parts[0].type));
  switch (parts[0].type) {
    case ncclInt8: reduce<signed char>(parts, first, count, begin, result.data()); break;
    case ncclUint8: reduce<unsigned char>(parts, first, count, begin, result.data()); break;
    case ncclInt32: reduce<int>(parts, first, count, begin, result.data()); break;
    case ncclUint32: reduce<unsigned>(parts, first, count, begin, result.data()); break;
    case ncclInt64: reduce<long long>(parts, first, count, begin, result.data()); break;
    case ncclUint64: reduce<unsigned long long>(parts, first, count, begin, result.data()); break;
    case ncclFloat16: reduce<__half, float>(parts, first, count, begin, result.data()); break;
    case ncclBfloat16: reduce<__nv_bfloat16, float>(parts, first, count, begin, result.data()); break;
    case ncclFloat32: reduce<float>(parts, first, count, begin, result.data()); break;
    case ncclFloat64: reduce<double>(parts, first, count, begin, result.data()); break;
  }
  return result;
}

}  // namespace

// Copies by memcpy, which ThreadSanitizer sees.
void compute(std::vector<CollectivePart>& parts, std::size_t first) {
  const Seen seen;
  const std::size_t ranks = parts.size(), count = parts[0].count, bytes = count * bytes_of(parts[0].type);
  switch (parts[0].kind) {
    case CollectiveKind::all_reduce: {
      const auto result = reduced(parts, first, 0, count);
      for (const CollectivePart& part : parts) std::memcpy(part.to, result.data(), bytes);
      break;
    }
    case CollectiveKind::reduce_scatter: {
      std::vector<std::vector<unsigned char>> results;
      for (std::size_t r = 0; r < ranks; ++r) results.push_back(reduced(parts, first, r * count, count));
      for (std::size_t r = 0; r < ranks; ++r) std::memcpy(parts[r].to, results[r].data(), bytes);
      break;
    }
    case CollectiveKind::all_gather: {
      std::vector<unsigned char> result(ranks * bytes);
      for (std::size_t r = 0; r < ranks; ++r) std::memcpy(result.data() + r * bytes, parts[r].from, bytes);
      for (const CollectivePart& part : parts) std::memcpy(part.to, result.data(), ranks * bytes);
      break;
    }
    case CollectiveKind::broadcast: {
      std::vector<unsigned char> result(bytes);
      std::memcpy(result.data(), parts[static_cast<std::size_t>(parts[0].root)].from, bytes);
      for (const CollectivePart& part : parts) std::memcpy(part.to, result.data(), bytes);
      break;
    }
  }
}

std::size_t bytes_of(ncclDataType_t type) {
  constexpr std::size_t bytes[] = {1, 1, 4, 4, 8, 8, 2, 4, 8, 2};
  return bytes[type];
}

std::size_t read_count(const CollectivePart& part, std::size_t ranks) { return part.kind == CollectiveKind::reduce_scatter ? ranks * part.count : part.count; }
std::size_t written_count(const CollectivePart& part, std::size_t ranks) { return part.kind == CollectiveKind::all_gather ? ranks * part.count : part.count; }

std::string words_of(const CollectivePart& part) {
  constexpr const char* kinds[] = {"ncclAllReduce", "ncclReduceScatter", "ncclAllGather", "ncclBroadcast"};
  constexpr const char* operations[] = {"sum", "product", "max", "min", "average"};
  std::string text = std::string(kinds[static_cast<std::size_t>(part.kind)]) + " of " + std::to_string(part.count) + " " + name_of_type(part.type);
  if (part.kind == CollectiveKind::all_reduce || part.kind == CollectiveKind::reduce_scatter) text += std::string(", ") + operations[part.operation];
  if (part.kind == CollectiveKind::broadcast) text += ", root " + std::to_string(part.root);
  return text;
}

bool Collective::all_reached() const {
  return std::all_of(parts.begin(), parts.end(), [](const CollectivePart& part) { return part.reached; });
}

void Collective::run(std::uint64_t seed) {
  {
    std::unique_lock guard(lock);
    if (begun) {
      finished.wait(guard, [this] { return done; });
      acquire(&sync);
      return;
    }
    begun = true;
  }
  for (const CollectivePart& part : parts) acquire(&part.stream->done), acquire(&part.stream->queued);
  compute(parts, seed == 0 ? 0 : mix(seed) % parts.size());
  release(&sync);
  const std::lock_guard guard(lock);
  done = true;
  finished.notify_all();
}

}  // namespace hostcuda
