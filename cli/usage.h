// Wrong command lines, as both programs answer them.
#pragma once
#include <CLI/CLI.hpp>

namespace formwork::cli {

// Prints one line for arguments that do not parse, with the nearest option that the command has where one is
// not known. Returns the exit code.
int usage_error(const CLI::App& app, const CLI::ParseError& error);

}  // namespace formwork::cli
