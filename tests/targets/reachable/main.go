// Command reachable shows leaks that something alive still refers to, so that no garbage collector can prove them.
package main

import "leaktrace.test/targets/behaviour"

func main() { behaviour.Main() }
