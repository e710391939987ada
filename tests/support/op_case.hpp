#pragma once
// One test struct per op says how to run it and what it should give; check_op does the rest:
//
//   struct MyCase {
//     static constexpr bool any_threads = true;                                    // bitwise the same for 1, 2 and 3 threads
//     template <Real T> void forward(Cpu&, Tensors&) const;                        // makes inputs and outputs by name
//     template <Real T> void backward(Cpu&, Tensors&) const;
//     Values reference(const Tensors&) const;                                      // naive, in double
//     static constexpr Pairs<1> outputs{{{"y", "dy"}}}, gradients{{{"x", "dx"}}};  // loss = sum of y * dy over all outputs
//   };
//
// forward in double against the reference; every dtype against double; gradients against finite differences; outputs are NaN
// beforehand and stand between sentinels.
#include <array>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <terse/core/philox.hpp>
#include <terse/device/cpu.hpp>
#include <terse/testing/gradient_check.hpp>

#include "support/catch.hpp"

/// How far a result may be from the same in double, relative to the value and the tensor's root mean square: a few roundings of the
/// dtype (2^-53, 2^-24, 2^-11, 2^-8), more where sums of hundreds of terms are kept in it (double, float).
constexpr double op_tolerance(terse::Dtype dtype) {
  using enum terse::Dtype;
  return dtype == f64 ? 1e-12 : dtype == f32 ? 4e-6 : dtype == f16 ? 0x1p-9 : 0x1p-6;
}

/// The tensors of one run, by name.
class Tensors {
 public:
  /// The same numbers in every dtype: amplitude times k / 64 / 2^e with k in [-64, 64) and e in [0, 8), which 16 bits hold exactly.
  /// Their magnitudes differ so much that float's sums of products round, so that another order of summation shows.
  template <terse::Real T>
  T* input(const std::string& name, terse::Index count, double amplitude = 2) {
    Entry& entry = find_or_make<T>(name, count);
    if (entry.is_new) fill<T>(entry, name, amplitude);
    return entry.template values<T>();
  }
  /// NaN at each call, so that a value nobody writes, or one that is read before it's written, shows.
  template <terse::Real T>
  T* output(const std::string& name, terse::Index count) {
    Entry& entry = find_or_make<T>(name, count);
    std::memset(entry.memory.data() + guard, 0xFF, entry.bytes());
    entry.is_new = false;
    return entry.template values<T>();
  }
  /// An output that is added to: begins at known numbers at each call.
  template <terse::Real T>
  T* accumulated(const std::string& name, terse::Index count) {
    Entry& entry = find_or_make<T>(name, count);
    fill<T>(entry, name, 1);
    entry.begin = entry.as_doubles();
    return entry.template values<T>();
  }
  /// One that was made before.
  template <terse::Real T>
  T* get(const std::string& name) {
    return entries_.at(name).template values<T>();
  }

  std::vector<double> values(std::string_view name) const { return entries_.at(std::string(name)).as_doubles(); }
  /// What was added to an accumulated tensor, or all of an overwritten one.
  std::vector<double> written(std::string_view name) const {
    const Entry& entry = entries_.at(std::string(name));
    auto result = entry.as_doubles();
    for (std::size_t i = 0; i < entry.begin.size(); ++i) result[i] -= entry.begin[i];
    return result;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> result;
    for (const auto& [name, entry] : entries_) result.push_back(name);
    return result;
  }
  bool sentinels_intact(const std::string& name) const {
    const auto& memory = entries_.at(name).memory;
    for (std::size_t i = 0; i < guard; ++i)
      if (memory[i] != sentinel || memory[memory.size() - 1 - i] != sentinel) return false;
    return true;
  }
  bool same_bytes(const Tensors& other, const std::string& name) const { return entries_.at(name).memory == other.entries_.at(name).memory; }

 private:
  static constexpr std::size_t guard = 64;
  static constexpr std::byte sentinel{0xA5};

  static void require(bool same_dtype_and_size) { REQUIRE(same_dtype_and_size); }

  struct Entry {
    terse::Dtype dtype{};
    std::vector<std::byte> memory;
    std::vector<double> begin;
    bool is_new = true;

    std::size_t bytes() const { return memory.size() - 2 * guard; }
    template <class T>
    T* values() {
      require(dtype == terse::dtype_of<T>());
      return reinterpret_cast<T*>(memory.data() + guard);
    }
    std::vector<double> as_doubles() const {
      const std::byte* data = memory.data() + guard;
      const auto convert = [&]<class T>(const T* from) {
        std::vector<double> result(bytes() / sizeof(T));
        for (std::size_t i = 0; i < result.size(); ++i) result[i] = static_cast<double>(static_cast<terse::Wide<T>>(from[i]));
        return result;
      };
      using enum terse::Dtype;
      if (dtype == f64) return convert(reinterpret_cast<const double*>(data));
      if (dtype == f32) return convert(reinterpret_cast<const float*>(data));
      if (dtype == f16) return convert(reinterpret_cast<const terse::half*>(data));
      return convert(reinterpret_cast<const terse::bfloat16*>(data));
    }
  };

