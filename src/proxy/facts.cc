#include "proxy/facts.h"

#include <new>

#include "rondo/proxy/worker.h"

namespace rondo::proxy {

FactsPtr MakeFacts(Worker& worker) {
  return FactsPtr(new (worker.frames().Allocate(sizeof(ConnectionFacts))) ConnectionFacts(worker));
}

void FreeFacts::operator()(ConnectionFacts* facts) const {
  Worker& worker = facts->worker;
  facts->~ConnectionFacts();
  worker.frames().Free(facts, sizeof(ConnectionFacts));
}

}  // namespace rondo::proxy
