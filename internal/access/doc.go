// Package access owns who may talk to a listener: its certificate, the
// authorities that its clients' certificates must come from, and its bearer
// tokens. All of it is read from files, and read again while the program runs.
//
// Files are polled by content, not watched: cert-manager and kubelet replace a
// whole volume by swapping a symlink that is no part of the path, other tools
// write in place, network file systems tell nothing, and reading a few
// kilobytes is cheaper than getting all of that right. What can't be used never
// takes the place of what could: the old stays, and the log, Problem and the
// metrics say why. A fault is told when it is still there at the second look,
// since whoever writes several files does not write them at once.
//
// It never logs a key or a token, and knows nothing of what is served.
package access
