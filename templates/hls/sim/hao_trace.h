// Copyright 2026 The hao authors. SPDX-License-Identifier: Apache-2.0
//
// What did each process of the engine do, iteration by iteration, in this step?
//
// C simulation runs the processes of a step one after another. Built with -DHAO_TRACE,
// the macros below and the streams of hls_stream.h record which streams and ports every
// iteration of every pipelined loop touches; at the end of the step hao_replay.h turns
// that into cycles. The macros, empty in other builds (hls_stream.h has them so):
//
//   HAO_STEP_BEGIN(index), HAO_STEP_END()  around a step (one pass of the dataflow region)
//   HAO_PROCESS(name)      first statement of a process; a second one of the same name in
//                          a step is called name_2, and so on
//   HAO_LOOP(label, depth) before a pipelined loop; `depth` [cycles] from the start of an
//                          iteration through its writes; a loop takes trips - 1 + depth
//   HAO_FOLLOW(stream)     after HAO_LOOP: the loop reads one word of `stream` an iteration
//                          until its writer has sent the last one
//   HAO_TICK()             first statement of an iteration
//   HAO_POLL(stream)       after HAO_LOOP: every iteration may take a word. read_nb says
//                          it too; needed where an earlier loop took all words already
//   HAO_BUS(bytes)         after HAO_PROCESS: the beats of its ports have so many bytes
//   HAO_BUS_READ(port, address_beats), HAO_BUS_WRITE(port, address_beats)
//                          in an iteration that moves a beat; consecutive addresses of a
//                          loop form bursts, cut at Config::max_burst_beats and at 4 KiB
//   HAO_DEPTH(stream, n)   its depth [words]; also for an array of streams
//
// A polled stream is taken from when a word is there, whatever C simulation saw: what
// counts is how many words a step brings. A loop that polls goes on until all of them have
// come, and writes in every iteration what it wrote in its last recorded one; so does the
// loop that follows it. In one iteration a stream or a port can be
// accessed once. A test bench calls configure, then the engine, then print_json.
#ifndef HAO_TRACE_H
#define HAO_TRACE_H

#include <cstdio>
#include <cstdlib>
#include <map>
#include <utility>

#include "hao_replay.h"

#ifdef HAO_TICK
#error "hls_stream.h comes before any header that defines the marks of the replay empty"
#endif

#define HAO_STEP_BEGIN(index) ::hao_trace::recorder().begin_step(index)
#define HAO_STEP_END() ::hao_trace::recorder().end_step()
#define HAO_PROCESS(name) ::hao_trace::ProcessScope hao_process_scope(#name)
#define HAO_LOOP(label, depth) ::hao_trace::recorder().begin_loop(#label, depth)
#define HAO_FOLLOW(stream) (stream).follow()
#define HAO_TICK() ::hao_trace::recorder().tick()
#define HAO_POLL(stream) (stream).poll()
#define HAO_BUS(bytes) ::hao_trace::recorder().set_beat_bytes(bytes)
#define HAO_BUS_READ(port, address_beats) \
  ::hao_trace::recorder().move_beat(port, false, address_beats)
#define HAO_BUS_WRITE(port, address_beats) \
  ::hao_trace::recorder().move_beat(port, true, address_beats)
#define HAO_DEPTH(stream, depth) ::hao_trace::set_depth(stream, #stream, depth)

namespace hao_trace {

constexpr int kPageBytes = 4096;  // no AXI burst crosses such a boundary (AXI4, A3.4.1)
constexpr int kDefaultDepth = 2;  // of a stream in a dataflow region (UG1399)

// What the streams of one name needed over all steps [words].
struct StreamNeed {
  std::int64_t given = 0;
  std::int64_t peak = 0;            // at the given depth
  std::int64_t unlimited_peak = 0;  // at any depth
  std::int64_t smallest = 2;        // power of two that adds no cycles; size_fifos only
};

struct StepReport {
  Trace trace;  // without the accesses
  Replay replay;
};

// One end of the recording: the side of a stream that a process holds.
struct End {
  std::uint64_t process = 0;  // serial number
  int bit = 0;
};

// The identity of a stream in the step being recorded.
struct Endpoint {
  std::string name = "stream";
  std::int64_t depth = kDefaultDepth;
  std::uint64_t step = 0;  // serial number of the step in which `channel` is valid
  int channel = -1;
  End reader;
  End writer;
};

class Recorder {
 public:
  bool recording() const { return recording_; }
  const Config& config() const { return config_; }
  const std::vector<StepReport>& steps() const { return steps_; }
  const std::map<std::string, StreamNeed>& needs() const { return needs_; }
  std::int64_t cycles() const { return cycles_; }
  std::int64_t process_cycles() const { return process_cycles_; }

