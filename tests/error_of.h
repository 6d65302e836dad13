// The message of what a call throws.
#pragma once
#include <functional>
#include <string>

#include "formwork/core/error.h"

namespace formwork {

// Empty when nothing is thrown.
inline std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace formwork
