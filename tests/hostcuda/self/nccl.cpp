// Collectives between two ranks, a thread and a device each; and what NCCL would hang on or mix up.
#include "support/catch.hpp"

#include <limits>
#include <memory>
#include <thread>

#include <cuda_fp16.h>
#include <nccl.h>

#include "hostcuda/self/device.hpp"
#include "support/messages.hpp"

namespace {

/// What a rank's thread has.
struct Rank {
  int rank;
  Device& device;
  ncclComm_t comm;
};

/// Runs body(Rank&) on two threads, each with a device; the ranks' results in order.
template <class Body>
auto on_two_ranks(Body body) {
  using Result = decltype(body(std::declval<Rank&>()));
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  std::vector<Result> results(2);
  const auto run = [&](int number) {
    cudaSetDevice(number);
    Device device;
    ncclComm_t comm = nullptr;
    if (ncclCommInitRank(&comm, 2, id, number) != ncclSuccess) return;
    Rank rank{number, device, comm};
    results[static_cast<std::size_t>(number)] = body(rank);
    ncclCommAbort(comm);
    cudaStreamSynchronize(device.stream());
  };
  std::thread other(run, 1);
  run(0);
  other.join();
  return results;
}

std::vector<float> all_reduced(Rank& rank, ncclRedOp_t operation) {
  auto* const values = rank.device.copy(std::vector<float>{1.0f + static_cast<float>(rank.rank), 10, -3.0f * static_cast<float>(rank.rank)});
  ncclAllReduce(values, values, 3, ncclFloat, operation, rank.comm, rank.device.stream());
  return rank.device.read(values, 3);
}

}  // namespace

TEST_CASE("all-reduce") {
  for (const std::uint64_t seed : hostcuda::seeds()) {
    hostcuda::set_seed(seed);
    using Both = std::vector<std::vector<float>>;
    CHECK(on_two_ranks([](Rank& rank) { return all_reduced(rank, ncclSum); }) == Both(2, {3, 20, -3}));
    CHECK(on_two_ranks([](Rank& rank) { return all_reduced(rank, ncclAvg); }) == Both(2, {1.5f, 10, -1.5f}));
    CHECK(on_two_ranks([](Rank& rank) { return all_reduced(rank, ncclMax); }) == Both(2, {2, 10, 0}));
  }
  hostcuda::set_seed(0);
}

TEST_CASE("halves are added in fp16, and averages divided before") {
  const auto results = on_two_ranks([](Rank& rank) {
    const std::vector<__half> values{__float2half(40000), __float2half(6e-8f)};
    auto *const sum = rank.device.copy(values), *const average = rank.device.copy(values);
    ncclAllReduce(sum, sum, 2, ncclHalf, ncclSum, rank.comm, rank.device.stream());
    ncclAllReduce(average, average, 2, ncclHalf, ncclAvg, rank.comm, rank.device.stream());
    return std::vector<float>{__half2float(rank.device.read(sum, 2)[0]), __half2float(rank.device.read(average, 2)[1])};
  });
  CHECK(results[0] == std::vector<float>{std::numeric_limits<float>::infinity(), 0});   // overflow; underflow, as half of 2^-24 is rounded to 0
  CHECK(results[1] == results[0]);
}

TEST_CASE("reduce-scatter, all-gather and broadcast") {
  const auto results = on_two_ranks([](Rank& rank) {
    const float r = static_cast<float>(rank.rank);
    auto* const values = rank.device.copy(std::vector<float>{r, 1 + r, 2 + r, 3 + r});
    ncclReduceScatter(values, values + 2 * rank.rank, 2, ncclFloat, ncclSum, rank.comm, rank.device.stream());
    ncclAllGather(values + 2 * rank.rank, values, 2, ncclFloat, rank.comm, rank.device.stream());
    auto* const more = rank.device.copy(std::vector<float>{7 + r});
    ncclBroadcast(more, more, 1, ncclFloat, 1, rank.comm, rank.device.stream());
    auto all = rank.device.read(values, 4);
    all.push_back(rank.device.read(more, 1)[0]);
    return all;
  });
  CHECK(results[0] == std::vector<float>{1, 3, 5, 7, 8});
  CHECK(results[1] == results[0]);
}

TEST_CASE("one thread with two devices groups its calls") {
  const auto sums = [](bool in_group) {
    ncclUniqueId id;
    ncclGetUniqueId(&id);
    ncclComm_t comms[2] = {};
    std::vector<std::unique_ptr<Device>> devices;
    std::vector<float*> values;
    ncclGroupStart();
    for (int d = 0; d < 2; ++d) {
      cudaSetDevice(d);
      devices.push_back(std::make_unique<Device>());
      values.push_back(devices.back()->copy(std::vector<float>{1.0f + static_cast<float>(d)}));
      ncclCommInitRank(&comms[d], 2, id, d);
    }
    ncclGroupEnd();
    ncclResult_t result = ncclSuccess;
    if (in_group) ncclGroupStart();
    for (std::size_t d = 0; d < 2; ++d)
      if (const auto status = ncclAllReduce(values[d], values[d], 1, ncclFloat, ncclSum, comms[d], devices[d]->stream()); status != ncclSuccess) result = status;
    if (in_group) ncclGroupEnd();
    float sum = 0;
    if (in_group)
      for (std::size_t d = 0; d < 2; ++d) sum += devices[d]->read(values[d], 1)[0];
    for (const ncclComm_t comm : comms) ncclCommAbort(comm);
    for (int d = 0; d < 2; ++d) cudaSetDevice(d), devices[static_cast<std::size_t>(d)].reset();
    cudaSetDevice(0);
    return std::pair(result, sum);
  };
  CHECK(sums(true) == std::pair(ncclSuccess, 6.0f));
  CHECK(sums(false).first == ncclInvalidUsage);
}

