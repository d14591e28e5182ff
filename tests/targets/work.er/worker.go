// Package worker has an import path with a dot, which Go escapes as %2e in symbol names.
package worker

// Wait blocks until something comes.
func Wait[T any](from <-chan T) T { return <-from }

// Box waits through methods of a generic type.
type Box[T any] struct{ From chan T }

// Take blocks until something comes.
func (b *Box[T]) Take() T { return Wait(b.From) }

// Waiter is waited on through an interface.
type Waiter interface{ WaitForever() }

// Silent never wakes anybody. Called through an interface or embedded, its value method has a wrapper.
type Silent struct{ From chan int }

// WaitForever blocks for ever.
func (s Silent) WaitForever() { <-s.From }

// Embedding promotes a method: the compiler writes a wrapper.
type Embedding struct{ Silent }
