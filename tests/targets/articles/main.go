// Command articles shows the leaks that articles on Go describe, one at a time: `articles nil_channel`.
package main

import "leaktrace.test/targets/behaviour"

func main() { behaviour.Main() }
