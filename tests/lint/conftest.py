"""Stand-ins for the vendor's headers: enough of them to compile the tests' sources."""

from pathlib import Path

import pytest

AP_INT = """#pragma once
template <int W> struct ap_uint {
  long long value;
  ap_uint(long long v = 0) : value(v) {}
  operator long long() const { return value; }
  ap_uint &operator+=(long long v) { value += v; return *this; }
  ap_uint range(int, int) const { return *this; }
};
template <int W> struct ap_int : ap_uint<W> {
  ap_int(long long v = 0) : ap_uint<W>(v) {}
  template <typename T> ap_int &operator=(const T &v) {
    this->value = static_cast<long long>(v);
    return *this;
  }
};
"""
HLS_STREAM = """#pragma once
namespace hls {
template <typename T> class stream {
 public:
  stream() {}
  explicit stream(const char *) {}
  T read() { return T(); }
  void write(const T &) {}
  bool empty() { return false; }
};
}
"""


@pytest.fixture(scope="session")
def include_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("include")
    (folder / "ap_int.h").write_text(AP_INT)
    (folder / "hls_stream.h").write_text(HLS_STREAM)
    return folder
