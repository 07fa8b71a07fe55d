// Any bytes as what the admin API is sent, and as a watched file of backends: never a crash, either
// a value or errors, and a value is written and read back as the same.
#include <cstdint>
#include <string>
#include <string_view>

#include "fuzz/fuzz_check.h"
#include "rondo/config/edit.h"
#include "rondo/config/write.h"

namespace {

using namespace rondo::config;

template <class T>
void CheckParsed(const Parsed<T>& parsed) {
  FUZZ_CHECK(parsed.value.has_value() == parsed.errors.empty());
  for (const Error& error : parsed.errors) {
    FUZZ_CHECK(!error.message.empty() && !FormatFieldError(error).empty());
    FUZZ_CHECK(FormatFieldError(error).find('\n') == std::string::npos);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const Parsed<Backend> backend = ParseBackendJson(text);
  CheckParsed(backend);
  if (backend.value)
    FUZZ_CHECK(ParseBackendJson(WriteBackendJson(*backend.value)).value == *backend.value);
  const Parsed<Upstream> upstream = ParseUpstreamJson("api", text, "");
  CheckParsed(upstream);
  if (upstream.value) {
    const std::string written = WriteUpstreamJson(*upstream.value, Secrets::kShown);
    FUZZ_CHECK(ParseUpstreamJson("api", written, "").value == *upstream.value);
  }
  CheckParsed(ParseBackendsJson(text));
  CheckParsed(ParseBackendPatchJson(text));
  CheckParsed(ParseBackendsFile(text, "b.yaml", Environment()));
  const Parsed<Config> config = ParseConfigJson(text, "");
  CheckParsed(config);
  if (config.value) {
    FUZZ_CHECK(ParseConfigJson(WriteConfigJson(*config.value), "").value.has_value());
  }
  return 0;
}
