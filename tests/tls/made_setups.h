// A listener's setups for tests, and what they serve.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "rondo/tls/server_setup.h"
#include "tls/contexts.h"
#include "tls/test_certificates.h"

namespace rondo::tls {

inline ServedPair Served(const TestPair& pair, std::string ocsp = {}) {
  absl::StatusOr<std::shared_ptr<const KeyPair>> parsed = KeyPair::Parse(pair.cert, pair.key);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return {*parsed, std::move(ocsp)};
}

inline std::shared_ptr<const ServerSetup> MadeSetup(
    const ServerSettings& settings, size_t workers = 1,
    std::shared_ptr<const TicketKeys> tickets = nullptr) {
  if (tickets == nullptr) tickets = std::make_shared<TicketKeys>();
  absl::StatusOr<std::shared_ptr<const ServerSetup>> setup =
      ServerSetup::Make(settings, workers, std::move(tickets));
  EXPECT_TRUE(setup.ok()) << setup.status().message();
  return *setup;
}

inline UniqueSsl ServerOf(const ServerSetup& setup, size_t worker = 0) {
  return Openssl(setup.ForWorker(worker)).NewSsl();
}

}  // namespace rondo::tls
