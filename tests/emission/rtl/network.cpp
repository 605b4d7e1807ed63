// Runs the network of processes that stands on stdin, as C simulation would, and prints
// the replay of it as JSON. One line a word, separated by blanks:
//
//   fifo DEPTH                       one line for each; they are numbered from 0
//   process                          begins the next process
//   inputs N | outputs N             FIFOs, or -1 - port
//   units U                          words it takes from polled streams
//   loop DEPTH POLLED FOLLOWED TRIPS POLLED: a mask; FOLLOWED: an input, or -1
//   CODE ...                         of each iteration: inputs + 16 * outputs
//   bytes B, addresses N A ...       of the process's port, beat by beat
#include <cstdint>
#include <cstdio>
#include <deque>
#include <iostream>
#include <string>
#include <vector>

#include "hls_stream.h"

namespace {

struct LoopText {
  int depth;
  unsigned polled;
  int followed;
  std::vector<unsigned> codes;
};

struct ProcessText {
  std::vector<int> inputs, outputs;
  long units = 0;
  int bytes = 16;
  std::vector<LoopText> loops;
  std::vector<std::uint64_t> addresses;
};

std::vector<int> read_numbers(int count) {
  std::vector<int> numbers(count);
  for (int& number : numbers) std::cin >> number;
  return numbers;
}

void run(const ProcessText& process, int index, std::deque<hls::stream<int>>& fifos) {
  hao_trace::ProcessScope scope("p" + std::to_string(index));
  HAO_BUS(process.bytes);
  std::size_t beat = 0;
  long left = process.units;
  const auto access = [&](int place, bool write) {
    if (place < 0) {
      if (write)
        HAO_BUS_WRITE(-1 - place, process.addresses[beat++]);
      else
        HAO_BUS_READ(-1 - place, process.addresses[beat++]);
    } else if (write) {
      fifos[place].write(1);
    } else {
      fifos[place].read();
    }
  };
  for (std::size_t l = 0; l < process.loops.size(); ++l) {
    const LoopText& loop = process.loops[l];
    const std::string label = "l" + std::to_string(l);
    hao_trace::recorder().begin_loop(label.c_str(), loop.depth);
    for (std::size_t i = 0; i < process.inputs.size(); ++i)
      if ((loop.polled >> i & 1) != 0) HAO_POLL(fifos[process.inputs[i]]);
    if (loop.followed >= 0) HAO_FOLLOW(fifos[process.inputs[loop.followed]]);
    for (const unsigned code : loop.codes) {
      HAO_TICK();
      for (std::size_t i = 0; i < process.inputs.size(); ++i) {
        int word;
        if ((code >> i & 1) != 0) access(process.inputs[i], false);
        if ((loop.polled >> i & 1) != 0 && left > 0)
          left -= fifos[process.inputs[i]].read_nb(word);
      }
      for (std::size_t i = 0; i < process.outputs.size(); ++i)
        if ((code >> (i + 4) & 1) != 0) access(process.outputs[i], true);
    }
  }
}

}  // namespace

int main() {
  std::deque<hls::stream<int>> fifos;
  std::vector<ProcessText> processes;
  hao_trace::Config config;
  std::string word;
  while (std::cin >> word) {
    long number = 0;
    std::cin >> number;
    if (word == "fifo") {
      fifos.emplace_back("fifo" + std::to_string(fifos.size()));
      fifos.back().set_depth("", static_cast<int>(number));
    } else if (word == "process") {
      processes.emplace_back();
    } else if (word == "inputs") {
      processes.back().inputs = read_numbers(static_cast<int>(number));
    } else if (word == "outputs") {
      processes.back().outputs = read_numbers(static_cast<int>(number));
    } else if (word == "units") {
      processes.back().units = number;
    } else if (word == "bytes") {
      processes.back().bytes = static_cast<int>(number);
    } else if (word == "addresses") {
      for (const int address : read_numbers(static_cast<int>(number)))
        processes.back().addresses.push_back(static_cast<std::uint64_t>(address));
    } else if (word == "loop") {
      LoopText loop;
      loop.depth = static_cast<int>(number);
      long trips = 0;
      std::cin >> loop.polled >> loop.followed >> trips;
      for (const int code : read_numbers(static_cast<int>(trips)))
        loop.codes.push_back(static_cast<unsigned>(code));
      processes.back().loops.push_back(loop);
    } else if (word == "ddr_bytes_per_kilocycle") {
      config.ddr_bytes_per_kilocycle = number;
    } else if (word == "read_latency") {
      config.read_latency = static_cast<int>(number);
    } else if (word == "write_latency") {
      config.write_latency = static_cast<int>(number);
    } else if (word == "outstanding_bursts") {
      config.outstanding_bursts = static_cast<int>(number);
    } else if (word == "max_burst_beats") {
      config.max_burst_beats = static_cast<int>(number);
    } else if (word == "start_cycles") {
      config.start_cycles = static_cast<int>(number);
    } else if (word == "gap_cycles") {
      config.gap_cycles = static_cast<int>(number);
    } else if (word == "finish_cycles") {
      config.finish_cycles = static_cast<int>(number);
    } else if (word == "size_fifos") {
      config.size_fifos = number != 0;
    } else {
      std::cerr << "what is " << word << "?\n";
      return 2;
    }
  }
  hao_trace::configure(config);
  HAO_STEP_BEGIN(0);
  for (std::size_t p = 0; p < processes.size(); ++p)
    run(processes[p], static_cast<int>(p), fifos);
  HAO_STEP_END();
  hao_trace::print_json(stdout);
}
