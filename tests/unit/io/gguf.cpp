#include <terse/io/gguf.hpp>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace terse;
using namespace std::string_literals;

namespace {

template <class T>
std::string number(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string words(const std::string& text) { return number<std::uint64_t>(text.size()) + text; }
std::string kind(io::GgufKind kind) { return number(static_cast<std::uint32_t>(kind)); }

/// A metadata entry of 32 bits.
std::string count(const std::string& key, std::uint32_t value) { return words(key) + kind(io::GgufKind::u32) + number(value); }
std::string tensor(const std::string& name, std::vector<std::uint64_t> sizes, std::uint32_t format, std::uint64_t offset) {
  std::string described = words(name) + number(static_cast<std::uint32_t>(sizes.size()));
  for (const auto size : sizes) described += number(size);
  return described + number(format) + number(offset);
}
std::string head(std::uint64_t tensors, std::uint64_t metadata, std::uint32_t version = 3) { return "GGUF" + number(version) + number(tensors) + number(metadata); }
std::string padded(std::string bytes) { return bytes + std::string(round_up<std::size_t>(bytes.size(), 32) - bytes.size(), '\0'); }

/// The error that such a file gives, without the file's name.
std::string refusal(const std::string& content) {
  try {
    const io::Gguf file(std::as_bytes(std::span(content)), "m.gguf");
  } catch (const Error& error) {
    const std::string message = error.what();
    CHECK(error.failure() == Failure::bad_input);
    CHECK(message.starts_with("m.gguf: "));
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(8);
  }
  return "accepted";
}

std::string small_file() {
  return padded(head(2, 3) + count("n", 5) + words("words") + kind(io::GgufKind::list) + kind(io::GgufKind::text) + number<std::uint64_t>(2) + words("a") + words("bc") +
                words("on") + kind(io::GgufKind::boolean) + "\1"s + tensor("x", {3}, 0, 0) + tensor("y", {32, 2}, 8, 32)) +
         std::string(32 + 68, '\0');
}

}  // namespace

TEST_CASE("a GGUF file of every part is accepted, also without the last padding; cut short anywhere it is refused") {
  const std::string whole = small_file();
  CHECK(refusal(whole) == "accepted");
  CHECK(refusal(whole + std::string(28, '\0')) == "accepted");
  CHECK(refusal(whole + std::string(32, '\0')) == "32 bytes after the last tensor belong to none: damaged; download or write it again");
  for (std::size_t length = 0; length < whole.size(); ++length) {
    INFO(length);
    CHECK(refusal(whole.substr(0, length)) != "accepted");
  }
  const io::Gguf file(std::as_bytes(std::span(whole)), "m.gguf");
  CHECK(file.integer("n") == 5);
  CHECK(file.flag("on"));
  CHECK(file.texts("words") == std::vector<std::string_view>{"a", "bc"});
  CHECK(file.find("y")->shape == io::Shape{2, 32});
  CHECK(file.find("z") == nullptr);
}

TEST_CASE("what a GGUF file claims is held against what is there") {
  const std::uint64_t huge = std::uint64_t{1} << 62, most = ~std::uint64_t{0};
  CHECK(refusal("") == "doesn't begin with \"GGUF\": not a GGUF file, or damaged");
  CHECK(refusal("GGUX" + std::string(100, '\0')) == "doesn't begin with \"GGUF\": not a GGUF file, or damaged");
  CHECK(refusal(head(0, 0)) == "accepted");
  CHECK(refusal(head(0, 0, 2)) == "accepted");
  CHECK(refusal(head(0, 0, 1)) == "is of version 1, 2 and 3 are read here; convert it again");
  CHECK(refusal(head(0, 0, 4)) == "is of version 4, 2 and 3 are read here; convert it again");
  CHECK(refusal(head(0, 0, 3u << 24)) == "is big-endian; convert it for little-endian machines");
  CHECK(refusal(head(most, 0)) == "the number of tensors is 18446744073709551615, more than 8 bytes can hold: cut short or damaged; download or write it again");
  CHECK(refusal(head(0, huge)) == "the number of metadata is 4611686018427387904, more than 0 bytes can hold: cut short or damaged; download or write it again");

  const std::string cut = " are left: cut short or damaged; download or write it again";
  CHECK(refusal(head(0, 1) + number(most) + std::string(20, 'k')) == "a metadata key needs 18446744073709551615 bytes at byte 32, 20" + cut);
  CHECK(refusal(head(0, 1) + words("k") + kind(io::GgufKind::text) + number(huge)) == "\"k\" needs 4611686018427387904 bytes at byte 45, 0" + cut);
  CHECK(refusal(head(0, 1) + words("k") + number(13)) == "\"k\": unknown kind of value 13: damaged, or newer than what is read here");
  const std::string list = head(0, 1) + words("k") + kind(io::GgufKind::list);
  CHECK(refusal(list + number(99)) == "\"k\": unknown kind of value 99: damaged, or newer than what is read here");
  CHECK(refusal(list + kind(io::GgufKind::list) + number(most)) == "\"k\": a list of lists isn't read here; write the file without it");
  CHECK(refusal(list + kind(io::GgufKind::u64) + number(huge)) == "\"k\": its length is 4611686018427387904, more than 0 bytes can hold: cut short or damaged; download or write it again");
  CHECK(refusal(list + kind(io::GgufKind::text) + number<std::uint64_t>(1) + number(most)) == "\"k\" needs 18446744073709551615 bytes at byte 57, 0" + cut);
  CHECK(refusal(head(0, 1) + words("k") + kind(io::GgufKind::boolean) + "\2") == "\"k\": 2 is neither true nor false: damaged; download or write it again");
  CHECK(refusal(head(0, 2) + count("k", 1) + count("k", 2)) == "\"k\" stands twice: damaged; download or write it again");
  CHECK(refusal(head(0, 1) + count("general.alignment", 24)) == "\"general.alignment\" is 24, a power of two up to 1048576 expected: damaged; write it again");
  CHECK(refusal(head(0, 1) + count("general.alignment", 0)) == "\"general.alignment\" is 0, a power of two up to 1048576 expected: damaged; write it again");

  const auto tensors = [](std::uint64_t number, const std::string& described, std::size_t data) { return refusal(padded(head(number, 0) + described) + std::string(data, '\0')); };
  CHECK(tensors(1, tensor("x", {3}, 0, 0), 12) == "accepted");
  CHECK(tensors(1, tensor("x", {}, 0, 0), 4) == "accepted");
  CHECK(tensors(1, tensor("x", {0, 5}, 0, 0), 0) == "accepted");
  CHECK(tensors(1, tensor("x", {3}, 0, 0), 11) == "tensor \"x\": ends at byte 12 of the data, which has 11: cut short; download or copy it again");
  CHECK(tensors(1, tensor("x", {3, 1, 1, 1, 1}, 0, 0), 12) == "tensor \"x\": has 5 dimensions, more than 4: damaged; download or write it again");
  CHECK(tensors(1, tensor("x", {most}, 0, 0), 12) == "tensor \"x\": shape holds 18446744073709551615, which is too large: damaged");
  CHECK(tensors(1, tensor("x", {huge, huge}, 0, 0), 12).starts_with("tensor \"x\": shape (4611686018427387904, 4611686018427387904) at byte 0 is too large for any memory"));
  CHECK(tensors(1, tensor("x", {huge}, 0, 0), 12).starts_with("tensor \"x\": shape (4611686018427387904) at byte 0 is too large for any memory"));
  CHECK(tensors(1, tensor("x", {3}, 0, most - 31), 12).starts_with("tensor \"x\": shape (3) at byte 18446744073709551584 is too large for any memory"));
  CHECK(tensors(1, tensor("x", {3}, 10, 0), 12).starts_with("tensor \"x\": format 10 isn't read here, only F32, F16, Q4_0, "));
  CHECK(tensors(1, tensor("x", {3}, 99, 0), 12).starts_with("tensor \"x\": format 99 isn't read here"));
  CHECK(tensors(1, tensor("x", {33}, 8, 0), 68) == "tensor \"x\": rows of 33 values aren't whole blocks of 32, as Q8_0 has them: damaged");
  CHECK(tensors(1, tensor("x", {3}, 0, 16), 28) == "tensor \"x\": begins at byte 16, no multiple of 32: damaged; download or write it again");
  CHECK(tensors(1, tensor("x", {3}, 0, 32), 44) == "tensor \"x\": 32 bytes before it belong to no tensor: damaged; download or write it again");
  CHECK(tensors(2, tensor("x", {9}, 0, 0) + tensor("y", {1}, 0, 32), 36) == "tensor \"y\": overlaps tensor \"x\": damaged; download or write it again");
  CHECK(tensors(2, tensor("x", {8}, 0, 0) + tensor("x", {1}, 0, 32), 36) == "tensor \"x\": stands twice: damaged; download or write it again");
}

TEST_CASE("a GGUF file, every byte changed: read or refused, never more") {
  const std::string whole = small_file();
  for (std::size_t at = 0; at < whole.size(); ++at)
    for (const int change : {1, 0x80, 0xFF}) {
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ change);
      refusal(changed);  // its checks, and the sanitizers'
    }
}

