#include <terse/io/safetensors.hpp>

#include <fstream>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace terse;
using namespace std::string_literals;

namespace {

std::string with_length(const std::string& header, std::size_t data_bytes, std::uint64_t length) {
  std::string file(reinterpret_cast<const char*>(&length), sizeof length);
  return file + header + std::string(data_bytes, '\0');
}

std::string file_of(const std::string& header, std::size_t data_bytes) { return with_length(header, data_bytes, header.size()); }

// Plainly: thousands of files, and syncing each to the disk takes its time.
void write_plainly(const std::filesystem::path& path, const std::string& content) { std::ofstream(path, std::ios::binary) << content; }

/// The error that opening such a file gives, without the file's name.
std::string refusal(const std::string& content) {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  write_plainly(path, content);
  try {
    io::SafetensorsFile::open(path);
  } catch (const Error& error) {
    const std::string message = error.what(), start = path.string() + ": ";
    CHECK(error.failure() == Failure::bad_input);
    CHECK(message.starts_with(start));
    CHECK(message.find('\n') == std::string::npos);
    return message.substr(start.size());
  }
  return "accepted";
}

std::string tensor(const std::string& fields) { return R"({"x":{)" + fields + "}}"; }

}  // namespace

TEST_CASE("what was written is read back, aligned and named") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const std::vector<float> weight{1, 2, 3, 4, 5, 6};
  const std::vector<half> small{half(0.5f)};
  const std::vector<double> wide{1.0 / 3};
  const std::vector<std::int64_t> counts{-1, 1LL << 40};
  io::write_safetensors(path, {io::tensor_to_write<half>("a.half", {1}, small), io::tensor_to_write<float>("z.weight", {2, 3}, weight),
                               io::tensor_to_write<double>("scalar", {}, wide), io::tensor_to_write<float>("none", {0, 5}, {}),
                               {"counts", io::StoredDtype::i64, {2}, std::as_bytes(std::span(counts))}});

  const auto file = io::SafetensorsFile::open(path);
  CHECK(file.names() == std::vector<std::string>{"a.half", "counts", "none", "scalar", "z.weight"});
  CHECK(file.metadata() == io::Metadata{{"format", "pt"}});
  CHECK(file.find("y") == nullptr);
  const auto* found = file.find("z.weight");
  REQUIRE(found != nullptr);
  CHECK(found->shape == io::Shape{2, 3});
  CHECK(found->elements() == 6);
  for (const auto& [name, info] : file.tensors()) CHECK(reinterpret_cast<std::uintptr_t>(info.bytes.data()) % io::bytes_of(info.dtype) == 0);

  std::vector<float> back(6);
  file.read<float>("z.weight", {2, 3}, back);
  CHECK(back == weight);
  double third = 0;
  file.read<double>("scalar", {}, std::span(&third, 1));
  CHECK(third == wide[0]);
  CHECK(std::memcmp(file.find("counts")->bytes.data(), counts.data(), 16) == 0);
}

TEST_CASE("reading rounds between formats") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const std::vector<double> values{1.0 / 3, -65504, 1e-7};
  io::write_safetensors(path, {io::tensor_to_write<double>("x", {3}, values)});
  const auto file = io::SafetensorsFile::open(path);
  std::vector<float> floats(3);
  std::vector<half> halves(3);
  std::vector<bfloat16> brains(3);
  file.read<float>("x", {3}, floats);
  file.read<half>("x", {3}, halves);
  file.read<bfloat16>("x", {3}, brains);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(floats[i] == static_cast<float>(values[i]));
    CHECK(halves[i].bits == half(static_cast<float>(values[i])).bits);
    CHECK(brains[i].bits == bfloat16(static_cast<float>(values[i])).bits);
  }
}

