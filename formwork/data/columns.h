// Which columns of a table hold the text and its label.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "formwork/data/delimited.h"
#include "formwork/data/table.h"

namespace formwork {

struct Columns {
  size_t text, label;
};

// The columns among `names`. Throws Error naming `source` when one is neither asked for nor guessed.
Columns find_columns(const std::vector<std::string>& names, const TableOptions& options,
                     std::string_view source);

// Whether a first row is a header: it has a known name or one that the options ask for.
bool is_header(const std::vector<std::string>& names, const TableOptions& options);

// The columns of rows without a header. Throws Error when they cannot be told.
Columns guess_columns(const std::vector<Row>& rows, const TableOptions& options, std::string_view source);

}  // namespace formwork
