#include "formwork/decode/decode_strategy.h"

#include <numeric>

#include "formwork/decode/fast_path.h"

namespace formwork {

FORMWORK_KIND(DecodeStrategy);

StateOptions state_options(const Model& model, const DecodeRequest& request) {
  if (!request.prompt.defined() || request.prompt.dim() != 2 || request.prompt.numel() == 0)
    fail("decode: expected a prompt [B, T] of at least one token");
  if (request.tokens < 1) fail("decode: expected at least one token to make, found {}", request.tokens);
  StateOptions options;
  options.batch = request.prompt.size(0);
  options.capacity = request.prompt.size(1) + request.tokens;
  options.dtype = model.inventory().dtype;
  return options;
}

std::vector<std::vector<int64_t>> rows_of(const Tensor& ids) {
  std::vector<std::vector<int64_t>> rows;
  const auto contiguous = ids.contiguous();
  const auto* data = contiguous.const_data_ptr<int64_t>();
  for (int64_t row = 0; row < ids.size(0); ++row, data += ids.size(1))
    rows.emplace_back(data, data + ids.size(1));
  return rows;
}

Decoder::Decoder(Model& model, const DecodeRequest& request) : model_(model), ctx_(model.make_context()) {
  const auto options = state_options(model, request);
  if (request.plain)
    why_plain_ = "asked for";
  else
    fast_ = FastPath::make(model, options, why_plain_);
  if (request.on_path) request.on_path(why_plain_);
  if (!fast_) state_ = model.make_state(ctx_, request.source, options);
  read(request.prompt);
}

Decoder::~Decoder() = default;

void Decoder::read(const Tensor& ids) {
  logits_ = fast_ ? fast_->append(ids)
                  : model_.append(ctx_, {{"input_ids", ids}}, state_).at("logits").select(1, -1);
}

void Decoder::append(const Tensor& tokens) { read(tokens.dim() == 1 ? tokens.unsqueeze(1) : tokens); }

void Decoder::select(const Tensor& rows) {
  if (fast_)
    fast_->select(rows);
  else
    state_ = state_.fork(rows);
  logits_ = logits_.index_select(0, rows);
}

std::vector<Continuation> TokenByToken::decode(Model& model, const DecodeRequest& request) const {
  const at::NoGradGuard guard;
  Decoder decoder(model, request);
  return go_on(decoder, request);
}

std::vector<Continuation> TokenByToken::go_on(Decoder& decoder, const DecodeRequest& request) const {
  auto written = rows_of(request.prompt);
  std::vector<Continuation> made(written.size());
  std::vector<int64_t> rows(written.size());
  std::iota(rows.begin(), rows.end(), 0);
  for (int64_t index = 0; index < request.tokens; ++index) {
    const auto tokens = choose({decoder.logits(), rows, written, request.seed, static_cast<uint64_t>(index)});
    const auto gained = decoder.log_probabilities().gather(1, tokens.unsqueeze(1)).contiguous();
    std::vector<int64_t> left, places;
    for (size_t i = 0; i < rows.size(); ++i) {
      const auto row = static_cast<size_t>(rows[i]);
      const auto token = tokens[static_cast<int64_t>(i)].item<int64_t>();
      written[row].push_back(token);
      made[row].tokens.push_back(token);
      made[row].log_probability += gained.const_data_ptr<double>()[i];
      if (token == request.stop) continue;
      if (request.on_token && !request.on_token(rows[i], token)) continue;
      left.push_back(rows[i]), places.push_back(static_cast<int64_t>(i));
    }
    if (left.empty() || index + 1 == request.tokens) break;
    if (left.size() == rows.size()) {
      decoder.append(tokens);
      continue;
    }
    const auto kept = at::tensor(places, at::kLong);
    decoder.select(kept);
    decoder.append(tokens.index_select(0, kept));
    rows = std::move(left);
  }
  return made;
}

}  // namespace formwork
