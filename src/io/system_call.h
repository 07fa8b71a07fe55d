// The system calls of every request, made without glibc's functions: in a process of several threads
// those mark the thread as cancellable around each call, which nobody here needs and costs about
// 0.1 µs a time. Each gives a result, or a negative errno.
#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

// Sanitizers learn of calls through glibc's functions.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define RONDO_CALL_THROUGH_LIBC 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define RONDO_CALL_THROUGH_LIBC 1
#endif
#endif
#if !defined(__LP64__) || !(defined(__x86_64__) || defined(__aarch64__))
#define RONDO_CALL_THROUGH_LIBC 1
#endif

namespace rondo::io {

#if defined(RONDO_CALL_THROUGH_LIBC)

inline int64_t Receive(int fd, void* to, size_t size, int flags) {
  const ssize_t count = recv(fd, to, size, flags);
  return count < 0 ? -errno : count;
}
inline int64_t Send(int fd, const void* from, size_t size, int flags) {
  const ssize_t count = send(fd, from, size, flags);
  return count < 0 ? -errno : count;
}
inline int64_t EpollWait(int fd, epoll_event* events, int events_max, const timespec* limit) {
  const int count = epoll_pwait2(fd, events, events_max, limit, nullptr);
  return count < 0 ? -errno : count;
}

#else

inline int64_t SystemCall(int64_t number, int64_t a, int64_t b, int64_t c, int64_t d) {
  // The fifth and sixth arguments are zero in all calls here.
#if defined(__x86_64__)
  int64_t result;
  register int64_t r10 __asm__("r10") = d;
  register int64_t r8 __asm__("r8") = 0;
  register int64_t r9 __asm__("r9") = 0;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory", "cc");
  return result;
#else
  register int64_t x8 __asm__("x8") = number;
  register int64_t x0 __asm__("x0") = a;
  register int64_t x1 __asm__("x1") = b;
  register int64_t x2 __asm__("x2") = c;
  register int64_t x3 __asm__("x3") = d;
  register int64_t x4 __asm__("x4") = 0;
  register int64_t x5 __asm__("x5") = 0;
  __asm__ volatile("svc #0"
                   : "+r"(x0)
                   : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory", "cc");
  return x0;
#endif
}

inline int64_t Receive(int fd, void* to, size_t size, int flags) {
  return SystemCall(SYS_recvfrom, fd, reinterpret_cast<int64_t>(to), static_cast<int64_t>(size),
                    flags);
}
inline int64_t Send(int fd, const void* from, size_t size, int flags) {
  return SystemCall(SYS_sendto, fd, reinterpret_cast<int64_t>(from), static_cast<int64_t>(size),
                    flags);
}
inline int64_t EpollWait(int fd, epoll_event* events, int events_max, const timespec* limit) {
  return SystemCall(SYS_epoll_pwait2, fd, reinterpret_cast<int64_t>(events), events_max,
                    reinterpret_cast<int64_t>(limit));
}

#endif

}  // namespace rondo::io
