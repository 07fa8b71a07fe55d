#include "rondo/io/buffer_pool.h"

#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <vector>

namespace rondo::io {
namespace {

TEST(BufferPool, GivesNoMoreThanItsLimit) {
  BufferPool pool(100);  // more than one region, the last one not whole
  std::set<char*> taken;
  while (char* buffer = pool.Take()) {
    std::memset(buffer, 1, BufferPool::kBufferBytes);
    ASSERT_TRUE(taken.insert(buffer).second);
  }
  EXPECT_EQ(taken.size(), 100u);
  EXPECT_EQ(pool.buffers_out(), 100u);
  for (char* buffer : taken) pool.Return(buffer);
  EXPECT_EQ(pool.buffers_out(), 0u);
}

TEST(BufferPool, GivesTheMostRecentlyReturnedBufferFirst) {
  BufferPool pool(10);
  char* first = pool.Take();
  char* second = pool.Take();
  pool.Return(first);
  pool.Return(second);
  EXPECT_EQ(pool.Take(), second);
  EXPECT_EQ(pool.Take(), first);
  pool.Return(first);
  pool.Return(second);
}

TEST(BufferPool, ARefGivesItsBufferBackOnceWhereverItWasMoved) {
  BufferPool pool(2);
  {
    BufferRef ref(&pool, pool.Take(), 5);
    BufferRef other(std::move(ref));
    EXPECT_FALSE(ref);
    EXPECT_EQ(other.size(), 5u);
    ref = std::move(other);
    BufferRef second(&pool, pool.Take(), 1);
    EXPECT_EQ(pool.buffers_out(), 2u);
    ref = std::move(second);
    EXPECT_EQ(pool.buffers_out(), 1u);
  }
  EXPECT_EQ(pool.buffers_out(), 0u);
}

TEST(BufferPool, TrimmedBuffersStayUsableAndTheWarmOnesKeepTheirMemory) {
  BufferPool pool(200);
  std::vector<char*> taken;
  while (char* buffer = pool.Take()) {
    std::memset(buffer, 7, BufferPool::kBufferBytes);
    taken.push_back(buffer);
  }
  for (char* buffer : taken) pool.Return(buffer);
  pool.Trim(10);
  pool.Trim(500);  // fewer than that are there: nothing to do
  taken.clear();
  for (int i = 0; i < 200; ++i) taken.push_back(pool.Take());
  for (int i = 0; i < 200; ++i) EXPECT_EQ(taken[i][100], i < 10 ? 7 : 0) << i;
  for (char* buffer : taken) pool.Return(buffer);
}

TEST(BufferPool, LentBuffersDoNotCountAsOut) {
  BufferPool pool(4);
  char* buffer = pool.Take();
  pool.set_lent(1);
  EXPECT_EQ(pool.buffers_out(), 0u);
  pool.set_lent(0);
  EXPECT_EQ(pool.buffers_out(), 1u);
  pool.Return(buffer);
}

}  // namespace
}  // namespace rondo::io
