//! Two sites with three arbiters on this machine.
