#include "io/uring_buffers.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "rondo/base/check.h"

namespace rondo::io {
namespace {

// As the kernel has it (Linux 5.19). Our own, since later headers rename its last fields.
struct BufferRingRegistration {
  uint64_t ring_addr;
  uint32_t ring_entries;
  uint16_t group;
  uint16_t flags;
  uint64_t reserved[3];
};
static_assert(sizeof(BufferRingRegistration) == 40);
static_assert(offsetof(io_uring_buf_ring, tail) == 14);
static_assert(sizeof(io_uring_buf) == 16);

constexpr unsigned kRegisterBufferRing = 22;  // IORING_REGISTER_PBUF_RING
constexpr size_t kRingBytes = UringBuffers::kPlacesMax * sizeof(io_uring_buf);

// The entries begin where the ring does: its tail lies in the unused end of the first one.
io_uring_buf* EntriesOf(io_uring_buf_ring* ring) { return reinterpret_cast<io_uring_buf*>(ring); }

}  // namespace

UringBuffers::~UringBuffers() {
  Release();
  if (ring_ != nullptr) munmap(ring_, kRingBytes);
}

int UringBuffers::Register(int ring_fd) {
  void* memory =
      mmap(nullptr, kRingBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return -errno;
  ring_ = static_cast<io_uring_buf_ring*>(memory);
  BufferRingRegistration registration{};
  registration.ring_addr = reinterpret_cast<uint64_t>(memory);
  registration.ring_entries = kPlacesMax;
  registration.group = kGroup;
  const int result =
      io_uring_register(static_cast<unsigned>(ring_fd), kRegisterBufferRing, &registration, 1);
  if (result < 0) return result;
  for (unsigned id = kPlacesMax; id > 0; --id) {
    free_ids_[free_ids_count_++] = static_cast<uint16_t>(id - 1);
  }
  return 0;
}

void UringBuffers::Release() {
  for (char*& buffer : buffers_) {
    if (buffer != nullptr) pool_->Return(buffer);
    buffer = nullptr;
  }
  held_ = 0;
  pool_->set_lent(0);
}

void UringBuffers::Refill() {
  if (ran_dry_) target_ = std::min(kPlacesMax, target_ * 2);
  ran_dry_ = false;
  low_ = std::min(low_, held_);
  if (++refills_ == kWindow) {
    if (low_ > target_ / 2 && target_ > kPlacesMin) target_ /= 2;
    low_ = kPlacesMax;
    refills_ = 0;
  }
  if (held_ >= target_) return;
  io_uring_buf* entries = EntriesOf(ring_);
  while (held_ < target_) {
    char* buffer = pool_->Take();
    if (buffer == nullptr) break;
    const uint16_t id = free_ids_[--free_ids_count_];
    buffers_[id] = buffer;
    // Field by field: the last two bytes of the first entry are the ring's tail.
    io_uring_buf& entry = entries[tail_ & (kPlacesMax - 1)];
    entry.addr = reinterpret_cast<uint64_t>(buffer);
    entry.len = BufferPool::kBufferBytes;
    entry.bid = id;
    ++tail_;
    ++held_;
  }
  io_uring_smp_store_release(&ring_->tail, tail_);
  pool_->set_lent(held_);
}

char* UringBuffers::Take(uint32_t completion_flags) {
  const uint32_t id = completion_flags >> IORING_CQE_BUFFER_SHIFT;
  RONDO_CHECK(id < kPlacesMax && buffers_[id] != nullptr);
  char* buffer = buffers_[id];
  buffers_[id] = nullptr;
  free_ids_[free_ids_count_++] = static_cast<uint16_t>(id);
  --held_;
  pool_->set_lent(held_);
  return buffer;
}

}  // namespace rondo::io