TEST_CASE("metadata of another kind than expected are named") {
  const auto file = io::GgufFile::open(golden("gguf_formats.gguf"));
  const std::string start = golden("gguf_formats.gguf").string();
  CHECK_THROWS_WITH(file.integer("none"), start + ": \"none\" is missing: another kind of model, or converted by an old program; convert it again");
  CHECK_THROWS_WITH(file.integer("one.STRING"), start + ": \"one.STRING\" is a text, a whole number expected; convert it again");
  CHECK_THROWS_WITH(file.integer("many.INT32"), start + ": \"many.INT32\" is a list, a whole number expected; convert it again");
  CHECK_THROWS_WITH(file.integer("too.large"), start + ": \"too.large\" is 9223372036854775808, too large for any count: damaged");
  CHECK_THROWS_WITH(file.text("one.BOOL"), start + ": \"one.BOOL\" is true or false, a text expected; convert it again");
  CHECK_THROWS_WITH(file.number("one.BOOL"), start + ": \"one.BOOL\" is true or false, a number expected; convert it again");
  CHECK_THROWS_WITH(file.flag("one.UINT8"), start + ": \"one.UINT8\" is a whole number, true or false expected; convert it again");
  CHECK_THROWS_WITH(file.texts("one.STRING"), start + ": \"one.STRING\" is a text, a list of texts expected; convert it again");
  CHECK_THROWS_WITH(file.integers("many.STRING"), start + ": \"many.STRING\" is a list, a list of whole numbers expected; convert it again");
}

