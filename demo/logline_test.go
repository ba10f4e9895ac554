package main

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestParseLogLine(t *testing.T) {
	for line, want := range map[string]map[string]string{
		`msg="listening" server=otlp-grpc address=127.0.0.1:4317`: {
			"msg": "listening", "server": "otlp-grpc", "address": "127.0.0.1:4317"},
		`level=WARN msg="a \"b\" = c" empty= last=x`: {
			"level": "WARN", "msg": `a "b" = c`, "empty": "", "last": "x"},
		`panic: runtime error: x=1`: {},
		`goroutine 1 [running]:`:    {},
		`msg="never closed`:         {"msg": `"never`},
		``:                          {},
	} {
		assert.Equal(t, want, parseLogLine(line), line)
	}
}

func TestParseLogLineReadsWhatSlogWrites(t *testing.T) {
	var b bytes.Buffer
	slog.New(slog.NewTextHandler(&b, nil)).Error("it broke", "server", "keda-grpc", "err", `open "x": no=such file`)
	fields := parseLogLine(b.String())
	assert.NotEmpty(t, fields["time"])
	delete(fields, "time")
	assert.Equal(t, map[string]string{
		"level": "ERROR", "msg": "it broke", "server": "keda-grpc", "err": `open "x": no=such file`,
	}, fields)
}
