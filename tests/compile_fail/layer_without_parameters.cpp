// expect: terse: a layer lists what it has in `constexpr void parameters(auto&& visit)`
// expect: Mlp
#include <terse/nn/parameters.hpp>
#include <terse/tensor/view.hpp>

using namespace terse;

struct Mlp {
  Matrix<float, 4, 16> up;
  Matrix<float, 16, 4> down;
};

constexpr auto table = nn::parameter_table<Mlp>();
