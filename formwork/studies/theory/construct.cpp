#include "formwork/studies/theory/construct.h"

#include <numbers>

namespace formwork {
namespace {

constexpr double kSharp = 1e3;   // exp(-kSharp) is 0
constexpr double kOff = 1e6;     // GELU(-kOff) is 0
constexpr double kDivide = 1e5;  // how far a divisor outweighs the other channels

double entry(const Tensor& matrix, int64_t row, int64_t column) { return matrix[row][column].item<double>(); }

std::string text_of(Block block) { return fmt::format("[{}, {})", block.first, block.first + block.size); }

void require_matrix(const char* what, const Tensor& matrix, int64_t rows, int64_t columns) {
  if (matrix.dim() != 2 || matrix.size(0) != rows || matrix.size(1) != columns)
    fail("construct: {}: expected a matrix [{}, {}], found [{}]", what, rows, columns,
         fmt::join(matrix.sizes().vec(), ", "));
}

void require_size(const char* what, Block block, int64_t size) {
  if (block.size != size)
    fail("construct: {}: expected a block of {} channels, found {} with {}", what, size, text_of(block),
         block.size);
}

}  // namespace

ReadSet reads(int64_t token, int64_t source) {
  return [=](int64_t i) { return i == token ? std::vector<int64_t>{source} : std::vector<int64_t>{}; };
}

Construction::Construction(const ConstructOptions& options)
    : options_(options), width_(options.context), input_(block(options.features)) {
  if (!(options.c > 0)) fail("construct: expected c > 0, found {:g}", options.c);
}

Block Construction::block(int64_t size, const Tensor& initial) {
  const Block made{width_, size};
  width_ += size;
  if (initial.defined()) {
    if (initial.numel() != size)
      fail("construct: expected {} initial values, found {}", size, initial.numel());
    initial_.emplace_back(made, initial.reshape({-1}).to(at::kDouble));
  }
  return made;
}

Construction::Layer Construction::at_tokens(const ReadSet& read) const {
  Layer layer;
  for (int64_t i = 0; i < options_.context; ++i) {
    const auto sources = read(i);
    for (const int64_t source : sources)
      if (source < 0 || source > i)
        fail("construct: token {} reads {}; expected tokens from 0 to itself", i, source);
    layer.tokens.push_back(!sources.empty());
  }
  return layer;
}

Construction::Layer Construction::at_token(int64_t token) const {
  if (token < 0 || token >= options_.context)
    fail("construct: expected a token in [0, {}), found {}", options_.context, token);
  return at_tokens(reads(token, token));
}

// channel += in . h + bias.
void Construction::add_linear(Layer& layer, std::vector<Weight> in, double bias, int64_t channel,
                              bool everywhere) {
  auto opposite = in;
  for (auto& weight : opposite) weight.value = -weight.value;
  layer.units.push_back({std::move(in), bias, {{channel, 1}}, everywhere});
  layer.units.push_back({std::move(opposite), -bias, {{channel, -1}}, everywhere});
}

void Construction::clear(Layer& layer, Block block, bool everywhere) {
  for (int64_t i = 0; i < block.size; ++i)
    add_linear(layer, {{block.first + i, -1}}, 0, block.first + i, everywhere);
}

// out += (u . h) (v . h).
void Construction::add_product(Layer& layer, const std::vector<Weight>& u, const std::vector<Weight>& v,
                               const std::vector<Weight>& out) const {
  const double c = options_.c, back = std::sqrt(std::numbers::pi / 2) / (c * c);
  const auto scaled = [](std::vector<Weight> weights, double factor) {
    for (auto& weight : weights) weight.value *= factor;
    return weights;
  };
  auto both = u;
  both.insert(both.end(), v.begin(), v.end());
  layer.units.push_back({scaled(both, c), 0, scaled(out, back)});
  layer.units.push_back({scaled(u, c), 0, scaled(out, -back)});
  layer.units.push_back({scaled(v, c), 0, scaled(out, -back)});
}

void Construction::raw(const ReadArithmeticWrite& raw) {
  const int64_t p = raw.w_o.dim() == 2 ? raw.w_o.size(1) : 0;
  require_matrix("W_a", raw.w_a, p, raw.r.size);
  require_matrix("W", raw.w_s, p, raw.s.size);
  require_matrix("W_o", raw.w_o, raw.w.size, p);
  Layer layer = at_tokens(raw.read);
  bool elsewhere = false;
  for (int64_t i = 0; i < options_.context; ++i)
    for (const int64_t source : raw.read(i)) elsewhere |= source != i;
  Block from = raw.r;
  if (elsewhere) {
    layer.read = raw.read, layer.from = raw.r;
    layer.to = from = block(raw.r.size);
    clear(layer, from, /*everywhere=*/true);
  }
  if (raw.op == Arithmetic::add) {
    write_sum(layer, {{raw.w_o.matmul(raw.w_a), from}, {raw.w_o.matmul(raw.w_s), raw.s}}, raw.w, {});
    layers_.push_back(std::move(layer));
    return;
  }
  const auto row = [](const Tensor& matrix, int64_t j, Block block) {
    std::vector<Weight> weights;
    for (int64_t i = 0; i < block.size; ++i)
      if (const double value = entry(matrix, j, i); value != 0) weights.push_back({block.first + i, value});
    return weights;
  };
  clear(layer, raw.w, /*everywhere=*/false);
  const auto columns = raw.w_o.t();
  for (int64_t j = 0; j < p; ++j)
    add_product(layer, row(raw.w_a, j, from), row(raw.w_s, j, raw.s), row(columns, j, raw.w));
  layers_.push_back(std::move(layer));
}

// to <- the sum, at the tokens of the layer.
void Construction::write_sum(Layer& layer, const std::vector<Term>& terms, Block to,
                             const Tensor& bias) const {
  for (const auto& term : terms) require_matrix("term", term.matrix, to.size, term.block.size);
  for (int64_t i = 0; i < to.size; ++i) {
    std::vector<Weight> in{{to.first + i, -1}};
    for (const auto& [matrix, block] : terms)
      for (int64_t j = 0; j < block.size; ++j)
        if (const double value = entry(matrix, i, j); value != 0) in.push_back({block.first + j, value});
    add_linear(layer, std::move(in), bias.defined() ? bias[i].item<double>() : 0, to.first + i, false);
  }
}

void Construction::mov(const ReadSet& read, Block from, Block to) {
  require_size("mov", to, from.size);
  const auto same = at::eye(from.size, at::kDouble), none = at::zeros({from.size, to.size}, at::kDouble);
  raw({read, from, to, to, same, none, same, Arithmetic::add});
}

void Construction::mul(int64_t token, Block a, Block b, Block to, int64_t m, int64_t k, int64_t n) {
  require_size("mul", a, m * k), require_size("mul", b, k * n), require_size("mul", to, m * n);
  const auto left = at::zeros({m * k * n, m * k}, at::kDouble),
             right = at::zeros({m * k * n, k * n}, at::kDouble),
             out = at::zeros({m * n, m * k * n}, at::kDouble);
  int64_t product = 0;
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < k; ++j)
      for (int64_t l = 0; l < n; ++l, ++product) {
        left[product][i * k + j] = 1;
        right[product][j * n + l] = 1;
        out[i * n + l][product] = 1;
      }
  raw({reads(token, token), a, b, to, left, right, out, Arithmetic::multiply});
}

