// Moving the rows of tensors without LibTorch: views where the bytes stay in order, copies (on all threads)
// where they do not. A tensor without values gives a shape without values.
#pragma once
#include <vector>

#include "formwork/core/raw.h"

namespace formwork {

// A tensor of a mapped file: itself, or a copy where its data are not aligned to their type.
Raw mapped_raw(Raw raw);

// The same in one piece: itself, or a copy.
Raw whole(const Raw& raw);

// The same values in another shape of as many; not for tensors in pieces.
Raw with_shape(Raw raw, std::vector<int64_t> shape);

// Rows [first, first + count) of the first dimension, a view; not for tensors in pieces.
Raw rows_of(const Raw& raw, int64_t first, int64_t count);

// Tensors one after the other as one in pieces; nothing is copied. They must have one type.
Raw in_pieces(const std::vector<Raw>& parts, std::vector<int64_t> shape);

// [rows, columns] -> [columns, rows].
Raw transposed(const Raw& matrix);

// Blocks of `block` rows that lie as [outer, inner] come to lie as [inner, outer].
Raw with_swapped_blocks(const Raw& raw, int64_t outer, int64_t inner, int64_t block);

// `rows` rows of zeros before those of the tensor.
Raw with_zeros_before(const Raw& raw, int64_t rows);

}  // namespace formwork
