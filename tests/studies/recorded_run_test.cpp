#include "formwork/studies/recorded_run.h"

#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <fstream>

#include "formwork/core/child_process.h"
#include "formwork/data/embedded_text.h"
#include "formwork/studies/claim.h"
#include "formwork/studies/source_commit.h"
#include "formwork/studies/system.h"
#include "interop/temporary_folder.h"

namespace formwork {
namespace {

Json a_run() {
  return {{"system", "A"},
          {"recipe", {{"type", "a"}}},
          {"command", "formwork reproduce a"},
          {"seed", 1},
          {"scale", 1},
          {"machine", this_machine()},
          {"date", "2026-11-28T10:00:00Z"},
          {"commit", "0123"},
          {"claims",
           {at_most("a", "p", 1, 2).to_json(), at_most("b", "p", 3, 2).to_json(),
            reported("c", "p", 1).to_json()}}};
}

TEST(RecordedRun, CountsTheClaimsThatHoldAmongThoseWithAnExpectation) {
  auto json = a_run();
  const auto run = read_recorded_run("a.json", json);
  EXPECT_EQ(run.date, "2026-11-28T10:00:00Z");
  EXPECT_EQ(run.commit, "0123");
  EXPECT_EQ(run.expected, 2);
  EXPECT_EQ(run.held, 1);
  EXPECT_FALSE(run.holds());
  EXPECT_EQ(run.summary().at("claims"), json.at("claims"));
  json["claims"].erase(1);
  EXPECT_TRUE(read_recorded_run("a.json", json).holds());
  json["claims"].erase(0);
  EXPECT_FALSE(read_recorded_run("a.json", json).holds()) << "nothing was expected";
}

TEST(RecordedRun, RefusesWhatReproduceDoesNotWriteAndSmallerScales) {
  auto json = a_run();
  json["scale"] = 0.1;
  EXPECT_EQ(error_of([&] { read_recorded_run("a.json", json); }),
            "a.json: expected a run at scale 1, found 0.1");
  for (const char* key : {"date", "commit", "command", "machine", "claims"}) {
    json = a_run();
    json.erase(key);
    const auto error = error_of([&] { read_recorded_run("a.json", json); });
    EXPECT_TRUE(error.starts_with("a.json: ") && error.find(key) != std::string::npos) << error;
  }
}

TEST(RecordedRun, BelongsToASystemAndNamesItsRecipe) {
  for (const auto& key : recorded_systems()) {
    const auto* system = find_system(key);
    ASSERT_TRUE(system) << "docs/results/" << key << ".json";
    EXPECT_EQ(recorded_run(key)->json.at("system"), system->name);
    EXPECT_EQ(recorded_run(key)->json.at("recipe").at("type"), system->recipe);
  }
  EXPECT_FALSE(recorded_run("no such system"));
}

TEST(ThisMachine, NamesItsProcessorAndThreads) {
  const auto machine = this_machine();
  EXPECT_FALSE(machine.at("processor").get<std::string>().empty());
  EXPECT_GE(machine.at("cores").get<int64_t>(), 1);
  EXPECT_EQ(machine.at("threads"), at::get_num_threads());
}

class Checkout {
 public:
  Checkout() {
    git({"init", "-q"});
    for (const auto& source : embedded_sources()) write(source.path, source.text);
    commit();
  }
  void write(const std::string& path, std::string_view text) {
    std::filesystem::create_directories((folder_ / path).parent_path());
    std::ofstream(folder_ / path) << text;  // without a sync for each of hundreds of files
  }
  void commit() {
    git({"add", "--all"});
    git({"-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false", "commit", "-q", "-m",
         "a"});
  }
  std::string git(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"git", "-C", folder_.path().string()});
    const auto result = run_child(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.output;
  }
  std::string error() {
    return error_of([&] { source_commit(folder_.path()); });
  }
  const std::filesystem::path& path() const { return folder_.path(); }

 private:
  TemporaryFolder folder_;
};

TEST(SourceCommit, IsTheOneWithTheSourcesOfThisProgram) {
  Checkout checkout;
  const auto head = checkout.git({"rev-parse", "HEAD"});
  EXPECT_EQ(source_commit(checkout.path()) + "\n", head);
  EXPECT_EQ(source_commit(checkout.path() / "formwork") + "\n", head);
  checkout.write("docs/results/a.json", "{}");  // no source
  EXPECT_EQ(checkout.error(), "");
  checkout.write("formwork/core/error.h", "// other\n");
  EXPECT_NE(checkout.error().find("'formwork/core/error.h' differs from commit"), std::string::npos)
      << checkout.error();
  checkout.commit();
  EXPECT_NE(checkout.error().find("this program was not built from commit"), std::string::npos)
      << checkout.error();
  EXPECT_NE(checkout.error().find("'formwork/core/error.h'"), std::string::npos);
}

TEST(SourceCommit, NoticesASourceThatTheProgramDoesNotHave) {
  Checkout checkout;
  checkout.write("formwork/new.cpp", "// new\n");
  checkout.commit();
  EXPECT_NE(checkout.error().find("'formwork/new.cpp' differs"), std::string::npos) << checkout.error();
}

TEST(SourceCommit, NeedsACheckout) {
  const TemporaryFolder folder;
  const auto error = error_of([&] { source_commit(folder.path()); });
  EXPECT_TRUE(error.starts_with("expected a Git checkout at '")) << error;
}

}  // namespace
}  // namespace formwork
