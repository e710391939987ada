// What the library asks of a model: each part that is missing is a concept of its own that fails.
#include <terse/nn/model.hpp>

#include <terse/models/gpt.hpp>
#include <terse/nn/linear.hpp>
#include <terse/nn/module.hpp>

#include "support/catch.hpp"

using namespace terse;

namespace {

struct Tiny : models::Config<models::GptConfig{.vocabulary = 8, .context = 4, .layers = 1, .heads = 1, .width = 4}> {};
static_assert(nn::TrainableModel<models::Gpt<Tiny, Fp32, Cpu>> && nn::TrainableModel<models::Gpt<Tiny, Fp16Mixed, Cpu>> &&
              nn::TrainableModel<models::Gpt<Tiny, Bf16Mixed, Cpu>> && nn::TrainableModel<models::Gpt<Tiny, Fp64, Cpu>>);

struct Whole : nn::Module<nn::Linear<float, 2, 2>> {
  struct Saved {
    Rows<float, 2> x;
    constexpr void each(auto&& visit, Extent extent) { visit(x, extent.tokens); }
  };
  struct Scratch {
    Rows<float, 2> dstream;
    Column<float> losses;
    constexpr void each(auto&& visit, Extent extent) { visit(dstream, extent.tokens), visit(losses, extent.tokens); }
  };
  using Module::Module;
  void forward(const PackedBatch&, const ops::DropoutPlan&, const Saved&, const Scratch&) const {}
  void loss(const PackedBatch&, const Saved&, const Scratch&) const {}
  void backward(const PackedBatch&, const ops::DropoutPlan&, const float*, const Saved&, const Scratch&, Gradients&) const {}
};
static_assert(nn::TrainableModel<Whole>);
static_assert(nn::Model<nn::Module<nn::Linear<float, 2, 2>>> && !nn::TrainableModel<nn::Module<nn::Linear<float, 2, 2>>>);
static_assert(!nn::Model<int>);

struct NoLosses : Whole {
  struct Scratch {
    Rows<float, 2> dstream;
    constexpr void each(auto&& visit, Extent extent) { visit(dstream, extent.tokens); }
  };
};
static_assert(nn::HasSaved<NoLosses> && !nn::HasScratch<NoLosses> && !nn::TrainableModel<NoLosses>);

struct SavesNoGroup : Whole {
  struct Saved {
    Rows<float, 2> x;
  };
};
static_assert(!nn::HasSaved<SavesNoGroup>);

struct GradientsAreNone : Whole {
  using Gradients = int*;
};
static_assert(nn::Model<GradientsAreNone> && !nn::HasGradients<GradientsAreNone>);

struct LossTakesNoScratch : Whole {
  void loss(const PackedBatch&, const Saved&) const {}
};
static_assert(nn::HasBackward<LossTakesNoScratch> && !nn::HasLoss<LossTakesNoScratch>);

struct ScaleIsNumber : Whole {  // it lies in the device's memory
  void backward(const PackedBatch&, const ops::DropoutPlan&, float, const Saved&, const Scratch&, Gradients&) const {}
};
static_assert(!nn::HasBackward<ScaleIsNumber>);

struct NotConst : Whole {
  void backward(const PackedBatch&, const ops::DropoutPlan&, const float*, const Saved&, const Scratch&, Gradients&) {}
};
static_assert(!nn::HasBackward<NotConst> && nn::HasForward<NotConst>);

}  // namespace

TEST_CASE("a module's layers lie in its flat buffer, zero at first") {
  Cpu cpu(1);
  nn::Module<nn::Linear<float, 3, 2>> module(cpu);
  CHECK(module.flat_size == 256);
  CHECK(module.table[0].name.view() == "weight");
  CHECK(module.weights().weight.data == module.flat());
  CHECK(module.weights().bias.data == module.flat() + 128);
  for (Index i = 0; i < module.flat_size; ++i) CHECK(module.flat()[i] == 0);
}
