// Integers of a given width for the schedule analysis of hao: ap_int and ap_uint on
// clang's _BitInt, so that the compiler's IR holds the iN operations that a HLS front
// end sees. Results have the widths of the vendor's documentation (UG902 and UG1399,
// "Arbitrary Precision Data Types"). Not for simulation: only the shapes of operations
// matter here, and division by zero or a shift by too much is not caught.
#ifndef HAO_SCHEDULE_AP_INT_H
#define HAO_SCHEDULE_AP_INT_H

#define HAO_ALWAYS __attribute__((always_inline))

namespace hao_ap {

template <int W, bool S> struct integer;
template <int W, bool S> struct slice;

// ---- What a type holds: width, sign, and the _BitInt that carries it ------------------

template <int W, bool S> struct raw { typedef _BitInt(W) type; };
template <> struct raw<1, true> { typedef _BitInt(2) type; };  // C allows no signed bit
template <int W> struct raw<W, false> { typedef unsigned _BitInt(W) type; };

template <int W, bool S> struct native {
  typedef typename native<(W <= 8 ? 8 : W <= 16 ? 16 : W <= 32 ? 32 : 64), S>::type type;
};
template <> struct native<8, true> { typedef signed char type; };
template <> struct native<16, true> { typedef short type; };
template <> struct native<32, true> { typedef int type; };
template <> struct native<64, true> { typedef long long type; };
template <> struct native<8, false> { typedef unsigned char type; };
template <> struct native<16, false> { typedef unsigned short type; };
template <> struct native<32, false> { typedef unsigned int type; };
template <> struct native<64, false> { typedef unsigned long long type; };

// In memory an integer takes whole bytes, so that every clang copies it alike.
template <int W> struct room {
  static const int bits =
      W <= 8 ? 8 : W <= 16 ? 16 : W <= 32 ? 32 : (W + 63) / 64 * 64;
};

// `kind` tells a type of the language (1) from an ap type or a part of one (2).
template <class T> struct traits { static const int kind = 0; };
#define HAO_NATIVE(T, W, S)            \
  template <> struct traits<T> {       \
    static const int kind = 1;         \
    typedef integer<W, S> type;        \
  };
HAO_NATIVE(bool, 1, false)
HAO_NATIVE(char, 8, true)
HAO_NATIVE(signed char, 8, true)
HAO_NATIVE(unsigned char, 8, false)
HAO_NATIVE(short, 16, true)
HAO_NATIVE(unsigned short, 16, false)
HAO_NATIVE(int, 32, true)
HAO_NATIVE(unsigned int, 32, false)
HAO_NATIVE(long, 64, true)
HAO_NATIVE(unsigned long, 64, false)
HAO_NATIVE(long long, 64, true)
HAO_NATIVE(unsigned long long, 64, false)
#undef HAO_NATIVE
template <int W, bool S> struct traits<integer<W, S> > {
  static const int kind = 2;
  typedef integer<W, S> type;
};
template <int W, bool S> struct traits<slice<W, S> > {
  static const int kind = 2;
  typedef integer<W, false> type;
};

template <bool B, class T> struct only {};
template <class T> struct only<true, T> { typedef T type; };

// The operand types of a binary operator, where at least one is an ap type.
template <class A, class B,
          bool Ours = (traits<A>::kind + traits<B>::kind > 2) && traits<A>::kind &&
                      traits<B>::kind>
struct pair {};
template <class A, class B> struct pair<A, B, true> {
  typedef typename traits<A>::type left;
  typedef typename traits<B>::type right;
  static const bool sign = left::sign || right::sign;
  static const bool mixed = left::sign != right::sign;
  static const int wide = left::width > right::width ? left::width : right::width;
  // Bits that hold both operands.
  static const int both =
      left::sign == right::sign || (left::sign && left::width > right::width) ||
              (right::sign && right::width > left::width)
          ? wide
          : wide + 1;
  typedef integer<both + 1, sign> sum;
  typedef integer<both + 1, true> difference;
  typedef integer<left::width + right::width, sign> product;
  typedef integer<left::width + (right::sign ? 1 : 0), sign> quotient;
  typedef integer<(left::width < right::width ? left::width : right::width), left::sign>
      rest;
  typedef integer<both, sign> logic;
  typedef bool truth;
};

// ---- The integer ----------------------------------------------------------------------

template <int W, bool S> struct integer {
  typedef typename raw<W, S>::type type;
  typedef typename raw<W, false>::type bits;
  typedef typename native<W, S>::type plain;
  static const int width = W;
  static const bool sign = S;

  typename raw<room<W>::bits, S>::type stored;
  // Tells the analysis how many of the stored bits count; takes no room.
  char width_mark[0][W];

  integer() = default;
  template <class T, class = typename only<traits<T>::kind == 1, T>::type>
  HAO_ALWAYS integer(T x) : stored(static_cast<type>(x)) {}
  template <int V, bool Q>
  HAO_ALWAYS integer(const integer<V, Q> &x) : stored(static_cast<type>(x.get())) {}
  template <int V, bool Q>
  HAO_ALWAYS integer(const slice<V, Q> &x) : stored(static_cast<type>(x.get())) {}

  HAO_ALWAYS type get() const { return static_cast<type>(stored); }
  HAO_ALWAYS void put(type x) { stored = x; }

  HAO_ALWAYS operator plain() const { return static_cast<plain>(get()); }
  HAO_ALWAYS int to_int() const { return static_cast<int>(get()); }
  HAO_ALWAYS unsigned to_uint() const { return static_cast<unsigned>(get()); }
  HAO_ALWAYS long long to_int64() const { return static_cast<long long>(get()); }
  HAO_ALWAYS unsigned long long to_uint64() const {
    return static_cast<unsigned long long>(get());
  }
  HAO_ALWAYS bool to_bool() const { return get() != 0; }
  HAO_ALWAYS int length() const { return W; }

  // Parts.
  HAO_ALWAYS slice<W, S> range(int high, int low) { return slice<W, S>(*this, high, low); }
  HAO_ALWAYS slice<W, S> operator()(int high, int low) { return range(high, low); }
  HAO_ALWAYS slice<W, S> operator[](int at) { return range(at, at); }
  HAO_ALWAYS slice<W, S> range() { return range(W - 1, 0); }
  HAO_ALWAYS integer<W, false> range(int high, int low) const { return cut(high, low); }
  HAO_ALWAYS integer<W, false> operator()(int high, int low) const { return cut(high, low); }
  HAO_ALWAYS bool operator[](int at) const { return test(at); }
  HAO_ALWAYS bool test(int at) const { return static_cast<bits>(get()) >> at & 1; }
  HAO_ALWAYS bool get_bit(int at) const { return test(at); }
  HAO_ALWAYS void set_bit(int at, bool x) { range(at, at) = x; }
  HAO_ALWAYS void set(int at) { set_bit(at, true); }
  HAO_ALWAYS void clear(int at) { set_bit(at, false); }
  HAO_ALWAYS bool or_reduce() const { return get() != 0; }
  HAO_ALWAYS bool and_reduce() const { return ~static_cast<bits>(get()) == 0; }
  HAO_ALWAYS integer<W, false> cut(int high, int low) const {
    integer<W, false> part;
    part.put(static_cast<bits>(get()) >> low & ones(high - low + 1));
    return part;
  }
  static HAO_ALWAYS bits ones(int count) {
    return static_cast<bits>(~static_cast<bits>(0)) >> (W - count);
  }

  // Operators that change it.
#define HAO_ASSIGN(op)                                               \
  template <class T> HAO_ALWAYS integer &operator op##=(const T &x) { \
    return *this = integer(*this op x);                              \
  }
  HAO_ASSIGN(+) HAO_ASSIGN(-) HAO_ASSIGN(*) HAO_ASSIGN(/) HAO_ASSIGN(%)
  HAO_ASSIGN(&) HAO_ASSIGN(|) HAO_ASSIGN(^) HAO_ASSIGN(<<) HAO_ASSIGN(>>)
#undef HAO_ASSIGN
  HAO_ALWAYS integer &operator++() { return *this += 1; }
  HAO_ALWAYS integer &operator--() { return *this -= 1; }
  HAO_ALWAYS integer operator++(int) {
    const integer old = *this;
    *this += 1;
    return old;
  }
  HAO_ALWAYS integer operator--(int) {
    const integer old = *this;
    *this -= 1;
    return old;
  }

