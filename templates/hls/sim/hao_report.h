// Copyright 2026 The hao authors. SPDX-License-Identifier: Apache-2.0
//
// What did the replay of all steps find? As one JSON object:
//
//   configuration  as in Config
//   cycles         of all steps
//   steps          cycles of each; of its processes the end, the cycles they stood still
//                  and the trips of their loops (summed over its runs); of its streams
//                  the words, the greatest depth in use (peak) and the cycles in which
//                  their reader (empty) or writer (full) stood still; of its ports the
//                  beats and bursts
//   streams        over all steps, by name: what hao_trace::StreamNeed holds
#ifndef HAO_REPORT_H
#define HAO_REPORT_H

#include "hao_trace.h"

namespace hao_trace {

namespace detail {

inline long long number(std::int64_t value) { return static_cast<long long>(value); }

inline void print_process(std::FILE* file, const Process& process,
                          const ProcessTimes& times) {
  std::fprintf(file,
               "{\"name\": \"%s\", \"end_cycle\": %lld, \"stall_cycles\": "
               "{\"empty\": %lld, \"full\": %lld, \"bus\": %lld}, \"loops\": [",
               process.name.c_str(), number(times.end), number(times.empty),
               number(times.full), number(times.bus));
  for (std::size_t i = 0; i < process.labels.size(); ++i)
    std::fprintf(file,
                 "%s{\"label\": \"%s\", \"depth\": %d, \"runs\": %lld, \"trips\": %lld}",
                 i == 0 ? "" : ", ", process.labels[i].name.c_str(),
                 process.labels[i].depth, number(times.runs[i]), number(times.trips[i]));
  std::fputs("]}", file);
}

inline void print_streams(std::FILE* file, const StepReport& step) {
  const char* comma = "";
  for (std::size_t c = 0; c < step.trace.channels.size(); ++c) {
    const Channel& channel = step.trace.channels[c];
    const ChannelUse& use = step.replay.channels[c];
    if (channel.port >= 0) continue;
    std::fprintf(file,
                 "%s\n    {\"name\": \"%s\", \"depth\": %lld, \"words\": %lld, \"peak\": "
                 "%lld, \"empty_cycles\": %lld, \"full_cycles\": %lld}",
                 comma, channel.name.c_str(), number(channel.depth),
                 number(static_cast<std::int64_t>(use.words)), number(use.peak),
                 number(use.empty), number(use.full));
    comma = ",";
  }
}

inline void print_ports(std::FILE* file, const StepReport& step) {
  const char* comma = "";
  for (const Port& port : step.trace.ports) {
    std::int64_t beats = 0;
    for (const Burst& burst : port.bursts) beats += burst.beats;
    std::fprintf(file,
                 "%s\n    {\"port\": %d, \"direction\": \"%s\", \"process\": \"%s\", "
                 "\"beat_bytes\": %d, \"beats\": %lld, \"bursts\": %lld}",
                 comma, port.index, port.write ? "write" : "read",
                 step.trace.processes[port.process].name.c_str(), port.bytes,
                 number(beats), number(static_cast<std::int64_t>(port.bursts.size())));
    comma = ",";
  }
}

inline void print_config(std::FILE* file, const Config& config) {
  std::fprintf(file,
               "{\"ddr_bytes_per_kilocycle\": %lld, \"ddr_write_cost\": %d, "
               "\"ddr_burst_bytes\": %d, \"port_bytes\": %d, \"read_latency\": %d, "
               "\"write_latency\": %d, \"outstanding_bursts\": %d, "
               "\"max_burst_beats\": %d, \"start_cycles\": %d, \"gap_cycles\": %d, "
               "\"finish_cycles\": %d, \"step_cycles\": %d, \"unlimited_fifos\": %s, "
               "\"size_fifos\": %s}",
               number(config.ddr_bytes_per_kilocycle), config.ddr_write_cost,
               config.ddr_burst_bytes, config.port_bytes, config.read_latency,
               config.write_latency, config.outstanding_bursts, config.max_burst_beats,
               config.start_cycles, config.gap_cycles, config.finish_cycles,
               config.step_cycles,
               config.unlimited_fifos ? "true" : "false",
               config.size_fifos ? "true" : "false");
}

}  // namespace detail

// Prints all steps as one JSON object. Null stands for what no replay has looked for.
inline void print_json(std::FILE* file) {
  const Recorder& all = recorder();
  const Config& config = all.config();
  std::fputs("{\"configuration\": ", file);
  detail::print_config(file, config);
  std::fprintf(file, ",\n\"cycles\": %lld,\n\"steps\": [", detail::number(all.cycles()));
  for (std::size_t s = 0; s < all.steps().size(); ++s) {
    const StepReport& step = all.steps()[s];
    std::fprintf(file, "%s\n  {\"step\": %d, \"cycles\": %lld,\n   \"processes\": [",
                 s == 0 ? "" : ",", step.trace.step, detail::number(step.replay.cycles));
    for (std::size_t p = 0; p < step.trace.processes.size(); ++p) {
      std::fputs(p == 0 ? "\n    " : ",\n    ", file);
      detail::print_process(file, step.trace.processes[p], step.replay.processes[p]);
    }
    std::fputs("],\n   \"streams\": [", file);
    detail::print_streams(file, step);
    std::fputs("],\n   \"ports\": [", file);
    detail::print_ports(file, step);
    std::fputs("]}", file);
  }
  std::fputs("],\n\"streams\": [", file);
  const bool unlimited = config.unlimited_fifos || config.size_fifos;
  const char* comma = "";
  for (const auto& item : all.needs()) {
    const StreamNeed& need = item.second;
    const auto text = [](bool known, std::int64_t value) {
      return known ? std::to_string(value) : std::string("null");
    };
    std::fprintf(file,
                 "%s\n  {\"name\": \"%s\", \"depth\": %lld, \"peak\": %lld, "
                 "\"unlimited_peak\": %s, \"smallest_depth\": %s}",
                 comma, item.first.c_str(), detail::number(need.given),
                 detail::number(need.peak), text(unlimited, need.unlimited_peak).c_str(),
                 text(config.size_fifos, need.smallest).c_str());
    comma = ",";
  }
  std::fputs("]}\n", file);
}

}  // namespace hao_trace

#endif  // HAO_REPORT_H
