//! `leaktrace`: finds goroutine leaks in running Go processes from outside.

fn main() {}
