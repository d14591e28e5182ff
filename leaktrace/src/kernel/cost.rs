//! What a hit costs on this machine, measured on a function of our own.