void Construction::aff(int64_t token, const std::vector<Term>& terms, Block to, const Tensor& bias) {
  Layer layer = at_token(token);
  write_sum(layer, terms, to, bias);
  layers_.push_back(std::move(layer));
}

void Construction::div(int64_t token, Block x, Block by, Block to, bool positive) {
  require_size("div by", by, 1), require_size("div", to, x.size);
  if (!zero_) zero_ = block(1);
  const Block plus = block(1), minus = block(1), quotient = block(x.size), sign = block(1);
  // The deviation over `width` channels, of which all but plus and minus are small, is S |by| sqrt(2 /
  // width).
  Layer wide = at_token(token);
  add_linear(wide, {{by.first, kDivide}}, 0, plus.first, true);
  add_linear(wide, {{by.first, -kDivide}}, 0, minus.first, true);
  layers_.push_back(std::move(wide));
  // A channel that is 0 everywhere gives back the mean that LayerNorm takes away.
  Layer divide = at_token(token);
  divide.normed = true;
  const auto without_mean = [&](int64_t channel, double factor) {
    return std::vector<Weight>{{channel, factor}, {zero_->first, -factor}};
  };
  for (int64_t i = 0; i < x.size; ++i)
    add_linear(divide, without_mean(x.first + i, kDivide), 0, quotient.first + i, true);
  add_linear(divide, without_mean(plus.first, 1), 0, sign.first, true);
  layers_.push_back(std::move(divide));
  Layer finish = at_token(token);
  if (positive) {
    write_sum(finish, {{at::eye(x.size, at::kDouble), quotient}}, to, {});
  } else {
    clear(finish, to, false);
    for (int64_t i = 0; i < x.size; ++i)
      add_product(finish, {{quotient.first + i, 1}}, {{sign.first, 1}}, {{to.first + i, 1}});
  }
  for (const Block block : {plus, minus, quotient, sign}) clear(finish, block, true);
  layers_.push_back(std::move(finish));
}

