#include "control/lifecycle.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace rondo::control {
namespace {

using std::chrono::seconds;
using Step = Lifecycle::Step;

constexpr Instant At(int second) { return Instant(seconds(second)); }

struct Notes : Lifecycle::Hands {
  void BeginLameDuck(Duration lame_duck) override {
    said.push_back("lame duck " + std::to_string(lame_duck / seconds(1)));
  }
  void BeginDrain(Instant until) override {
    said.push_back("drain until " + std::to_string(until.time_since_epoch() / seconds(1)));
  }
  void CutTheRest() override { said.push_back("cut"); }
  std::vector<std::string> said;
};

TEST(Lifecycle, WithoutLameDuckTheDrainBeginsAtOnce) {
  Notes notes;
  Lifecycle lifecycle(notes);
  EXPECT_EQ(lifecycle.deadline(), kNever);
  EXPECT_TRUE(lifecycle.Stop(seconds(0), seconds(30), At(100)));
  EXPECT_EQ(notes.said, (std::vector<std::string>{"lame duck 0", "drain until 130"}));
  EXPECT_EQ(lifecycle.deadline(), At(130));
  lifecycle.Look(false, At(110));
  EXPECT_EQ(lifecycle.step(), Step::kDraining);
  lifecycle.Look(true, At(111));
  EXPECT_EQ(lifecycle.step(), Step::kDone);
}

TEST(Lifecycle, DuringTheLameDuckNothingEnds) {
  Notes notes;
  Lifecycle lifecycle(notes);
  EXPECT_TRUE(lifecycle.Stop(seconds(10), seconds(30), At(100)));
  lifecycle.Look(false, At(109));
  EXPECT_EQ(lifecycle.step(), Step::kLameDuck);
  EXPECT_EQ(notes.said, (std::vector<std::string>{"lame duck 10"}));
  lifecycle.Look(false, At(110));
  EXPECT_EQ(lifecycle.step(), Step::kDraining);
  EXPECT_EQ(notes.said.back(), "drain until 140");
}

TEST(Lifecycle, WhenTheGraceIsOverTheRestIsCutAndNotWaitedForLong) {
  Notes notes;
  Lifecycle lifecycle(notes);
  EXPECT_TRUE(lifecycle.Stop(seconds(0), seconds(30), At(0)));
  lifecycle.Look(false, At(30));
  EXPECT_EQ(notes.said.back(), "cut");
  EXPECT_EQ(lifecycle.step(), Step::kCutting);
  EXPECT_EQ(lifecycle.deadline(), At(30) + Lifecycle::kCutPatience);
  lifecycle.Look(false, At(35));
  EXPECT_EQ(lifecycle.step(), Step::kDone);
}

TEST(Lifecycle, TheSecondTimeIsForTheCaller) {
  Notes notes;
  Lifecycle lifecycle(notes);
  EXPECT_TRUE(lifecycle.Stop(seconds(5), seconds(30), At(0)));
  EXPECT_FALSE(lifecycle.Stop(seconds(5), seconds(30), At(1)));
}

}  // namespace
}  // namespace rondo::control
