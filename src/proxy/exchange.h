// One request and its answer: reads the head, routes it, tries backends until one answers, relays both
// bodies, and accounts for the outcome. Made when the first byte of a head is there, gone when the
// connection is idle again. The steps are those of docs/architecture.md, "the path of a request".
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "proxy/block.h"
#include "proxy/connection.h"
#include "proxy/input.h"
#include "proxy/retry.h"
#include "rondo/http/body.h"
#include "rondo/http/forwarding.h"
#include "rondo/http/local_reply.h"
#include "rondo/protect/rate_watch.h"
#include "rondo/rt/sender.h"

namespace rondo::proxy {

// What becomes of the client's connection.
enum class After : uint8_t {
  kKeepAlive,    // it waits for the next request
  kNextRequest,  // bytes of the next request are here already
  kLinger,       // closed once the client has read everything
  kClose,
  kReset,   // closed so that the client notices that the answer is not whole
  kTunnel,  // it went on into a tunnel
  kHttp2,   // its first bytes were the preface of HTTP/2
};

struct TunnelLog;

// Of a client that takes its answer more slowly than min_rate asks.
inline constexpr char kClientTooSlow[] = "client_too_slow";

class Exchange {
 public:
  explicit Exchange(ClientConnection& client);
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange();

  Freelist& frames() { return worker_.frames(); }

  // Serves one request.
  rt::Task<After> Run();
  // After kHttp2: the bytes that said so.
  io::BufferRef TakePreface() { return input_.TakeBuffer(); }
  // The other half of ClientConnection::Cancel.
  void CancelUpload(rt::CancelReason reason) { upload_token_.Cancel(reason); }
  bool waiting_in_queue() const { return waiting_in_queue_; }
  // It has its place at a backend whose drain is over.
  bool on_drained_backend() const {
    return lease_ && lease_.backend()->shared->state.load(std::memory_order_acquire) ==
                         health::State::kDrained;
  }

 private:
  enum class Upload : uint8_t {
    kDone,           // nothing more of the body is to come
    kRunning,
    kClientGone,     // the client ended before its body did
    kClientTimeout,  // request_body
    kClientTooSlow,  // min_rate
    kRefused,        // malformed, or larger than allowed
    kBackendFailed,  // the backend takes no more of it; it may have answered
    kBackendStalled, // idle
    kStopped,        // the answer came to its end first
  };

  // Room behind a head for a small body, so that both leave in one plain send.
  static constexpr size_t kSmallBodyBytes = 1024;

  // -- exchange.cc: from the head to the outcome --
  enum class HeadState : uint8_t { kNeedMore, kComplete, kNone };
  HeadState ParseHead();
  Instant WatchHead();
  rt::Task<bool> ReadHead();
  bool MayBePreface() const;
  rt::Task<bool> ReadPreface();
  void Refuse(const http::Refusal& refusal);
  void TakeInitialBody();
  rt::Task<> Forward();
  bool DecideRetry(const Failure& failure);
  bool Repeatable() const { return idempotent_ || has_idempotency_key_; }
  After Finish();
  void Account();
  TunnelLog* MakeTunnelLog();
  void ResetForNext();

  // -- routing.cc: what is done with a request, and the head that a backend will see --
  bool Route();
  void FindClient();
  void FindRoute();
  void BoundCall();
  void CheckTunnel();
  void Guard();
  bool MayCome(const std::vector<Network>& allow, const std::vector<Network>& deny) const;
  void LimitRate();
  uint64_t RateKey(const config::HashKey& key, uint64_t seed) const;
  std::string_view ClientFields();
  void ChooseUpstream();
  uint64_t KeyOf(const config::HashKey& key) const;
  uint64_t RequestIdKey() const;
  void WriteRequestHead();
  std::string_view RewrittenTarget();
  std::string_view StickySetCookie();

  // -- reply.cc: Rondo's own answers --
  rt::Task<> ReplyFailure();
  rt::Task<> ReplyFixed();
  std::string_view RedirectTarget();
  rt::Task<> SendReply(std::string_view body);
  bool CloseAfterReply();

