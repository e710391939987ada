// expect: terse: ActivationCheckpointing: at least one block must be kept, and no more than the model has
#include <terse/models/activation_checkpointing.hpp>
#include <terse/models/gpt.hpp>

using namespace terse;

int main() {
  Cpu cpu(1);
  const models::ActivationCheckpointing<models::Gpt<models::Tiny, Fp32, Cpu>, 5> model(cpu);  // of 4
}
