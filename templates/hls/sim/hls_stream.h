// Copyright 2026 The hao authors. SPDX-License-Identifier: Apache-2.0
//
// hls::stream for C simulation without vendor tools: an unbounded FIFO.
//
// A ring that doubles when it is full, so that no word costs an allocation of its own.
// As in the vendor's C simulation nothing ever blocks: a read from an empty stream is an
// error here, and so is a word that nobody reads, since either would hang the hardware.
// With -DHAO_TRACE every access is recorded for the cycle replay (hao_trace.h).
#ifndef HAO_HLS_STREAM_H
#define HAO_HLS_STREAM_H

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#ifdef HAO_TRACE
#include "hao_trace.h"
#elif !defined(HAO_TICK)
#define HAO_STEP_BEGIN(index)
#define HAO_STEP_END()
#define HAO_PROCESS(name)
#define HAO_LOOP(label, depth)
#define HAO_FOLLOW(stream)
#define HAO_TICK()
#define HAO_POLL(stream)
#define HAO_BUS(bytes)
#define HAO_BUS_READ(port, address_beats)
#define HAO_BUS_WRITE(port, address_beats)
#define HAO_DEPTH(stream, depth)
#endif

namespace hls {

// `Depth` is accepted as in the vendor's header, and is the depth of the replay.
template <typename T, int Depth = 0>
class stream {
 public:
  stream() { set_depth("", Depth); }
  explicit stream(const char* name) : name_(name) { set_depth("", Depth); }
  explicit stream(const std::string& name) : stream(name.c_str()) {}
  stream(const stream&) = delete;
  stream& operator=(const stream&) = delete;

  ~stream() {
    if (!empty()) fail(std::to_string(size()) + " words were never read");
  }

  bool empty() const { return head_ == tail_; }
  bool full() const { return false; }
  std::size_t size() const { return tail_ - head_; }

  T read() {
    if (empty()) fail("read while empty");
#ifdef HAO_TRACE
    hao_trace::recorder().note_read(endpoint_, size());
#endif
    return std::move(ring_[head_++ & mask_]);
  }
  void read(T& word) { word = read(); }

  // Takes a word if there is one. In the replay: if there is one in that cycle.
  bool read_nb(T& word) {
    const bool taken = !empty();
#ifdef HAO_TRACE
    hao_trace::recorder().note_poll(endpoint_, size(), taken);
#endif
    if (taken) word = std::move(ring_[head_++ & mask_]);
    return taken;
  }

  void write(const T& word) {
#ifdef HAO_TRACE
    hao_trace::recorder().note_write(endpoint_, size());
#endif
    if (size() == capacity_) grow();
    ring_[tail_++ & mask_] = word;
  }
  bool write_nb(const T& word) {
    write(word);
    return true;
  }

  void operator>>(T& word) { word = read(); }
  void operator<<(const T& word) { write(word); }

#ifdef HAO_TRACE
  void poll() { hao_trace::recorder().declare_poll(endpoint_, size()); }
  void follow() { hao_trace::recorder().declare_followed(endpoint_, size()); }
#endif

  // For the replay: `depth` [words], where positive; `name`, where it has none yet.
  void set_depth(const std::string& name, int depth) {
    if (name_.empty()) name_ = name;
#ifdef HAO_TRACE
    if (!name_.empty()) endpoint_.name = name_;
    if (depth > 0) endpoint_.depth = depth;
#else
    (void)depth;
#endif
  }

 private:
  void grow() {
    const std::size_t held = size();
    const std::size_t capacity = capacity_ == 0 ? 16 : 2 * capacity_;
    std::unique_ptr<T[]> ring(new T[capacity]);
    for (std::size_t i = 0; i < held; ++i) ring[i] = std::move(ring_[(head_ + i) & mask_]);
    ring_ = std::move(ring);
    capacity_ = capacity;
    mask_ = capacity - 1;
    head_ = 0;
    tail_ = held;
  }

  [[noreturn]] void fail(const std::string& what) const {
    std::fprintf(stderr, "hls::stream %s: %s\n",
                 name_.empty() ? "(no name)" : name_.c_str(), what.c_str());
    std::fflush(nullptr);
    std::_Exit(1);
  }

  std::string name_;
  std::unique_ptr<T[]> ring_;
  std::size_t capacity_ = 0;  // a power of two
  std::size_t mask_ = 0;
  std::size_t head_ = 0;
  std::size_t tail_ = 0;
#ifdef HAO_TRACE
  hao_trace::Endpoint endpoint_;
#endif
};

}  // namespace hls

#endif  // HAO_HLS_STREAM_H
