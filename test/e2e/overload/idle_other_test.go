//go:build !linux

package overload

// onlyWhenIdle needs Linux; elsewhere the least priority has to do.
func onlyWhenIdle() error { return nil }
