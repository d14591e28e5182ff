// Command fixed shows the same code as articles without the mistake, and the common patterns of Go's own tests put right.
package main

import "leaktrace.test/targets/behaviour"

func main() { behaviour.Main() }
