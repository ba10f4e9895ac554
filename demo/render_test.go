package main

import (
	"errors"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

var busy = frame{
	elapsed: 31 * time.Second, load: 9,
	reading: reading{value: 8.5, target: 4, active: true},
	desired: 3, pods: []podState{{"pod-a", 8, 1}},
	sampleAge: 412 * time.Millisecond,
	stream:    &streamMessage{active: true, latency: 612 * time.Microsecond},
}

var held = frame{
	elapsed: time.Second, hold: errors.New("GetMetrics: warming up"),
	desired: 1, pods: []podState{{"pod-a", 0, 0}}, sampleAge: -1,
}

func TestPlainLine(t *testing.T) {
	assert.Equal(t, "t=31s load=9 value=8.5 target=4 active=true desired=3 pods=1 "+
		"sample_age=410ms stream=true stream_latency=610µs", plainLine(busy))
	assert.Equal(t, `t=1s load=0 hold="GetMetrics: warming up" desired=1 pods=1 sample_age=none stream=none`, plainLine(held))
}

func TestPlainScreenPrintsALineEach(t *testing.T) {
	var b strings.Builder
	s := newScreen(&b, false)
	s.note("hello %d", 1)
	s.show(busy)
	s.close()
	assert.Equal(t, "# hello 1\n"+plainLine(busy)+"\n", b.String())
}

func TestTableRedrawsInPlaceBelowTheNotes(t *testing.T) {
	var b strings.Builder
	s := newScreen(&b, true)
	s.note("first note")
	s.show(held)
	s.show(busy)
	s.note("second note")
	s.show(busy)
	s.close()
	assert.Equal(t, `first note
second note

ScaledObject default/huggingface-fbopt-predictor  31s  (Ctrl-C ends the demo)
  sum(vllm:num_requests_running{namespace="default", deployment="huggingface-fbopt-predictor"})

  requests in flight   9
  value                8.5      ██
  target               4
  active               true
  desired replicas     3        ▃██
  newest sample        410ms old
  last stream message  active=true, 610µs after the push that caused it

  PODS (1)                                       RUNNING WAITING
  pod-a                                                8       1
`, display(b.String()))
	assert.True(t, strings.HasSuffix(b.String(), wrapAndCursor), "the terminal is given back")
}

func TestTableSaysThatItHolds(t *testing.T) {
	text := strings.Join(tableLines(held, &history{}), "\n")
	assert.Contains(t, text, "unknown: replicas are held")
	assert.Contains(t, text, "GetMetrics: warming up")
}

func TestSparkline(t *testing.T) {
	assert.Equal(t, "▁▄█", sparkline([]float64{0, 2, 4}))
	assert.Equal(t, "▁▁", sparkline([]float64{0, 0}))
	assert.Len(t, latest(make([]float64, 100)), historyLength)
}

func TestNumber(t *testing.T) {
	assert.Equal(t, []string{"0", "4", "10", "0.5", "3.333"},
		[]string{number(0), number(4), number(10), number(0.5), number(10. / 3)})
}

// display is what a terminal would show of output, as far as screen uses it.
func display(output string) string {
	lines, row := []string{""}, 0
	for _, token := range regexp.MustCompile(`\x1b\[[?0-9]*[a-zA-Z]|\r|\n|[^\x1b\r\n]+`).FindAllString(output, -1) {
		switch {
		case token == "\n":
			if row++; row == len(lines) {
				lines = append(lines, "")
			}
		case token == clearBelow:
			lines = append(lines[:row:row], "")
		case strings.HasSuffix(token, "A") && token[0] == '\x1b':
			up, _ := strconv.Atoi(token[2 : len(token)-1])
			row -= up
		case token[0] != '\x1b' && token != "\r":
			lines[row] = strings.TrimRight(token, " ")
		}
	}
	return strings.Join(lines, "\n")
}
