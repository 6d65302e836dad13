// How much of an earlier stream a later one keeps: a linear map, fitted by least squares, makes the tokens of
// the earlier stream out of those of the later one that lie where they do.
#pragma once
#include "formwork/models/model.h"

namespace formwork {

struct InformationKept {
  int64_t rows = 0;      // of the records, of which every fourth is held out
  double explained = 0;  // 1 - E |y - t|^2 / E |t - mean t|^2 over held-out rows, t of the earlier stream
};

// Segments or layers of the model, `earlier` before `later`, whose output streams are meant. A map of the
// later stream may be coarser by whole factors: one token then stands for several. Throws for fewer than 8
// rows, for maps of other sizes, and for less held-out data than the fit has unknowns.
InformationKept information_kept(Model& model, const std::vector<Record>& batches, const std::string& earlier,
                                 const std::string& later);

}  // namespace formwork
