//go:build !race

package otlpreceiver

const raceEnabled = false
