// Command supply tells what the binary is made of: it writes the bill of materials, and
// its tests see that every licence in it is one we may ship, and that two builds
// of one source are one file.
//
// It goes by the modules that the linker wrote into the binary, not by go.mod,
// which names much that only tests need.
package main
