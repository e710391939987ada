#pragma once
/// oneDNN's matmul for bfloat16, through the C interface of version 2 or 3.

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include <oneapi/dnnl/dnnl.h>
#include <oneapi/dnnl/dnnl_version.h>

#include <terse/core/dtype.hpp>
#include <terse/core/error.hpp>
#include <terse/core/shape.hpp>
#include <terse/device/isa.hpp>

namespace terse::inline TERSE_ISA {
namespace onednn {

inline void check(dnnl_status_t status, const char* what) {
  if (status != dnnl_success) fail(Failure::internal, "oneDNN: ", what, " failed with status ", static_cast<int>(status));
}

/// AVX-512 bf16 dot products, or AMX.
inline bool cpu_multiplies_bfloat16() {
  const auto isa = static_cast<unsigned>(dnnl_get_effective_cpu_isa());
  const auto wanted = static_cast<unsigned>(dnnl_cpu_isa_avx512_core_bf16);
  return (isa & wanted) == wanted;
}

/// Row-major C (m, n) = op(A) op(B) (+ C) for bfloat16 A and B; C float or bfloat16.
struct MatmulKey {
  bool transpose_a, transpose_b;
  Index m, n, k, lda, ldb, ldc;
  bool accumulate;
  Dtype output;

  bool operator==(const MatmulKey&) const = default;
};

/// Primitives are made once for each shape and kept. Not shared between threads.
class Bfloat16Matmul {
 public:
  void run(const MatmulKey& key, const void* a, const void* b, void* c) {
    if (!engine_) start();
    const Primitive& primitive = find_or_make(key);
    check(dnnl_memory_set_data_handle(primitive.a.get(), const_cast<void*>(a)), "set input");
    check(dnnl_memory_set_data_handle(primitive.b.get(), const_cast<void*>(b)), "set weights");
    check(dnnl_memory_set_data_handle(primitive.c.get(), c), "set output");
    const std::array<dnnl_exec_arg_t, 3> arguments{{{DNNL_ARG_SRC, primitive.a.get()},
                                                    {DNNL_ARG_WEIGHTS, primitive.b.get()},
                                                    {DNNL_ARG_DST, primitive.c.get()}}};
    check(dnnl_primitive_execute(primitive.matmul.get(), stream_.get(), 3, arguments.data()), "matmul");
    check(dnnl_stream_wait(stream_.get()), "wait");
  }

 private:
  template <auto destroy>
  struct Destroy {
    void operator()(auto* object) const { destroy(object); }
  };
  template <class Object, auto destroy>
  using Owned = std::unique_ptr<Object, Destroy<destroy>>;
  using Memory = Owned<dnnl_memory, dnnl_memory_destroy>;
  struct Primitive {
    MatmulKey key;
    Owned<dnnl_primitive, dnnl_primitive_destroy> matmul;
    Memory a, b, c;
  };

  void start() {
    dnnl_engine_t engine;
    check(dnnl_engine_create(&engine, dnnl_cpu, 0), "engine");
    engine_.reset(engine);
    dnnl_stream_t stream;
    check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    stream_.reset(stream);
    primitives_.reserve(most_primitives);
  }

  const Primitive& find_or_make(const MatmulKey& key) {
    for (const Primitive& primitive : primitives_)
      if (primitive.key == key) return primitive;
    Primitive made = make(key);
    if (primitives_.size() < most_primitives) return primitives_.emplace_back(std::move(made));
    oldest_ = (oldest_ + 1) % most_primitives;
    return primitives_[oldest_] = std::move(made);
  }

  Primitive make(const MatmulKey& key) {
    const dnnl_data_type_t output = key.output == Dtype::f32 ? dnnl_f32 : dnnl_bf16;
    const Layout a{{key.m, key.k}, strides(key.transpose_a, key.lda), dnnl_bf16};
    const Layout b{{key.k, key.n}, strides(key.transpose_b, key.ldb), dnnl_bf16};
    const Layout c{{key.m, key.n}, {key.ldc, 1}, output};
    Primitive result;
    result.key = key;
    result.matmul.reset(make_matmul(a, b, c, key.accumulate));
    result.a = make_memory(a), result.b = make_memory(b), result.c = make_memory(c);
    return result;
  }

