#include "ranks.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <thread>

#include <terse/core/json.hpp>
#include <terse/dist/shared.hpp>
#include <terse/train/trace_file.hpp>

#include "usage.hpp"

namespace summarize {

using nlohmann::ordered_json;

StartedRanks::StartedRanks(int ranks, char** argv) : run_(concat("terse-", ::getpid(), "-", std::chrono::system_clock::now().time_since_epoch().count())) {
  posix_spawn_file_actions_t files;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  for (int rank = 1; rank < ranks; ++rank) {
    std::vector<std::string> said{concat("TERSE_RANK=", rank), concat("TERSE_WORLD_SIZE=", ranks), "TERSE_RUN=" + run_};
    std::vector<char*> variables;
    for (char** variable = environ; *variable != nullptr; ++variable) variables.push_back(*variable);
    for (auto& variable : said) variables.push_back(variable.data());
    variables.push_back(nullptr);
    pid_t process = 0;
    if (const int error = ::posix_spawn(&process, "/proc/self/exe", &files, nullptr, argv, variables.data()); error != 0) {
      ::posix_spawn_file_actions_destroy(&files);
      end_all();
      fail(Failure::device, "cannot start rank ", rank, ": ", std::strerror(error), "; try fewer --ranks");
    }
    processes_.push_back(process);
  }
  ::posix_spawn_file_actions_destroy(&files);
}

StartedRanks::~StartedRanks() { end_all(); }

void StartedRanks::end_all() {
  using Clock = std::chrono::steady_clock;
  const auto begin = Clock::now();
  const auto ended = [](pid_t process) { return ::waitpid(process, nullptr, WNOHANG) != 0; };
  for (int sent = 0; !processes_.empty(); std::this_thread::sleep_for(std::chrono::milliseconds(10))) {
    std::erase_if(processes_, ended);
    const auto waited = Clock::now() - begin;
    if (sent == 0 && waited > std::chrono::seconds(5)) sent = SIGTERM;
    else if (sent == SIGTERM && waited > std::chrono::seconds(10)) sent = SIGKILL;
    else continue;
    for (const pid_t process : processes_) ::kill(process, sent);
  }
}

dist::Environment StartedRanks::own() const {
  const int size = static_cast<int>(processes_.size()) + 1;
  return {.launcher = dist::Launcher::terse, .rank = 0, .size = size, .local_rank = 0, .local_size = size, .run = run_, .port = 0};
}

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

std::string to_text(int rank, const std::vector<dist::Span>& spans) { return train::trace_events(rank, spans).dump(); }

std::string to_text(const std::vector<decode::Generation>& texts) {
  auto json = ordered_json::array();
  for (const auto& text : texts) json.push_back({text.ids, text.logprob, static_cast<int>(text.stop), text.score, text.token_logprobs});
  const auto bytes = ordered_json::to_cbor(json);
  return {bytes.begin(), bytes.end()};
}

std::vector<decode::Generation> texts_of(const std::string& text) {
  std::vector<decode::Generation> texts;
  for (const auto& json : ordered_json::from_cbor(text)) texts.push_back({json[0].get<std::vector<TokenId>>(), json[1].get<double>(), static_cast<decode::Stop>(json[2].get<int>()), json[3].get<float>(), json[4].get<std::vector<float>>()});
  return texts;
}

}  // namespace summarize
