// Asks DNS servers one question at a time each, through c-ares: servers in turn, attempts,
// timeouts, and TCP where an answer did not fit. All sockets are waited for by the loop's engine.
// Control thread only.
//
// c-ares calls back from within its calls, closes its sockets when it likes, and may not be
// destroyed from a callback. So its callbacks only note what happened; all that follows is done in
// Settle, outside of them.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "control/dns_answer.h"
#include "rondo/io/op.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

// Owned by who asks it.
struct DnsQuestion {
  // Called once for each Ask that is not given up, never from within Ask. It may ask, give up or
  // destroy any.
  using Done = void (*)(DnsQuestion&);
  enum class Result : uint8_t {
    kAnswered,     // `answer`, maybe without records: the name has none of the type
    kNoName,       // there is no such name
    kRefused,      // the servers fail, refuse or cannot be reached, or what they say cannot be read
    kUnreachable,  // no server answered in time: further questions will take as long
  };
  DnsQuestion(std::string asked_name, DnsType asked_type, Done on_done)
      : name(std::move(asked_name)), type(asked_type), done(on_done) {}
  DnsQuestion(const DnsQuestion&) = delete;
  DnsQuestion& operator=(const DnsQuestion&) = delete;
  ~DnsQuestion();

  const std::string name;  // complete: nothing is searched
  const DnsType type;
  const Done done;
  Result result = Result::kUnreachable;
  DnsAnswer answer;
  std::string problem;  // for people, where it is not answered

  bool asked() const { return flight != nullptr; }
  void* flight = nullptr;  // the asker's own
};

class DnsAsker {
 public:
  struct Settings {
    std::vector<SocketAddress> servers;  // at least one
    Duration timeout{};                  // of the first attempt; doubled with each further one
    uint32_t attempts = 2;               // at each server
    friend bool operator==(const Settings&, const Settings&) = default;
  };
  struct Limits {
    size_t questions_max = 64;
    size_t records_max = 4096;
  };

  DnsAsker(rt::Loop& loop, const Limits& limits);
  DnsAsker(const DnsAsker&) = delete;
  DnsAsker& operator=(const DnsAsker&) = delete;
  ~DnsAsker();  // REQUIRES: stopped

  // For questions asked from now on; no effect where they are the same as before. To be called once
  // at least.
  void Use(const Settings& settings);
  // REQUIRES: not asked.
  void Ask(DnsQuestion& question);
  void GiveUp(DnsQuestion& question);

  // Everything asked must be answered or given up by then.
  void Stop();
  bool stopped() const;

 private:
  struct Channel;  // one c-ares channel: one set of servers
  struct Socket;   // of a channel, until its last op has ended
  struct Flight;   // one question on its way
  struct Delivery;
  struct Timeout;
  struct Callbacks;  // what c-ares calls

  // Asks what waits, sweeps what has ended, waits for what c-ares waits for.
  void Settle();
  void StartWaiting();
  void Start(Flight& flight);
  void SweepSockets();
  void SweepChannels();
  void ArmTimeout();
  void Finish(Flight& flight, DnsQuestion::Result result, std::string problem);
  void Read(Flight& flight, int status, const unsigned char* bytes, int size);
  void Deliver();
  void OnReady(Socket& socket);

  rt::Loop& loop_;
  const Limits limits_;
  Settings settings_;
  bool stopping_ = false;
  std::list<std::unique_ptr<Channel>> channels_;  // the last one is in use, the others end
  std::list<std::unique_ptr<Socket>> sockets_;
  std::list<std::unique_ptr<Flight>> flights_;
  std::deque<Flight*> waiting_;
  std::deque<Flight*> finished_;
  size_t asking_ = 0;
  std::unique_ptr<Delivery> delivery_;
  std::unique_ptr<Timeout> timeout_;
};

}  // namespace rondo::control
