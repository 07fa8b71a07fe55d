// Server-sent events, read as a browser reads them (WHATWG HTML, 9.2.6), and no more of it than the
// admin API uses.
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace rondo::app {

struct CtlEvent {
  std::string id;
  std::string type;
  std::string data;
};

class CtlEventReader {
 public:
  // False: enough.
  using OnEvent = std::function<bool(const CtlEvent&)>;
  explicit CtlEventReader(OnEvent on_event) : on_event_(std::move(on_event)) {}

  // The next bytes of the stream; false once on_event said so.
  bool Feed(std::string_view bytes);
  // The id of the last event: where to go on.
  const std::string& last_id() const { return last_id_; }
  // Forgets what was not whole: the stream begins anew.
  void Restart();

 private:
  bool TakeLine(std::string_view line);

  OnEvent on_event_;
  std::string line_;
  CtlEvent event_;
  std::string last_id_;
};

}  // namespace rondo::app
