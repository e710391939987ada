#include "ranks.hpp"

#include <terse/core/json.hpp>
#include <terse/decode/generation.hpp>
#include <terse/dist/shared.hpp>

#include "compiled_model.hpp"
#include "usage.hpp"

namespace summarize {

using nlohmann::ordered_json;

dist::World join(const dist::Environment& here, std::chrono::milliseconds patience) {
  using enum dist::Launcher;
  std::unique_ptr<dist::Communicator> own;
  if (here.launcher == mpirun || (here.launcher == slurm && !here.is_one_machine())) own = rank_by_mpi();
  if (own == nullptr && !here.is_one_machine())
    fail(Failure::usage, name_of(here.launcher), " started ", here.size, " ranks on several machines, which takes ",
         here.launcher == torchrun ? "mpirun instead" : concat("MPI, and ", program_name(), " was built without; install libopenmpi-dev and build again"));
  if (own == nullptr) own = std::make_unique<dist::Shared>(here.run, here.rank, here.size, dist::Patience{.call = patience});
  if (const int rank = own->rank(), size = own->size(); rank != here.rank || size != here.size) {
    own.reset();  // in order: the others don't wait
    fail(Failure::usage, name_of(here.launcher), " says that this is rank ", here.rank, " of ", here.size, ", MPI says ", rank, " of ", size,
         "; is it another MPI's launcher than the program was built with, or an srun without --mpi=pmix?");
  }
  return {std::move(own), here.local_rank};
}

void require_agreement(const dist::World& world, const ordered_json& mine) {
  if (!world.has_processes()) return;
  const auto all = world.own()->all_gather(mine.dump(-1, ' ', false, ordered_json::error_handler_t::replace));
  const auto first = ordered_json::parse(all.front());
  for (std::size_t r = 1; r < all.size(); ++r) {
    const auto theirs = ordered_json::parse(all[r]);
    for (const auto& [name, value] : first.items())
      if (!theirs.contains(name) || theirs[name] != value)
        fail(Failure::usage, "rank ", r, " has another ", name, " than rank 0: ", theirs.contains(name) ? theirs[name].dump() : "none", " for ", value.dump(),
             "; start all ranks with the same program, command and data");
  }
}

std::string to_text(const std::vector<decode::Generation>& texts) {
  auto json = ordered_json::array();
  for (const auto& text : texts) json.push_back({text.ids, text.logprob, static_cast<int>(text.stop)});
  const auto bytes = ordered_json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

std::vector<decode::Generation> texts_of(const std::string& text) {
  std::vector<decode::Generation> texts;
  for (const auto& json : ordered_json::from_cbor(text)) texts.push_back({json[0].get<std::vector<TokenId>>(), json[1].get<double>(), static_cast<decode::Stop>(json[2].get<int>())});
  return texts;
}

}  // namespace summarize