TEST_CASE("a tensor that isn't what the model needs is named") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const std::vector<float> values(6);
  const std::vector<std::int32_t> counts(1);
  io::write_safetensors(path, {io::tensor_to_write<float>("x", {2, 3}, values),
                               {"n", io::StoredDtype::i32, {1}, std::as_bytes(std::span(counts))}});
  const auto file = io::SafetensorsFile::open(path);
  std::vector<float> out(6);
  const auto start = path.string();
  CHECK_THROWS_WITH(file.read<float>("x", {3, 2}, out),
                    start + R"(: tensor "x": shape is (2, 3), (3, 2) expected: is this another model's file?)");
  CHECK_THROWS_WITH(file.read<float>("y", {6}, out), start + R"(: tensor "y": is missing; is this another model's file?)");
  CHECK_THROWS_WITH(file.read<float>("n", {1}, std::span(out).first(1)),
                    start + R"(: tensor "n": holds I32, not floating-point numbers: is this another model's file?)");
}

TEST_CASE("data that follow an unpadded header are read all the same") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const std::string header = tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,4])") + std::string(1, ' ');
  const std::string padded = header.size() % 2 == 0 ? header + " " : header;
  std::string content = file_of(padded, 4);
  const float value = 1.5f;
  std::memcpy(content.data() + content.size() - 4, &value, 4);
  io::write_file(path, content);
  const auto file = io::SafetensorsFile::open(path);
  std::vector<double> out(1);
  file.read<double>("x", {1}, out);
  CHECK(out[0] == 1.5);
  CHECK(file.metadata().empty());
}

TEST_CASE("a file without tensors is a file") {
  CHECK(refusal(file_of("{}", 0)) == "accepted");
  CHECK(refusal(file_of(R"({"__metadata__":{"format":"pt"}} )", 0)) == "accepted");
}

TEST_CASE("lengths that lie are refused") {
  CHECK(refusal("") == "0 bytes are too few for a safetensors file; download or copy it again");
  CHECK(refusal("1234567") == "7 bytes are too few for a safetensors file; download or copy it again");
  CHECK(refusal(with_length("{}", 0, 3)) == "says its header has 3 bytes, but only 2 follow: cut short; download or copy it again");
  CHECK(refusal(with_length("{}", 0, ~0ull)) ==
        "says its header has 18446744073709551615 bytes, more than 100000000: not a safetensors file, or damaged");
  CHECK(refusal(with_length("{}", 0, 100'000'001)).starts_with("says its header has 100000001 bytes, more than"));
  CHECK(refusal(with_length("", 8, 0)) == "its header doesn't start with '{': not a safetensors file, or damaged");
}