TEST_CASE("collectives that don't match name both ranks") {
  const auto words = [](auto call) {
    const auto results = on_two_ranks([&](Rank& rank) {
      auto* const values = rank.device.copy(std::vector<double>(8));
      const ncclResult_t result = call(rank, values);
      cudaStreamSynchronize(rank.device.stream());
      ncclResult_t later = ncclSuccess;
      while (later == ncclSuccess) ncclCommGetAsyncError(rank.comm, &later);
      return std::pair(result == ncclInvalidUsage ? std::string(ncclGetLastError(rank.comm)) : std::string(), later);
    });
    CHECK(results[0].second == ncclInvalidUsage);
    CHECK(results[1].second == ncclInvalidUsage);
    return results[0].first + results[1].first;
  };
  const auto reduce = [](Rank& rank, double* values, std::size_t count, ncclDataType_t type, ncclRedOp_t operation) {
    return ncclAllReduce(values, values, count, type, operation, rank.comm, rank.device.stream());
  };
  const auto size = words([&](Rank& rank, double* values) { return reduce(rank, values, rank.rank == 0 ? 4 : 5, ncclFloat, ncclSum); });
  CHECK(contains(size, "ncclAllReduce of 4 float32, sum"));
  CHECK(contains(size, "ncclAllReduce of 5 float32, sum"));
  CHECK(contains(words([&](Rank& rank, double* values) { return reduce(rank, values, 4, rank.rank == 0 ? ncclHalf : ncclBfloat16, ncclSum); }), "4 bfloat16"));
  CHECK(contains(words([&](Rank& rank, double* values) { return reduce(rank, values, 4, ncclFloat, rank.rank == 0 ? ncclSum : ncclMax); }), "float32, max"));
  CHECK(contains(words([&](Rank& rank, double* values) {
                   return rank.rank == 0 ? reduce(rank, values, 4, ncclFloat, ncclSum)
                                         : ncclBroadcast(values, values, 4, ncclFloat, 0, rank.comm, rank.device.stream());
                 }),
                 "ncclBroadcast of 4 float32, root 0"));
}

TEST_CASE("a rank that never comes") {
  const auto errors = on_two_ranks([](Rank& rank) {
    auto* const values = rank.device.copy(std::vector<float>(4));
    if (rank.rank == 1) return ncclSuccess;
    ncclAllReduce(values, values, 4, ncclFloat, ncclSum, rank.comm, rank.device.stream());
    CHECK(ncclCommDestroy(rank.comm) == ncclInvalidUsage);   // it would hang
    ncclResult_t error = ncclSuccess;
    while (cudaStreamQuery(rank.device.stream()) == cudaErrorNotReady && error == ncclSuccess) ncclCommGetAsyncError(rank.comm, &error);
    return error;
  });
  CHECK((errors[0] == ncclRemoteError || errors[0] == ncclSuccess));
}

TEST_CASE("communicators that NCCL refuses") {
  ncclUniqueId id;
  ncclGetUniqueId(&id);
  ncclComm_t comm = nullptr, second = nullptr;
  CHECK(ncclCommInitRank(&comm, 2, id, 2) == ncclInvalidArgument);
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  CHECK(ncclCommInitRankConfig(&comm, 2, id, 0, &config) == ncclInProgress);
  CHECK(ncclCommInitRankConfig(&second, 2, id, 0, &config) == ncclInvalidUsage);
  CHECK(ncclCommInitRankConfig(&second, 2, id, 1, &config) == ncclInvalidUsage);   // the same device
  CHECK(contains(hostcuda::last_report(), "device 0 has a rank already"));
  Device device;
  auto* const values = device.allocate<float>(4);
  CHECK(ncclAllReduce(values, values, 4, ncclFloat, ncclSum, comm, device.stream()) == ncclInvalidUsage);
  CHECK(ncclCommAbort(comm) == ncclSuccess);
  CHECK(ncclCommAbort(comm) == ncclInvalidArgument);
}

TEST_CASE("memory and overlaps of collectives") {
  const auto results = on_two_ranks([](Rank& rank) {
    auto* const values = rank.device.allocate<float>(8);
    std::vector<float> host(8);
    const auto call = [&](const float* from, float* to, std::size_t count) { return ncclAllReduce(from, to, count, ncclFloat, ncclSum, rank.comm, rank.device.stream()); };
    return std::vector<ncclResult_t>{call(host.data(), host.data(), 8), call(values, values, 9), call(values, values + 1, 4)};
  });
  CHECK(results[0] == std::vector<ncclResult_t>(3, ncclInvalidArgument));
}
