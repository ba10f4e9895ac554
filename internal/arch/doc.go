// Package arch holds no code but the test of the project's shape: which package
// may import which, that each says what it is for, and that files stay small.
package arch
