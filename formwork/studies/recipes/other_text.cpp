#include "formwork/studies/recipes/other_text.h"

#include <array>

#include "formwork/core/file.h"

namespace formwork {

Calibration wikitext_rows(const StudyContext& ctx, int64_t rows, int64_t length) {
  std::array<bool, 256> known{};
  for (const unsigned char byte : read_file(ctx.data("text/tinyshakespeare.txt"))) known[byte] = true;
  std::vector<int64_t> bytes;
  for (const unsigned char byte : read_file(ctx.data("text/wikitext2-valid.txt")))
    if (known[byte]) bytes.push_back(byte);
  rows = std::min(rows, static_cast<int64_t>(bytes.size()) / length);
  if (rows == 0) fail("reproduce: WikiText-2 has fewer than {} bytes of Shakespeare's alphabet", length);
  const auto ids = at::tensor(bytes, at::kLong).narrow(0, 0, rows * length).view({rows, length});
  Calibration data;
  for (const auto& part : ids.split(8)) data.batches.push_back({{"input_ids", part}});
  return data;
}

}  // namespace formwork
