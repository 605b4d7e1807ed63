// hls_stream.h without HAO_TRACE: a FIFO that keeps order and grows while it wraps.
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "hls_stream.h"

static_assert(sizeof(hls::stream<int>) < 128, "nothing of the trace is left");

namespace {

void check(bool holds, const char* what) {
  if (holds) return;
  std::printf("not so: %s\n", what);
  std::exit(1);
}

}  // namespace

int main() {
  HAO_STEP_BEGIN(0);
  HAO_PROCESS(main);
  hls::stream<std::vector<int>> words("words");
  HAO_DEPTH(words, 2);
  int written = 0;
  int taken = 0;
  HAO_LOOP(body, 1);
  for (int round = 0; round < 200; ++round) {
    HAO_TICK();
    for (int i = 0; i < 7; ++i) words.write({written++, -1});
    for (int i = 0; i < 5; ++i) check(words.read()[0] == taken++, "order");
    check(words.size() == static_cast<std::size_t>(written - taken), "size");
  }
  std::vector<int> word;
  while (words.read_nb(word)) check(word[0] == taken++, "order of read_nb");
  check(taken == written && words.empty() && !words.full(), "all words were read");
  words << word;
  words >> word;
  check(words.empty(), "operators");
  hls::stream<bool, 4> flags[2];
  HAO_DEPTH(flags, 3);
  check(flags[0].write_nb(true), "write_nb");
  bool flag = false;
  flags[0].read(flag);
  check(flag, "bool");
  HAO_STEP_END();
}