TEST_CASE("headers that aren't what they should be are refused") {
  CHECK(refusal(file_of("{\"x\":", 0)) == "its header: not JSON (byte 5); damaged: download or write it again");
  CHECK(refusal(file_of("{}{}", 0)).starts_with("its header: not JSON"));
  CHECK(refusal(file_of("{\"\xff\":1}", 0)).starts_with("its header: not JSON"));
  CHECK(refusal(file_of("{\"x\":1e999}", 0)).starts_with("its header: holds a number too large"));
  CHECK(refusal(file_of("[]", 0)) == "its header doesn't start with '{': not a safetensors file, or damaged");
  CHECK(refusal(file_of("{\"x\":" + std::string(100'000, '['), 0)) == "its header: nested more than 3 deep; damaged: download or write it again");
  CHECK(refusal(file_of(R"({"x":{"y":{"z":{}}}})", 0)) == "its header: nested more than 3 deep; damaged: download or write it again");
  CHECK(refusal(file_of(R"({"__metadata__":[]})", 0)) == "__metadata__ isn't an object of strings: write the file again");
  CHECK(refusal(file_of(R"({"__metadata__":{"step":3}})", 0)) == "__metadata__ \"step\" isn't a string: write the file again");
  CHECK(refusal(file_of(R"({"x":3})", 0)) == "tensor \"x\": isn't described by an object: write the file again");
}

TEST_CASE("names must differ") {
  const auto x = R"("x":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})"s;
  CHECK(refusal(file_of("{" + x + "," + x + "}", 1)) == "its header: \"x\" stands twice; damaged: download or write it again");
  CHECK(refusal(file_of(tensor(R"("dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1])"), 1)) ==
        "its header: \"dtype\" stands twice; damaged: download or write it again");
  const auto y = R"("y":{"dtype":"U8","shape":[1],"data_offsets":[1,2]})"s;
  CHECK(refusal(file_of("{" + x + "," + y + "}", 2)) == "accepted");
}

TEST_CASE("fields of a tensor are checked") {
  CHECK(refusal(file_of(tensor(R"("shape":[1],"data_offsets":[0,1])"), 1)) == "tensor \"x\": dtype is missing: write the file again");
  CHECK(refusal(file_of(tensor(R"("dtype":"F8_E4M3","shape":[1],"data_offsets":[0,1])"), 1)) ==
        "tensor \"x\": dtype \"F8_E4M3\" is unknown here; convert it to F32, F16 or BF16");
  CHECK(refusal(file_of(tensor(R"("dtype":"U8","data_offsets":[0,1])"), 1)) == "tensor \"x\": shape is missing: write the file again");
  CHECK(refusal(file_of(tensor(R"("dtype":"U8","shape":1,"data_offsets":[0,1])"), 1)) == "tensor \"x\": shape isn't a list: write the file again");
  CHECK(refusal(file_of(tensor(R"("dtype":"U8","shape":[-1],"data_offsets":[0,1])"), 1)) ==
        "tensor \"x\": shape holds -1, not a count: write the file again");
  CHECK(refusal(file_of(tensor(R"("dtype":"U8","shape":[1.0],"data_offsets":[0,1])"), 1)).ends_with("not a count: write the file again"));
  CHECK(refusal(file_of(tensor(R"("dtype":"U8","shape":[99999999999999999999],"data_offsets":[0,1])"), 1)).ends_with("not a count: write the file again"));
  CHECK(refusal(file_of(tensor(R"("dtype":"U8","shape":[1],"data_offsets":[0])"), 1)) ==
        "tensor \"x\": data_offsets has 1 numbers, 2 expected: write the file again");
}

TEST_CASE("shapes too large for any memory are refused") {
  const auto shaped = [](const std::string& shape) {
    return refusal(file_of(tensor(R"("dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,4])"), 4));
  };
  CHECK(shaped("[4294967296,4294967296]") ==
        "tensor \"x\": shape (4294967296, 4294967296) is too large for any memory: damaged; download or copy it again");
  CHECK(shaped("[18446744073709551615]") == "tensor \"x\": shape holds 18446744073709551615, which is too large: damaged");
  CHECK(shaped("[4611686018427387904]").find("too large for any memory") != std::string::npos);  // 2^62 x 4 bytes wraps to 0
  CHECK(shaped("[2305843009213693953]").find("too large for any memory") != std::string::npos);  // x 4 bytes wraps in 63 bits
}

TEST_CASE("offsets must cover the data, each byte once") {
  const auto spanning = [](const std::string& offsets, std::size_t bytes = 4) {
    return refusal(file_of(tensor(R"("dtype":"F32","shape":[1],"data_offsets":)" + offsets), bytes));
  };
  CHECK(spanning("[0,4]") == "accepted");
  CHECK(spanning("[4,0]") == "tensor \"x\": ends at byte 0, before its begin at 4: damaged; download or copy it again");
  CHECK(spanning("[0,4]", 3) == "tensor \"x\": ends at byte 4 of the data, which has 3: cut short; download or copy it again");
  CHECK(spanning("[0,18446744073709551615]").find("of the data, which has 4") != std::string::npos);
  CHECK(spanning("[0,3]") == "tensor \"x\": F32 (1) needs 4 bytes, data_offsets give 3: damaged; download or copy it again");
  CHECK(spanning("[1,5]", 5) == "tensor \"x\": 1 bytes before it belong to no tensor: damaged; download or write it again");
  CHECK(spanning("[0,4]", 6) == "2 bytes after the last tensor belong to none: damaged; download or write it again");

  const auto pair = [](const std::string& first, const std::string& second, std::size_t bytes) {
    return refusal(file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":)" + first +
                           R"(},"b":{"dtype":"U8","shape":[2],"data_offsets":)" + second + "}}", bytes));
  };
  CHECK(pair("[2,4]", "[0,2]", 4) == "accepted");
  CHECK(pair("[0,2]", "[1,3]", 3) == "tensor \"b\": overlaps tensor \"a\": damaged; download or write it again");
  CHECK(pair("[0,2]", "[0,2]", 2) == "tensor \"b\": overlaps tensor \"a\": damaged; download or write it again");
  CHECK(pair("[0,2]", "[3,5]", 5) == "tensor \"b\": 1 bytes before it belong to no tensor: damaged; download or write it again");
}

TEST_CASE("a name can't break the one line of its message") {
  CHECK(refusal(file_of("{\"a\\nb\\u001b[31m\":3}", 0)) == "tensor \"a\\nb\\u001b[31m\": isn't described by an object: write the file again");
  CHECK(refusal(file_of("{\"" + std::string(5000, 'a') + "\":3}", 0)).size() < 200);
}

TEST_CASE("what doesn't fit together isn't written") {
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const std::vector<float> values(4);
  CHECK_THROWS_AS(io::write_safetensors(path, {io::tensor_to_write<float>("x", {5}, values)}), Error);
  const auto too_few = [&] { return std::as_bytes(std::span<const float>(values)).first(8); };
  const auto none = [](){ return fail(Failure::internal, "cannot be made"), std::span<const std::byte>(); };
  CHECK_THROWS_WITH(io::write_safetensors(path, {{"x", io::StoredDtype::f32, {4}, {}, too_few}}), Catch::Contains("8 bytes for F32 (4)"));
  CHECK_THROWS_WITH(io::write_safetensors(path, {{"x", io::StoredDtype::f32, {4}, {}, none}}), "cannot be made");
  CHECK_THROWS_AS(io::write_safetensors(path, {io::tensor_to_write<float>("__metadata__", {4}, values)}), Error);
  CHECK_THROWS_AS(io::write_safetensors(path, {io::tensor_to_write<float>("x", {4}, values), io::tensor_to_write<float>("x", {4}, values)}), Error);
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("no damage to a header gets past the checks unnoticed or crashes") {
  const std::string header = R"({"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},"b":{"dtype":"U8","shape":[3],"data_offsets":[8,11]}})";
  const std::string whole = file_of(header, 11);
  const TemporaryFolder folder;
  const auto path = folder.path() / "model.safetensors";
  const auto try_open = [&](const std::string& content) {
    write_plainly(path, content);
    try {
      const auto file = io::SafetensorsFile::open(path);
      std::size_t total = 0;  // whatever the damage made of names and shapes: each byte of data belongs to one tensor
      for (const auto& [name, info] : file.tensors()) {
        total += info.bytes.size();
        CHECK(static_cast<std::size_t>(info.elements()) * io::bytes_of(info.dtype) == info.bytes.size());
      }
      CHECK(total == 11);
      return true;
    } catch (const Error& error) {
      CHECK(error.failure() == Failure::bad_input);
      return false;
    }
  };
  CHECK(try_open(whole));
  for (std::size_t cut = 0; cut < whole.size(); ++cut) CHECK(!try_open(whole.substr(0, cut)));
  for (std::size_t at = 0; at < 8 + header.size(); ++at)
    for (const char damage : {'\0', '9', '"', '{', ']', '\xff'}) {
      std::string damaged = whole;
      damaged[at] = damage;
      try_open(damaged);
    }
}
