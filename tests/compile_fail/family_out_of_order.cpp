// expect: terse: Transformer: a family's parameters are listed in this order: embeddings, blocks, norm, head
#include <terse/models/gpt.hpp>

using namespace terse;

struct NormFirst {
  using Config = models::Tiny;
  template <Precision P, Real T>
  struct Parameters : models::GptParameters<Config, P, T> {
    constexpr void parameters(auto&& visit) {
      visit("norm", this->norm), visit("tokens", this->tokens), visit("positions", this->positions), visit("blocks", this->blocks);
    }
  };
};

int main() {
  Cpu cpu(1);
  const models::Transformer<NormFirst, Fp32, Cpu> model(cpu);
}