  void configure(const Config& config) {
    if (recording_) fail("configure is called within a step");
    if (config.max_burst_beats < 1 || config.outstanding_bursts < 1 ||
        config.port_bytes < 1 || config.read_latency < 1 || config.write_latency < 0 ||
        config.start_cycles < 0 || config.gap_cycles < 0 || config.finish_cycles < 0 ||
        config.ddr_bytes_per_kilocycle < 0 || config.ddr_write_cost < 1 ||
        config.ddr_burst_bytes < 1)
      fail("configuration out of range: bursts, bytes, read_latency and ddr_write_cost "
           "are at least 1, the rest at least 0");
    config_ = config;
  }

  void begin_step(int index) {
    if (recording_) fail("step " + std::to_string(index) + " begins within a step");
    recording_ = true;
    ++step_serial_;
    trace_ = Trace();
    trace_.step = index;
    names_.clear();
    next_address_.clear();
  }

  void end_step() {
    if (!recording_) fail("HAO_STEP_END without HAO_STEP_BEGIN");
    if (process_ >= 0) fail("the step ends within process " + current().name);
    recording_ = false;
    report_step();
  }

  void begin_process(const std::string& name) {
    if (!recording_) return;
    if (process_ >= 0) fail("process " + name + " begins within " + current().name);
    const int count = ++names_[name];
    trace_.processes.push_back(Process());
    process_ = static_cast<int>(trace_.processes.size()) - 1;
    current().name = count == 1 ? name : name + "_" + std::to_string(count);
    ++process_serial_;
    beat_bytes_ = config_.port_bytes;
    now_ = nullptr;
    loop_open_ = false;
  }

  void end_process() {
    process_ = -1;
    now_ = nullptr;
  }

  void begin_loop(const char* label, int depth) {
    if (process_ < 0) return needs_process(label);
    if (depth < 1)
      fail("loop " + std::string(label) + ": depth = " + std::to_string(depth) +
           "; must be at least 1");
    Process& process = current();
    Loop loop = {find_label(label, depth), process.accesses.size(), 0, -1};
    process.loops.push_back(loop);
    now_ = nullptr;
    loop_open_ = true;
  }

  void tick() {
    if (process_ < 0) return needs_process("of a tick");
    if (!loop_open_) fail("process " + current().name + ": HAO_TICK before HAO_LOOP");
    Process& process = current();
    Loop& loop = process.loops.back();
    polled_ = 0;
    ++loop.trips;
    process.accesses.push_back(0);
    now_ = &process.accesses.back();
  }

  void set_beat_bytes(int bytes) {
    if (bytes < 1 || kPageBytes % bytes != 0)
      fail("HAO_BUS(" + std::to_string(bytes) + "): must divide 4096");
    beat_bytes_ = bytes;
  }

  void move_beat(int index, bool write, std::uint64_t address) {
    if (process_ < 0) return needs_process("of a bus access");
    Port& port = trace_.ports[find_port(index, write)];
    Channel& channel = trace_.channels[port.channel];
    std::vector<int>& side = write ? current().outputs : current().inputs;
    note(find_bit(side, port.channel), write, channel);
    const std::size_t loop = current().loops.size() - 1;
    std::uint64_t& next = next_address_[&port - trace_.ports.data()];
    const bool joins = !port.bursts.empty() && address == next &&
                       port.bursts.back().loop == loop &&
                       port.bursts.back().beats < config_.max_burst_beats &&
                       address * port.bytes % kPageBytes != 0;
    if (joins) {
      ++port.bursts.back().beats;
    } else {
      int unused = 0;
      if (port.bursts.empty() || address != next) {
        const int burst = config_.ddr_burst_bytes;
        unused = static_cast<int>(address * port.bytes % burst);
        if (!port.bursts.empty())
          unused += (burst - static_cast<int>(next * port.bytes % burst)) % burst;
      }
      port.bursts.push_back(Burst{1, loop, unused});
    }
    next = address + 1;
  }

  void note_read(Endpoint& stream, std::size_t held) {
    if (!recording_) return;
    const int bit = bind(stream, stream.reader, false, held);
    if ((current().polled >> bit & 1) != 0)
      fail("process " + current().name + " polls stream " + stream.name +
           " and waits for it: how many words are left is not known");
    note(bit, false, trace_.channels[stream.channel]);
  }

