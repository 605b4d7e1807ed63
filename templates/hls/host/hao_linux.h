// The core under Linux: registers and interrupt by UIO (generic-uio), memory by u-dma-buf.
// The device-tree overlay of firmware/ declares both.
#ifndef HAO_LINUX_H
#define HAO_LINUX_H

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "hao_device.h"

namespace hao {

// A file that is open, and maybe mapped.
class Mapped {
 public:
  Mapped(const std::string &path, int flags, std::size_t bytes) : bytes_(bytes) {
    file_ = open(path.c_str(), flags);
    if (file_ < 0) throw std::runtime_error(path + ": " + std::strerror(errno));
    if (!bytes) return;
    place_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_, 0);
    if (place_ == MAP_FAILED) {
      const std::string reason = std::strerror(errno);
      close(file_);
      throw std::runtime_error(path + ": cannot be mapped: " + reason);
    }
  }
  ~Mapped() {
    if (bytes_) munmap(place_, bytes_);
    close(file_);
  }
  Mapped(const Mapped &) = delete;
  Mapped &operator=(const Mapped &) = delete;
  int file() const { return file_; }
  void *place() const { return place_; }

 private:
  int file_ = -1;
  void *place_ = nullptr;
  std::size_t bytes_;
};

class LinuxDevice : public Device {
 public:
  // `root` stands before /dev and /sys: empty, but for tests.
  explicit LinuxDevice(const std::string &root = "") {
    const std::string uio = find_uio(root);
    const std::string classes = root + "/sys/class/";
    const std::size_t room = number(classes + "uio/" + uio + "/maps/map0/size");
    registers_.reset(new Mapped(root + "/dev/" + uio, O_RDWR | O_SYNC, room));
    const std::string buffer = classes + "u-dma-buf/" + kMemory;
    address_ = number(buffer + "/phys_addr");
    size_ = number(buffer + "/size");
    // Cached, so that packing is fast; `sync` below keeps both sides equal.
    memory_.reset(new Mapped(root + "/dev/" + kMemory, O_RDWR, size_));
    for_device_.reset(new Mapped(buffer + "/sync_for_device", O_WRONLY, 0));
    for_cpu_.reset(new Mapped(buffer + "/sync_for_cpu", O_WRONLY, 0));
  }

  std::uint32_t read(std::uint32_t offset) override { return words()[offset / 4]; }
  void write(std::uint32_t offset, std::uint32_t value) override { words()[offset / 4] = value; }
  std::uint8_t *memory() override { return static_cast<std::uint8_t *>(memory_->place()); }
  std::uint64_t address() const override { return address_; }
  std::size_t size() const override { return size_; }

  void to_device(std::size_t offset, std::size_t bytes) override {
    sync(*for_device_, offset, bytes);
  }
  void from_device(std::size_t offset, std::size_t bytes) override {
    sync(*for_cpu_, offset, bytes);
  }

  void arm() override {
    const std::uint32_t on = 1;
    if (::write(registers_->file(), &on, sizeof on) != sizeof on)
      throw std::runtime_error(std::string("interrupts of the core: ") + std::strerror(errno) +
                               "; --poll does without");
  }

  bool wait(double seconds) override {
    pollfd entry = {registers_->file(), POLLIN, 0};
    const int found = poll(&entry, 1, static_cast<int>(1000 * seconds) + 1);
    if (found <= 0) return false;
    std::uint32_t count;
    return ::read(registers_->file(), &count, sizeof count) == sizeof count;
  }

 private:
  static constexpr const char *kUio = "hao_engine";
  static constexpr const char *kMemory = "hao_memory";

  volatile std::uint32_t *words() {
    return static_cast<volatile std::uint32_t *>(registers_->place());
  }

  static std::string line(const std::string &path) {
    std::ifstream file(path.c_str());
    std::string text;
    std::getline(file, text);
    return text;
  }

  static std::uint64_t number(const std::string &path) {
    const std::string text = line(path);
    if (text.empty())
      throw std::runtime_error(path + " is missing; load the overlay of firmware/ and u-dma-buf");
    return std::strtoull(text.c_str(), nullptr, 0);
  }

  static std::string find_uio(const std::string &root) {
    const std::string folder = root + "/sys/class/uio";
    std::string found;
    if (DIR *list = opendir(folder.c_str())) {
      while (const dirent *entry = readdir(list))
        if (line(folder + "/" + entry->d_name + "/name") == kUio) found = entry->d_name;
      closedir(list);
    }
    if (found.empty())
      throw std::runtime_error(folder + " has no device " + kUio +
                               "; load the overlay of firmware/ (its README says how)");
    return found;
  }

  // Offset, size (a multiple of 16) and direction in one word, as u-dma-buf takes them.
  static void sync(const Mapped &attribute, std::size_t offset, std::size_t bytes) {
    const std::size_t begin = offset & ~static_cast<std::size_t>(63);
    const std::size_t end = (offset + bytes + 63) & ~static_cast<std::size_t>(63);
    char text[32];
    const int length = std::snprintf(text, sizeof text, "0x%08lX%08lX",
                                     static_cast<unsigned long>(begin),
                                     static_cast<unsigned long>(end - begin) | 1);
    if (pwrite(attribute.file(), text, length, 0) != length)
      throw std::runtime_error(std::string("u-dma-buf: sync: ") + std::strerror(errno));
  }

  std::unique_ptr<Mapped> registers_, memory_, for_device_, for_cpu_;
  std::uint64_t address_ = 0;
  std::size_t size_ = 0;
};

}  // namespace hao

#endif
