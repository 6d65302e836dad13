// The smallest program that links Formwork: asks for a part by a misspelt name and prints the clear error.
#include <formwork/core/error.h>

#include <cstdio>

int main() {
  try {
    formwork::fail_unknown("token mixer", "atention", {"attention", "average", "mamba"});
  } catch (const formwork::Error& error) {
    std::puts(error.what());
  }
  return 0;
}
