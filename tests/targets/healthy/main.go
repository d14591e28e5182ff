// Command healthy shows goroutines that look like leaks and are none: old by design, or many for a while.
package main

import "leaktrace.test/targets/behaviour"

func main() { behaviour.Main() }
