// A step of decoding asks for no memory once it is warm: every operator new of the process is counted.
#include <cstdlib>
#include <new>

#include "runtime/fixtures.h"

// The address sanitizer has operators of its own, which must not be mixed with others.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FORMWORK_SANITIZED
#endif
#endif
#ifndef FORMWORK_SANITIZED

namespace {
std::atomic<int64_t> asked{0};

void* counted(std::size_t size, std::size_t alignment) {
  ++asked;
  void* p = nullptr;
  if (posix_memalign(&p, std::max(alignment, sizeof(void*)), size) != 0) throw std::bad_alloc();
  return p;
}
}  // namespace

void* operator new(std::size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new[](std::size_t size) { return counted(size, alignof(std::max_align_t)); }
void* operator new(std::size_t size, std::align_val_t a) {
  return counted(size, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t size, std::align_val_t a) {
  return counted(size, static_cast<std::size_t>(a));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace formwork {
namespace {

int64_t asked_in_steps(const Json& spec) {
  const InRuntime model(noisy_float(spec, 0.05));
  runtime::SessionOptions options;
  options.state.rows = 2, options.state.capacity = 256;
  runtime::Session session(model.model(), options);
  const auto prompt = some_ids(20);
  const int64_t token = 3;
  const runtime::Append prompts[] = {{0, prompt}, {1, prompt}},
                        steps[] = {{0, {&token, 1}}, {1, {&token, 1}}};
  session.append(prompts);
  session.append(steps);
  // A thread's first task may come late, and it then takes memory of its own once.
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int window = 0; window < 5 && least > 0; ++window) {
    const int64_t before = asked;
    for (int i = 0; i < 40; ++i) session.append(steps);
    least = std::min<int64_t>(least, asked - before);
  }
  return least;
}

TEST(Allocations, NoneOnceWarm) {
  const int64_t before = asked;
  delete new int64_t(7);
  ASSERT_GT(asked, before) << "the count does not work";
  EXPECT_EQ(asked_in_steps(small_spec()), 0);
  for (const char* mixer :
       {R"({"type": "average_past"})", R"({"type": "mamba2", "head_width": 16, "groups": 2})",
        R"({"type": "attention", "score": "saturated"})", R"({"type": "stick_breaking", "heads": 4})",
        R"({"type": "stick_breaking", "heads": 2, "modules": 3, "active": 2, "gate": "gmm"})"})
    EXPECT_EQ(asked_in_steps(small_spec(mixer)), 0) << mixer;
  for (const char* map : {R"({"type": "int4", "group": 8})", R"({"type": "int8"})", R"({"type": "low_rank"})",
                          R"({"type": "stacked"})", R"({"type": "ggml_block", "format": "q4_1"})"}) {
    auto spec = small_spec();
    spec["linear"] = {{"layers.*", Json::parse(map)}};
    EXPECT_EQ(asked_in_steps(spec), 0) << map;
  }
  auto experts = small_spec();
  experts["model"]["layers"]["pattern"][0]["channel"] = {{"type", "experts"}, {"experts", 4}, {"hidden", 16}};
  EXPECT_EQ(asked_in_steps(experts), 0);
}

}  // namespace
}  // namespace formwork

#endif
