#include "rondo/io/stream_engine.h"

#include <algorithm>
#include <utility>

#include "io/http2_link.h"
#include "io/http2_stream.h"
#include "rondo/base/poison.h"

namespace rondo::io {
namespace {

// Receives that found no buffer look again at least this often: buffers also come back where no
// completion says so.
constexpr Duration kParkedPause = std::chrono::milliseconds(10);
constexpr size_t kBlock = 16 * 1024;
constexpr size_t kLargeBlock = 64 * 1024;
constexpr size_t kBlocksKept = 32;
constexpr size_t kLargeKept = 8;

}  // namespace

StreamEngine::StreamEngine(Engine& below, Freelist& frames)
    : Engine(below), below_(below), frames_(frames), nudge_([](Op&) {}) {}

StreamEngine::~StreamEngine() {
  RONDO_CHECK(connection_count_ == 0 && !nudge_.in_flight());
  for (auto [blocks, bytes] : {std::pair{&blocks_free_, kBlock}, {&large_free_, kLargeBlock}}) {
    for (char* block : *blocks) {
      UnpoisonMemory(block, bytes);
      delete[] block;
    }
  }
}

Http2Connection& StreamEngine::Start(int fd, const http2::SessionOptions& options, BufferRef early,
                                     Http2Owner& owner) {
  RONDO_CHECK(!is_stream(fd));
  http2::SessionOptions own = options;
  own.seed = rng_.Next();
  return *Link::Make(*this, fd, own, std::move(early), owner);
}

http::Refusal StreamEngine::RefusalOf(int fd) const { return Of(fd).refusal(); }

bool StreamEngine::IsTunnelRequest(int fd) const { return Of(fd).tunnel_request(); }

void StreamEngine::WhenGone(int fd, TellGone tell, void* holder) { Of(fd).WhenGone(tell, holder); }

int StreamEngine::AddStream(Stream& stream) {
  if (free_.empty()) {
    streams_.push_back(&stream);
    free_.reserve(streams_.capacity());  // so that Close never allocates
    return kStreamBase + static_cast<int>(streams_.size() - 1);
  }
  const uint32_t number = free_.back();
  free_.pop_back();
  streams_[number] = &stream;
  return kStreamBase + static_cast<int>(number);
}

// -- ops --

void StreamEngine::Submit(Op& op) {
  if (!is_stream(op.fd)) [[likely]] {
    return below_.Submit(op);
  }
  Of(op.fd).Submit(op);
}

void StreamEngine::Cancel(Op& op) {
  if (!is_stream(op.fd)) [[likely]] {
    return below_.Cancel(op);
  }
  // One that is posted cannot be cancelled; its descriptor may even be closed.
  if (op.state == Op::State::kInFlight) Of(op.fd).Cancel(op);
}

void StreamEngine::Run(Instant deadline) {
  if (!working_.empty()) Work();
  if (parked_.empty() && pausing_.empty() && closing_.empty()) [[likely]] {
    below_.Run(deadline);
  } else {
    RunWithLists(deadline);
  }
  working_.Splice(gathering_);
  if (!working_.empty()) Work();
}

void StreamEngine::Gather(Link& link) {
  gathering_.PushBack(link);
  Nudge();
}

// Behind all that a tick delivers, so that frames of all streams of a connection leave in one send.
void StreamEngine::Work() {
  WorkList working;
  working.Splice(working_);
  while (!working.empty()) working.PopFront().Work();
}

void StreamEngine::RunWithLists(Instant deadline) {
  while (!parked_.empty()) {
    const BufferRef buffer = TakeBuffer();
    if (!buffer) break;
    parked_.front().Unpark();
  }
  if (!parked_.empty()) deadline = std::min(deadline, Now() + kParkedPause);
  for (LinkList* list : {&pausing_, &closing_}) {
    if (!list->empty()) deadline = std::min(deadline, list->front().due());
  }
  below_.Run(deadline);
  while (!pausing_.empty() && pausing_.front().due() <= Now()) pausing_.front().EndPause();
  while (!closing_.empty() && closing_.front().due() <= Now()) closing_.front().Cut();
}

void StreamEngine::Nudge() {
  if (!nudge_.in_flight()) below_.Post(nudge_, 0);
}

void StreamEngine::Park(Stream& stream) {
  parked_.PushBack(stream);
  Nudge();
}

void StreamEngine::Wake() { below_.Wake(); }

void StreamEngine::Post(Op& op, int32_t result) { below_.Post(op, result); }

// -- descriptors --

int StreamEngine::OpenStream(const SocketAddress& address) { return below_.OpenStream(address); }

int StreamEngine::Shutdown(int fd, ShutdownHow how) {
  return is_stream(fd) ? Of(fd).Shutdown(how) : below_.Shutdown(fd, how);
}

void StreamEngine::Close(int fd) {
  if (!is_stream(fd)) return below_.Close(fd);
  Stream& closed = Of(fd);
  const auto number = static_cast<uint32_t>(fd - kStreamBase);
  streams_[number] = nullptr;
  free_.push_back(number);
  closed.Close();
}

void StreamEngine::ResetOnClose(int fd) {
  if (is_stream(fd)) {
    Of(fd).ResetOnClose();
  } else {
    below_.ResetOnClose(fd);
  }
}

SocketAddress StreamEngine::PeerAddress(int fd) {
  return below_.PeerAddress(is_stream(fd) ? Of(fd).link().fd() : fd);
}

SocketAddress StreamEngine::LocalAddress(int fd) {
  return below_.LocalAddress(is_stream(fd) ? Of(fd).link().fd() : fd);
}

uint64_t StreamEngine::Unacknowledged(int fd) {
  return is_stream(fd) ? 0 : below_.Unacknowledged(fd);
}

WallTime StreamEngine::WallNow() const { return below_.WallNow(); }

// -- memory --

BufferRef StreamEngine::TakeBuffer() {
  if (char* buffer = buffers_.Take()) return BufferRef(&buffers_, buffer, 0);
  if (char* buffer = reserve_.Take()) return BufferRef(&reserve_, buffer, 0);
  return BufferRef();
}

char* StreamEngine::TakeBlock(size_t bytes) {
  std::vector<char*>& kept = bytes == kBlock ? blocks_free_ : large_free_;
  if (kept.empty()) return new char[bytes];
  char* block = kept.back();
  kept.pop_back();
  UnpoisonMemory(block, bytes);
  return block;
}

void StreamEngine::ReturnBlock(char* block, size_t bytes) {
  std::vector<char*>& kept = bytes == kBlock ? blocks_free_ : large_free_;
  if (kept.size() == (bytes == kBlock ? kBlocksKept : kLargeKept)) {
    delete[] block;
    return;
  }
  PoisonMemory(block, bytes);
  kept.push_back(block);
}

}  // namespace rondo::io
