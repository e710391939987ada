#pragma once
// What nvcc knows without a header: the words before a function, vector types, and where a thread stands in its block and grid.
// Source: CUDA C++ Programming Guide, "C++ Language Extensions".

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))
// Not __noinline__: libstdc++ and Boost write __attribute__((__noinline__)).

// Sizes and alignments: "Built-in Vector Types". nvcc has no alias analysis by type, so a kernel may read floats as float4: may_alias.
struct __attribute__((may_alias, aligned(2))) uchar2 { unsigned char x, y; };
struct __attribute__((may_alias, aligned(4))) uchar4 { unsigned char x, y, z, w; };
struct __attribute__((may_alias, aligned(4))) ushort2 { unsigned short x, y; };
struct __attribute__((may_alias, aligned(8))) ushort4 { unsigned short x, y, z, w; };
struct __attribute__((may_alias, aligned(8))) int2 { int x, y; };
struct __attribute__((may_alias)) int3 { int x, y, z; };
struct __attribute__((may_alias, aligned(16))) int4 { int x, y, z, w; };
struct __attribute__((may_alias, aligned(8))) uint2 { unsigned x, y; };
struct __attribute__((may_alias)) uint3 { unsigned x, y, z; };
struct __attribute__((may_alias, aligned(16))) uint4 { unsigned x, y, z, w; };
struct __attribute__((may_alias, aligned(8))) float2 { float x, y; };
struct __attribute__((may_alias)) float3 { float x, y, z; };
struct __attribute__((may_alias, aligned(16))) float4 { float x, y, z, w; };
struct __attribute__((may_alias, aligned(16))) double2 { double x, y; };
struct __attribute__((may_alias, aligned(16))) longlong2 { long long x, y; };
struct __attribute__((may_alias, aligned(16))) ulonglong2 { unsigned long long x, y; };

constexpr int2 make_int2(int x, int y) { return {x, y}; }
constexpr int3 make_int3(int x, int y, int z) { return {x, y, z}; }
constexpr int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
constexpr uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
constexpr uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
constexpr uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
constexpr float2 make_float2(float x, float y) { return {x, y}; }
constexpr float3 make_float3(float x, float y, float z) { return {x, y, z}; }
constexpr float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
constexpr double2 make_double2(double x, double y) { return {x, y}; }

struct dim3 {
  unsigned x = 1, y = 1, z = 1;

  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

// Rewritten whenever another CUDA thread goes on. constinit: else every read would call a function that might initialise them.
// An OS thread's own, so a block never changes its OS thread.
inline constinit thread_local uint3 threadIdx{}, blockIdx{};
inline constinit thread_local uint3 blockDim{}, gridDim{};
inline constexpr int warpSize = 32;
