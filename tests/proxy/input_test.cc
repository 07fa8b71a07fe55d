// Memory for bytes that came and heads that go: Input and Block.
#include "proxy/input.h"

#include <gtest/gtest.h>

#include <string>

#include "rondo/base/check.h"
#include "rondo/base/rng.h"

namespace rondo::proxy {
namespace {

class InputTest : public ::testing::Test {
 protected:
  void TearDown() override {
    EXPECT_EQ(pool_.buffers_out(), 0u);
    EXPECT_EQ(memory_.blocks_out(), 0u);
  }
  io::BufferRef Received(std::string_view bytes) {
    RONDO_CHECK(bytes.size() <= io::BufferPool::kBufferBytes);
    char* buffer = pool_.Take();
    std::memcpy(buffer, bytes.data(), bytes.size());
    return io::BufferRef(&pool_, buffer, static_cast<uint32_t>(bytes.size()));
  }

  io::BufferPool pool_{16};
  Freelist memory_;
};

TEST_F(InputTest, BytesOfOneReceiveStayInItsBuffer) {
  Input input;
  EXPECT_TRUE(input.empty());
  input.Append(Received("abc"), memory_);
  EXPECT_EQ(input.view(), "abc");
  EXPECT_EQ(pool_.buffers_out(), 1u);
  EXPECT_EQ(memory_.blocks_out(), 0u);
  input.Consume(2);
  EXPECT_EQ(input.view(), "c");
  EXPECT_EQ(input.size(), 1u);
  input.ReleaseIfEmpty();
  EXPECT_EQ(input.view(), "c");
  input.Consume(1);
  EXPECT_EQ(pool_.buffers_out(), 1u);
  input.ReleaseIfEmpty();
  EXPECT_EQ(pool_.buffers_out(), 0u);
  EXPECT_EQ(input.data(), nullptr);
}

TEST_F(InputTest, ASmallRestIsJoinedInTheBuffer) {
  Input input;
  input.Append(Received("GET / HT"), memory_);
  input.Append(Received("TP/1.1\r\n"), memory_);
  EXPECT_EQ(input.view(), "GET / HTTP/1.1\r\n");
  EXPECT_EQ(pool_.buffers_out(), 1u);
  EXPECT_EQ(memory_.blocks_out(), 0u);
}

TEST_F(InputTest, WhatIsTooMuchForABufferMovesIntoABlock) {
  const std::string large(io::BufferPool::kBufferBytes, 'x');
  Input input;
  input.Append(Received(large), memory_);
  input.Append(Received("y"), memory_);
  EXPECT_EQ(input.view(), large + "y");
  EXPECT_EQ(pool_.buffers_out(), 0u);
  EXPECT_EQ(memory_.blocks_out(), 1u);
  // Once all is consumed the next receive stays in its buffer again.
  input.Consume(input.size());
  input.Append(Received("z"), memory_);
  EXPECT_EQ(input.view(), "z");
  EXPECT_EQ(memory_.blocks_out(), 0u);
}

TEST_F(InputTest, CopiesBytesThatStandElsewhere) {
  Input input;
  input.AppendCopy("abc", memory_);
  input.AppendCopy(std::string(5000, 'd'), memory_);
  EXPECT_EQ(input.view(), "abc" + std::string(5000, 'd'));
  input.Append(Received("e"), memory_);
  EXPECT_EQ(input.size(), 5004u);
  EXPECT_EQ(input.view().back(), 'e');
}

TEST_F(InputTest, MovingLeavesNothingBehind) {
  Input input;
  input.Append(Received("abc"), memory_);
  input.Consume(1);
  const Input moved = std::move(input);
  EXPECT_EQ(moved.view(), "bc");
  EXPECT_TRUE(input.empty());  // NOLINT: what a moved one is, is what is tested
  input.Append(Received("d"), memory_);
  EXPECT_EQ(input.view(), "d");
  EXPECT_EQ(moved.view(), "bc");
}

TEST_F(InputTest, AgreesWithAString) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Rng rng(seed);
    Input input;
    std::string model;
    for (int step = 0; step < 200; ++step) {
      const std::string piece(1 + rng.Below(rng.Chance(0.1) ? 16'000 : 300),
                              static_cast<char>('a' + rng.Below(26)));
      switch (rng.Below(4)) {
        case 0:
          input.Append(Received(piece), memory_);
          model += piece;
          break;
        case 1:
          input.AppendCopy(piece, memory_);
          model += piece;
          break;
        case 2: {
          const size_t count = rng.Below(model.size() + 1);
          input.Consume(count);
          model.erase(0, count);
          break;
        }
        case 3:
          input.ReleaseIfEmpty();
          break;
      }
      ASSERT_EQ(input.view(), model);
    }
  }
}

TEST(Block, KnowsItsRoom) {
  Freelist memory;
  Block block(memory, 100);
  EXPECT_TRUE(block);
  EXPECT_GE(block.room(), 100u);
  const size_t room = block.room();
  std::memset(block.data(), 'x', room);  // all of it may be used
  block.set_size(10);
  EXPECT_EQ(block.room(), room - 10);
  EXPECT_EQ(block.view(), "xxxxxxxxxx");
  block.Reset();
  EXPECT_FALSE(block);
  EXPECT_EQ(block.room(), 0u);
  EXPECT_EQ(block.size(), 0u);
  EXPECT_EQ(memory.blocks_out(), 0u);
}

TEST(Block, MovesAndGivesBackOnce) {
  Freelist memory;
  {
    Block first(memory, 64);
    first.set_size(3);
    std::memcpy(first.data(), "abc", 3);
    Block second = std::move(first);
    EXPECT_FALSE(first);  // NOLINT: what a moved one is, is what is tested
    EXPECT_EQ(second.view(), "abc");
    Block third(memory, 20'000);
    EXPECT_EQ(memory.blocks_out(), 2u);
    third = std::move(second);
    EXPECT_EQ(third.view(), "abc");
    EXPECT_EQ(memory.blocks_out(), 1u);
    third = Block();
    EXPECT_EQ(memory.blocks_out(), 0u);
  }
  EXPECT_EQ(memory.blocks_out(), 0u);
}

TEST(Block, OfNothingCanBeGivenBackToo) {
  Freelist memory;
  {
    const Block block(memory, 0);
  }
  EXPECT_EQ(memory.blocks_out(), 0u);
}

}  // namespace
}  // namespace rondo::proxy
