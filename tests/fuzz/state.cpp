// A state.json that is accepted has numbers that a run can have.
#include "fuzz.hpp"
#include "run_folder.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::accepts([&] {
    const auto state = summarize::parse_state(fuzz::text_of(data, size), "state/step-1");
    fuzz::require(state.run.step >= 0 && state.run.optimizer_steps >= 0 && state.run.optimizer_steps <= state.run.step, "steps are counted upwards");
    fuzz::require(state.run.scale >= 0 && state.run.clean_steps >= 0 && state.early_stop.evaluations_since >= 0, "so are the others");
    for (const char* size : {"batch", "accumulate", "ranks"}) fuzz::require(state.settings.at(size).get<long>() > 0, "sizes are above 0");
  });
  return 0;
}
