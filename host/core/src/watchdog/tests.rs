//! Tests of the watchdog.
