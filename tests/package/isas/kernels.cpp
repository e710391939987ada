// Ops whose results depend on the instruction set, on one thread. REPORT: the name of this object's function.
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <span>
#include <thread>
#include <typeinfo>

#include <terse/dist/threads.hpp>
#include <terse/metrics/rouge.hpp>
#include <terse/ops/adamw/cpu.hpp>
#include <terse/ops/attention/cpu.hpp>
#include <terse/ops/cross_entropy/cpu.hpp>
#include <terse/ops/gelu/cpu.hpp>
#include <terse/ops/layer_norm/cpu.hpp>
#include <terse/ops/matmul/cpu.hpp>
#include <terse/ops/matmul/invariant.hpp>
#include <terse/ops/reduce/cpu.hpp>
#include <terse/optim/schedule.hpp>
#include <terse/tensor/tensor.hpp>

#include "report.hpp"
#include "support/random_weights.hpp"

using namespace terse;

namespace {

constexpr Index rows = 5, C = 203;  // no multiple of a register

template <class T>
std::uint64_t bits(const T* values, Index count) {
  return fnv1a({reinterpret_cast<const char*>(values), static_cast<std::size_t>(count) * sizeof(T)});
}

/// Values in [-1, 1) that are the same everywhere; no product of two of them is exact in float.
template <class View>
struct Random : Tensor<View, Cpu> {
  template <class... Rows>
  Random(const char* name, Cpu& cpu, Rows... count) : Tensor<View, Cpu>(cpu, count...) {
    for (Index i = 0; i < this->size(); ++i) this->data()[i] = static_cast<typename View::Value>(random_unit(7, name, static_cast<std::uint64_t>(i)));
  }
};

std::string device_name() {
  const std::unique_ptr<char, decltype(&std::free)> name(abi::__cxa_demangle(typeid(Cpu).name(), nullptr, nullptr, nullptr), std::free);
  return name.get();
}

/// Documents of 33 and 7 tokens, two heads.
std::uint64_t attention(Cpu& cpu) {
  constexpr Index tokens = 40, width = 32, heads = 2;
  const std::vector<std::int32_t> cu_seqlens{0, 33, 40};
  const std::vector<std::int64_t> samples{0, 1};
  const std::vector<std::uint32_t> draws{0, 1};
  PackedBatch batch{};
  batch.cu_seqlens = cu_seqlens, batch.samples = samples, batch.draws = draws;
  Random<Rows<float, 3 * width>> qkv("qkv", cpu, tokens);
  const Tensor<Rows<float, width>, Cpu> out(cpu, tokens);
  const Tensor<Rows<float, heads>, Cpu> log_sums(cpu, tokens);
  cpu.reserve_thread_scratch(ops::attention_scratch<float, width / heads>(33));
  ops::forward(cpu, ops::Attention<heads>{}, batch, ops::Dropout{}, qkv.view(), out.view(), {log_sums.view()});
  return bits(out.data(), out.size());
}

double reduced_by_two_ranks() {
  double sum = 0;
  dist::launch(2, [&](dist::Communicator& rank) {
    std::vector<double> values(1000);
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(random_unit(static_cast<std::uint64_t>(rank.rank()), "r", i)) / 3;
    rank.all_reduce(values);
    if (rank.is_first())
      for (const double value : values) sum += value;
  });
  return sum;
}

}  // namespace

Report REPORT() {
  Report report{device_name(), vector_register_bytes, {}};
  const auto add = [&](const char* name, const auto* values, Index count) { report.results.emplace_back(name, bits(values, count)); };
  Cpu cpu(1);
  Random<Rows<float, C>> x("x", cpu, rows), y("y", cpu, rows), target("t", cpu, rows);
  Random<Vector<float, C>> gain("gain", cpu), bias("bias", cpu);
  Random<Matrix<float, C, C>> w("w", cpu);
  Random<Column<float>> mean("mean", cpu, rows), rstd("rstd", cpu, rows);

  ops::forward(cpu, ops::LayerNorm{}, x.view(), gain.view(), bias.view(), y.view(), {mean.view(), rstd.view()});
  add("layer_norm", y.data(), y.size());
  ops::matmul(cpu, x.view(), w.view(), y.view());
  add("matmul", y.data(), y.size());
  ops::invariant_matmul(cpu, x.view(), w.view(), y.view());
  add("invariant_matmul", y.data(), y.size());
  ops::invariant_matmul_transposed(cpu, x.view(), w.view(), y.view());
  add("invariant_matmul_transposed", y.data(), y.size());
  ops::gelu_forward<ops::Gelu::tanh>(cpu, x.view(), y.view());
  add("gelu", y.data(), y.size());
  report.results.emplace_back("attention", attention(cpu));
  const std::vector<TokenId> targets{1, 2, 3, 4, 200};
  ops::cross_entropy<C>(cpu, Rows<const float, C>(x.view()), targets, mean.view());
  add("cross_entropy", mean.data(), rows);
  ops::bias_gradient(cpu, x.view(), bias.view());
  add("bias_gradient", bias.data(), C);
  const double squares = ops::sum_of_squares(cpu, x.data(), x.size());
  add("sum_of_squares", &squares, 1);
  const Tensor<Rows<float, C>, Cpu> v(cpu, rows);
  const auto factors = ops::adamw_factors<float>(ops::AdamW{}, 3, 0.5);
  ops::adamw(cpu, &factors, ops::adamw_group<float>({}, true), x.size(), x.data(), target.data(), y.data(), v.data(), x.data());
  add("adamw", x.data(), x.size());

  const double reduced = reduced_by_two_ranks(), rate = optim::CosineSchedule{}.at(217);
  add("all_reduce", &reduced, 1), add("schedule", &rate, 1);
  const std::vector<double> scores{0.1, 0.7, 0.35, 0.2};
  const auto interval = metrics::bootstrap(scores, 1);
  add("bootstrap", &interval.low, 1);
  return report;
}
