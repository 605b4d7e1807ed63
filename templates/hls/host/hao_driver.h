// Runs frames through the core, several arenas in flight: while the core computes the
// frames of one, the host packs the next into another and unpacks those before.
#ifndef HAO_DRIVER_H
#define HAO_DRIVER_H

#include <algorithm>
#include <chrono>
#include <cstring>

#include "hao_device.h"
#include "hao_layout.h"

namespace hao {

const std::size_t kPage = 4096;

inline std::size_t whole_pages(std::size_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

// Bytes of memory that a driver needs for so many arenas in flight.
inline std::size_t memory_bytes(int in_flight) {
  return whole_pages(kWeightBytes) + in_flight * whole_pages(kArenaBytes);
}

typedef std::chrono::steady_clock steady;

inline double seconds_since(steady::time_point begin) {
  return std::chrono::duration<double>(steady::now() - begin).count();
}

struct Timing {
  double total;  // from the first frame packed to the last one unpacked [s]
  double core;   // from every start of the core until its end is seen [s]
};

class Driver {
 public:
  Driver(Device &device, const registers_t &registers, const bytes_t &weights, int in_flight,
         bool interrupts, double timeout_s)
      : device_(device),
        registers_(registers),
        in_flight_(in_flight),
        interrupts_(interrupts),
        timeout_s_(timeout_s) {
    if (weights.size() != kWeightBytes)
      throw std::runtime_error(std::to_string(weights.size()) + " bytes of weights; must be " +
                               std::to_string(kWeightBytes));
    if (device.size() < memory_bytes(in_flight))
      throw std::runtime_error(std::to_string(device.size()) + " bytes of memory; " +
                               std::to_string(in_flight) + " arenas in flight need " +
                               std::to_string(memory_bytes(in_flight)));
    std::memset(device.memory(), 0, memory_bytes(in_flight));
    if (!weights.empty()) std::memcpy(device.memory(), weights.data(), weights.size());
    device.to_device(0, memory_bytes(in_flight));
    set_address("weights", 0);
    device.write(argument("first_step").offset, 0);
    device.write(argument("step_count").offset, 0);  // all that follow
    set_arena(0);
    device.write(kInterruptEnable, interrupts ? 1 : 0);
    device.write(kGlobalInterrupt, interrupts ? 1 : 0);
  }

  // Runs `count` frames: `source(n)` returns the codes of frame n, `sink(n, codes)` takes
  // those of its output. Frames come and go in their order. With `overlap`, and more than
  // one in flight, host and core work at once.
  template <class Source, class Sink>
  Timing run(long count, bool overlap, Source source, Sink sink) {
    Timing timing = {0, 0};
    const steady::time_point begin = steady::now();
    const long starts = (count + kBatch - 1) / kBatch;
    const auto end = [count](long s) { return std::min(count, (s + 1) * kBatch); };
    const auto fill = [&](long s) {
      for (long n = s * kBatch; n < end(s); ++n) load(n, source(n));
    };
    if (starts > 0) {
      fill(0);
      start(0);
    }
    for (long s = 0; s < starts; ++s) {
      const bool more = s + 1 < starts, ahead = more && overlap && in_flight_ > 1;
      if (ahead) fill(s + 1);
      timing.core += finish();
      if (ahead) start(s + 1);
      for (long n = s * kBatch; n < end(s); ++n) sink(n, store(n));
      if (more && !ahead) {
        fill(s + 1);
        start(s + 1);
      }
    }
    timing.total = seconds_since(begin);
    return timing;
  }

 private:
  std::size_t arena(long number) const {
    return whole_pages(kWeightBytes) + (number % in_flight_) * whole_pages(kArenaBytes);
  }

  // Where the maps of a frame begin.
  std::size_t place(long frame) const {
    return arena(frame / kBatch) + (frame % kBatch) * kFrameBytes;
  }

  void load(long frame, const codes_t &codes) {
    const std::size_t at = place(frame) + kInput.offset_bytes;
    kInput.pack(codes, device_.memory() + at);
    device_.to_device(at, kInput.bytes);
  }

  codes_t store(long frame) {
    const std::size_t at = place(frame) + kOutput.offset_bytes;
    device_.from_device(at, kOutput.bytes);
    return kOutput.unpack(device_.memory() + at);
  }

  // The core reads the addresses while it runs, so they change between runs only.
  void start(long number) {
    if (!(device_.read(kControl) & kIdle))
      throw std::runtime_error("the core is busy; load the bitstream again");
    set_arena(number);
    if (interrupts_) {
      clear_interrupt();
      device_.arm();
    }
    started_ = steady::now();
    device_.write(kControl, kStart);
  }

  double finish() {
    while (!done())
      if (seconds_since(started_) > timeout_s_)
        throw std::runtime_error(
            "the core did not finish in time; check the clock, and that bitstream and "
            "weights are of one project");
    return seconds_since(started_);
  }

  bool done() {
    if (!interrupts_) return device_.read(kControl) & kDone;
    return device_.wait(timeout_s_) && clear_interrupt();
  }

  // The status is cleared by reading or by writing ones, by the tool's version.
  bool clear_interrupt() {
    const std::uint32_t status = device_.read(kInterruptStatus);
    if (status) device_.write(kInterruptStatus, status);
    return status & 1;
  }

  void set_arena(long number) {
    for (const char *port : kPorts)
      if (std::strcmp(port, "weights") != 0) set_address(port, arena(number));
  }

  const Register &argument(const std::string &name) const {
    const registers_t::const_iterator found = registers_.find(name);
    if (found == registers_.end())
      throw std::runtime_error("the core has no register for " + name);
    return found->second;
  }

  void set_address(const std::string &port, std::size_t offset) {
    const Register &found = argument(port);
    const std::uint64_t address = device_.address() + offset;
    if (found.bits <= 32 && address >> 32)
      throw std::runtime_error("memory above 4 GiB; port " + port + " takes 32 bits");
    device_.write(found.offset, static_cast<std::uint32_t>(address));
    if (found.bits > 32)
      device_.write(found.offset + 4, static_cast<std::uint32_t>(address >> 32));
  }

  Device &device_;
  const registers_t registers_;
  const int in_flight_;
  const bool interrupts_;
  const double timeout_s_;
  steady::time_point started_;
};

}  // namespace hao

#endif
