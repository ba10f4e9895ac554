package main

import (
	"io"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestOptions(t *testing.T) {
	for _, tc := range []struct {
		args []string
		err  string
	}{
		{nil, ""},
		{[]string{"-only", "ingest,memory", "-rounds", "3", "-full"}, ""},
		{[]string{"-only", "ingest,memmory"}, `-only: "memmory" is no section: want some of ingest,queries,push,burst,memory,standing`},
		{[]string{"-quick", "-full"}, "-quick and -full exclude each other"},
		{[]string{"-rounds", "0"}, "-rounds=0: want 1 to 100"},
		{[]string{"-streams", "1"}, "-streams=1: want 2 to 10000, one of which changes"},
		{[]string{"ingest"}, `unexpected argument "ingest": the benchmark takes flags only, see -help`},
	} {
		_, err := parseOptions(tc.args, io.Discard)
		if tc.err == "" {
			require.NoError(t, err, "%q", tc.args)
		} else {
			require.EqualError(t, err, tc.err)
		}
	}
}

func TestQuickIsSmallUnlessToldOtherwise(t *testing.T) {
	o, err := parseOptions([]string{"-quick"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 2, o.rounds)
	require.Equal(t, 50, o.streams)
	o, err = parseOptions([]string{"-quick", "-rounds=7", "-streams=9"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 7, o.rounds)
	require.Equal(t, 9, o.streams)
}

func TestOnlyFullHasTheLargeSizes(t *testing.T) {
	require.NotContains(t, options{}.sizes().querySeries, million)
	require.NotContains(t, options{}.sizes().standing, manyStanding)
	full := options{full: true}.sizes()
	require.Contains(t, full.querySeries, million)
	require.Contains(t, full.standing, manyStanding)
}

// TestCommandReproduces reads the command back.
func TestCommandReproduces(t *testing.T) {
	o, err := parseOptions([]string{"-root=/somewhere", "-write=/else", "-only=push,ingest", "-rounds=3", "-full"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, "cd test/bench && go run . -rounds 3 -streams 1000 -only push,ingest -full", o.command())
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0", 50: "50", 1000: "1k", 1500: "1500", 100_000: "100k", million: "1M", 1_500_000: "1500k"} {
		require.Equal(t, want, count(n))
	}
}
