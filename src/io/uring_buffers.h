// The ring of receive buffers that the kernel takes from when bytes arrive, fed from the engine's
// pool.
#pragma once

#include <liburing.h>

#include <array>
#include <cstdint>

#include "rondo/io/buffer_pool.h"

namespace rondo::io {

// A buffer that the kernel filled belongs to the receiver; its place in the ring gets another one
// of the pool. Only as many wait in the ring as the load needs: the kernel takes them in turn, so
// each more is memory touched and out of the cache.
class UringBuffers {
 public:
  static constexpr uint16_t kGroup = 0;
  static constexpr unsigned kPlacesMax = 512;

  explicit UringBuffers(BufferPool* pool) : pool_(pool) {}
  UringBuffers(const UringBuffers&) = delete;
  UringBuffers& operator=(const UringBuffers&) = delete;
  ~UringBuffers();

  // Registers the ring with the kernel; 0 or -errno.
  int Register(int ring_fd);
  // After the kernel has let go of the ring: gives its buffers back to the pool.
  void Release();

  // Fills the ring up with the warmest buffers of the pool.
  void Refill();
  // The buffer that a completion names; it is the caller's from here on.
  char* Take(uint32_t completion_flags);
  // To be told where a receive found the ring empty: more are kept there from now on.
  void RanDry() { ran_dry_ = true; }

 private:
  static constexpr unsigned kPlacesMin = 16;
  static constexpr unsigned kWindow = 4096;  // refills between two looks at whether fewer would do

  BufferPool* pool_;
  io_uring_buf_ring* ring_ = nullptr;
  uint16_t tail_ = 0;
  unsigned target_ = kPlacesMin;
  unsigned held_ = 0;          // buffers in the ring
  unsigned low_ = kPlacesMax;  // fewest seen in this window
  unsigned refills_ = 0;
  bool ran_dry_ = false;
  unsigned free_ids_count_ = 0;
  std::array<uint16_t, kPlacesMax> free_ids_{};
  std::array<char*, kPlacesMax> buffers_{};  // by id; nullptr: not in the ring
};

}  // namespace rondo::io
