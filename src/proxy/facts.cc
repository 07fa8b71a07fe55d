#include "proxy/facts.h"

#include <new>

#include "rondo/proxy/worker.h"

namespace rondo::proxy {

FactsPtr MakeFacts(Worker& worker) {
  return FactsPtr(new (worker.frames().Allocate(sizeof(ConnectionFacts))) ConnectionFacts(worker));
}

FactsPtr Share(const FactsPtr& facts) {
  ++facts->holders;
  return FactsPtr(facts.get());
}

void FreeFacts::operator()(ConnectionFacts* facts) const {
  if (--facts->holders > 0) return;
  Worker& worker = facts->worker;
  facts->~ConnectionFacts();
  worker.frames().Free(facts, sizeof(ConnectionFacts));
}

}  // namespace rondo::proxy
