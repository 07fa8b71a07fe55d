#include "rondo/io/secure_engine.h"

#include <utility>

#include "rondo/base/check.h"

namespace rondo::io {

class SecureEngine::Secured {};

SecureEngine::SecureEngine(Engine& below, Freelist& frames)
    : Engine(below), below_(below), frames_(frames) {}

SecureEngine::~SecureEngine() { RONDO_CHECK(!busy()); }

bool SecureEngine::busy() const { return false; }

void SecureEngine::Submit(Op& op) { below_.Submit(op); }

void SecureEngine::Cancel(Op& op) { below_.Cancel(op); }

void SecureEngine::Run(Instant deadline) { below_.Run(deadline); }

void SecureEngine::Wake() { below_.Wake(); }

void SecureEngine::Post(Op& op, int32_t result) { below_.Post(op, result); }

int SecureEngine::OpenStream(const SocketAddress& address) { return below_.OpenStream(address); }

int SecureEngine::Shutdown(int fd, ShutdownHow how) { return below_.Shutdown(fd, how); }

void SecureEngine::Close(int fd) { below_.Close(fd); }

void SecureEngine::ResetOnClose(int fd) { below_.ResetOnClose(fd); }

SocketAddress SecureEngine::PeerAddress(int fd) { return below_.PeerAddress(fd); }

SocketAddress SecureEngine::LocalAddress(int fd) { return below_.LocalAddress(fd); }

WallTime SecureEngine::WallNow() const { return below_.WallNow(); }

}  // namespace rondo::io
