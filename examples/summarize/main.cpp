// terse-summarize: fine-tune a GPT for dialogue summarization, evaluate it, write submission.csv.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <iostream>
#include <map>
#include <optional>
#include <span>

#include <CLI/CLI.hpp>

#include <terse/device/cpu_features.hpp>

#include "commands.hpp"
#include "json_lines.hpp"
#include "ranks.hpp"
#include "settings.hpp"
#include "usage.hpp"

namespace summarize {

/// What this program is compiled for; start_check.cpp, which isn't, holds it against the CPU.
extern const CpuFeatures program_features = compiled_features;

namespace {

int terminal = STDERR_FILENO;  // where errors go, also from ranks that are silent otherwise

std::atomic<bool> interrupt_seen = false;  // ranks are threads that ask for it
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may write no other");

extern "C" void on_interrupt(int signal) {
  interrupt_seen = true;
  std::signal(signal, SIG_DFL);  // the second ctrl-C ends the program at once
}

/// A write that fails then says why, instead of ending the program: a reader that has gone, a limit on files' size. And no file that is
/// opened later takes the place of a closed stdin, stdout or stderr: what is printed would go into it.
void prepare_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  std::ios::sync_with_stdio(false);
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) < 0 && ::open(stream == STDOUT_FILENO ? "/dev/full" : "/dev/null", O_RDWR) < 0) std::exit(static_cast<int>(Failure::cannot_write));
}

/// Ctrl-C, kill, or a terminal that closes; not the last where nohup has it ignored.
void stop_in_order() {
  std::signal(SIGINT, on_interrupt), std::signal(SIGTERM, on_interrupt);
  if (std::signal(SIGHUP, on_interrupt) == SIG_IGN) std::signal(SIGHUP, SIG_IGN);
}

/// A rank that isn't the first writes what it would say to a file, or nowhere.
void silence(const Options& options, int rank) {
  std::string path = "/dev/null";
  if (!options.log_ranks.empty()) {
    std::error_code error;
    std::filesystem::create_directories(options.log_ranks, error);
    path = (options.log_ranks / concat("rank-", rank, ".log")).string();
  }
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(Failure::cannot_write, path, ": ", std::strerror(errno), "; name another folder with --log-ranks");
  terminal = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
  ::dup2(file, STDOUT_FILENO), ::dup2(file, STDERR_FILENO), ::close(file);
}

/// Rank 0 runs here, as far as variables say; what is wrong with them is said elsewhere.
bool is_first_process() {
  try {
    return dist::environment().rank == 0;
  } catch (const terse::Error&) {
    return true;
  }
}

/// Meets the other ranks, where somebody started several; else the ranks will be threads.
dist::World make_world(const dist::Environment& here, const Options& options) {
  if (here.launcher == dist::Launcher::none) return dist::World(options.ranks);
  dist::World world = join(here, std::chrono::seconds(options.rank_timeout));
  if (here.rank > 0) silence(options, here.rank);
  return world;
}

bool has_model(const char* name) {
  return std::any_of(compiled_models().begin(), compiled_models().end(), [&](const ModelEntry& entry) { return entry.model == name; });
}

/// The two commands a newcomer wants; demo's model isn't in every program.
void print_short_help() {
  const std::string name = program_name();
  std::cout << name << ": fine-tune a GPT for dialogue summarization, on any CPU, without Python\n\n";
  if (has_model("demo")) std::cout << "  " << name << " demo                                        the whole job on synthetic dialogues, in minutes\n";
  std::cout << "  " << name << " run --data train.csv --tokenizer DIR ...    the whole job on yours (columns id, dialogue, summary)\n\n"
            << "All commands: " << name << " --help. Options of one: " << name << " COMMAND --help\n";
}

/// What a command does, and what is so of it.
struct Command {
  int (*run)(const Options&);
  bool is_shared_out = false;   ///< among ranks that somebody started
  bool writes_texts = false;    ///< and nothing else, so that weights may have 8 bits
  bool stops_in_order = false;  ///< it asks interrupted()
  bool leaves_results = false;  ///< that report.html shows
};

const Command& command_named(const std::string& name) {
  static const std::map<std::string, Command> commands{
      {"demo", {.run = [](const Options& options) { return demo(options); }, .stops_in_order = true, .leaves_results = true}},
      {"train", {.run = train, .is_shared_out = true, .stops_in_order = true, .leaves_results = true}},
      {"run", {.run = run, .is_shared_out = true, .stops_in_order = true, .leaves_results = true}},
      {"evaluate", {.run = evaluate, .is_shared_out = true, .writes_texts = true, .stops_in_order = true, .leaves_results = true}},
      {"predict", {.run = predict, .is_shared_out = true, .writes_texts = true, .stops_in_order = true}},
      {"generate", {.run = generate, .writes_texts = true, .stops_in_order = true}},
      {"compare", {.run = compare, .writes_texts = true, .stops_in_order = true}},
      {"doctor", {.run = doctor, .stops_in_order = true}},
      {"score", {.run = score}},
      {"tokenize", {.run = tokenize}},
      {"rouge", {.run = rouge}},
      {"plan", {.run = plan}},
      {"report", {.run = report}},
      {"explain", {.run = explain}}};
  return commands.at(name);
}

