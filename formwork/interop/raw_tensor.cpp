#include "formwork/interop/raw_tensor.h"

#include <ATen/ATen.h>

#include "formwork/core/error.h"
#include "formwork/interop/raw_layout.h"

namespace formwork {
namespace {

struct Pair {
  Dtype dtype;
  at::ScalarType type;
};

constexpr Pair kPairs[] = {{Dtype::boolean, at::kBool},
                           {Dtype::uint8, at::kByte},
                           {Dtype::int8, at::kChar},
                           {Dtype::float8_e5m2, at::kFloat8_e5m2},
                           {Dtype::float8_e4m3fn, at::kFloat8_e4m3fn},
                           {Dtype::float8_e8m0fnu, at::kFloat8_e8m0fnu},
                           {Dtype::float8_e4m3fnuz, at::kFloat8_e4m3fnuz},
                           {Dtype::float8_e5m2fnuz, at::kFloat8_e5m2fnuz},
                           {Dtype::int16, at::kShort},
                           {Dtype::uint16, at::kUInt16},
                           {Dtype::float16, at::kHalf},
                           {Dtype::bfloat16, at::kBFloat16},
                           {Dtype::int32, at::kInt},
                           {Dtype::uint32, at::kUInt32},
                           {Dtype::float32, at::kFloat},
                           {Dtype::complex64, at::kComplexFloat},
                           {Dtype::float64, at::kDouble},
                           {Dtype::int64, at::kLong},
                           {Dtype::uint64, at::kUInt64}};

}  // namespace

at::ScalarType scalar_type(Dtype dtype) { return kPairs[static_cast<size_t>(dtype)].type; }

std::optional<Dtype> find_dtype(at::ScalarType type) {
  for (const auto& pair : kPairs)
    if (pair.type == type) return pair.dtype;
  return std::nullopt;
}

Raw raw_of(const Tensor& tensor) {
  const auto dtype = find_dtype(tensor.scalar_type());
  if (!dtype) fail("tensors of {} have no form outside LibTorch", c10::toString(tensor.scalar_type()));
  Raw raw{*dtype, tensor.sizes().vec()};
  if (tensor.is_meta()) return raw;
  const auto held = std::make_shared<const Tensor>(tensor.detach().cpu().contiguous());
  raw.data = held->const_data_ptr();
  raw.owner = held;
  return raw;
}

Tensor tensor_of(const Raw& raw) {
  const auto options = at::TensorOptions().dtype(scalar_type(raw.dtype));
  if (!raw.has_values()) return at::empty(raw.shape, options.device(at::kMeta));
  if (raw.count() == 0) return at::empty(raw.shape, options);
  const Raw one = whole(raw);
  // Files are mapped privately and writable, so that in-place changes stay in this process.
  return at::from_blob(
      const_cast<void*>(one.data), one.shape, [owner = one.owner](void*) {}, options);
}

}  // namespace formwork
