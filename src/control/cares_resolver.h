// The resolver on real networks: c-ares sends the questions (servers in turn, attempts, TCP where
// an answer was cut) and reads nothing but their headers; names are searched (search domains,
// ndots, /etc/hosts first) and answers read here, since TTLs and the failure of one family of two
// must be known. Its sockets are the loop's engine's; no thread. /etc/resolv.conf and /etc/hosts
// are read again when they changed, as a question comes. Control thread only.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "control/resolver.h"
#include "rondo/config/config.h"
#include "rondo/rt/loop.h"

namespace rondo::control {

struct ResolverFiles {
  std::string resolv_conf = "/etc/resolv.conf";
  std::string hosts = "/etc/hosts";
  uint16_t port = 53;  // of the servers in resolv.conf, which has none
};

class CaresResolver final : public Resolver {
 public:
  // `settings.servers` empty: those of resolv.conf. With servers resolv.conf is not read (no search
  // domains), and /etc/hosts neither. REQUIRES: the loop's engine takes real descriptors.
  CaresResolver(rt::Loop& loop, const config::Resolver& settings, ResolverFiles files = {});
  CaresResolver(const CaresResolver&) = delete;
  CaresResolver& operator=(const CaresResolver&) = delete;
  ~CaresResolver() override;  // REQUIRES: stopped

  void Resolve(Query& query) override;
  void Cancel(Query& query) override;
  // A reload: for questions asked from now on.
  void SetSettings(const config::Resolver& settings);

  // Gives up all that is asked (every query must be cancelled or answered by then) and closes the
  // sockets: `stopped` some ticks later.
  void Stop();
  bool stopped() const;

  // Questions that are asked at the same time; further ones wait.
  static constexpr size_t kQuestionsMax = 64;
  // Addresses in one answer; what is beyond is left out.
  static constexpr size_t kRecordsMax = 4096;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rondo::control
