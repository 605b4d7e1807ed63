// What the host program needs of a core: registers, memory that both see, and a way to wait.
#ifndef HAO_DEVICE_H
#define HAO_DEVICE_H

#include <cctype>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <stdexcept>
#include <string>

namespace hao {

class Device {
 public:
  virtual ~Device() {}
  // Registers of the core, by offset in bytes.
  virtual std::uint32_t read(std::uint32_t offset) = 0;
  virtual void write(std::uint32_t offset, std::uint32_t value) = 0;
  // Memory in one piece: where the host and where the core sees it.
  virtual std::uint8_t *memory() = 0;
  virtual std::uint64_t address() const = 0;
  virtual std::size_t size() const = 0;
  // Makes a part of it known to the core, and to the host.
  virtual void to_device(std::size_t offset, std::size_t bytes) = 0;
  virtual void from_device(std::size_t offset, std::size_t bytes) = 0;
  // Interrupts: allow the next one, and wait for it; false if it does not come in time.
  virtual void arm() = 0;
  virtual bool wait(double seconds) = 0;
};

// Registers of block control (UG1399, S_AXILITE control register map).
const std::uint32_t kControl = 0x0, kGlobalInterrupt = 0x4;
const std::uint32_t kInterruptEnable = 0x8, kInterruptStatus = 0xc;
const std::uint32_t kStart = 0x1, kDone = 0x2, kIdle = 0x4;

// The registers that take an argument: the address of a port's memory, or a number.
struct Register {
  std::uint32_t offset;
  int bits;  // 32, or 64: low word first
};
typedef std::map<std::string, Register> registers_t;

// Returns the registers of arguments as the HLS tool lays them out with 64-bit addresses:
// from 0x10 on, an address in two words, a number in one, and a reserved word behind each.
inline registers_t usual_registers() {
  registers_t found;
  const char *const ports[] = {"ifm", "ofm", "residual", "weights"};
  for (int n = 0; n < 4; ++n) {
    const Register next = {static_cast<std::uint32_t>(0x10 + 0xc * n), 64};
    found[ports[n]] = next;
  }
  const Register first_step = {0x40, 32}, step_count = {0x48, 32};
  found["first_step"] = first_step;
  found["step_count"] = step_count;
  return found;
}

// Returns the registers that the tool's own header names (x<core>_hw.h): a port `ifm` is
// X..._ADDR_IFM_DATA, IFM_R_DATA, IFM_V_DATA or IFM_OFFSET_DATA there, by the tool's version.
inline registers_t load_registers(const std::string &path) {
  std::ifstream file(path.c_str());
  if (!file) throw std::runtime_error(path + ": cannot be read; run_vivado.tcl puts it there");
  registers_t found;
  std::string word, name, value;
  while (file >> word) {
    if (word != "#define" || !(file >> name >> value)) continue;
    const bool is_bits = name.find("_BITS_") != std::string::npos;
    std::size_t at = name.find(is_bits ? "_BITS_" : "_ADDR_");
    const std::string end = "_DATA";
    if (at == std::string::npos || name.size() < at + 6 + end.size() ||
        name.compare(name.size() - end.size(), end.size(), end) != 0)
      continue;
    std::string port = name.substr(at + 6, name.size() - at - 6 - end.size());
    for (std::size_t n = 0; n < port.size(); ++n)
      port[n] = static_cast<char>(std::tolower(static_cast<unsigned char>(port[n])));
    const std::string suffixes[] = {"_offset", "_r", "_v"};
    for (const std::string &suffix : suffixes)
      if (port.size() > suffix.size() &&
          port.compare(port.size() - suffix.size(), suffix.size(), suffix) == 0)
        port.resize(port.size() - suffix.size());
    Register &place = found[port];
    const unsigned long number = std::strtoul(value.c_str(), nullptr, 0);
    if (is_bits) place.bits = static_cast<int>(number);
    else place.offset = static_cast<std::uint32_t>(number);
  }
  return found;
}

}  // namespace hao

#endif
