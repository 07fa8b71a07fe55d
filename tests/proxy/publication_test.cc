#include "rondo/proxy/publication.h"

#include <gtest/gtest.h>

namespace rondo::proxy {
namespace {

std::vector<int> FdsOf(const std::vector<ListenFd>& sockets) {
  std::vector<int> fds;
  for (const ListenFd& each : sockets) fds.push_back(each.fd);
  return fds;
}

TEST(Publication, BringsTheSocketsOfOneThatNobodyTook) {
  Publication untaken;
  untaken.open = {{10, 0, 1}, {11, 0, 2}};
  untaken.close = {7};
  Publication next;
  next.open = {{12, 0, 3}};
  next.close = {8};
  next.Follow(std::move(untaken));
  EXPECT_EQ(FdsOf(next.open), (std::vector<int>{10, 11, 12}));
  EXPECT_EQ(next.close, (std::vector<uint32_t>{7, 8}));
  EXPECT_TRUE(next.dead.empty());
}

TEST(Publication, ASocketThatIsClosedBeforeItWasSeenIsNotOpened) {
  Publication first;
  first.open = {{10, 0, 1}, {11, 0, 2}};
  Publication second;
  second.close = {1};
  second.Follow(std::move(first));
  EXPECT_EQ(FdsOf(second.open), std::vector<int>{11});
  EXPECT_EQ(FdsOf(second.dead), std::vector<int>{10});
  Publication third;
  third.close = {2};
  third.Follow(std::move(second));
  EXPECT_TRUE(third.open.empty());
  EXPECT_EQ(FdsOf(third.dead), (std::vector<int>{10, 11}));
}

TEST(Publication, AnIdThatIsUsedAgainIsTheNewSockets) {
  Publication closes;
  closes.close = {1};
  Publication opens;
  opens.open = {{20, 0, 1}};
  opens.Follow(std::move(closes));
  // The old one is closed first.
  EXPECT_EQ(opens.close, std::vector<uint32_t>{1});
  EXPECT_EQ(FdsOf(opens.open), std::vector<int>{20});
  EXPECT_TRUE(opens.dead.empty());
}

}  // namespace
}  // namespace rondo::proxy
