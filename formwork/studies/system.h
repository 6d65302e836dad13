// The table of published systems: what each is, the parts that realise it, its files and its recipe. One file
// of systems/<family>/ each, carried by the library.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "formwork/core/tensor.h"

namespace formwork {

struct Paper {
  std::string title, authors, arxiv;  // authors and arXiv number empty where not recorded
  int64_t year = 0;
};

// An independent implementation, given the same weights.
struct Parity {
  std::string with, how;  // "transformers 5.24.0", and the script or test that compares; empty: none
  double error = 0;       // the largest absolute difference
};

struct System {
  int64_t number = 0;
  std::string key;   // the file's name: "slicegpt"
  std::string name;  // as published: "SliceGPT"
  std::string family, kind;
  Paper paper;
  std::map<std::string, std::vector<std::string>> parts;  // registered names by kind
  std::vector<std::string> files;
  std::vector<std::string> missing;  // what the paper has and Formwork does not
  std::string recipe, claim;         // the study that checks it, and what it checks; empty: none
  std::vector<std::string> exact;    // tests of identities, oracles and gradients
  Parity parity;

  // How far it is, the last that is true of: "absent", no part is named; "partly", some are; "built", every
  // part is registered, the recipe too, and nothing is missing; and, once built, "exact", tests say that it
  // computes what it should; "parity", it was compared with an independent implementation; "claim", the
  // claims of its recorded run (recorded_run.h) hold.
  std::string state() const;
};

// The states, from the first to the last.
const std::vector<std::string>& system_states();

// By number. Read once; a file that is not as it should be is an error that names it.
const std::vector<System>& systems();
// By number, key or published name, upper and lower case alike; null when there is none.
const System* find_system(const std::string& name);
// As find_system; throws, naming the nearest, when there is none.
const System& require_system(const std::string& name);

// Whether something is registered under this name and kind.
bool is_registered(const std::string& kind, const std::string& name);

}  // namespace formwork
