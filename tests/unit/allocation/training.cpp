#include <terse/ops/adamw/cpu.hpp>

#include "counted_new.hpp"
#include "support/catch.hpp"
#include "support/training_model.hpp"

using namespace terse;

namespace {

struct Config : models::Config<models::GptConfig{.vocabulary = 37, .context = 40, .layers = 2, .heads = 3, .width = 12}> {};

}  // namespace

// In double, whose products are our own: what a BLAS library does inside isn't counted against us.
TEST_CASE("forward, backward and AdamW allocate nothing") {
  const auto batch = OwnedBatch::of_lengths({7, 33, 1}, 37), smaller = OwnedBatch::of_lengths({3, 4}, 37);
  const ops::DropoutPlan dropout{.probability = 0.1f, .seed = 7};
  TrainingModel<Config, Fp64> model(batch.extent());
  constexpr Index n = decltype(model)::Gpt::flat_size;
  const auto memory = model.cpu().allocate(2 * n * sizeof(double));
  auto* const moments = reinterpret_cast<double*>(memory.data());
  std::fill_n(moments, 2 * n, 0.0);
  const auto step = [&](const PackedBatch& micro_batch, long number) {
    model.backward(micro_batch, dropout);
    const auto factors = ops::adamw_factors<double>(ops::AdamW{}, number, 1);
    ops::adamw(model.cpu(), &factors, ops::adamw_group<double>({}, true), n, model.gpt().flat(), model.flat_gradient(), moments, moments + n, model.gpt().flat());
    return model.loss(micro_batch);
  };
  const double first = step(batch, 1);  // OpenMP starts its threads here
  const std::size_t before = allocations();
  double last = 0;
  for (long number = 2; number < 12; ++number) step(smaller, number), last = step(batch, number);
  const std::size_t after = allocations();
  CHECK(after == before);
  CHECK(last < first);
}
