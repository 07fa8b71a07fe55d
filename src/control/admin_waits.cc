// What calls with ?wait= wait for.
#include "control/admin_call.h"
#include "control/admin_views.h"
#include "rondo/health/state.h"

namespace rondo::control {
namespace {

std::string Meant(const AdminWait& wait) {
  return "the backend " + wait.id + " of " + wait.upstream;
}

AdminReply Gone(const AdminWait& wait, const AdminContext& context) {
  AdminReply reply;
  reply.etag = context.cluster.revision();
  JsonWriter json(reply.body);
  json.BeginObject();
  json.Key("upstream").Text(wait.upstream);
  json.Key("backend").Text(wait.id);
  json.Key("removed").Bool(true);
  if (wait.what == AdminWait::For::kDrained) json.Key("done").Bool(true);
  json.EndObject();
  reply.body.push_back('\n');
  return reply;
}

std::optional<AdminReply> LookUp(const AdminWait& wait, const AdminContext& context,
                                 const UpstreamView& upstream, const BackendView& backend,
                                 const AdminMoment& moment) {
  const health::State state = backend.machine.state();
  if (state == health::State::kUp) {
    AdminReply reply = BackendReply(context, upstream, backend, moment, wait.status);
    reply.location = wait.location;
    return reply;
  }
  if (health::IsHeld(state)) {
    return ErrorReply(409, "held",
                      Meant(wait) + " was set to " + std::string(health::StateName(state)));
  }
  return std::nullopt;
}

}  // namespace

std::optional<AdminReply> AdminApi::Look(const AdminWait& wait, const AdminMoment& moment) {
  const UpstreamView* upstream = context_.cluster.FindUpstream(wait.upstream);
  const BackendView* backend =
      upstream == nullptr ? nullptr : context_.cluster.FindSerial(wait.serial);
  if (backend == nullptr) {
    if (wait.what != AdminWait::For::kUp) return Gone(wait, context_);
    return ErrorReply(409, "removed", Meant(wait) + " was removed before it was up");
  }
  switch (wait.what) {
    case AdminWait::For::kUp:
      return LookUp(wait, context_, *upstream, *backend, moment);
    case AdminWait::For::kRemoved:
      if (backend->removing) return std::nullopt;
      return ErrorReply(409, "kept", Meant(wait) + " was added again before it was gone");
    case AdminWait::For::kDrained: {
      const auto progress = context_.cluster.Drain(*backend);
      if (!progress)
        return ErrorReply(409, "not_draining",
                          Meant(wait) + " was set up again before it was drained");
      if (!progress->done()) return std::nullopt;
      AdminReply reply;
      reply.etag = context_.cluster.revision();
      JsonWriter json(reply.body);
      WriteDrain(context_, *upstream, *backend, moment, json);
      reply.body.push_back('\n');
      return reply;
    }
  }
  return std::nullopt;
}

AdminReply AdminApi::TimedOut(const AdminWait& wait, const AdminMoment& moment) {
  if (std::optional<AdminReply> reply = Look(wait, moment)) return *reply;
  const BackendView* backend = context_.cluster.FindSerial(wait.serial);
  const std::string state =
      backend == nullptr ? "gone" : std::string(health::StateName(backend->machine.state()));
  switch (wait.what) {
    case AdminWait::For::kUp: {
      std::string message = Meant(wait) + " is not up yet but " + state;
      if (backend != nullptr && !backend->machine.reason().empty())
        message += " (" + backend->machine.reason() + ")";
      return ErrorReply(504, "wait_timeout", message + "; it stays listed");
    }
    case AdminWait::For::kRemoved:
    case AdminWait::For::kDrained: {
      const uint32_t in_flight =
          backend == nullptr ? 0 : backend->shared->in_flight.load(std::memory_order_relaxed);
      return ErrorReply(504, "wait_timeout",
                        Meant(wait) + " is still " + state + ", with " + std::to_string(in_flight) +
                            " in flight; it goes on draining");
    }
  }
  return ErrorReply(504, "wait_timeout", "the time is over");
}

}  // namespace rondo::control
