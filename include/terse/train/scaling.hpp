#pragma once
/// How long a data parallel step takes, on paper: an alpha-beta model (Hockney 1994; of rings: Thakur, Rabenseifner, Gropp 2005, "Optimization of Collective Communication Operations in MPICH";
/// of double trees: Sanders, Speck, Träff 2009).

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <optional>
#include <string_view>

#include <terse/core/shape.hpp>
#include <terse/dist/buckets.hpp>

namespace terse::train {

/// What a rank computes with.
struct Processor {
  std::string_view name;
  double operations;  ///< a second that 16-bit products sustain
  double bandwidth;   ///< bytes a second of its memory
};

/// What the slowest of a ring's links is.
struct Link {
  std::string_view name, words;
  double latency;    ///< seconds from one rank to the next
  double bandwidth;  ///< bytes a second, each way, for each rank
};

/// Rates seen in measurements of others, not data sheets' peaks. T4: a card at its 70 W; A100, H100: the best large products.
inline constexpr std::array processors{Processor{"t4", 24e12, 320e9}, Processor{"a100", 230e12, 1555e9}, Processor{"h100", 700e12, 3350e9}};

inline constexpr std::array links{Link{"host", "PCIe 3 through the host's memory, as two T4 of Kaggle's", 20e-6, 6e9},
                                  Link{"pcie", "PCIe 4 from GPU to GPU", 10e-6, 20e9},
                                  Link{"nvlink", "NVLink of an A100", 5e-6, 230e9},
                                  Link{"infiniband", "InfiniBand, 400 Gbit/s a GPU", 10e-6, 45e9},
                                  Link{"ethernet", "Ethernet, 25 Gbit/s a GPU", 40e-6, 2.8e9}};

/// The one of that name.
template <class Named, std::size_t count>
constexpr std::optional<Named> named(const std::array<Named, count>& all, std::string_view name) {
  for (const Named& each : all)
    if (each.name == name) return each;
  return std::nullopt;
}

/// What a rank does in a step.
struct StepWork {
  double operations = 0;                ///< forward and backward of its micro-batches; backward is two thirds
  std::size_t gradient_bytes = 0;       ///< summed over ranks
  std::size_t parameter_bytes = 0;      ///< as the model computes with them: what ranks take from each other after a sharded step
  std::size_t optimizer_bytes = 0;      ///< read and written by AdamW, where each rank does all of it
  Index micro_batches = 1;              ///< of this rank
  double final_late = 0;                ///< part of the gradient that is final when backward ends, not before: embeddings
  bool shards = false;                  ///< the optimizer (ZeRO-1)
};

/// Seconds of a step.
struct StepTime {
  double compute = 0;    ///< forward and backward
  double sums = 0;       ///< gradients over ranks
  double exposed = 0;    ///< of `sums`, what backward doesn't hide
  double optimizer = 0;  ///< AdamW at the memory's speed
  double gather = 0;     ///< sharded: parameters

  constexpr double step() const { return compute + exposed + optimizer + gather; }
};

/// A ring's all-reduce of `bytes`: 2 (n - 1) messages of a part each. Half of it: reduce-scatter, or all-gather.
constexpr double ring_all_reduce(const Link& link, Index ranks, double bytes) {
  const double n = static_cast<double>(ranks);
  return ranks < 2 ? 0 : 2 * (n - 1) * (link.latency + bytes / n / link.bandwidth);
}

/// Two trees that each sum a half, as NCCL's: fewer messages than a ring's, and no more than twice its bytes.
constexpr double tree_all_reduce(const Link& link, Index ranks, double bytes) {
  return ranks < 2 ? 0 : 2 * static_cast<double>(std::bit_width(static_cast<std::size_t>(ranks - 1))) * link.latency + 2 * bytes / link.bandwidth;
}

/// Buckets are summed one after the other, each when it is final: evenly over the last micro-batch's backward, but the late part at its end.
constexpr StepTime predict(const StepWork& work, const Processor& processor, const Link& link, Index ranks) {
  StepTime time;
  time.compute = work.operations / processor.operations;
  time.optimizer = static_cast<double>(work.optimizer_bytes) / processor.bandwidth / (work.shards ? static_cast<double>(ranks) : 1);
  const std::size_t each = dist::default_bucket_bytes(work.gradient_bytes);
  const double window = time.compute * 2 / 3 / static_cast<double>(work.micro_batches), total = static_cast<double>(work.gradient_bytes);
  double finished = 0;
  for (std::size_t done = 0; done < work.gradient_bytes; done += each) {
    const double bytes = static_cast<double>(std::min(each, work.gradient_bytes - done)), share = (static_cast<double>(done) + bytes) / total;
    const double ring = ring_all_reduce(link, ranks, bytes), sum = work.shards ? ring / 2 : std::min(ring, tree_all_reduce(link, ranks, bytes));
    const double is_final = share < 1 - work.final_late ? window * share / (1 - work.final_late) : window;
    finished = std::max(finished, is_final) + sum;
    time.sums += sum;
  }
  time.exposed = ranks < 2 ? 0 : std::max(0.0, finished - window);
  if (work.shards) time.gather = ring_all_reduce(link, ranks, static_cast<double>(work.parameter_bytes)) / 2;
  return time;
}

}  // namespace terse::train
