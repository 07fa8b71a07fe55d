// When the tunnels of backends that drain, and of a process that does, are closed: spread over a
// time, so that their clients do not all come back at the same moment.
#pragma once

#include "proxy/tunnel.h"
#include "rondo/proxy/worker.h"

namespace rondo::proxy {

// Whether its tunnels have to end: it drains or is drained, or it is removed while an operator
// holds it in maintenance (then too its drain has an end; a hold alone has none).
bool IsLeaving(const upstream::BackendShared& backend);

// The process ends: all tunnels get an appointment between now and `until`;
// kNever: none.
void SpreadCloses(Worker& worker, IntrusiveList<Tunnel>& tunnels, Instant until);
// The same for tunnels of draining backends, in the second half of the time until their
// drain_until; those of drained backends are cut. One that has its appointment keeps it, but where
// the drain was given another end.
void AppointCloses(Worker& worker, IntrusiveList<Tunnel>& tunnels);
// The same for a tunnel that just begins.
void AppointClose(Worker& worker, Tunnel& tunnel);

}  // namespace rondo::proxy
