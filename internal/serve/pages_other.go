//go:build !linux

package serve

func smallPages() error { return nil }