  template <class T>
  Entry& find_or_make(const std::string& name, terse::Index count) {
    Entry& entry = entries_[name];
    if (entry.memory.empty()) {
      entry.dtype = terse::dtype_of<T>();
      entry.memory.assign(static_cast<std::size_t>(count) * sizeof(T) + 2 * guard, sentinel);
    }
    require(entry.bytes() == static_cast<std::size_t>(count) * sizeof(T));
    return entry;
  }
  template <class T>
  static void fill(Entry& entry, const std::string& name, double amplitude) {
    std::uint64_t seed = 1;
    for (const char c : name) seed = seed * 131 + static_cast<unsigned char>(c);
    terse::RandomStream random(seed, terse::RandomUse::synthesize);
    T* const values = entry.template values<T>();
    for (std::size_t i = 0; i < entry.bytes() / sizeof(T); ++i) {
      const double unit = (static_cast<double>(random.below(128)) - 64) / 64;
      values[i] = static_cast<T>(static_cast<terse::Wide<T>>(std::ldexp(unit, -static_cast<int>(random.below(8))) * amplitude));
    }
    entry.is_new = false;
  }

  std::map<std::string, Entry> entries_;
};

using Values = std::map<std::string, std::vector<double>>;
template <std::size_t n>
using Pairs = std::array<std::pair<const char*, const char*>, n>;

/// The largest |got - want| / (|want| + root mean square of want); infinite for NaN or where the sizes differ.
inline double worst_error(std::span<const double> want, std::span<const double> got) {
  if (want.size() != got.size()) return std::numeric_limits<double>::infinity();
  double squares = 0, worst = 0;
  for (const double value : want) squares += value * value;
  const double typical = want.empty() ? 0 : std::sqrt(squares / static_cast<double>(want.size()));
  for (std::size_t i = 0; i < want.size(); ++i) {
    const double error = got[i] == want[i] ? 0 : std::abs(got[i] - want[i]) / (std::abs(want[i]) + typical);
    if (!(error <= worst)) worst = std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return worst;
}

// Not templates: compiled once a file, however many ops and dtypes it has.
namespace op_case {

using Run = std::function<Tensors(int threads)>;

inline void check_sentinels(const Tensors& tensors) {
  for (const auto& name : tensors.names()) {
    INFO("sentinels around " << name);
    CHECK(tensors.sentinels_intact(name));
  }
}

inline void check_reference(const Values& expected, const Tensors& in_double) {
  for (const auto& [name, values] : expected) {
    INFO("tensor " << name << " against the naive reference");
    CHECK(worst_error(values, in_double.values(name)) <= op_tolerance(terse::Dtype::f64));
  }
}

inline void check_dtype(terse::Dtype dtype, const Run& run, const Tensors& in_double, bool any_threads) {
  INFO("dtype " << terse::name_of(dtype));
  const Tensors result = run(2);
  check_sentinels(result);
  for (const auto& name : result.names()) {
    INFO("tensor " << name);
    CHECK(worst_error(in_double.values(name), result.values(name)) <= op_tolerance(dtype));
  }
  if (!any_threads) return;
  for (const int threads : {1, 3}) {
    const Tensors other = run(threads);
    for (const auto& name : result.names()) {
      INFO("tensor " << name << ", " << threads << " threads against 2");
      CHECK(result.same_bytes(other, name));
    }
  }
}

using Names = std::span<const std::pair<const char*, const char*>>;

inline void check_gradients(Tensors& tensors, const std::function<void(Tensors&)>& forward, Names outputs, Names gradients) {
  const auto loss = [&] {
    forward(tensors);
    double total = 0;
    for (const auto& [output, slope] : outputs) {
      const auto y = tensors.values(output), dy = tensors.values(slope);
      for (std::size_t i = 0; i < y.size(); ++i) total += y[i] * dy[i];
    }
    return total;
  };
  std::vector<terse::testing::GradientDifference> differences;
  for (const auto& [input, gradient] : gradients) {
    const auto analytic = tensors.written(gradient);
    differences.push_back(terse::testing::check_gradient(input, {tensors.get<double>(input), analytic.size()}, analytic, loss, {.most_values = 200}));
  }
  INFO(terse::testing::report(differences));
  CHECK(terse::testing::all_agree(differences));
}

inline void reserve(terse::Cpu& cpu) {
  cpu.reserve_workspace(std::size_t{16} << 20);
  cpu.reserve_thread_scratch(std::size_t{1} << 20);
}

template <terse::Real T, class Case>
Tensors run(const Case& op, int threads) {
  terse::Cpu cpu(threads);
  reserve(cpu);
  Tensors tensors;
  op.template forward<T>(cpu, tensors);
  if constexpr (requires { op.template backward<T>(cpu, tensors); }) op.template backward<T>(cpu, tensors);
  return tensors;
}

}  // namespace op_case

/// Every check that the struct at the top of this file stands for.
template <class Case>
void check_op(const Case& op) {
  Tensors in_double = op_case::run<double>(op, 2);
  op_case::check_reference(op.reference(in_double), in_double);
  const auto check_dtype = [&]<terse::Real T>(T) {
    op_case::check_dtype(terse::dtype_of<T>(), [&op](int threads) { return op_case::run<T>(op, threads); }, in_double, Case::any_threads);
  };
  check_dtype(double{}), check_dtype(float{}), check_dtype(terse::half{}), check_dtype(terse::bfloat16{});
  if constexpr (requires { Case::gradients; }) {
    terse::Cpu cpu(1);
    op_case::reserve(cpu);
    op_case::check_gradients(in_double, [&](Tensors& tensors) { op.template forward<double>(cpu, tensors); }, Case::outputs, Case::gradients);
  }
}
