// Package arch contains only the test of the project's structure: which package may
// import which, and that each states its purpose.
package arch