  void note_write(Endpoint& stream, std::size_t held) {
    if (!recording_) return;
    const int bit = bind(stream, stream.writer, true, held);
    note(bit, true, trace_.channels[stream.channel]);
  }

  void note_poll(Endpoint& stream, std::size_t held, bool taken) {
    if (!recording_) return;
    const int bit = declare_poll(stream, held);
    if (now_ == nullptr) outside_tick(stream.name);
    if ((polled_ >> bit & 1) != 0) twice(stream.name);
    polled_ |= 1u << bit;
    if (taken) ++current().units[bit];
  }

  int declare_poll(Endpoint& stream, std::size_t held) {
    if (!recording_) return 0;
    const int bit = bind(stream, stream.reader, false, held);
    if (!loop_open_) fail("stream " + stream.name + " is polled before HAO_LOOP");
    const Loop& loop = current().loops.back();
    if (loop.followed >= 0) fail("stream " + stream.name + " is polled in a loop that follows");
    current().labels[loop.label].polled |= static_cast<std::uint8_t>(1u << bit);
    current().polled |= static_cast<std::uint8_t>(1u << bit);
    return bit;
  }

  void declare_followed(Endpoint& stream, std::size_t held) {
    if (!recording_) return;
    const int bit = bind(stream, stream.reader, false, held);
    if (!loop_open_) fail("stream " + stream.name + " is followed before HAO_LOOP");
    Loop& loop = current().loops.back();
    if (current().labels[loop.label].polled != 0)
      fail("stream " + stream.name + " is followed in a loop that polls");
    loop.followed = bit;
  }

  [[noreturn]] void fail(const std::string& message) const {
    if (recording_)
      std::fprintf(stderr, "hao_trace: step %d: %s\n", trace_.step, message.c_str());
    else
      std::fprintf(stderr, "hao_trace: %s\n", message.c_str());
    std::fflush(nullptr);
    std::_Exit(1);
  }

 private:
  Process& current() { return trace_.processes[process_]; }

  void needs_process(const std::string& what) const {
    if (recording_) fail("loop " + what + " is outside of a process: HAO_PROCESS");
  }

  [[noreturn]] void outside_tick(const std::string& name) {
    fail("process " + current().name + " accesses " + name +
         " outside of an iteration: HAO_TICK comes first in a loop");
  }

  [[noreturn]] void twice(const std::string& name) {
    fail("process " + current().name + " (loop " +
         current().labels[current().loops.back().label].name + ") accesses " + name +
         " twice in one iteration");
  }

  int find_label(const char* name, int depth) {
    std::vector<Label>& labels = current().labels;
    for (std::size_t i = 0; i < labels.size(); ++i)
      if (labels[i].name == name && labels[i].depth == depth) return static_cast<int>(i);
    labels.push_back(Label{name, depth, 0});
    return static_cast<int>(labels.size()) - 1;
  }

  int find_bit(std::vector<int>& side, int channel) {
    for (std::size_t i = 0; i < side.size(); ++i)
      if (side[i] == channel) return static_cast<int>(i);
    if (side.size() == kMaxStreams)
      fail("process " + current().name + " has more than " + std::to_string(kMaxStreams) +
           " streams and ports in one direction");
    side.push_back(channel);
    return static_cast<int>(side.size()) - 1;
  }

  int find_port(int index, bool write) {
    for (std::size_t i = 0; i < trace_.ports.size(); ++i) {
      const Port& port = trace_.ports[i];
      if (port.index != index || port.write != write) continue;
      if (port.process != process_)
        fail("port " + std::to_string(index) + " belongs to process " +
             trace_.processes[port.process].name + " and to " + current().name);
      return static_cast<int>(i);
    }
    const std::string name =
        (write ? "write port " : "read port ") + std::to_string(index);
    Channel channel = {name, kNever, 0, write ? process_ : -1, write ? -1 : process_,
                       static_cast<int>(trace_.ports.size())};
    trace_.channels.push_back(channel);
    trace_.ports.push_back(Port{index, write, process_,
                                static_cast<int>(trace_.channels.size()) - 1, beat_bytes_,
                                {}});
    next_address_.push_back(0);
    return static_cast<int>(trace_.ports.size()) - 1;
  }

