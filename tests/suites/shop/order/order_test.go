package order

import (
	"runtime"
	"testing"
)

func TestReceives(t *testing.T) {
	if <-Price() != 7 {
		t.Fatal("not the price")
	}
}

func TestForgets(t *testing.T) {
	Price()
	runtime.Gosched()
}

func TestForgetsThroughAHelper(t *testing.T) {
	Prices(3)
	runtime.Gosched()
}

func TestTable(t *testing.T) {
	for _, name := range []string{"a", "b"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Price()
		})
	}
}
