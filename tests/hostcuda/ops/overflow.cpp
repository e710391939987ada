#include <terse/ops/overflow/cpu.hpp>
#include <terse/ops/overflow/cuda.cuh>

#include "op_test.hpp"

using namespace terse;

namespace {

constexpr Index C = 24;
constexpr std::size_t documents = 3;
constexpr Index parameters = 4;
const std::vector<std::int32_t> cu_seqlens{0, 1, 40, 65};                                     // three documents
const std::vector<ops::FlatRange> ranges{{0, 5}, {16, 300}, {320, 1}, {336, 7}};              // with padding between them
constexpr Index gradient_size = 343;
constexpr float infinite = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN();

/// What is found where `bad` stands at these places of the residual stream's gradient and of the parameters', as the CPU finds it.
template <Real S>
ops::Overflow found(std::vector<Index> in_stream, std::vector<Index> in_gradient, ops::Overflow before = {}, Index first = 0, Index end = parameters) {
  ops::Overflow result;
  on_both_devices([&](OpRun& run) {
    std::vector<S> stream(65 * C, S(1)), gradient(gradient_size, S(-1));
    for (const Index at : in_stream) stream[static_cast<std::size_t>(at)] = S(nan);
    for (const Index at : in_gradient) gradient[static_cast<std::size_t>(at)] = S(-infinite);
    for (const Index padding : {5, 15, 316, 319, 321, 335}) gradient[static_cast<std::size_t>(padding)] = S(nan);  // belongs to no parameter
    const auto ends = run.values(cu_seqlens);
    const auto dstream = run.values(stream), slopes = run.values(gradient);
    const auto places = run.values(ranges);
    const auto overflow = run.values(std::vector<ops::Overflow>{before});
    run([&](auto& device, auto at) {
      ops::find_overflow(device, std::span<const std::int32_t>(at(ends), documents + 1), Rows<S, C>{at(dstream), 65}, static_cast<const S*>(at(slopes)),
                         static_cast<const ops::FlatRange*>(at(places)), first, end, 7, at(overflow));
    });
    CHECK(overflow.fences_intact());
    result = overflow.from_gpu()[0];
    CHECK(result.micro_batch == overflow.cpu()->micro_batch);
    CHECK(result.document == overflow.cpu()->document);
    CHECK(result.parameter == overflow.cpu()->parameter);
  });
  return result;
}

}  // namespace

TEST_CASE("an overflow's place on CUDA: the first document, the last parameter, as the CPU finds them") {
  for_each_dtype([]<Real S>(S) {
    CHECK_FALSE(found<S>({}, {}).found());
    CHECK(found<S>({0}, {}).document == 0);
    CHECK(found<S>({1 * C - 1, 64 * C}, {0}).parameter == 0);
    CHECK(found<S>({1 * C}, {4, 315}).document == 1);
    CHECK(found<S>({39 * C + 7}, {4, 315}).parameter == 1);
    CHECK(found<S>({40 * C}, {320}).document == 2);
    CHECK(found<S>({65 * C - 1}, {320}).parameter == 2);
    CHECK(found<S>({65 * C - 1}, {16, 342}).parameter == 3);
    CHECK(found<S>({65 * C - 1}, {}).parameter == -1);
  });
}

TEST_CASE("of overflows on CUDA the first micro-batch's stays") {
  const auto earlier = found<float>({3 * C}, {17}, {.micro_batch = 2, .document = 0, .parameter = 3});
  CHECK((earlier.micro_batch == 2 && earlier.document == 0 && earlier.parameter == 3));
}

TEST_CASE("an overflow's parameter on CUDA is looked for as gradients become final: in the last ones first") {
  for_each_dtype([]<Real S>(S) {
    const auto after_last = found<S>({2 * C}, {4, 315}, {}, 2, 4);
    CHECK((after_last.micro_batch == 7 && after_last.document == 1 && after_last.parameter == -1));
    const auto after_rest = found<S>({2 * C}, {4, 315}, after_last, 0, 2);
    CHECK((after_rest.document == 1 && after_rest.parameter == 1));
    CHECK(found<S>({2 * C}, {4}, after_rest, 0, 1).parameter == 1);
    CHECK(found<S>({0}, {342}, after_last, 3, 4).parameter == 3);
    CHECK(found<S>({0}, {342}, {.micro_batch = 6, .document = 0, .parameter = -1}, 0, 4).parameter == -1);
  });
}
