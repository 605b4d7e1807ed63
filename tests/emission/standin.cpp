// Stands in for a board, in front of libc: /dev/uio0 is a core that runs the emitted
// engine, hao_memory a u-dma-buf whose core sees only what was synced.
//
// Preloaded into the host program. `standin_run` alone runs the engine once.
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "engine.h"

extern "C" void standin_run(unsigned char *arena, const unsigned char *weights, int first,
                            int count) {
  hao_beat *const maps = reinterpret_cast<hao_beat *>(arena);
  hao_engine(maps, maps, maps, reinterpret_cast<const hao_beat *>(weights), first, count);
}

namespace {

template <class F> F next(const char *name) {
  return reinterpret_cast<F>(dlsym(RTLD_NEXT, name));
}

int event = -1, file = -1, for_device = -1, for_cpu = -1;
volatile unsigned *words = nullptr;
std::vector<unsigned char> seen;  // memory as the core sees it
unsigned char *shared = nullptr;  // as the host does
unsigned long long base = 0;
std::atomic<bool> armed(false);

bool ends(const std::string &text, const std::string &end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

unsigned long long argument(const char *name) {
  // HAO_LAYOUT: "ifm=0x10:64 weights=0x28:32"
  const std::string layout = std::getenv("HAO_LAYOUT");
  const std::size_t place = layout.find(std::string(name) + "=");
  if (place == std::string::npos) std::abort();
  unsigned offset, bits;
  std::sscanf(layout.c_str() + place + std::strlen(name), "=%x:%u", &offset, &bits);
  unsigned long long value = words[offset / 4];
  if (bits > 32) value |= static_cast<unsigned long long>(words[offset / 4 + 1]) << 32;
  return value;
}

unsigned char *at(const char *port) { return seen.data() + (argument(port) - base); }

void core() {
  for (;; usleep(20)) {
    if (!(words[0] & 1)) continue;
    words[3] = 0;
    if (std::getenv("HAO_STUCK")) continue;
    unsigned char *const arena = at("ifm");
    if (at("ofm") != arena) std::abort();
    standin_run(arena, at("weights"), static_cast<int>(argument("first_step")),
                static_cast<int>(argument("step_count")));
    words[3] = words[2] & words[1] & 1;
    words[0] = 0x6;
    const unsigned long long one = 1;
    if (words[3] && armed.exchange(false) && write(event, &one, sizeof one) != sizeof one)
      std::abort();
  }
}

}  // namespace

extern "C" int open(const char *path, int flags, ...) {
  static const auto real = next<int (*)(const char *, int, ...)>("open");
  va_list rest;
  va_start(rest, flags);
  const int mode = flags & O_CREAT ? va_arg(rest, int) : 0;
  va_end(rest);
  const int found = real(path, flags, mode);
  if (ends(path, "/dev/uio0")) {
    file = found;
    event = eventfd(0, 0);
    return event;
  }
  if (ends(path, "/sync_for_device")) for_device = found;
  if (ends(path, "/sync_for_cpu")) for_cpu = found;
  return found;
}

extern "C" void *mmap(void *place, size_t bytes, int rights, int flags, int fd, off_t offset) {
  static const auto real = next<void *(*)(void *, size_t, int, int, int, off_t)>("mmap");
  if (fd >= 0 && fd == event) {
    void *const found = real(place, bytes, rights, flags, file, offset);
    words = static_cast<volatile unsigned *>(found);
    words[0] = 0x4;
    return found;
  }
  void *const found = real(place, bytes, rights, flags, fd, offset);
  if (fd >= 0 && words && !shared && flags & MAP_SHARED) {
    shared = static_cast<unsigned char *>(found);
    seen.assign(bytes, 0xa5);
    base = std::strtoull(std::getenv("HAO_BASE"), nullptr, 0);
    std::thread(core).detach();
  }
  return found;
}

extern "C" int munmap(void *place, size_t bytes) {
  static const auto real = next<int (*)(void *, size_t)>("munmap");
  // The core goes on to look at its registers and memory until the program ends.
  return place == words || place == shared ? 0 : real(place, bytes);
}

extern "C" ssize_t read(int fd, void *place, size_t bytes) {
  static const auto real = next<ssize_t (*)(int, void *, size_t)>("read");
  if (fd < 0 || fd != event) return real(fd, place, bytes);
  unsigned long long count;
  if (real(fd, &count, sizeof count) != sizeof count) return -1;
  const unsigned short_count = static_cast<unsigned>(count);
  std::memcpy(place, &short_count, 4);
  return 4;
}

extern "C" ssize_t write(int fd, const void *place, size_t bytes) {
  static const auto real = next<ssize_t (*)(int, const void *, size_t)>("write");
  if (fd < 0 || fd != event || bytes != 4) return real(fd, place, bytes);
  armed = true;
  return 4;
}

extern "C" ssize_t pwrite(int fd, const void *text, size_t bytes, off_t offset) {
  static const auto real = next<ssize_t (*)(int, const void *, size_t, off_t)>("pwrite");
  if (fd >= 0 && (fd == for_device || fd == for_cpu)) {
    const std::string value(static_cast<const char *>(text), bytes);
    unsigned begin, size;
    if (std::sscanf(value.c_str(), "0x%8X%8X", &begin, &size) != 2 || !(size & 1)) std::abort();
    size &= ~0xfu;
    if (begin + size > seen.size()) size = seen.size() - begin;
    if (fd == for_device) std::memcpy(seen.data() + begin, shared + begin, size);
    else std::memcpy(shared + begin, seen.data() + begin, size);
  }
  return real(fd, text, bytes, offset);
}
