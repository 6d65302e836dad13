#include "formwork/studies/system.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <set>

#include "formwork/core/file.h"
#include "formwork/core/registry.h"
#include "formwork/studies/recorded_run.h"
#include "formwork/studies/registrations.h"
#include "formwork/studies/study.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

TEST(Systems, AreAll143) {
  ASSERT_EQ(systems().size(), 143u);
  std::set<std::string> keys, names;
  for (size_t i = 0; i < systems().size(); ++i) {
    const auto& system = systems()[i];
    EXPECT_EQ(system.number, static_cast<int64_t>(i) + 1);
    EXPECT_TRUE(keys.insert(system.key).second) << system.key;
    EXPECT_TRUE(names.insert(system.name).second) << system.name;
    EXPECT_FALSE(system.family.empty() || system.kind.empty() || system.paper.title.empty()) << system.key;
    EXPECT_GE(system.paper.year, 2015) << system.key;
    EXPECT_LE(system.paper.year, 2026) << system.key;
  }
}

TEST(Systems, NameOnlyPartsThatAreRegistered) {
  for (const auto& system : systems()) {
    for (const auto& [kind, names] : system.parts)
      for (const auto& name : names)
        EXPECT_TRUE(is_registered(kind, name)) << system.key << ": " << kind << " " << name;
    EXPECT_EQ(system.recipe.empty(), system.claim.empty()) << system.key;
    if (!system.recipe.empty()) EXPECT_TRUE(is_registered("studies", system.recipe)) << system.key;
    EXPECT_EQ(system.parts.empty(), system.files.empty()) << system.key;
    EXPECT_EQ(std::count(system_states().begin(), system_states().end(), system.state()), 1) << system.key;
    if (system.state() != "absent" && system.state() != "partly")
      EXPECT_FALSE(system.exact.empty()) << system.key << ": tests of what it computes are not named";
  }
}

TEST(Systems, NameOnlyFilesThatExist) {
  const char* root = std::getenv("FORMWORK_SOURCE");
  if (!root) GTEST_SKIP() << "FORMWORK_SOURCE is not set";
  for (const auto& system : systems()) {
    auto files = system.files;
    files.insert(files.end(), system.exact.begin(), system.exact.end());
    if (!system.parity.with.empty()) files.push_back(system.parity.how);
    for (const auto& file : files)
      EXPECT_TRUE(std::filesystem::exists(std::filesystem::path(root) / file)) << system.key << ": " << file;
    const auto own = fmt::format("{}/systems/{}/{}.json", root, system.family, system.key);
    EXPECT_TRUE(std::filesystem::exists(own)) << own;
  }
}

TEST(Systems, EveryRecipeBelongsToASystem) {
  for (const auto& name : Registry<Study>::names()) {
    const auto* system = find_system(name);
    ASSERT_TRUE(system) << name;
    EXPECT_EQ(system->recipe, name);
  }
}

TEST(Systems, StateFollowsFromPartsRecipeAndWhatIsMissing) {
  EXPECT_EQ(require_system("autoformer").state(), "absent");
  System system = require_system("slicegpt");
  system.missing = {"something"};
  EXPECT_EQ(system.state(), "partly");
  system.missing.clear();
  EXPECT_EQ(system.state(),
            recorded_run("slicegpt") && recorded_run("slicegpt")->holds() ? "claim" : "exact");
  system.key = "not recorded";
  EXPECT_EQ(system.state(), "exact");
  system.parity = {"another", "tools/parity/another.py", 1e-6};
  EXPECT_EQ(system.state(), "parity");
  system.parity = {}, system.exact.clear();
  EXPECT_EQ(system.state(), "built");
  system.recipe = "no such recipe";
  EXPECT_EQ(system.state(), "partly");
  system = require_system("slicegpt");
  system.parts["mixers"] = {"no such mixer"};
  EXPECT_EQ(system.state(), "partly");
}

TEST(Systems, AreFoundByNumberKeyAndName) {
  for (const char* name : {"31", "031", "llm_int8", "LLM.int8()", "llm.INT8()"}) {
    ASSERT_TRUE(find_system(name)) << name;
    EXPECT_EQ(find_system(name)->number, 31) << name;
  }
  EXPECT_FALSE(find_system("144"));
  EXPECT_FALSE(find_system(""));
  EXPECT_EQ(error_of([] { require_system("slicegtp"); }),
            "unknown system 'slicegtp'; did you mean 'slicegpt'?");
}

TEST(Registrations, AreKnownForEveryRegisteredName) {
  std::set<std::string> places;
  for (const auto& place : registrations()) places.insert(place.kind + "/" + place.name);
  for (const auto& listing : kind_listings())
    for (const auto& [name, doc] : listing.docs())
      EXPECT_TRUE(places.count(std::string(listing.kind) + "/" + name)) << listing.kind << "/" << name;
}

TEST(Registrations, NameTheLine) {
  const char* root = std::getenv("FORMWORK_SOURCE");
  if (!root) GTEST_SKIP() << "FORMWORK_SOURCE is not set";
  for (const auto& place : registrations()) {
    const auto text = read_file(std::string(root) + "/" + place.file);
    size_t start = 0;
    for (int64_t line = 1; line < place.line; ++line) start = text.find('\n', start) + 1;
    const auto end = text.find(';', start);
    EXPECT_NE(text.substr(start, end - start).find("\"" + place.name + "\""), std::string::npos)
        << place.file << ":" << place.line;
  }
}

}  // namespace
}  // namespace formwork
