// Copyright 2026 The hao authors. SPDX-License-Identifier: Apache-2.0
//
// How many cycles does the hardware take for what C simulation has just recorded?
//
// Model, cycle by cycle. A process runs its pipelined loops (II = 1) one after another.
// The pipeline of a loop with `depth` stages starts an iteration every cycle: its reads
// happen in the first stage, its writes in the last one (depth - 1 cycles later). Where a
// word or a free place is missing, the whole pipeline of the process stands still.
// A word is readable in the cycle after it was written; a place is free in the cycle
// after it was read. A polled stream never makes its process wait: an iteration that
// starts takes a word if there is one; its loop goes on until all words have come, and so
// does a loop that follows it, which ends with the last word that it sends. An AXI port
// moves one beat a cycle, and all ports share the bytes of the DDR, taking turns beat by
// beat; a run of addresses that begins or ends within a DDR burst takes the bytes of that
// burst as well.
//
// Sources: trips - 1 + depth cycles a loop, where depth = max(printed iteration latency
// - 1, 1), holds for 942 of 946 pipelined loops with II = 1 or more in public Vitis HLS
// reports; a function of one loop takes 2 more (943 of 966); a dataflow region takes 1
// more than its slowest process (110 of 115). FIFOs and standing pipelines (style = stp)
// as in UG1399; tests/emission/test_replay.py compares with Verilog, cycle by cycle. The
// schedule itself (II and depth of a loop) is what the engine's source says, not found
// here; FIFOs in BRAM that answer a cycle later, refresh of the DDR and the turnaround
// between its reads and writes are not modelled. One class holds it all, since every
// part of it moves in the same cycle.
#ifndef HAO_REPLAY_H
#define HAO_REPLAY_H

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace hao_trace {

constexpr int kMaxStreams = 8;  // of one process, in each direction
constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();

// What the recorded code does not say. The defaults fit a Zynq UltraScale+ board.
struct Config {
  // DDR bandwidth of reads [bytes in 1000 cycles], which writes share; 0: no limit.
  std::int64_t ddr_bytes_per_kilocycle = 0;
  // What a written byte takes of it [bytes / 1000].
  int ddr_write_cost = 1000;
  // Bytes of a DDR burst, of which a short run may use a part only; 1: any run is whole.
  int ddr_burst_bytes = 1;
  // Bytes of a beat, where HAO_BUS does not say otherwise.
  int port_bytes = 16;
  // From the request of a burst to its first beat [cycles]: 10 + 28 + 6, the latency of
  // the AXI DMA towards memory (PG021).
  int read_latency = 44;
  // From the last beat to the response that ends a loop of writes [cycles]. Assumed: no
  // public figure was found, so it is taken to be that of a read.
  int write_latency = 44;
  // Requested ahead, and buffered: num_read_outstanding, num_write_outstanding, whose
  // default is 16 (UG1399).
  int outstanding_bursts = 16;
  // Beats of the longest burst: 16 (AXI3 behind the ports of the processor, UG1085; also
  // the default max_read_burst_length of UG1399), at most 256 (AXI4).
  int max_burst_beats = 16;
  // Before the first loop and after the last one of a process: 2 together (see above).
  int start_cycles = 1;
  int finish_cycles = 1;
  // Between two loops of a process: those two and one state that calls the next loop
  // (assumed, no public count).
  int gap_cycles = 3;
  // A dataflow region after its slowest process (see above).
  int step_cycles = 1;
  // Replays with FIFOs of any depth.
  bool unlimited_fifos = false;
  // Searches the smallest depth of every stream (several replays a step).
  bool size_fifos = false;
};

// A FIFO between two processes, or between a process and a port.
struct Channel {
  std::string name;
  std::int64_t depth;   // [words]
  std::uint64_t held;   // words in it when the step began
  int writer;           // process, or -1
  int reader;           // process, or -1
  int port;             // index in Trace::ports, or -1
};

struct Label {
  std::string name;
  int depth;
  std::uint8_t polled;  // inputs that every iteration looks at
};

// One execution of a pipelined loop.
struct Loop {
  int label;
  std::size_t first;  // in Process::accesses
  std::int64_t trips;  // recorded; a loop that polls or follows may go on
  int followed;        // input that it reads until its writer has sent the last word, or -1
};

struct Process {
  std::string name;
  std::vector<std::uint16_t> accesses;  // an iteration: inputs, outputs << 8, a bit each
  std::vector<Loop> loops;
  std::vector<Label> labels;
  std::vector<int> inputs;   // channels
  std::vector<int> outputs;  // channels
  std::uint64_t units[kMaxStreams] = {};  // words polled, by input
  std::uint8_t polled = 0;                // inputs that have been polled
};

struct Burst {
  std::int64_t beats;
  std::size_t loop;  // of the process; the request goes out when this loop begins
  int unused = 0;    // bytes of DDR bursts before its run, and behind the run before
};

// One direction of an AXI port.
struct Port {
  int index;
  bool write;
  int process;
  int channel;
  int bytes;  // of a beat
  std::vector<Burst> bursts;
};

struct Trace {
  int step = 0;
  std::vector<Channel> channels;
  std::vector<Process> processes;
  std::vector<Port> ports;
};

struct ProcessTimes {
  std::int64_t end = 0;    // first cycle after the process
  std::int64_t empty = 0;  // cycles it stood still for a word,
  std::int64_t full = 0;   // for a place,
  std::int64_t bus = 0;    // for a port
  std::vector<std::int64_t> trips;  // by label
  std::vector<std::int64_t> runs;   // executions of the loop, by label
};

struct ChannelUse {
  std::uint64_t words = 0;
  std::int64_t peak = 0;   // depth that was needed: words held, with the one written
  std::int64_t empty = 0;  // cycles its reader stood still,
  std::int64_t full = 0;   // its writer
};

struct Replay {
  std::int64_t cycles = 0;
  std::int64_t process_cycles = 0;  // of all processes, until each ended
  std::vector<ProcessTimes> processes;
  std::vector<ChannelUse> channels;
  std::string failure;  // why it could not end; empty if it did
};

namespace detail {

// Only its writer adds words, only its reader takes them, each at most one a cycle. The
// times of the last ones hide what happens in the current cycle, so that the order in
// which processes are looked at does not matter.
struct Fifo {
  std::uint64_t written = 0;
  std::uint64_t taken = 0;
  std::int64_t last_write = -1;
  std::int64_t last_read = -1;
  std::int64_t depth = 0;
  std::int64_t peak = 0;
  std::int64_t empty = 0;
  std::int64_t full = 0;
  bool bus = false;

  bool readable(std::int64_t now) const {
    return written - (last_write == now ? 1u : 0u) > taken;
  }
  std::int64_t held(std::int64_t now) const {
    return static_cast<std::int64_t>(written - taken + (last_read == now ? 1u : 0u));
  }
  void push(std::int64_t now) {
    peak = std::max(peak, held(now) + 1);
    ++written;
    last_write = now;
  }
  void pop(std::int64_t now) {
    ++taken;
    last_read = now;
  }
};

enum class State { kWaiting, kRunning, kResponse, kEnded };
enum class Stall { kNone, kEmpty, kFull, kBus };

struct Run {
  const Process* process = nullptr;
  Fifo* inputs[kMaxStreams] = {};
  Fifo* outputs[kMaxStreams] = {};
  std::uint64_t units[kMaxStreams] = {};  // still to be polled
  State state = State::kWaiting;
  std::int64_t start = 0;  // first cycle of the loop
  std::size_t loop = 0;
  // Of the running loop:
  const std::uint16_t* accesses = nullptr;
  std::int64_t stage = 0;  // cycles in which the pipeline moved
  std::int64_t recorded = 0;  // iterations that C simulation saw
  std::int64_t trips = 0;     // that the hardware makes; known once `sent`
  std::int64_t depth = 1;
  unsigned polled = 0;
  int followed = -1;
  bool sent = false;  // the loop has begun its last iteration
  bool writes_bus = false;
  // Of the cycle just looked at:
  Stall stall = Stall::kNone;
  Fifo* waits_for = nullptr;
};

struct BusPort {
  const Port* port = nullptr;
  Fifo* fifo = nullptr;
  const Run* run = nullptr;
  std::size_t requested = 0;            // bursts
  std::size_t consumed = 0;             // bursts
  std::size_t serving = 0;              // burst
  std::int64_t served = 0;              // beats of it
  std::uint64_t consumed_beats = 0;     // of the bursts before `consumed`
  std::vector<std::int64_t> ready;      // first cycle in which the bus can deliver
};

inline int lowest_bit(unsigned mask) { return __builtin_ctz(mask); }

}  // namespace detail

// Replays one step. `depths` [words] replaces the depth of every channel.
class Replayer {
 public:
  Replayer(const Trace& trace, const Config& config,
           const std::vector<std::int64_t>& depths)
      : trace_(trace), config_(config) {
    make_fifos(depths);
    make_runs();
    make_ports();
  }

  Replay run() {
    std::int64_t now = 0;
    while (live_ > 0) {
      active_ = false;
      event_ = kNever;
      move_bus(now);
      for (detail::Run& run : runs_) step(run, now);
      if (!result_.failure.empty()) return result_;
      if (live_ == 0) break;
      std::int64_t next = now + 1;
      if (!active_) {
        if (event_ == kNever) {
          result_.failure = deadlock(now);
          return result_;
        }
        next = event_;
      }
      count_stalls(next - now);
      now = next;
    }
    finish();
    return result_;
  }

 private:
  using Fifo = detail::Fifo;
  using Run = detail::Run;
  using State = detail::State;
  using Stall = detail::Stall;
  using BusPort = detail::BusPort;

  void make_fifos(const std::vector<std::int64_t>& depths) {
    fifos_.resize(trace_.channels.size());
    for (std::size_t c = 0; c < fifos_.size(); ++c) {
      fifos_[c].written = trace_.channels[c].held;
      fifos_[c].depth = depths[c];
      const int port = trace_.channels[c].port;
      if (port < 0) continue;
      fifos_[c].bus = true;
      // What is read was given room with its request; writes share a buffer.
      fifos_[c].depth = trace_.ports[port].write
                            ? static_cast<std::int64_t>(config_.outstanding_bursts) *
                                  config_.max_burst_beats
                            : kNever;
    }
  }

  void make_runs() {
    runs_.resize(trace_.processes.size());
    result_.processes.resize(runs_.size());
    live_ = runs_.size();
    for (std::size_t p = 0; p < runs_.size(); ++p) {
      const Process& process = trace_.processes[p];
      Run& run = runs_[p];
      run.process = &process;
      for (std::size_t i = 0; i < process.inputs.size(); ++i) {
        run.inputs[i] = &fifos_[process.inputs[i]];
        run.units[i] = process.units[i];
      }
      for (std::size_t i = 0; i < process.outputs.size(); ++i)
        run.outputs[i] = &fifos_[process.outputs[i]];
      result_.processes[p].trips.assign(process.labels.size(), 0);
      result_.processes[p].runs.assign(process.labels.size(), 0);
      begin_loop(run, config_.start_cycles);
    }
  }

  void make_ports() {
    for (const Port& port : trace_.ports) {
      BusPort bus;
      bus.port = &port;
      bus.fifo = &fifos_[port.channel];
      bus.run = &runs_[port.process];
      bus.ready.assign(port.bursts.size(), 0);
      buses_.push_back(bus);
      max_cost_ = std::max(max_cost_, beat_cost(port));
    }
  }

  // Makes `run` ready for its next loop, whose first cycle is `start`.
  void begin_loop(Run& run, std::int64_t start) {
    const Process& process = *run.process;
    run.state = State::kWaiting;
    run.start = start;
    run.stall = Stall::kNone;
    if (run.loop == process.loops.size()) return;
    const Loop& loop = process.loops[run.loop];
    const Label& label = process.labels[loop.label];
    run.accesses = process.accesses.data() + loop.first;
    run.stage = 0;
    run.depth = label.depth;
    run.polled = label.polled;
    run.followed = loop.followed;
    run.recorded = loop.trips;
    run.trips = 0;
    run.sent = false;
    run.writes_bus = false;
    result_.processes[&run - runs_.data()].runs[loop.label] += 1;
  }

  void step(Run& run, std::int64_t now) {
    switch (run.state) {
      case State::kEnded:
        return;
      case State::kWaiting:
        if (now < run.start) {
          event_ = std::min(event_, run.start);
          return;
        }
        active_ = true;
        if (run.loop == run.process->loops.size()) {
          end_process(run, now);
          return;
        }
        run.state = State::kRunning;
        advance(run, now);
        return;
      case State::kRunning:
        advance(run, now);
        return;
      case State::kResponse:
        respond(run, now);
        return;
    }
  }

  // Moves the pipeline of `run` by one stage, or lets it stand still.
  void advance(Run& run, std::int64_t now) {
    if (run.recorded == 0) {  // one cycle in which the condition fails
      active_ = true;
      end_loop(run, now);
      return;
    }
    const bool issues = !run.sent;
    const unsigned reads = issues ? accesses(run, run.stage) & 0xffu : 0;
    const std::int64_t leaves = run.stage - run.depth + 1;
    const unsigned writes = leaves >= 0 ? accesses(run, leaves) >> 8 : 0;
    if (stalls(run, reads, writes, now)) return;
    for (unsigned m = reads; m != 0; m &= m - 1)
      run.inputs[detail::lowest_bit(m)]->pop(now);
    for (unsigned m = writes; m != 0; m &= m - 1) {
      Fifo& fifo = *run.outputs[detail::lowest_bit(m)];
      fifo.push(now);
      run.writes_bus |= fifo.bus;
    }
    if (issues) poll(run, now);
    active_ = true;
    run.stall = Stall::kNone;
    ++run.stage;
    if (issues && is_last(run)) {
      run.sent = true;
      run.trips = run.stage;
      result_.processes[&run - runs_.data()].trips[label_of(run)] += run.trips;
    }
    if (run.sent && run.stage == run.trips + run.depth - 1) end_loop(run, now);
  }

  static int label_of(const Run& run) { return run.process->loops[run.loop].label; }

  // What an iteration accesses; also of those that C simulation did not see.
  static unsigned accesses(const Run& run, std::int64_t iteration) {
    if (iteration < run.recorded) return run.accesses[iteration];
    return run.followed >= 0 ? 1u << run.followed : run.accesses[run.recorded - 1];
  }

  // Whether the loop ends with the iteration that has just begun.
  bool is_last(const Run& run) const {
    if (run.stage < run.recorded) return false;
    for (unsigned m = run.polled; m != 0; m &= m - 1)
      if (run.units[detail::lowest_bit(m)] != 0) return false;
    if (run.followed < 0) return true;
    const Channel& channel = trace_.channels[run.process->inputs[run.followed]];
    const Fifo& fifo = *run.inputs[run.followed];
    return fifo.taken == fifo.written && sends_no_more(channel);
  }

  // Whether the writer of a channel has begun its last iteration, and none that has begun
  // is still to write.
  bool sends_no_more(const Channel& channel) const {
    if (channel.writer < 0) return true;
    const Run& writer = runs_[channel.writer];
    if (writer.loop >= writer.process->loops.size()) return true;
    if (writer.loop + 1 < writer.process->loops.size() || !writer.sent) return false;
    const Fifo* fifo = &fifos_[&channel - trace_.channels.data()];
    for (std::int64_t i = std::max<std::int64_t>(0, writer.stage - writer.depth + 1);
         i < writer.trips; ++i)
      for (unsigned m = accesses(writer, i) >> 8; m != 0; m &= m - 1)
        if (writer.outputs[detail::lowest_bit(m)] == fifo) return false;
    return true;
  }

  void poll(Run& run, std::int64_t now) {
    for (unsigned m = run.polled; m != 0; m &= m - 1) {
      const int bit = detail::lowest_bit(m);
      if (run.units[bit] == 0 || !run.inputs[bit]->readable(now)) continue;
      run.inputs[bit]->pop(now);
      --run.units[bit];
    }
  }

  bool stalls(Run& run, unsigned reads, unsigned writes, std::int64_t now) {
    Fifo* missing = nullptr;
    Stall why = Stall::kNone;
    for (unsigned m = reads; m != 0; m &= m - 1) {
      Fifo& fifo = *run.inputs[detail::lowest_bit(m)];
      if (fifo.readable(now)) continue;
      missing = &fifo;
      why = fifo.bus ? Stall::kBus : Stall::kEmpty;
      if (fifo.bus) break;
    }
    for (unsigned m = writes; missing == nullptr && m != 0; m &= m - 1) {
      Fifo& fifo = *run.outputs[detail::lowest_bit(m)];
      if (fifo.held(now) < fifo.depth) continue;
      missing = &fifo;
      why = fifo.bus ? Stall::kBus : Stall::kFull;
    }
    run.waits_for = missing;
    run.stall = why;
    return missing != nullptr;
  }

  void end_loop(Run& run, std::int64_t now) {
    if (run.writes_bus) {
      run.state = State::kResponse;
      run.start = now;
      run.stall = Stall::kBus;
      run.waits_for = nullptr;
      return;
    }
    next_loop(run, now);
  }

  // `last` is the last cycle of the loop that has ended.
  void next_loop(Run& run, std::int64_t last) {
    ++run.loop;
    const bool ended = run.loop == run.process->loops.size();
    begin_loop(run, last + 1 + (ended ? config_.finish_cycles : config_.gap_cycles));
  }

  // The loop ends when the memory has acknowledged its last beat.
  void respond(Run& run, std::int64_t now) {
    std::int64_t last = run.start;
    for (std::size_t i = 0; i < run.process->outputs.size(); ++i) {
      const Fifo& fifo = *run.outputs[i];
      if (!fifo.bus) continue;
      if (fifo.written != fifo.taken) return;
      last = std::max(last, fifo.last_read + config_.write_latency);
    }
    if (now < last) {
      event_ = std::min(event_, last);
      return;
    }
    active_ = true;
    next_loop(run, now);
  }

  void end_process(Run& run, std::int64_t now) {
    run.state = State::kEnded;
    result_.processes[&run - runs_.data()].end = now;
    --live_;
  }

  void move_bus(std::int64_t now) {
    const std::int64_t rate = config_.ddr_bytes_per_kilocycle;
    if (rate > 0) {
      // What is left over is less than a beat, so a busy DDR loses nothing to the cap.
      const std::int64_t room = rate + max_cost_ - tokens_;
      const std::int64_t cycles = now - tokens_time_;
      tokens_ += cycles > room / rate ? room : std::min(room, rate * cycles);
      tokens_time_ = now;
    }
    for (BusPort& bus : buses_)
      if (!bus.port->write) request(bus, now);
    const std::size_t first = turn_;
    for (std::size_t i = 0; i < buses_.size(); ++i) {
      const std::size_t b = (first + i) % buses_.size();
      if (!wants(buses_[b], now)) continue;
      const std::int64_t missing = beat_cost(*buses_[b].port) - tokens_;
      if (rate > 0 && missing > 0) {
        event_ = std::min(event_, now + (missing + rate - 1) / rate);
        return;
      }
      serve(buses_[b], now);
      turn_ = (b + 1) % buses_.size();
    }
  }

  // At most one request a cycle, from the cycle on in which the loop begins.
  void request(BusPort& bus, std::int64_t now) {
    const std::vector<Burst>& bursts = bus.port->bursts;
    while (bus.consumed < bus.requested &&
           bus.fifo->taken >= bus.consumed_beats + bursts[bus.consumed].beats)
      bus.consumed_beats += bursts[bus.consumed++].beats;
    if (bus.requested == bursts.size()) return;
    const std::size_t loop = bursts[bus.requested].loop;
    if (bus.run->loop < loop || (bus.run->loop == loop && now < bus.run->start)) return;
    if (bus.requested - bus.consumed >=
        static_cast<std::size_t>(config_.outstanding_bursts))
      return;
    // What is delivered in a cycle can be read in the next one.
    bus.ready[bus.requested++] = now + config_.read_latency - 1;
    active_ = true;
  }

  bool wants(const BusPort& bus, std::int64_t now) {
    if (bus.port->write) return bus.fifo->written > bus.fifo->taken;
    if (bus.serving == bus.requested) return false;
    if (bus.ready[bus.serving] <= now) return true;
    event_ = std::min(event_, bus.ready[bus.serving]);
    return false;
  }

  // What a beat takes of the DDR [bytes / 1000], and what no beat of its burst uses.
  std::int64_t beat_cost(const Port& port, int unused = 0) const {
    const std::int64_t each = port.write ? config_.ddr_write_cost : 1000;
    return each * (port.bytes + unused);
  }

  void serve(BusPort& bus, std::int64_t now) {
    active_ = true;
    if (config_.ddr_bytes_per_kilocycle > 0) {
      // Bytes that nobody uses are owed, so that what is saved up stays a beat.
      const int unused = bus.served == 0 ? bus.port->bursts[bus.serving].unused : 0;
      tokens_ -= beat_cost(*bus.port, unused);
    }
    if (bus.port->write)
      bus.fifo->pop(now);
    else
      bus.fifo->push(now);
    if (++bus.served < bus.port->bursts[bus.serving].beats) return;
    bus.served = 0;
    ++bus.serving;
  }

  // Nothing moved for `cycles`, or all did for one.
  void count_stalls(std::int64_t cycles) {
    for (std::size_t p = 0; p < runs_.size(); ++p) {
      Run& run = runs_[p];
      if (run.state == State::kEnded) continue;
      result_.process_cycles += cycles;
      if (run.stall == Stall::kNone) continue;
      ProcessTimes& times = result_.processes[p];
      switch (run.stall) {
        case Stall::kNone:
          break;
        case Stall::kEmpty:
          times.empty += cycles;
          run.waits_for->empty += cycles;
          break;
        case Stall::kFull:
          times.full += cycles;
          run.waits_for->full += cycles;
          break;
        case Stall::kBus:
          times.bus += cycles;
          break;
      }
    }
  }

  std::string deadlock(std::int64_t now) const {
    std::string text = "deadlock at cycle " + std::to_string(now);
    for (const Run& run : runs_) {
      if (run.state == State::kEnded || run.waits_for == nullptr) continue;
      const Channel& channel = trace_.channels[run.waits_for - fifos_.data()];
      const Loop& loop = run.process->loops[run.loop];
      text += "; process " + run.process->name + " (loop " +
              run.process->labels[loop.label].name + ", iteration " +
              std::to_string(std::min(run.stage, run.recorded)) + " of " +
              std::to_string(run.recorded) + ") waits for ";
      if (run.stall == Stall::kFull)
        text += "a place in stream " + channel.name + " of depth " +
                std::to_string(run.waits_for->depth);
      else
        text += "a word of stream " + channel.name;
    }
    return text;
  }

  void finish() {
    for (const ProcessTimes& times : result_.processes)
      result_.cycles = std::max(result_.cycles, times.end);
    result_.cycles += config_.step_cycles;
    for (std::size_t c = 0; c < fifos_.size(); ++c) {
      ChannelUse use;
      use.words = fifos_[c].written - trace_.channels[c].held;
      use.peak = fifos_[c].peak;
      use.empty = fifos_[c].empty;
      use.full = fifos_[c].full;
      result_.channels.push_back(use);
    }
  }

  const Trace& trace_;
  const Config& config_;
  std::vector<Fifo> fifos_;
  std::vector<Run> runs_;
  std::vector<BusPort> buses_;
  Replay result_;
  std::size_t live_ = 0;
  bool active_ = false;           // something moved in this cycle
  std::int64_t event_ = kNever;   // next cycle in which something may move by itself
  std::int64_t tokens_ = 0;       // what the DDR may move [bytes / 1000]
  std::int64_t tokens_time_ = -1;
  std::int64_t max_cost_ = 0;     // of a beat [bytes / 1000]
  std::size_t turn_ = 0;          // port that comes first
};

inline std::vector<std::int64_t> given_depths(const Trace& trace) {
  std::vector<std::int64_t> depths;
  for (const Channel& channel : trace.channels) depths.push_back(channel.depth);
  return depths;
}

inline Replay replay(const Trace& trace, const Config& config,
                     const std::vector<std::int64_t>& depths) {
  return Replayer(trace, config, depths).run();
}

// With FIFOs of any depth: `peak` is then the depth at which nothing changes.
inline Replay replay_unlimited(const Trace& trace, const Config& config) {
  return replay(trace, config,
                std::vector<std::int64_t>(trace.channels.size(), kNever));
}

// Returns a power of two for every channel, at least its entry in `least` (powers of two,
// at least 2): none can be halved alone without more cycles than `unlimited` took.
inline std::vector<std::int64_t> smallest_depths(const Trace& trace, const Config& config,
                                                 const Replay& unlimited,
                                                 const std::vector<std::int64_t>& least) {
  const auto fits = [&](const std::vector<std::int64_t>& depths) {
    const Replay trial = replay(trace, config, depths);
    return trial.failure.empty() && trial.cycles <= unlimited.cycles;
  };
  if (fits(least)) return least;
  std::vector<std::int64_t> depths = least;
  for (std::size_t c = 0; c < depths.size(); ++c)
    while (depths[c] < unlimited.channels[c].peak) depths[c] *= 2;
  for (std::size_t c = 0; c < depths.size(); ++c) {
    if (trace.channels[c].port >= 0) continue;
    std::vector<std::int64_t> trial = depths;
    while (trial[c] > least[c]) {
      trial[c] /= 2;
      if (!fits(trial)) break;
      depths = trial;
    }
  }
  return depths;
}

}  // namespace hao_trace

#endif  // HAO_REPLAY_H