Spec Construction::spec(Block answer) const {
  Json layers = Json::array();
  for (const auto& layer : layers_) {
    Json json = {{"type", "pre"}, {"norm", "identity"}};
    if (layer.normed) json["norm"] = {{"type", "layer_norm"}, {"eps", 0}, {"gain", false}, {"bias", false}};
    if (layer.read)
      json["mixer"] = {{"type", "attention"},
                       {"heads", 1},
                       {"head_width", std::max(options_.context, layer.from.size)},
                       {"fused", false},
                       {"scale", 1}};
    json["channel"] = {{"type", "mlp"}, {"hidden", layer.units.size()}, {"activation", options_.activation}};
    layers.push_back(std::move(json));
  }
  Spec spec;
  spec.model = PartSpec("decoder");
  spec.model.options = {{"width", width_},
                        {"stem", {{"type", "linear"}, {"features", options_.features}}},
                        {"position", {{"type", "learned"}, {"context", options_.context}}},
                        {"layers", std::move(layers)},
                        {"norm", nullptr},
                        {"head", {{"type", "regression"}, {"outputs", answer.size}, {"bias", false}}}};
  return spec;
}

std::shared_ptr<Model> Construction::model(Block answer) const {
  auto made = build_model(spec(answer), 0, at::kDouble);
  const at::NoGradGuard guard;
  for (auto& param : made->inventory().params) param.value.zero_();
  const auto value = [&](const std::string& name) -> Tensor& {
    return made->inventory().by_name.at(name)->value;
  };
  for (int64_t i = 0; i < input_.size; ++i) value("stem.projection.weight")[input_.first + i][i] = 1;
  for (const auto& [block, initial] : initial_)
    value("stem.projection.bias").narrow(0, block.first, block.size).copy_(initial);
  for (int64_t t = 0; t < options_.context; ++t) value("position.weight")[t][position_channel(t)] = 1;
  for (int64_t i = 0; i < answer.size; ++i) value("head.weight")[i][answer.first + i] = 1;
  for (size_t i = 0; i < layers_.size(); ++i) fill_layer(*made, i);
  return made;
}

void Construction::fill_layer(Model& model, size_t index) const {
  const auto& layer = layers_[index];
  const auto value = [&](const std::string& name) -> Tensor& {
    return model.inventory().by_name.at(fmt::format("layers.{}.{}", index, name))->value;
  };
  if (layer.read) {
    for (int64_t t = 0; t < options_.context; ++t) {
      for (const int64_t source : layer.read(t))
        value("mixer.query.weight")[source][position_channel(t)] = kSharp;
      value("mixer.key.weight")[t][position_channel(t)] = 1;
    }
    for (int64_t i = 0; i < layer.from.size; ++i) {
      value("mixer.value.weight")[i][layer.from.first + i] = 1;
      value("mixer.out.weight")[layer.to.first + i][i] = 1;
    }
  }
  auto up = value("channel.up.weight").accessor<double, 2>();
  auto bias = value("channel.up.bias").accessor<double, 1>();
  auto down = value("channel.down.weight").accessor<double, 2>();
  const double factor = layer.normed ? std::sqrt(2 / static_cast<double>(width_)) : 1;
  for (size_t u = 0; u < layer.units.size(); ++u) {
    const auto& unit = layer.units[u];
    const auto hidden = static_cast<int64_t>(u);
    for (const auto& weight : unit.in) up[hidden][weight.channel] += weight.value;
    for (const auto& weight : unit.out) down[weight.channel][hidden] += factor * weight.value;
    bias[hidden] = unit.bias;
    if (unit.everywhere) continue;
    for (int64_t t = 0; t < options_.context; ++t)
      if (!layer.tokens[static_cast<size_t>(t)]) up[hidden][position_channel(t)] -= kOff;
  }
}

}  // namespace formwork