  HAO_ALWAYS integer operator+() const { return *this; }
  HAO_ALWAYS integer<W + 1, true> operator-() const {
    integer<W + 1, true> r;
    r.put(-static_cast<typename integer<W + 1, true>::type>(get()));
    return r;
  }
  HAO_ALWAYS integer operator~() const {
    integer r;
    r.put(static_cast<type>(~get()));
    return r;
  }
  HAO_ALWAYS bool operator!() const { return get() == 0; }
  template <class T> HAO_ALWAYS integer operator<<(const T &n) const {
    integer r;
    r.put(static_cast<type>(get() << static_cast<int>(n)));
    return r;
  }
  template <class T> HAO_ALWAYS integer operator>>(const T &n) const {
    integer r;
    r.put(static_cast<type>(get() >> static_cast<int>(n)));
    return r;
  }
};

// Some bits of an integer, to read or to set.
template <int W, bool S> struct slice {
  typedef typename raw<W, false>::type bits;
  integer<W, S> &whole;
  int high, low;

  HAO_ALWAYS slice(integer<W, S> &of, int h, int l) : whole(of), high(h), low(l) {}
  slice(const slice &) = default;
  HAO_ALWAYS bits get() const { return whole.cut(high, low).get(); }
  HAO_ALWAYS void put(bits x) {
    const bits mask = integer<W, S>::ones(high - low + 1) << low;
    whole.put(static_cast<typename integer<W, S>::type>(
        (static_cast<bits>(whole.get()) & static_cast<bits>(~mask)) | (x << low & mask)));
  }
  HAO_ALWAYS slice &operator=(const slice &x) {
    put(x.get());
    return *this;
  }
  template <class T> HAO_ALWAYS slice &operator=(const T &x) {
    put(static_cast<bits>(typename traits<T>::type(x).get()));
    return *this;
  }
  HAO_ALWAYS integer<W, false> value() const { return whole.cut(high, low); }
  HAO_ALWAYS operator typename native<W, false>::type() const {
    return static_cast<typename native<W, false>::type>(get());
  }
  HAO_ALWAYS int to_int() const { return static_cast<int>(get()); }
  HAO_ALWAYS unsigned to_uint() const { return static_cast<unsigned>(get()); }
  HAO_ALWAYS unsigned long long to_uint64() const {
    return static_cast<unsigned long long>(get());
  }
};

