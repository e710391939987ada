// Nowhere to write is exit 6; what can't be written whole isn't there.
#include "mistake.hpp"

namespace {

Running::Result shell(const std::string& script) { return Running("/bin/sh", {"-c", script}).wait(); }

/// terse-summarize with these arguments, for a shell.
std::string in_shell(const Arguments& arguments) {
  std::string words = "'" TERSE_SUMMARIZE "'";
  for (const auto& argument : arguments) words += " '" + argument + "'";
  return words;
}

/// The last line of stderr, where a training's progress stands before it.
void check_last_line(const Running::Result& result, const std::vector<std::string>& words) {
  CAPTURE(result.err);
  REQUIRE_FALSE(result.err.empty());
  check_one_line({result.code, result.out, lines_of(result.err).back() + "\n"}, 6, words);
}

}  // namespace

TEST_CASE("a folder that can't be made is named") {
  const SmallJob job;
  check({{"train", "--data", job.data(), "--model", "demo", "--out", job.file("train.csv/out")}, 6, {"train.csv/out: cannot be made: Not a directory", "--out"}});
  job.train("trained", {"--steps", "1", "--ranks", "1"});
  const Arguments predict{"predict", "--data", job.data(), "--limit", "1", "--max-new", "1", "--checkpoint", job.file("trained/checkpoint"), "--output"};
  check({predict + Arguments{job.file("train.csv/submission.csv")}, 6, {"train.csv: cannot be made: Not a directory"}});
  check_last_line(terse_summarize(predict + Arguments{"/dev/full"}), {"/dev/full: cannot be written: No space left on device"});
  check_last_line(terse_summarize(predict + Arguments{job.folder().string()}), {"cannot be written: Is a directory"});
}

TEST_CASE("a limit on files' size: the checkpoint appears whole or not at all") {
  const SmallJob job;
  const auto result = shell("ulimit -f 200; exec " + in_shell(job.training("out", {"--steps", "1", "--ranks", "1"})));  // units of 512 bytes or 1 KiB; the weights have 2 MB
  check_last_line(result, {"model.safetensors: cannot be written: File too large"});
  CHECK(temporary_files(job.file("out")).empty());
  CHECK_FALSE(std::filesystem::exists(job.file("out/best")));
  CHECK_FALSE(std::filesystem::exists(job.file("out/checkpoint")));
}

TEST_CASE("a full disk: the same") {
  const SmallJob job;
  if (shell("unshare -rm mount -t tmpfs none /mnt").code != 0) {
    WARN("skipped: this machine doesn't let its users mount a tmpfs");
    return;
  }
  std::filesystem::create_directory(job.file("disk"));
  write(job, "job.sh", "mount -t tmpfs -o size=1m none '" + job.file("disk") + "' && { " + in_shell(job.training("disk/out", {"--steps", "1", "--ranks", "1"})) +
                           "; code=$?; find '" + job.file("disk") + "' -name '*.tmp' -o -name '*.safetensors' -o -name best; exit $code; }");
  const auto result = shell("exec unshare -rm sh '" + job.file("job.sh") + "'");
  check_last_line(result, {"model.safetensors: cannot be written: No space left on device", "free some space"});
}

TEST_CASE("stdout that can't be written is exit 6, and no file takes its place") {
  const SmallJob job;
  const std::string tokenize = in_shell({"tokenize", "--tokenizer", (source_dir() / "examples/summarize/gpt2").string()});
  for (const std::string closed : {" > /dev/full", " >&-"}) check_one_line(shell("echo hello | " + tokenize + closed), 6, {"stdout: cannot be written"});
  const auto reader_gone = shell("{ yes | " + tokenize + "; echo $? >&2; } | head -1 > /dev/null");
  CHECK(lines_of(reader_gone.err).back() == "6");
  CHECK(reader_gone.err.starts_with("terse-summarize: error: stdout: cannot be written"));
  const auto trained = shell("exec " + in_shell(job.training("out", {"--steps", "1", "--ranks", "1"})) + " >&- 2>&- <&-");
  CHECK(trained.err.empty());
  const auto log = json_lines_of(content_of(job.file("out/metrics.jsonl")));
  CHECK(log.size() == 1);
}