TEST_CASE("a GGUF tensor that isn't what the model needs is named") {
  const auto file = io::GgufFile::open(golden("gguf_formats.gguf"));
  const std::string start = golden("gguf_formats.gguf").string();
  std::vector<float> values(512);
  CHECK_THROWS_WITH(file.read<float>("Q8_0", {256, 2}, std::span(values)), start + ": tensor \"Q8_0\": shape is (2, 256), (256, 2) expected: is this another model's file?");
  CHECK_THROWS_WITH(file.read<float>("Q8_9", {256, 2}, std::span(values)), start + ": tensor \"Q8_9\": is missing; is this another model's file?");
  CHECK_THROWS_WITH(io::GgufWeights(file), start + ": \"general.architecture\" is \"formats\", \"llama\" or \"gpt2\" expected: another kind of model");
  CHECK_THROWS_WITH(io::GgufFile::open(golden("none.gguf")), Catch::Contains("none.gguf: cannot be read: No such file or directory"));
}

TEST_CASE("a GGUF file that can't be written stays away") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "m.gguf";
  const auto row = [](float value) { return [value](Index, std::span<float> values) { std::fill(values.begin(), values.end(), value); }; };
  CHECK_THROWS_WITH(io::write_gguf(path, {{"k", true}, {"k", 1.0f}}, {}), path.string() + ": \"k\" stands twice");
  CHECK_THROWS_WITH(io::write_gguf(path, {}, {{"x", io::GgmlType::f32, {1}, row(0)}, {"x", io::GgmlType::f32, {1}, row(0)}}), path.string() + ": tensor \"x\": the name is taken");
  CHECK_THROWS_WITH(io::write_gguf(path, {}, {{"x", io::GgmlType::q8_0, {33}, row(0)}}), path.string() + ": tensor \"x\": (33) can't be written as Q8_0");
  CHECK_THROWS_WITH(io::write_gguf(path, {}, {{"x", io::GgmlType::q4_0, {32}, row(0)}}), path.string() + ": tensor \"x\": (32) can't be written as Q4_0");
  CHECK_THROWS_WITH(io::write_gguf(path, {}, {{"x", io::GgmlType::q8_0, {32}, row(NAN)}}),
                    path.string() + ": tensor \"x\": row 0 holds a value that isn't finite, which Q8_0 can't; write it as F32");
  CHECK(!std::filesystem::exists(path));
}

TEST_CASE("a GGUF file that was written is read back: all sizes, no tensors, no rows") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "m.gguf";
  io::write_gguf(path, {}, {});
  CHECK(io::GgufFile::open(path).tensors().empty());
  const auto counting = [](Index row, std::span<float> values) {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(row) * 100 + static_cast<float>(i);
  };
  io::write_gguf(path, {{"general.architecture", "x"s}},
                 {{"a", io::GgmlType::f32, {}, counting}, {"b", io::GgmlType::f16, {2, 3}, counting}, {"c", io::GgmlType::f32, {0, 3}, counting}, {"d", io::GgmlType::q8_0, {2, 1, 32}, counting}});
  const auto file = io::GgufFile::open(path);
  CHECK(file.text("general.architecture") == "x");
  std::vector<float> b(6), d(64);
  file.read<float>("b", {2, 3}, std::span(b));
  CHECK(b == std::vector<float>{0, 1, 2, 100, 101, 102});
  file.read<float>("d", {2, 1, 32}, std::span(d));
  for (int i = 0; i < 64; ++i) CHECK(std::fabs(d[static_cast<std::size_t>(i)] - static_cast<float>(i / 32 * 100 + i % 32)) <= 131.f / 254 + 0.1f);
  CHECK(file.find("c")->rows() == 0);
}
