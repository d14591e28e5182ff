// Package broken has tests that do not pass.
package broken

import "testing"

func TestFails(t *testing.T) {
	t.Error("as it should")
}

func TestSkips(t *testing.T) {
	t.Skip("as it should")
}

func TestPanics(t *testing.T) {
	panic("as it should")
}
