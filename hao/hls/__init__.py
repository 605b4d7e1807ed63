"""HLS C++ sources: what compiles and preprocesses them, and the pragmas they hold."""
