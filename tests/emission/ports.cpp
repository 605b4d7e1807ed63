// Stands between the test bench and the engine as RTL co-simulation does: every port has a
// memory of its own, filled when the core starts, and only that of `ofm` comes back.
//
// engine.cpp is compiled with the name of its core changed to `core`.
#include <vector>

#include "integers.h"

extern "C" void core(const hao_beat *ifm, hao_beat *ofm, const hao_beat *residual,
                     const hao_beat *weights, int first_step, int step_count);

extern "C" void hao_engine(const hao_beat *ifm, hao_beat *ofm, const hao_beat *residual,
                           const hao_beat *weights, int first_step, int step_count) {
  const std::vector<hao_beat> read(ifm, ifm + ARENA_BEATS);
  const std::vector<hao_beat> added(residual, residual + ARENA_BEATS);
  std::vector<hao_beat> written(ofm, ofm + ARENA_BEATS);
  core(read.data(), written.data(), added.data(), weights, first_step, step_count);
  for (int n = 0; n < ARENA_BEATS; ++n) ofm[n] = written[n];
}
