// Package snapshot owns a file of checksummed blocks that is there whole or not at
// all.
//
// A file begins with a line that names it, its version, and when what it holds was
// taken. Blocks follow: a kind, a length, a checksum, and bytes that mean something
// to whoever wrote them. The last one counts the others. It is made beside its
// place and moved there when it is complete, so a process that dies while it writes
// leaves the file before. It is not synced: a process' death takes nothing from the
// kernel that it was given, and what a machine's leaves behind the checksums tell.
package snapshot
