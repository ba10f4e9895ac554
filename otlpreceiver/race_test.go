//go:build race

package otlpreceiver

// The race detector allocates, and makes sync.Pool forget at random.
const raceEnabled = true
