// Package faults is the play in which something happens to a model under load,
// mostly nothing, for minutes. It is a package of its own so that it may run beside
// the others.
package faults
