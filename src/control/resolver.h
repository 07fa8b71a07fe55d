// Questions to the DNS as values: what discovery asks, and what a resolver answers. Two resolvers:
// c-ares' for real networks (cares_resolver.h) and the simulated one of the tests. Control thread
// only.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "rondo/base/address.h"
#include "rondo/base/time.h"

namespace rondo::control {

// One address that a name stands for. The fields behind it are those of SRV records, else 0 and
// empty.
struct ResolvedRecord {
  IpAddress ip;
  uint16_t port = 0;
  uint16_t priority = 0;
  uint16_t weight = 0;
  std::string target = {};  // the host that the SRV record names, in lower case
  friend bool operator==(const ResolvedRecord&, const ResolvedRecord&) = default;
};

struct Answer {
  enum class Status : uint8_t {
    kOk,      // `records`, at least one, or at least one hole
    kEmpty,   // there is no such name, or it has no address: the DNS said so
    kFailed,  // nobody gave an answer: timeouts, SERVFAIL, refusals, garbage
  };
  // Part of a kOk answer that failed: the addresses of one family for one name. What was known of
  // them before still holds, with the port, priority and weight of now.
  struct Hole {
    bool v6 = false;
    ResolvedRecord known;  // all but `ip`
    friend bool operator==(const Hole&, const Hole&) = default;
  };

  Status status = Status::kFailed;
  std::vector<ResolvedRecord> records;  // in the order of the answer (IPv4 first), none twice
  std::vector<Hole> holes;
  Duration ttl{
      0};  // of kOk: the smallest of all that it rests on, aliases too; 0 where it may not be kept
  std::string problem;  // of the two others: one clause for people, as "no such name"
};

// One question, owned by who asks; it stays in place until its answer or Cancel.
class Query {
 public:
  enum class Type : uint8_t {
    kAddresses,  // A and AAAA, both asked and merged
    kService,    // SRV, and then the addresses of its targets
  };
  // Called once for each Resolve that is not cancelled, with `answer` set, never from within
  // Resolve. It may resolve this or any other query again, and cancel or destroy any.
  using Done = void (*)(Query&);

  Query(Type query_type, std::string query_name, Done on_done)
      : type(query_type), name(std::move(query_name)), done(on_done) {}
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;

  const Type type;
  // A host or service name. With a dot at its end it is taken as it is, else the search domains are
  // tried too.
  const std::string name;
  const Done done;
  Answer answer;

  bool pending() const { return ticket != nullptr; }
  // The resolver's own record while the query is pending.
  void* ticket = nullptr;
};

class Resolver {
 public:
  virtual ~Resolver() = default;
  // REQUIRES: not pending.
  virtual void Resolve(Query& query) = 0;
  // Its Done will not be called. No effect on one that is not pending.
  virtual void Cancel(Query& query) = 0;
};

}  // namespace rondo::control
