// What a model of LibTorch tells the readers and writers of files.
#pragma once
#include "formwork/core/build.h"
#include "formwork/interop/parameters.h"

namespace formwork {

// The inventory must outlive the result.
Parameters parameters_of(const Inventory& inventory);

// The values of what is stored, as views.
RawMap values_of(const Inventory& inventory);

}  // namespace formwork
