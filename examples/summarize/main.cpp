// terse-summarize: fine-tune a GPT for dialogue summarization, evaluate it, write submission.csv.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <iostream>
#include <map>
#include <set>
#include <span>

#include <CLI/CLI.hpp>

#include <terse/device/cpu_features.hpp>

#include "commands.hpp"
#include "json_lines.hpp"
#include "settings.hpp"
#include "usage.hpp"

namespace summarize {

/// What this program is compiled for; start_check.cpp, which isn't, holds it against the CPU.
extern const CpuFeatures program_features = compiled_features;

namespace {

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

int dispatch(const std::string& command, const Options& options) {
  using Command = int (*)(const Options&);
  static const std::map<std::string, Command> commands{
      {"train", [](const Options& o) { return train(o); }},       {"run", [](const Options& o) { return run(o); }},
      {"evaluate", [](const Options& o) { return evaluate(o); }}, {"predict", [](const Options& o) { return predict(o); }},
      {"demo", [](const Options& o) { return demo(o); }},         {"generate", generate}, {"score", score},
      {"tokenize", tokenize},                                     {"rouge", rouge},       {"plan", plan},
      {"report", report},                                         {"explain", explain}, {"doctor", doctor}};
  return commands.at(command)(options);
}

int main_of(int argc, char** argv) {
  CLI::App app{"Fine-tune a GPT for dialogue summarization, evaluate it, write submission.csv."};
  app.name(program_name());
  app.footer("Models compiled in: " + models_in_words());
  app.require_subcommand(1);
  Options options;
  define_commands(app, options);
  if (argc == 1) {
    print_short_help();
    return 0;
  }
  require_known_words(app, std::span<const char* const>(argv + 1, argv + argc));
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    const auto chosen = app.get_subcommands();
    std::cout << (chosen.empty() ? app.help() : chosen.front()->help(program_name()));
    return 0;
  } catch (const CLI::ParseError& error) {
    const auto chosen = app.get_subcommands();
    fail(Failure::usage, error.what(), "; try ", program_name(), " ", chosen.empty() ? "" : chosen.front()->get_name() + " ", "--help");
  }
  const std::string command = app.get_subcommands().front()->get_name();
  if (command == "train" || command == "run") complete(*app.get_subcommands().front(), options);
  choose_device(*app.get_subcommands().front(), options);
  options.require_possible();
  const std::set<std::string> stops_in_order{"demo", "train", "run", "evaluate", "predict", "generate", "doctor"};  // these ask interrupted()
  if (stops_in_order.contains(command)) stop_in_order();
  const int code = dispatch(command, options);
  const std::set<std::string> leaves_results{"demo", "train", "run", "evaluate"};
  if (leaves_results.contains(command)) write_report(options);
  require_written(std::cout.flush());
  return code;
}

}  // namespace

/// An error as one line, whatever names from files it quotes.
std::string one_line(std::string message) {
  std::replace_if(message.begin(), message.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, ' ');
  return message;
}

bool interrupted() { return interrupt_seen; }

}  // namespace summarize

int main(int argc, char** argv) {
  const std::string error_is = summarize::program_name() + ": error: ";
  try {
    summarize::prepare_streams();
    return summarize::main_of(argc, argv);
  } catch (const terse::Error& error) {
    std::cerr << error_is << summarize::one_line(error.what()) << "\n";
    return error.exit_code();
  } catch (const std::bad_alloc&) {
    std::cerr << error_is << "out of memory; try a smaller --batch or --decode-batch\n";
    return static_cast<int>(terse::Failure::device);
  } catch (const std::length_error&) {  // more than a vector can hold
    std::cerr << error_is << "out of memory; try a smaller --batch or --decode-batch\n";
    return static_cast<int>(terse::Failure::device);
  } catch (const std::filesystem::filesystem_error& error) {
    std::cerr << error_is << summarize::one_line(error.path1().string()) << ": " << error.code().message() << "; is the name right?\n";
    return static_cast<int>(terse::Failure::bad_input);
  } catch (const std::system_error& error) {
    std::cerr << error_is << "cannot start its threads: " << error.code().message() << "; try fewer --ranks or --threads\n";
    return static_cast<int>(terse::Failure::device);
  } catch (const std::exception& error) {
    std::cerr << error_is << "internal: " << summarize::one_line(error.what()) << "\n";
    return static_cast<int>(terse::Failure::internal);
  }
}
