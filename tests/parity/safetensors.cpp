// Judge: the Python package safetensors 0.8.0 (tests/goldens/reference_safetensors.py).
#include <terse/io/safetensors.hpp>

#include <vector>

#include "support/catch.hpp"
#include "support/files.hpp"

using namespace terse;

namespace {

template <class T>
T value_of(const io::TensorInfo& info, std::size_t i) {
  T value;
  std::memcpy(&value, info.bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <Real T>
void check_reals(const io::SafetensorsFile& file, const char* name, const io::Shape& shape) {
  std::vector<T> values(12);
  file.read<T>(name, shape, values);
  for (std::size_t i = 0; i < 12; ++i) {
    const double exact = (static_cast<double>(i) - 5) / 3;
    if constexpr (std::same_as<T, double>) CHECK(values[i] == exact);
    else CHECK(values[i] == T(static_cast<float>(exact)));
  }
}

template <class T>
void check_counts(const io::SafetensorsFile& file, const char* name, io::StoredDtype dtype) {
  const auto* info = file.find(name);
  REQUIRE(info != nullptr);
  CHECK(info->dtype == dtype);
  for (std::size_t i = 0; i < 12; ++i) CHECK(value_of<T>(*info, i) == static_cast<T>(i));
}

}  // namespace

TEST_CASE("the reference's file is read") {
  const auto file = io::SafetensorsFile::open(golden("reference.safetensors"));
  CHECK(file.names().size() == 16);
  CHECK(file.metadata() == io::Metadata{{"format", "pt"}});
  check_reals<float>(file, "h.0.attn.c_attn.weight", {3, 4});
  check_reals<half>(file, "h.0.attn.c_attn.bias", {12});
  check_reals<bfloat16>(file, "wte.weight", {2, 2, 3});
  check_reals<double>(file, "double", {12});
  check_counts<std::int64_t>(file, "int64", io::StoredDtype::i64);
  check_counts<std::int32_t>(file, "int32", io::StoredDtype::i32);
  check_counts<std::int16_t>(file, "int16", io::StoredDtype::i16);
  check_counts<std::int8_t>(file, "int8", io::StoredDtype::i8);
  check_counts<std::uint8_t>(file, "uint8", io::StoredDtype::u8);
  check_counts<std::uint16_t>(file, "uint16", io::StoredDtype::u16);
  check_counts<std::uint32_t>(file, "uint32", io::StoredDtype::u32);
  check_counts<std::uint64_t>(file, "uint64", io::StoredDtype::u64);
  CHECK(file.find("bool")->dtype == io::StoredDtype::boolean);
  CHECK(file.find("empty")->shape == io::Shape{0, 3});
  float scalar = 0, named = 0;
  file.read<float>("scalar", {}, std::span(&scalar, 1));
  file.read<float>("a \"quoted\" n\xc3\xa4me\n", {1}, std::span(&named, 1));
  CHECK(scalar == 1.5f);
  CHECK(named == 2.5f);
}

TEST_CASE("the same tensors give the reference's file, byte for byte") {
  const auto file = io::SafetensorsFile::open(golden("reference.safetensors"));
  std::vector<io::TensorToWrite> tensors;
  for (const auto& [name, info] : file.tensors()) tensors.push_back({name, info.dtype, info.shape, info.bytes});
  const TemporaryFolder folder;
  io::write_safetensors(folder.path() / "ours.safetensors", tensors, file.metadata());
  CHECK(io::read_file(folder.path() / "ours.safetensors") == io::read_file(golden("reference.safetensors")));
}