  // -- attempt.cc: one backend --
  rt::Task<> Attempt();
  enum class HeadProgress : uint8_t { kNeedMore, kInterim, kFinal, kFailed };
  enum class Placed : uint8_t { kLease, kMustWait, kNowhere };
  Placed TakePlace();
  void FailNowhere();
  rt::Task<Placed> WaitForPlace();
  void FailFromQueue();
  bool TotalIsOver() const { return worker_.loop().Now() >= total_until_; }
  Duration ResponseTimeout() const {
    return route_->timeout ? *route_->timeout : config_->settings.timeouts.response;
  }
  void TakeConnection();
  // The client has sent all of the request and, as far as is known, nothing behind it.
  bool RequestReceived() const { return request_body_.done() && input_.size() == input_consumed_; }
  rt::Task<bool> Connect(upstream::WorkerBackend& backend);
  void PrepareRequest();
  void RequestSent(int32_t result);
  HeadProgress TakeResponseBytes(int32_t received);
  HeadProgress ParseResponseHead();
  rt::Task<HeadProgress> PassInterims();
  void ResumeResponseWait(Instant due);
  void AddInitialBody(rt::Sender& sender);
  void GiveUpBackend();
  void MarkTried(const upstream::WorkerBackend& backend, bool refused);
  void ForgetPicks();
  bool WasTried(const upstream::WorkerBackend& backend) const;
  void Fail(int status, const char* reason, Stage stage);
  void FailConnect(const upstream::ConnectResult& result);
  rt::Task<bool> AskForTunnel();
  void FailUnprocessed();
  void FailEnded();
  std::optional<upstream::ClientEndpoints> Endpoints();
  // What came of it, to the one who counts its backend's failures.
  void Report(upstream::Outcome outcome);
  void ReportIfTimeout(Stage stage, upstream::Outcome outcome) {
    if (failure_.status == 504 && failure_.stage == stage) Report(outcome);
  }
  void FailReceive(int32_t received);
  void FailFromCancel(const char* timeout_reason, Stage stage);
  void FailToClient(int32_t result);

  // -- relay.cc: bodies --
  void AddBody(rt::Sender& sender, bool chunked, char* chunk_head, std::string_view data,
               const http::BodyDecoder& body);
  void BeginUpload();
  rt::Task<> UploadBody();
  rt::Task<> SendRestOfFirst();
  void UploadSendFailed(int32_t sent);
  bool AnswersAlready() const;
  void PassUploadDeadline();
  void KeepNextRequest(io::BufferRef buffer, const char* bytes, size_t consumed, int32_t received);
  void HoldForRetry(std::string_view data);
  void EndUpload(Upload how);
  void FailFromUpload();
  rt::Task<> StopUpload();
  bool PrepareResponse();
  void ObserveLatency();
  bool StartResponse();
  bool TakePiece(char* bytes, size_t size, bool with_head);
  void ResponsePieceSent(int32_t result);
  rt::Task<> RelayRest();
  void EndResponse();
  rt::Task<> ReturnLargeBuffer();
  void PrepareNextPiece(const char* current);
  rt::Task<int32_t> NextResponsePiece();
  void AddResponsePiece(bool head_pending, std::string_view data);
  void ReleaseBackend();
  rt::Task<> BeginTunnel();

  // -- pace.cc: clients that are too slow --
  void WatchPace();
  Instant RequestDue(Instant now, Instant latest);
  bool TookTooLong(int32_t received, Instant now);
  void BeginTaking();
  void EndTaking();
  static void OnPaceTimer(io::Timer& timer);
  void ForgetPace();

  // -- counting.cc: for the metrics --
  void CountReceived(uint64_t bytes);
  void CountSent();
  void CountHead(int status);
  void CountEnd();

  ClientConnection& client_;
  Worker& worker_;
  rt::Sender client_sender_;
  Input input_;  // from the client, not yet dealt with