  using Dims = std::array<Index, 2>;
  struct Layout {
    Dims size, stride;
    dnnl_data_type_t dtype;
  };
  static Dims strides(bool transposed, Index stride) {
    if (transposed) return {1, stride};  // not by ?: of Dims{…}, at which nvcc 13.0 crashes
    return {stride, 1};
  }

  dnnl_primitive_t make_matmul(const Layout& a, const Layout& b, const Layout& c, bool accumulate) {
    dnnl_primitive_attr_t attributes;
    check(dnnl_primitive_attr_create(&attributes), "attributes");
    const Owned<dnnl_primitive_attr, dnnl_primitive_attr_destroy> owned_attributes(attributes);
    if (accumulate) {
      dnnl_post_ops_t operations;
      check(dnnl_post_ops_create(&operations), "post-operations");
      const Owned<dnnl_post_ops, dnnl_post_ops_destroy> owned_operations(operations);
      append_sum(operations);
      check(dnnl_primitive_attr_set_post_ops(attributes, operations), "post-operations");
    }
    dnnl_primitive_desc_t description = describe(a, b, c, attributes);
    const Owned<dnnl_primitive_desc, dnnl_primitive_desc_destroy> owned_description(description);
    dnnl_primitive_t primitive;
    check(dnnl_primitive_create(&primitive, description), "matmul primitive");
    return primitive;
  }

#if DNNL_VERSION_MAJOR >= 3
  using LayoutHandle = Owned<dnnl_memory_desc, dnnl_memory_desc_destroy>;
  static LayoutHandle layout(const Layout& l) {
    dnnl_memory_desc_t result;
    check(dnnl_memory_desc_create_with_strides(&result, 2, l.size.data(), l.dtype, l.stride.data()), "layout");
    return LayoutHandle(result);
  }
  static void append_sum(dnnl_post_ops_t operations) { check(dnnl_post_ops_append_sum(operations, 1.0f, 0, dnnl_data_type_undef), "sum"); }
  dnnl_primitive_desc_t describe(const Layout& a, const Layout& b, const Layout& c, dnnl_primitive_attr_t attributes) {
    dnnl_primitive_desc_t result;
    check(dnnl_matmul_primitive_desc_create(&result, engine_.get(), layout(a).get(), layout(b).get(), nullptr, layout(c).get(), attributes),
          "matmul description");
    return result;
  }
  Memory make_memory(const Layout& l) {
    dnnl_memory_t memory;
    check(dnnl_memory_create(&memory, layout(l).get(), engine_.get(), DNNL_MEMORY_NONE), "memory");
    return Memory(memory);
  }
#else
  static dnnl_memory_desc_t layout(const Layout& l) {
    dnnl_memory_desc_t result;
    check(dnnl_memory_desc_init_by_strides(&result, 2, l.size.data(), l.dtype, l.stride.data()), "layout");
    return result;
  }
  static void append_sum(dnnl_post_ops_t operations) { check(dnnl_post_ops_append_sum(operations, 1.0f), "sum"); }
  dnnl_primitive_desc_t describe(const Layout& a, const Layout& b, const Layout& c, dnnl_primitive_attr_t attributes) {
    const dnnl_memory_desc_t a_layout = layout(a), b_layout = layout(b), c_layout = layout(c);
    dnnl_matmul_desc_t matmul;
    check(dnnl_matmul_desc_init(&matmul, &a_layout, &b_layout, nullptr, &c_layout), "matmul description");
    dnnl_primitive_desc_t result;
    check(dnnl_primitive_desc_create(&result, &matmul, attributes, engine_.get(), nullptr), "matmul description");
    return result;
  }
  Memory make_memory(const Layout& l) {
    const dnnl_memory_desc_t description = layout(l);
    dnnl_memory_t memory;
    check(dnnl_memory_create(&memory, &description, engine_.get(), DNNL_MEMORY_NONE), "memory");
    return Memory(memory);
  }
#endif

  static constexpr std::size_t most_primitives = 256;

  Owned<dnnl_engine, dnnl_engine_destroy> engine_;
  Owned<dnnl_stream, dnnl_stream_destroy> stream_;
  std::vector<Primitive> primitives_;
  std::size_t oldest_ = 0;
};

}  // namespace onednn
}  // namespace terse::inline TERSE_ISA