/// Reads the command line; the command that it names, or none where help was asked for and printed.
CLI::App* parse(CLI::App& app, int argc, char** argv) {
  if (argc == 1) {
    print_short_help();
    return nullptr;
  }
  require_known_words(app, std::span<const char* const>(argv + 1, argv + argc));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    std::cout << (chosen.empty() ? app.help() : chosen.front()->help(program_name()));
    return nullptr;
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    fail(Failure::usage, error.what(), "; try ", program_name(), " ", chosen.empty() ? "" : chosen.front()->get_name() + " ", "--help");
  }
  return app.get_subcommands().front();
}

int main_of(int argc, char** argv, std::optional<StartedRanks>& started, std::optional<dist::World>& world) {
  CLI::App app{"Fine-tune a GPT for dialogue summarization, evaluate it, write submission.csv."};
  app.name(program_name());
  app.footer("Models compiled in: " + models_in_words());
  app.require_subcommand(1);
  Options options;
  define_commands(app, options);
  CLI::App* const chosen = parse(app, argc, argv);
  if (chosen == nullptr) return 0;
  const std::string name = chosen->get_name();
  const Command& command = command_named(name);
  if (!command.is_shared_out && !is_first_process()) return 0;  // rank 0 does it alone
  auto here = command.is_shared_out ? dist::environment() : dist::Environment{};
  if (here.launcher != dist::Launcher::none) take_ranks(*chosen, here);
  if (name == "train" || name == "run") complete(*chosen, options);
  if (options.precision == "int8" && options.lora == 0 && !command.writes_texts)
    fail(Failure::usage, "--precision int8: 8-bit weights only write texts, with evaluate, predict and generate, or have adapters trained beside them (--lora); give ", name, " another precision");
  choose_device(*chosen, here, options);
  options.require_possible();
  if (command.is_shared_out && options.device == "cuda" && options.ranks > 1 && here.launcher == dist::Launcher::none) here = started.emplace(options.ranks, argv).own();
  options.world = &world.emplace(make_world(here, options));
  if (command.stops_in_order) stop_in_order();
  const int code = command.run(options);
  if (command.leaves_results && world->is_first()) write_report(options);
  require_written(std::cout.flush());
  return code;
}

/// An error as one line, whatever names from files it quotes.
std::string one_line(std::string message) {
  std::replace_if(message.begin(), message.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return message;
}

/// The exit code of an error, which is said in one line: by one rank, where several fail at the same time.
int end_with(terse::Failure failure, const std::string& message, const std::optional<dist::World>& world) {
  dist::Communicator* const own = world ? world->own() : nullptr;
  // Before ranks have met, the first one says what is wrong with their common command line or files.
  bool speaks = world || is_first_process() || (failure != Failure::usage && failure != Failure::bad_input);
  if (own != nullptr) speaks = failure == Failure::rank ? own->is_lowest_survivor() : !own->a_lower_rank_fails_too();
  if (own != nullptr && own->rank() > 0 && interrupted()) speaks = false;  // somebody ends it, and knows why
  const std::string line = program_name() + ": error: " + one_line(message) + "\n";
  const bool is_said = !speaks || ::write(terminal, line.data(), line.size()) >= 0;
  if (own != nullptr) own->give_up(failure);
  return static_cast<int>(is_said ? failure : Failure::cannot_write);
}

}  // namespace

bool interrupted() { return interrupt_seen; }

}  // namespace summarize

int main(int argc, char** argv) {
  using summarize::end_with, terse::Failure;
  std::optional<summarize::StartedRanks> started;  // outlives its ranks' meeting
  std::optional<terse::dist::World> world;
  constexpr const char* out_of_memory = "out of memory; try a smaller --batch or --decode-batch";
  try {
    summarize::prepare_streams();
    return summarize::main_of(argc, argv, started, world);
  } catch (const terse::Error& error) {
    return end_with(error.failure(), error.what(), world);
  } catch (const std::bad_alloc&) {
    return end_with(Failure::device, out_of_memory, world);
  } catch (const std::length_error&) {  // more than a vector can hold
    return end_with(Failure::device, out_of_memory, world);
  } catch (const std::filesystem::filesystem_error& error) {
    return end_with(Failure::bad_input, terse::concat(error.path1().string(), ": ", error.code().message(), "; is the name right?"), world);
  } catch (const std::system_error& error) {
    return end_with(Failure::device, terse::concat("cannot start its threads: ", error.code().message(), "; try fewer --ranks or --threads"), world);
  } catch (const std::exception& error) {
    return end_with(Failure::internal, terse::concat("internal: ", error.what()), world);
  }
}
