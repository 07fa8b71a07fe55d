// The process log: rare, human-readable lines on stderr. Never on the hot path (requests go to the access
// log). Thread-safe.
#pragma once

#include <string_view>

namespace rondo {

enum class LogLevel : unsigned char { kDebug, kInfo, kWarn, kError };

// Lines below this level are dropped. Default: kInfo.
void SetLogLevel(LogLevel level);
bool LogEnabled(LogLevel level);

void Log(LogLevel level, std::string_view message);
inline void LogDebug(std::string_view message) { Log(LogLevel::kDebug, message); }
inline void LogInfo(std::string_view message) { Log(LogLevel::kInfo, message); }
inline void LogWarn(std::string_view message) { Log(LogLevel::kWarn, message); }
inline void LogError(std::string_view message) { Log(LogLevel::kError, message); }

}  // namespace rondo
