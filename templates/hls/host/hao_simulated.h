// A core without a board: the engine of src/, compiled with native integers, in a thread of
// its own. Registers lie where `usual_registers` says.
#ifndef HAO_SIMULATED_H
#define HAO_SIMULATED_H

#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

#include "engine.h"
#include "hao_device.h"

namespace hao {

class SimulatedDevice : public Device {
 public:
  explicit SimulatedDevice(std::size_t bytes) : memory_(bytes), words_(64, 0) {}
  ~SimulatedDevice() override {
    if (core_.joinable()) core_.join();
  }

  std::uint32_t read(std::uint32_t offset) override {
    std::lock_guard<std::mutex> lock(mutex_);
    if (offset == kControl) return (done_ ? kDone : 0u) | (running_ ? 0u : kIdle);
    if (offset == kInterruptStatus) return raised_ ? 1u : 0u;
    return words_.at(offset / 4);
  }

  void write(std::uint32_t offset, std::uint32_t value) override {
    if (offset == kControl) {
      if (value & kStart) start();
      return;
    }
    std::lock_guard<std::mutex> lock(mutex_);
    if (offset == kInterruptStatus) raised_ = raised_ != ((value & 1) != 0);  // toggles
    else words_.at(offset / 4) = value;
  }

  std::uint8_t *memory() override { return memory_.data(); }
  std::uint64_t address() const override { return 0x300000000ull; }
  std::size_t size() const override { return memory_.size(); }
  void to_device(std::size_t, std::size_t) override {}
  void from_device(std::size_t, std::size_t) override {}
  void arm() override {}

  bool wait(double seconds) override {
    std::unique_lock<std::mutex> lock(mutex_);
    return ended_.wait_for(lock, std::chrono::duration<double>(seconds),
                           [this] { return raised_; });
  }

 private:
  int argument(const char *name) {
    return static_cast<int>(words_[usual_registers()[name].offset / 4]);
  }

  hao_beat *at(const char *port) {
    const std::uint32_t word = usual_registers()[port].offset / 4;
    const std::uint64_t low = words_[word], high = words_[word + 1];
    return reinterpret_cast<hao_beat *>(memory_.data() + ((high << 32 | low) - address()));
  }

  void start() {
    if (core_.joinable()) core_.join();
    std::lock_guard<std::mutex> lock(mutex_);
    hao_beat *const arena = at("ifm"), *const weights = at("weights");
    const int first_step = argument("first_step"), step_count = argument("step_count");
    done_ = false;
    running_ = true;
    core_ = std::thread([this, arena, weights, first_step, step_count] {
      hao_engine(arena, arena, arena, weights, first_step, step_count);
      std::lock_guard<std::mutex> end(mutex_);
      running_ = false;
      done_ = true;
      raised_ = words_[kInterruptEnable / 4] & words_[kGlobalInterrupt / 4] & 1;
      ended_.notify_all();
    });
  }

  std::vector<std::uint8_t> memory_;
  std::vector<std::uint32_t> words_;
  std::thread core_;
  std::mutex mutex_;
  std::condition_variable ended_;
  bool running_ = false, done_ = false, raised_ = false;
};

}  // namespace hao

#endif
