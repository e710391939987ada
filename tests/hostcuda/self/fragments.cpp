// mma and ldmatrix hand values to the lanes that CuTe's traits name (fragments/table.txt, from NVIDIA's CUTLASS by fragments/update).
#include "support/catch.hpp"

#include <fstream>
#include <map>
#include <random>
#include <sstream>

#include <terse/device/ptx.cuh>
#include <terse/device/shared.cuh>

#include "hostcuda/self/device.hpp"

using terse::device::launch;

namespace {

/// What a lane holds: a pair a value, (row, column) of a matrix or (lane that gave the row, place in it).
struct Place {
  int first, second;
};
using Layout = std::vector<std::vector<Place>>;   // by lane

std::map<std::string, Layout> read_table() {
  std::ifstream file(TERSE_SOURCE_DIR "/tests/hostcuda/self/fragments/table.txt");
  std::map<std::string, Layout> layouts;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string instruction, matrix;
    std::size_t lane = 0;
    words >> instruction >> matrix >> lane;
    Layout& layout = layouts[instruction + " " + matrix];
    layout.resize(32);
    char comma = 0;
    for (Place place{}; words >> place.first >> comma >> place.second;) layout[lane].push_back(place);
  }
  return layouts;
}

template <class T, int k>
struct Fragment {
  std::uint32_t a[32][k / 4], b[32][k / 8];
  float sum[32][4];
};

template <class T, int k>
__global__ void multiply(Fragment<T, k>* fragment) {
  const unsigned lane = threadIdx.x;
  terse::device::mma<T>(fragment->sum[lane], fragment->a[lane], fragment->b[lane]);
}

template <class T>
void put(std::uint32_t* registers, std::size_t value, float number) {
  registers[value / 2] |= std::uint32_t{T(number).bits} << 16 * (value % 2);
}

template <class T, int k>
void check_mma(const std::string& name) {
  const auto layouts = read_table();
  const Layout &a = layouts.at(name + " A"), &b = layouts.at(name + " B"), &c = layouts.at(name + " C");
  std::mt19937 random(k);
  const auto number = [&] { return static_cast<float>(static_cast<int>(random() % 17) - 8); };
  float left[16][k], right[8][k], sum[16][8];   // right by column, as CuTe has it
  for (auto& row : left) for (float& value : row) value = number();
  for (auto& row : right) for (float& value : row) value = number();
  for (auto& row : sum) for (float& value : row) value = number();
  std::vector<Fragment<T, k>> fragment(1);
  for (std::size_t lane = 0; lane < 32; ++lane) {
    for (std::size_t v = 0; v < k / 2; ++v) put<T>(fragment[0].a[lane], v, left[a[lane][v].first][a[lane][v].second]);
    for (std::size_t v = 0; v < k / 4; ++v) put<T>(fragment[0].b[lane], v, right[b[lane][v].first][b[lane][v].second]);
    for (std::size_t v = 0; v < 4; ++v) fragment[0].sum[lane][v] = sum[c[lane][v].first][c[lane][v].second];
  }
  Device device;
  auto* const there = device.copy(fragment);
  launch(device.stream(), multiply<T, k>, {1, 32}, there);
  const auto result = device.read(there, 1);
  std::size_t wrong = 0;
  for (std::size_t lane = 0; lane < 32; ++lane)
    for (std::size_t v = 0; v < 4; ++v) {
      const Place place = c[lane][v];
      float expected = sum[place.first][place.second];
      for (int i = 0; i < k; ++i) expected += left[place.first][i] * right[place.second][i];
      wrong += result[0].sum[lane][v] != expected;
    }
  CHECK(wrong == 0);
}

struct Rows {
  alignas(16) std::uint16_t value[32][8];
};
template <int matrices, bool transposed>
__global__ void load(std::uint32_t* to) {
  auto& rows = terse::device::shared<Rows>();
  for (unsigned i = 0; i < 8; ++i) rows.value[threadIdx.x][i] = static_cast<std::uint16_t>(8 * threadIdx.x + i);
  __syncwarp();
  std::uint32_t registers[matrices];
  if constexpr (transposed) terse::device::ldmatrix_transposed(registers, rows.value[threadIdx.x]);
  else terse::device::ldmatrix(registers, rows.value[threadIdx.x]);
  for (int m = 0; m < matrices; ++m) to[threadIdx.x * matrices + static_cast<unsigned>(m)] = registers[m];
}

template <int matrices, bool transposed>
void check_ldmatrix(const std::string& name) {
  const auto layouts = read_table();
  const Layout& layout = layouts.at(name + " -");
  Device device;
  auto* const to = device.allocate<std::uint32_t>(32 * matrices);
  launch(device.stream(), load<matrices, transposed>, {1, 32, sizeof(Rows)}, to);
  const auto registers = device.read(to, 32 * matrices);
  std::size_t wrong = 0;
  for (std::size_t lane = 0; lane < 32; ++lane)
    for (std::size_t v = 0; v < 2 * matrices; ++v) {
      const auto value = registers[lane * matrices + v / 2] >> 16 * (v % 2) & 0xFFFFu;
      wrong += value != static_cast<std::uint32_t>(8 * layout[lane][v].first + layout[lane][v].second);
    }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("mma's fragments") {
  check_mma<terse::half, 8>("mma.m16n8k8.f16");
  check_mma<terse::half, 16>("mma.m16n8k16.f16");
  check_mma<terse::bfloat16, 16>("mma.m16n8k16.bf16");
}

TEST_CASE("ldmatrix' fragments") {
  check_ldmatrix<1, false>("ldmatrix.x1");
  check_ldmatrix<2, false>("ldmatrix.x2");
  check_ldmatrix<4, false>("ldmatrix.x4");
  check_ldmatrix<1, true>("ldmatrix.x1.trans");
  check_ldmatrix<2, true>("ldmatrix.x2.trans");
  check_ldmatrix<4, true>("ldmatrix.x4.trans");
}
