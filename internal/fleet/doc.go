// Package fleet simulates pods that share a load and push it, with injected time
// and chances, for tests only. It knows the real load at every moment and owns the
// reference decision and the bounds that every decision has to stay within. The
// reference decision is a port of a Python program, the reference simulation, whose
// output is in figures_test.go. It imports nothing of the product, so that the
// product is never compared with itself.
package fleet
