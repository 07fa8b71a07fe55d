// One HTTP/2 connection of a StreamEngine: its session, its one receive and its one send at the
// engine below, and the streams.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "io/http2_stream.h"
#include "rondo/http2/session.h"
#include "rondo/io/stream_engine.h"

namespace rondo::io {

class StreamEngine::Link final : public Http2Connection,
                                 private http2::SessionOwner,
                                 public ListHook<StreamEngine::Link>,
                                 public ListHook<struct LinkWork> {
 public:
  using InTimed = ListHook<StreamEngine::Link>;
  using InWork = ListHook<struct LinkWork>;
  using All = IntrusiveList<Stream, Link>;
  using News = IntrusiveList<Stream, StreamNews>;
  using Moved = IntrusiveList<Stream, StreamMoved>;
  using Leaving = IntrusiveList<Stream, StreamLeaving>;

  static Link* Make(StreamEngine& engine, int fd, const http2::SessionOptions& options,
                    BufferRef early, Http2Owner& owner);

  // -- Http2Connection --
  int OpenStream() override;
  size_t room() const override;
  bool takes_tunnels() const override { return session_ != nullptr && session_->takes_tunnels(); }
  bool settings_received() const override {
    return session_ != nullptr && session_->settings_received();
  }
  size_t streams() const override { return open_; }
  bool ending() const override { return ending_; }
  Instant in_head_since() const override { return in_head_since_; }
  Instant stalled_since() const override { return send_.in_flight() ? sent_at_ : kNever; }
  Instant heard_at() const override { return heard_at_; }
  const char* failure() const override { return failure_; }
  void Drain() override;
  void End(http2::ErrorCode code) override;

  // -- for the engine --
  Instant due() const { return due_; }
  // The moment between two GOAWAYs is over.
  void EndPause();
  // The grace is over.
  void Cut();
  // It may be gone after this.
  void Work();

  // -- for its streams --
  StreamEngine& engine() { return engine_; }
  // The descriptor below, for addresses.
  int fd() const { return fd_; }
  // Null where nothing may be asked of it any more.
  http2::Session* live_session() { return dead_ ? nullptr : session_.get(); }
  http2::Session& session() { return *session_; }
  const http2::SessionOptions& options() const { return options_; }
  std::string_view scheme() const;
  All& all() { return all_; }
  News& news() { return news_; }
  Moved& moved() { return moved_; }
  Leaving& leaving() { return leaving_; }
  // What there is to be sent, told or ended is looked at behind all that this tick delivers.
  void Schedule();
  // The owner is to be told.
  void Changed() { changed_ = true; }
  // A stream that was opened above begins.
  void Began() { --unbegun_; }
  // One was closed above.
  void Closed(bool unbegun);

 private:
  struct Part : Op {
    Part(Deliver on_deliver, Link& of) : Op(on_deliver), link(of) {}
    Link& link;
  };

  Link(StreamEngine& engine, int fd, const http2::SessionOptions& options, BufferRef early,
       Http2Owner& owner);
  ~Link();

  // -- http2::SessionOwner --
  http2::SessionStream* OnRequest(const http2::IncomingHead& head, bool ends) override;
  void OnResponse(http2::SessionStream& stream, const http2::IncomingHead& head,
                  bool ends) override;
  void OnData(http2::SessionStream& stream, std::string_view bytes) override;
  void OnEnd(http2::SessionStream& stream, std::string_view trailers) override;
  Supply OnSupply(http2::SessionStream& stream, std::span<char> out, size_t* count) override;
  void OnClosed(http2::SessionStream& stream, const Closing& closing) override;
  void OnGoaway(http2::ErrorCode code) override;
  void OnSettings() override;

  // -- receiving --
  void Listen();
  static void OnReceived(Op& op);
  void Take(BufferRef buffer);
  void TellNews();
  void WatchHead();

  // -- sending --
  // What is to be sent waits for more.
  bool Gathers();
  void Flush();
  static void OnSent(Op& op);
  void Sent();
  void FreeOut();
  void SendFailed();

  // -- ending (http2_link_end.cc) --
  void Fail(const char* failure);
  void Lose();
  void Finish();
  void FinishIfOver();
  void GoOnFinishing();
  void ForgetSession();
  bool over() const;
  void Destroy();
  void SetDue(LinkList& list, Duration after);

  StreamEngine& engine_;
  Http2Owner& owner_;
  const http2::SessionOptions options_;
  const int fd_;
  std::unique_ptr<http2::Session> session_;
  All all_;          // streams that are known above or to the session
  News news_;        // for which something came
  Moved moved_;      // of whose send something was taken
  Leaving leaving_;  // closed, and to be reset behind what ended our direction
  Part receive_;
  Part send_;
  BufferRef early_;
  char* out_ = nullptr;  // what is being sent
  uint32_t out_size_ = 0;
  uint32_t out_sent_ = 0;
  uint32_t out_capacity_ = 0;
  uint32_t out_next_;  // the capacity of the next one
  uint32_t pongs_ = 0;
  size_t open_ = 0;          // descriptors
  size_t unbegun_ = 0;       // of those, with nothing sent
  size_t unsent_input_ = 0;  // received while our own output waited
  size_t discarded_ = 0;     // received when nothing was wanted any more
  Instant heard_at_;
  Instant sent_at_{};
  Instant in_head_since_ = kNever;
  uint32_t unfinished_head_ = 0;  // which one that is
  Instant due_ = kNever;
  const char* failure_ = nullptr;
  uint8_t gathered_ = 0;  // ticks for which the next send has waited for more
  bool added_ = false;    // scheduled since it was looked at
  bool started_ = false;
  bool changed_ = false;
  bool ending_ = false;       // no further stream begins
  bool draining_ = false;     // Drain was called
  bool goaway_said_ = false;  // the last one
  bool dead_ = false;         // its streams have failed
  bool mute_ = false;         // nothing can be sent any more
  bool finishing_ = false;    // only what waits is sent, and then it is closed
  bool peer_gone_ = false;    // with streams open
  bool shut_ = false;         // our direction was
  bool cut_ = false;          // no op is begun any more
  bool receive_ended_ = false;
};

}  // namespace rondo::io
