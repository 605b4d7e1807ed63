// Small engines whose cycles can be counted by hand. Arguments: a case, its numbers,
// then KEY=VALUE settings of the replay. Prints the replay as JSON.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "hls_stream.h"

namespace {

using Stream = hls::stream<int>;

void single(int trips, int second_trips) {
  HAO_PROCESS(single);
  HAO_LOOP(first, 5);
  for (int i = 0; i < trips; ++i) {
    HAO_TICK();
  }
  if (second_trips < 0) return;
  HAO_LOOP(second, 2);
  for (int i = 0; i < second_trips; ++i) {
    HAO_TICK();
  }
}

void produce(Stream& out, int words) {
  HAO_PROCESS(produce);
  HAO_LOOP(words, 4);
  for (int i = 0; i < words; ++i) {
    HAO_TICK();
    out.write(i);
  }
}

void consume(Stream& in, int words, int every) {
  HAO_PROCESS(consume);
  HAO_LOOP(words, 3);
  for (int i = 0; i < words * every; ++i) {
    HAO_TICK();
    if (i % every == 0 && in.read() != i / every) std::abort();
  }
}

void load(Stream& out, int units) {
  HAO_PROCESS(load);
  HAO_LOOP(units, 2);
  for (int i = 0; i < units; ++i) {
    HAO_TICK();
    out.write(i);
  }
}

void fill(Stream& units_in, int units, int trips, Stream& out) {
  HAO_PROCESS(fill);
  int unit;
  HAO_LOOP(fills, 2);
  for (int i = 0; i < trips || units > 0; ++i) {
    HAO_TICK();
    if (units_in.read_nb(unit)) --units;
    out.write(i + 1 < trips || units > 0);
  }
}

void multiply(Stream& fills, bool more) {
  HAO_PROCESS(multiply);
  HAO_LOOP(sums, 3);
  HAO_FOLLOW(fills);
  while (more) {
    HAO_TICK();
    more = fills.read() != 0;
  }
}

void read_port(int port, int beats, int bytes, int jump) {
  HAO_PROCESS(read_port);
  HAO_BUS(bytes);
  HAO_LOOP(beats, 1);
  for (int i = 0; i < beats; ++i) {
    HAO_TICK();
    HAO_BUS_READ(port, i + (i < jump ? 0 : 1000));
  }
}

void write_port(int port, int beats) {
  HAO_PROCESS(write_port);
  HAO_LOOP(beats, 3);
  for (int i = 0; i < beats; ++i) {
    HAO_TICK();
    HAO_BUS_WRITE(port, i);
  }
}

void write_two(Stream& a, Stream& b) {
  HAO_PROCESS(write_two);
  HAO_LOOP(first, 1);
  for (int i = 0; i < 4; ++i) {
    HAO_TICK();
    a.write(i);
  }
  HAO_LOOP(second, 1);
  for (int i = 0; i < 4; ++i) {
    HAO_TICK();
    b.write(i);
  }
}

void read_two(Stream& a, Stream& b) {
  HAO_PROCESS(read_two);
  HAO_LOOP(both, 1);
  for (int i = 0; i < 8; ++i) {
    HAO_TICK();
    if (i < 4)
      b.read();
    else
      a.read();
  }
}

// Mistakes that the recorder refuses.
void mistake(const std::string& what) {
  Stream s("s");
  Stream many[9];
  HAO_DEPTH(many, 4);
  if (what == "no_process") s.write(1);
  HAO_PROCESS(wrong);
  if (what == "no_loop") HAO_TICK();
  HAO_LOOP(body, 2);
  if (what == "outside") s.write(1);
  HAO_TICK();
  if (what == "empty") s.read();
  if (what == "twice") {
    s.write(1);
    s.write(2);
  }
  if (what == "many")
    for (Stream& one : many) one.write(1);
  if (what == "nested") {
    HAO_PROCESS(inner);
  }
  if (what == "leftover") s.write(1);
  if (what == "wait_after_poll") {
    int word;
    s.read_nb(word);
    HAO_LOOP(later, 1);
    HAO_TICK();
    s.write(1);
    s.read();
  }
  if (what == "poll_and_follow") {
    int word;
    HAO_FOLLOW(s);
    many[0].read_nb(word);
  }
}

void two_writers() {
  Stream s("s");
  produce(s, 1);
  load(s, 1);
}

hao_trace::Config settings(int count, char** text) {
  hao_trace::Config config;
  for (int i = 0; i < count; ++i) {
    const char* equals = std::strchr(text[i], '=');
    if (equals == nullptr) continue;
    const std::string key(text[i], static_cast<std::size_t>(equals - text[i]));
    const int value = std::atoi(equals + 1);
    if (key == "ddr") config.ddr_bytes_per_kilocycle = value;
    if (key == "write_cost") config.ddr_write_cost = value;
    if (key == "ddr_burst") config.ddr_burst_bytes = value;
    if (key == "outstanding") config.outstanding_bursts = value;
    if (key == "burst") config.max_burst_beats = value;
    if (key == "read_latency") config.read_latency = value;
    if (key == "unlimited") config.unlimited_fifos = value != 0;
    if (key == "size") config.size_fifos = value != 0;
  }
  return config;
}

// One step of the table, as the dataflow function of the engine would run it.
void step(const std::string& name, const std::vector<int>& n, const char* text) {
  if (name == "single") {
    single(n[0], n[1]);
  } else if (name == "chain") {
    Stream words("words");
    HAO_DEPTH(words, n[2]);
    produce(words, n[0]);
    consume(words, n[0], n[1]);
  } else if (name == "weights") {
    Stream units;
    HAO_DEPTH(units, 2);
    Stream fills("fills");
    HAO_DEPTH(fills, 2);
    load(units, n[0]);
    fill(units, n[0], n[1], fills);
    multiply(fills, n[0] != 0 || n[1] != 0);
  } else if (name == "read") {
    read_port(0, n[0], 16, n[1]);
  } else if (name == "share") {
    read_port(0, n[0], 16, n[0]);
    read_port(n[1], n[0], 16, n[0]);
  } else if (name == "write") {
    write_port(0, n[0]);
  } else if (name == "deadlock") {
    Stream a("a");
    Stream b("b");
    HAO_DEPTH(a, n[0]);
    HAO_DEPTH(b, 2);
    write_two(a, b);
    read_two(a, b);
  } else if (name == "two_writers") {
    two_writers();
  } else {
    mistake(text);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::string name = argv[1];
  std::vector<int> numbers;
  for (int i = 2; i < argc; ++i)
    if (std::strchr(argv[i], '=') == nullptr) numbers.push_back(std::atoi(argv[i]));
  hao_trace::configure(settings(argc - 2, argv + 2));
  const int steps = name == "speed" ? numbers[0] : 2;
  if (name == "speed") {
    for (int i = 0; i < steps; ++i) {
      HAO_STEP_BEGIN(i);
      Stream a("a"), b("b"), c("c"), d("d");
      produce(a, numbers[1]);
      load(b, numbers[1]);
      produce(c, numbers[1]);
      consume(a, numbers[1], 1);
      consume(c, numbers[1], 1);
      fill(b, numbers[1], numbers[1], d);
      multiply(d, true);
      HAO_STEP_END();
    }
    std::printf("%lld\n", static_cast<long long>(hao_trace::recorder().process_cycles()));
    return 0;
  }
  // Twice, so that nothing of one step is left in the next.
  for (int i = 0; i < steps; ++i) {
    HAO_STEP_BEGIN(i);
    step(name, numbers, argv[2]);
    HAO_STEP_END();
  }
  hao_trace::print_json(stdout);
}
