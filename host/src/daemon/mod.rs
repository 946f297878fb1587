//! The daemon: the run loop with everything it performs.
