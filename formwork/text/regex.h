// Regular expressions of tokenizer files, run by PCRE2 with its just-in-time compiler.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace formwork {

class Regex {
 public:
  // `where` starts the Error for a pattern that PCRE2 does not take. Escapes that mean something else in
  // Oniguruma, which the Hugging Face library runs, are rewritten: \s is the property White_Space, and \p{L},
  // \p{N}, \p{M} know Unicode 16.
  Regex(std::string_view pattern, std::string_view where);
  Regex(Regex&&) noexcept;
  ~Regex();

  // Matches of one or more bytes in valid UTF-8, in order, as [first, last) byte offsets.
  // Throws Error when the pattern needs more steps than its text justifies.
  template <class Visit>
  void for_each(std::string_view text, Visit&& visit) const {
    Search search(*this, text);
    for (std::pair<size_t, size_t> found; search.next(found);) visit(found.first, found.second);
  }

 private:
  class Search {
   public:
    Search(const Regex& regex, std::string_view text);
    ~Search();
    bool next(std::pair<size_t, size_t>& found);

   private:
    const Regex& regex_;
    std::string_view text_;
    size_t at_ = 0;
    void* match_;
  };
  struct Code;
  std::unique_ptr<Code> code_;
};

// A text as a pattern that matches only it.
std::string regex_escape(std::string_view text);

}  // namespace formwork
