// Watched files: when they are read, what is kept, and the host names in them. In virtual time.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>

#include "control/discovery.h"
#include "control/discovery_world.h"

namespace rondo::control {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::DiscoveryWorld;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::ScriptedResolver;
using ::testing::SizeIs;

constexpr char kPath[] = "/etc/rondo/backends.yaml";

class DiscoveryFilesTest : public ::testing::Test {
 protected:
  DiscoveryWorld world;
  testing::RememberingListener& told = world.listener;
};

TEST_F(DiscoveryFilesTest, AFileIsKnownAsSoonAsItIsNamed) {
  world.files.Put(kPath, "- 10.0.0.2:80\n- {address: 10.0.0.1:80, weight: 3, id: a}\n");
  world.Set({DiscoveryWorld::File(kPath)});
  ASSERT_NE(world.discovery->Known("api", 0), nullptr);
  EXPECT_THAT(*world.discovery->Known("api", 0), SizeIs(2));
  EXPECT_TRUE(world.discovery->settled());
  EXPECT_THAT(told.told, IsEmpty());
  world.RunFor(milliseconds(1));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80", "a"));
  EXPECT_EQ(told.now.at("api/0")[1].weight, 3u);
}

TEST_F(DiscoveryFilesTest, AChangeIsReadOnceItHasPaused) {
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.Set({DiscoveryWorld::File(kPath)});
  world.RunFor(seconds(1));
  EXPECT_EQ(world.files.reads, 1u);
  world.files.Put(kPath, "[]");
  world.RunFor(milliseconds(50));
  world.files.Put(kPath, "- 10.0.0.2:80\n");
  world.RunFor(milliseconds(98));
  EXPECT_EQ(world.files.reads, 1u);
  world.RunFor(milliseconds(5));
  EXPECT_EQ(world.files.reads, 2u);
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80"));
  EXPECT_EQ(told.TimesTold("api/0"), 2u);
  EXPECT_EQ(world.loop().wheel().NextDeadline(), kNever);
}

TEST_F(DiscoveryFilesTest, ChangesWithoutAPauseAreReadOnceASecond) {
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.Set({DiscoveryWorld::File(kPath)});
  for (int i = 0; i < 100; ++i) {
    world.files.Touch(kPath);
    world.RunFor(milliseconds(50));
  }
  EXPECT_GE(world.files.reads, 5u);
  EXPECT_LE(world.files.reads, 6u);
  EXPECT_EQ(told.TimesTold("api/0"), 1u);
}

TEST_F(DiscoveryFilesTest, AWrongFileKeepsTheLastGoodListAndSaysWhere) {
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.Set({DiscoveryWorld::File(kPath)});
  for (const char* wrong : {"- 10.0.0.1:80\n- {address: 10.0.0.2:80, wait: 3}\n", "", "- [\n"}) {
    world.files.Put(kPath, wrong);
    world.RunFor(seconds(1));
    EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80"));
    EXPECT_THAT(told.problems["api/0"], HasSubstr(std::string(kPath) + ":")) << wrong;
  }
  world.files.Put(kPath, "- 10.0.0.1:80\n- {address: 10.0.0.2:80, wait: 3}\n");
  world.RunFor(seconds(1));
  EXPECT_THAT(told.problems["api/0"], HasSubstr(":2:"));
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.RunFor(seconds(1));
  EXPECT_THAT(told.problems, IsEmpty());
  EXPECT_EQ(told.TimesTold("api/0"), 1u);
}

TEST_F(DiscoveryFilesTest, AnEmptyListIsOne) {
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.Set({DiscoveryWorld::File(kPath)});
  world.RunFor(seconds(1));
  world.files.Put(kPath, "[]\n");
  world.RunFor(seconds(1));
  EXPECT_THAT(told.Now("api/0"), IsEmpty());
  EXPECT_THAT(told.problems, IsEmpty());
}

TEST_F(DiscoveryFilesTest, AMissingFileIsAProblemUntilItAppears) {
  world.Set({DiscoveryWorld::File(kPath)});
  EXPECT_TRUE(world.discovery->settled());
  world.RunFor(seconds(1));
  EXPECT_THAT(told.problems["api/0"], HasSubstr("No such file"));
  EXPECT_THAT(told.now, IsEmpty());
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.RunFor(seconds(1));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80"));
  world.files.Remove(kPath);
  world.RunFor(seconds(1));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(told.problems, SizeIs(1));
  // It comes back as it was.
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.RunFor(seconds(1));
  EXPECT_THAT(told.problems, IsEmpty());
}

TEST_F(DiscoveryFilesTest, HostNamesInAFileAreResolved) {
  world.resolver->answers["db.test"] =
      ScriptedResolver::Ok(std::vector<std::string>{"10.0.9.1"}, seconds(1));
  world.files.Put(kPath, "- 10.0.0.1:80\n- db.test:81\n- {address: gone.test:82, weight: 2}\n");
  world.Set({DiscoveryWorld::File(kPath)});
  EXPECT_THAT(*world.discovery->Known("api", 0), SizeIs(1));
  EXPECT_FALSE(world.discovery->settled());
  world.RunFor(milliseconds(500));
  EXPECT_TRUE(world.discovery->settled());
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80", "db.test:81"));
  EXPECT_EQ(told.now.at("api/0")[1].address.ToString(), "10.0.9.1:81");
  EXPECT_THAT(told.problems["api/0"], HasSubstr("gone.test: no such name"));
  world.resolver->answers["db.test"] =
      ScriptedResolver::Ok(std::vector<std::string>{"10.0.9.2"}, seconds(1));
  world.RunFor(seconds(2));
  EXPECT_EQ(told.now.at("api/0")[1].address.ToString(), "10.0.9.2:81");
  // A suspect's name is asked at once also from here.
  const size_t before = world.resolver->CountOf("db.test");
  world.RunFor(milliseconds(200));
  world.discovery->ResolveNow("api");
  world.RunFor(seconds(1));
  EXPECT_GT(world.resolver->CountOf("db.test"), before);
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.RunFor(seconds(1));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80"));
  EXPECT_THAT(told.problems, IsEmpty());
  EXPECT_EQ(world.loop().wheel().NextDeadline(), kNever);
}

TEST_F(DiscoveryFilesTest, OneFileOfTwoUpstreamsIsReadOnce) {
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  config::Upstream first;
  first.name = "first";
  first.sources = {DiscoveryWorld::File(kPath)};
  config::Upstream second = first;
  second.name = "second";
  world.discovery->SetSources({&first, &second});
  world.RunFor(seconds(1));
  EXPECT_EQ(world.files.reads, 1u);
  world.files.Put(kPath, "- 10.0.0.2:80\n");
  world.RunFor(seconds(1));
  EXPECT_EQ(world.files.reads, 2u);
  EXPECT_THAT(told.Now("first/0"), ElementsAre("10.0.0.2:80"));
  EXPECT_THAT(told.Now("second/0"), ElementsAre("10.0.0.2:80"));
}

TEST_F(DiscoveryFilesTest, AFileThatCannotBeWatchedIsReadEveryFiveSeconds) {
  world.files.watchable = false;
  world.files.Put(kPath, "- 10.0.0.1:80\n");
  world.Set({DiscoveryWorld::File(kPath)});
  world.files.Put(kPath, "- 10.0.0.2:80\n");
  world.RunFor(milliseconds(4900));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.1:80"));
  world.RunFor(milliseconds(200));
  EXPECT_THAT(told.Now("api/0"), ElementsAre("10.0.0.2:80"));
  world.files.watchable = true;
  world.RunFor(seconds(5));
  EXPECT_EQ(world.files.watches(), 1u);
  EXPECT_EQ(world.loop().wheel().NextDeadline(), kNever);
}

}  // namespace
}  // namespace rondo::control
