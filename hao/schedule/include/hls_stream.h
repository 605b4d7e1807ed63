// FIFOs for the schedule analysis of hao: every access is a call of a function without a
// body, so that the compiler neither removes, joins nor reorders accesses.
#ifndef HAO_SCHEDULE_HLS_STREAM_H
#define HAO_SCHEDULE_HLS_STREAM_H

extern "C" {
void hao_fifo_read(void *stream, void *word);
void hao_fifo_write(void *stream, const void *word);
bool hao_fifo_read_nb(void *stream, void *word);
bool hao_fifo_write_nb(void *stream, const void *word);
bool hao_fifo_empty(const void *stream);
bool hao_fifo_full(const void *stream);
}

namespace hls {
template <class T, int DEPTH = 0> struct stream {
  char handle;
  // Tells the analysis what a word is; takes no room.
  T word_mark[0];

  stream() {}
  explicit stream(const char *) {}
  stream(const stream &) = delete;
  stream &operator=(const stream &) = delete;

  T read() {
    T word;
    hao_fifo_read(this, &word);
    return word;
  }
  void read(T &word) { hao_fifo_read(this, &word); }
  // The copy keeps what is written apart from where it comes from, such as a port.
  void write(const T &word) {
    const T copy = word;
    hao_fifo_write(this, &copy);
  }
  bool read_nb(T &word) {
    T maybe;
    const bool there = hao_fifo_read_nb(this, &maybe);
    if (there) word = maybe;
    return there;
  }
  bool write_nb(const T &word) {
    const T copy = word;
    return hao_fifo_write_nb(this, &copy);
  }
  bool empty() const { return hao_fifo_empty(this); }
  bool full() const { return hao_fifo_full(this); }
  stream &operator>>(T &word) {
    read(word);
    return *this;
  }
  stream &operator<<(const T &word) {
    write(word);
    return *this;
  }
};
}  // namespace hls

#endif