  // The request. The head as it goes to the backend, which also serves the log.
  Block request_block_;
  http::ForwardedRequest spans_;
  const config::RouteConfig* route_ = nullptr;
  const upstream::RouteAction* action_ = nullptr;
  upstream::WorkerUpstream* upstream_ = nullptr;         // as it is at each moment: for picks
  const upstream::UpstreamConfig* config_ = nullptr;  // as it was when this request began: for all else
  upstream::PickKey pick_key_;
  uint64_t body_max_ = 0;  // 0: no limit
  Instant total_until_ = kNever;
  const char* total_reason_ = nullptr;  // what passing it is called
  Instant queue_until_ = kNever;
  Duration queue_time_{};
  Duration retry_after_{};  // of a 429
  bool waiting_in_queue_ = false;
  const char* sticky_outcome_ = nullptr;  // for the log: what became of its stickiness
  std::string_view normalised_path_;      // valid until the first await
  int minor_version_ = 1;
  bool keep_alive_ = false;
  bool is_head_ = false;
  bool idempotent_ = false;
  bool has_idempotency_key_ = false;
  bool expects_continue_ = false;
  bool asks_upgrade_ = false;
  bool asks_websocket_ = false;
  bool chunked_request_ = false;
  http::ReplyFormat reply_format_ = http::ReplyFormat::kJson;
  char request_id_[32];
  IpAddress client_address_;

  // The request's body.
  size_t request_scanned_ = 0;
  http::BodyDecoder request_body_;
  std::string_view initial_body_;  // what came with the head, in input_
  size_t input_consumed_ = 0;      // of input_, by the body
  Upload upload_ = Upload::kDone;
  http::Refusal upload_refusal_;
  uint64_t received_bytes_ = 0;
  Block held_body_;  // body bytes already sent, kept while the request could be repeated
  bool body_held_ = true;
  rt::CancelToken upload_token_;
  rt::Deadline upload_deadline_;
  rt::Scope upload_scope_;
  char request_chunk_[http::kChunkHeadMax];

  // The backend.
  upstream::PickState* picks_ = nullptr;  // made with the first failure
  upstream::Lease lease_;
  upstream::BackendConnection* backend_ = nullptr;
  upstream::BackendRef tried_;  // the last one, for the log
  Failure failure_;
  Failure previous_failure_;  // of the attempt before
  uint64_t attempt_bytes_ = 0;  // of the request, taken by the kernel in this attempt
  bool backend_broke_ = false;  // a send to it failed: that may have used up the error that a receive would show
  bool retry_decided_ = false;  // failure_ is an answer that was dropped for a retry
  uint32_t retries_ = 0;
  uint32_t unprocessed_ = 0;  // attempts that a backend did nothing with
  uint32_t repeats_ = 0;      // attempts after the first, whatever they count as
  bool first_waits_ = false;  // the answer came before all was sent that came with the head

  // The answer.
  Input response_input_;
  char* large_ = nullptr;       // instead, for long bodies
  char* request_large_ = nullptr;
  http::BodyDecoder response_body_;
  Block response_block_;
  bool response_began_ = false;  // bytes of a final head went to the client
  bool response_complete_ = false;  // all of it has come from the backend
  bool response_whole_ = false;     // and has gone to the client
  bool close_ends_response_ = false; // the client knows the end of its body by the end of the connection
  bool until_close_ended_ = false;   // the backend closed, and that ends its body
  bool response_large_held_ = false; // the current piece is in large_
  bool backend_keeps_ = false;
  bool chunked_response_ = false;
  bool close_after_ = false;
  bool tunnelled_ = false;
  int status_ = 0;
  int interims_ = 0;
  size_t response_scanned_ = 0;
  char response_chunk_[http::kChunkHeadMax];
  uint64_t sent_bytes_ = 0;
  uint64_t relayed_bytes_ = 0;

  // How fast the client sends and takes, where its listener asks.
  protect::RateWatch request_rate_;
  protect::RateWatch response_rate_;
  struct PaceTimer : io::Timer {
    explicit PaceTimer(Exchange& of) : io::Timer(&OnPaceTimer), exchange(of) {}
    Exchange& exchange;
  };
  PaceTimer pace_timer_;          // armed while a send to a client is watched that has a pace to keep
  int64_t arrived_ = INT64_MIN;   // bytes of the answer that had arrived when last looked at; INT64_MIN: not yet
  bool client_too_slow_ = false;

  // Where it is counted; from PinVersion on.
  metrics::TrafficCell* traffic_ = nullptr;
  metrics::Method method_ = metrics::Method::kOther;

  // For the log, but sent_at_ for the balance.
  Instant began_{};
  Instant sent_at_{};
  Duration connect_time_{};
  Duration first_byte_ = Duration(-1);
};

}  // namespace rondo::proxy