// ---- Operators of two ------------------------------------------------------------------

#define HAO_BINARY(op, result)                                            \
  template <class A, class B>                                             \
  HAO_ALWAYS inline typename pair<A, B>::result operator op(const A &a,   \
                                                            const B &b) { \
    typedef typename pair<A, B>::result R;                                \
    typedef typename pair<A, B>::left L;                                  \
    typedef typename pair<A, B>::right Q;                                 \
    R r;                                                                  \
    r.put(static_cast<typename R::type>(                                  \
        static_cast<typename R::type>(L(a).get())                             \
            op static_cast<typename R::type>(Q(b).get())));                    \
    return r;                                                             \
  }
HAO_BINARY(+, sum)
HAO_BINARY(-, difference)
HAO_BINARY(*, product)
HAO_BINARY(&, logic)
HAO_BINARY(|, logic)
HAO_BINARY(^, logic)
#undef HAO_BINARY

#define HAO_DIVIDE(op, result)                                                         \
  template <class A, class B>                                                        \
  HAO_ALWAYS inline typename pair<A, B>::result operator op(const A &a, const B &b) { \
    typedef typename pair<A, B>::logic::type T;                                      \
    typename pair<A, B>::result r;                                                   \
    r.put(static_cast<typename pair<A, B>::result::type>(                            \
        static_cast<T>(typename pair<A, B>::left(a).get())                               \
            op static_cast<T>(typename pair<A, B>::right(b).get())));                     \
    return r;                                                                        \
  }
HAO_DIVIDE(/, quotient)
HAO_DIVIDE(%, rest)
#undef HAO_DIVIDE

#define HAO_COMPARE(op)                                                               \
  template <class A, class B>                                                         \
  HAO_ALWAYS inline typename pair<A, B>::truth operator op(const A &a, const B &b) {  \
    typedef typename pair<A, B>::logic::type T;                                       \
    return static_cast<T>(typename pair<A, B>::left(a).get())                             \
        op static_cast<T>(typename pair<A, B>::right(b).get());                           \
  }
HAO_COMPARE(<)
HAO_COMPARE(>)
HAO_COMPARE(<=)
HAO_COMPARE(>=)
HAO_COMPARE(==)
HAO_COMPARE(!=)
#undef HAO_COMPARE

// Bits of both, the left ones on top.
template <int A, bool P, int B, bool Q>
HAO_ALWAYS inline integer<A + B, false> operator,(const integer<A, P> &a,
                                                  const integer<B, Q> &b) {
  typedef typename integer<A + B, false>::type T;
  integer<A + B, false> r;
  r.put(static_cast<T>(static_cast<T>(static_cast<typename integer<A, P>::bits>(a.get())) << B |
                       static_cast<T>(static_cast<typename integer<B, Q>::bits>(b.get()))));
  return r;
}

}  // namespace hao_ap

template <int W> using ap_int = hao_ap::integer<W, true>;
template <int W> using ap_uint = hao_ap::integer<W, false>;

#endif