  // Returns the bit of the stream in the masks of the current process.
  int bind(Endpoint& stream, End& end, bool write, std::size_t held) {
    if (process_ < 0)
      fail("stream " + stream.name + " is accessed outside of a process: HAO_PROCESS");
    if (end.process == process_serial_) return end.bit;
    if (stream.step != step_serial_) {
      stream.step = step_serial_;
      stream.channel = static_cast<int>(trace_.channels.size());
      trace_.channels.push_back(Channel{stream.name, stream.depth, held, -1, -1, -1});
    }
    Channel& channel = trace_.channels[stream.channel];
    int& owner = write ? channel.writer : channel.reader;
    if (owner >= 0 && owner != process_)
      fail("stream " + stream.name + " has two " + (write ? "writers" : "readers") +
           ", processes " + trace_.processes[owner].name + " and " + current().name);
    owner = process_;
    end.process = process_serial_;
    end.bit = find_bit(write ? current().outputs : current().inputs, stream.channel);
    return end.bit;
  }

  void note(int bit, bool write, const Channel& channel) {
    if (now_ == nullptr) outside_tick(channel.name);
    const std::uint16_t mask = static_cast<std::uint16_t>(1u << (write ? bit + 8 : bit));
    if ((*now_ & mask) != 0) twice(channel.name);
    *now_ |= mask;
  }

  void report_step() {
    const std::vector<std::int64_t> given = given_depths(trace_);
    const bool unlimited_needed = config_.unlimited_fifos || config_.size_fifos;
    Replay unlimited;
    if (unlimited_needed) unlimited = checked(replay_unlimited(trace_, config_));
    Replay result = config_.unlimited_fifos ? unlimited
                                            : checked(replay(trace_, config_, given));
    std::vector<std::int64_t> least;
    for (std::size_t c = 0; c < trace_.channels.size(); ++c) {
      const Channel& channel = trace_.channels[c];
      const bool fifo = channel.port < 0;
      least.push_back(fifo ? needs_[channel.name].smallest : 2);
      if (!fifo) continue;
      StreamNeed& need = needs_[channel.name];
      need.given = std::max(need.given, channel.depth);
      need.peak = std::max(need.peak, result.channels[c].peak);
      if (unlimited_needed)
        need.unlimited_peak = std::max(need.unlimited_peak, unlimited.channels[c].peak);
    }
    if (config_.size_fifos) {
      least = smallest_depths(trace_, config_, unlimited, least);
      for (std::size_t c = 0; c < least.size(); ++c)
        if (trace_.channels[c].port < 0) {
          std::int64_t& smallest = needs_[trace_.channels[c].name].smallest;
          smallest = std::max(smallest, least[c]);
        }
    }
    keep(std::move(result));
  }

  Replay checked(Replay result) {
    if (!result.failure.empty())
      fail("step " + std::to_string(trace_.step) + ": " + result.failure);
    return result;
  }

  void keep(Replay result) {
    cycles_ += result.cycles;
    process_cycles_ += result.process_cycles;
    for (Process& process : trace_.processes) {
      process.accesses = std::vector<std::uint16_t>();
      process.loops = std::vector<Loop>();
    }
    steps_.push_back(StepReport{std::move(trace_), std::move(result)});
    trace_ = Trace();
  }

  Config config_;
  Trace trace_;
  bool recording_ = false;
  bool loop_open_ = false;
  int process_ = -1;
  int beat_bytes_ = 16;
  std::uint64_t step_serial_ = 0;
  std::uint64_t process_serial_ = 0;
  std::uint16_t* now_ = nullptr;  // what the current iteration has accessed
  unsigned polled_ = 0;
  std::vector<std::uint64_t> next_address_;  // by port
  std::map<std::string, int> names_;         // processes of a name in the step
  std::vector<StepReport> steps_;
  std::map<std::string, StreamNeed> needs_;
  std::int64_t cycles_ = 0;
  std::int64_t process_cycles_ = 0;
};

inline Recorder& recorder() {
  static Recorder instance;
  return instance;
}

class ProcessScope {
 public:
  explicit ProcessScope(const std::string& name) { recorder().begin_process(name); }
  ~ProcessScope() { recorder().end_process(); }
  ProcessScope(const ProcessScope&) = delete;
  ProcessScope& operator=(const ProcessScope&) = delete;
};

// Sets what the recorded code does not say. Between steps only.
inline void configure(const Config& config) { recorder().configure(config); }

// Cycles of all steps so far.
inline std::int64_t total_cycles() { return recorder().cycles(); }

template <typename Stream>
void set_depth(Stream& stream, const std::string& name, int depth) {
  stream.set_depth(name, depth);
}

template <typename Stream, std::size_t N>
void set_depth(Stream (&streams)[N], const std::string& name, int depth) {
  for (std::size_t i = 0; i < N; ++i)
    set_depth(streams[i], name + "[" + std::to_string(i) + "]", depth);
}

}  // namespace hao_trace

#include "hao_report.h"

#endif  // HAO_TRACE_H
