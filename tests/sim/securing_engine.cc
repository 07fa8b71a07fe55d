#include "securing_engine.h"

#include <utility>

#include "io/test_channel.h"

namespace rondo::sim {

std::unique_ptr<tls::Channel> TestChannelOf(uint16_t port, bool accepting, double chatter) {
  auto [connecting, accepted] = io::testing::MakeTestChannels(port, chatter);
  return accepting ? std::move(accepted) : std::move(connecting);
}

SecuringEngine::SecuringEngine(io::Engine& below, const Secures& secures)
    : Engine(below), secures_(secures), secure_(below, frames_) {}

SecuringEngine::~SecuringEngine() = default;

SecuringEngine::Shadow::Shadow(SecuringEngine& on, io::Op& of)
    : Op(&OnDeliver), engine(on), op(of) {
  kind = of.kind;
  wait_first = of.wait_first;
  fd = on.Below(of.fd);
  data = of.data;  // or what the union holds besides
  size = of.size;
}

void SecuringEngine::Submit(io::Op& op) {
  RONDO_CHECK(!op.in_flight());
  op.buffer.Reset();
  op.state = io::Op::State::kInFlight;
  op.more = false;
  auto* shadow = new Shadow(*this, op);
  op.engine_data = reinterpret_cast<uint64_t>(shadow);
  secure_.Submit(*shadow);
}

void SecuringEngine::Cancel(io::Op& op) {
  if (op.state != io::Op::State::kInFlight) return;
  op.state = io::Op::State::kCancelling;
  secure_.Cancel(*reinterpret_cast<Shadow*>(op.engine_data));
}

void SecuringEngine::OnDeliver(io::Op& delivered) {
  auto& shadow = static_cast<Shadow&>(delivered);
  SecuringEngine& self = shadow.engine;
  io::Op& op = shadow.op;
  op.result = shadow.result;
  op.more = shadow.more;
  op.buffer = std::move(shadow.buffer);
  if (!op.more) {
    op.state = io::Op::State::kIdle;
    delete &shadow;
  }
  io::SecureEngine& secure = self.secure_;
  const double chatter = self.secures_.chatter;
  if (op.kind == io::Op::Kind::kAccept && op.result >= 0 && self.secures_.accepted) {
    const int fd = op.result;
    self.secured_[fd] =
        secure.Secure(fd, TestChannelOf(secure.PeerAddress(fd).port, true, chatter), {}, true);
  } else if (op.kind == io::Op::Kind::kConnect && op.result == 0 && self.secures_.connected) {
    self.secured_[op.fd] = secure.Secure(
        op.fd, TestChannelOf(secure.LocalAddress(op.fd).port, false, chatter), {}, false);
  }
  op.deliver(op);
}

void SecuringEngine::Close(int fd) {
  const int below = Below(fd);
  secured_.erase(fd);
  secure_.Close(below);
}

}  // namespace rondo::sim
