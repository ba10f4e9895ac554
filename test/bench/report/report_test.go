package report

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i) // unsorted on purpose
	}
	for _, tc := range []struct {
		values []float64
		q      float64
		want   float64
	}{
		{hundred, 0.5, 50},
		{hundred, 0.99, 99},
		{hundred, 1, 100},
		{hundred, 0, 1},
		{[]float64{7}, 0.99, 7},
		{[]float64{2, 1}, 0.5, 1},
	} {
		require.InDelta(t, tc.want, Quantile(tc.values, tc.q), 0)
	}
	require.InDelta(t, 100, hundred[0], 0, "the caller's slice stays as it was")
	require.True(t, math.IsNaN(Quantile(nil, 0.5)))
}

func TestMedian(t *testing.T) {
	require.InDelta(t, 2, Median([]float64{3, 1, 2}), 0)
	require.InDelta(t, 2.5, Median([]float64{4, 1, 2, 3}), 0)
	require.True(t, math.IsNaN(Median(nil)))
}

func TestRatiosGoRoundByRound(t *testing.T) {
	// The second round was slow as a whole, which no ratio shows.
	require.Equal(t, []float64{2, 2, 2}, Ratios([]float64{20, 200, 22}, []float64{10, 100, 11}))
	require.Len(t, Ratios([]float64{1, 2}, []float64{1}), 1)
}

func TestMilliseconds(t *testing.T) {
	require.Equal(t, []float64{1.5, 2000}, Milliseconds([]time.Duration{1500 * time.Microsecond, 2 * time.Second}))
}

func TestVerdict(t *testing.T) {
	most := &Bar{Limit: 1.2}
	below := &Bar{Limit: 1.2, Below: true}
	for _, tc := range []struct {
		row  Row
		want string
	}{
		{Row{Value: 9}, ""},
		{Row{Value: 1.2, Bar: most}, "pass"},
		{Row{Value: 1.2, Bar: below}, "fail"},
		{Row{Value: 1.19, Bar: below}, "pass"},
		{Row{Value: 1.21, Bar: most}, "fail"},
		{Row{Value: math.NaN(), Bar: most}, "fail"},
		{Row{Missing: "needs -full", Bar: most}, "not measured"},
		{Row{Missing: "needs -full"}, ""},
	} {
		require.Equal(t, tc.want, tc.row.Verdict(), "%+v", tc.row)
	}
}

func TestNumberKeepsThreeDigits(t *testing.T) {
	for v, want := range map[float64]string{
		0: "0", 0.01234: "0.0123", 0.5: "0.500", 1.2345: "1.23", 12.345: "12.3", 123.45: "123", 98765.4: "98765", -1.5: "-1.50",
	} {
		require.Equal(t, want, number(v))
	}
	require.Equal(t, "NaN", number(math.NaN()))
}

var rows = []Row{
	{Section: "Ingest", What: "gateway: bytes", Value: 101.2, Unit: "ns/point", Runs: []float64{99, 101.2, 140}},
	{Section: "Ingest", What: "gateway: ours / pdata", Value: 0.5, Runs: []float64{0.4, 0.6}, Bar: &Bar{Limit: 0.22}, Note: "a|b"},
	{Section: "Memory", What: "resident", Missing: "needs -full", Unit: "GiB", Bar: &Bar{Limit: 1.2, Below: true}},
	{Section: "Memory", What: "a series", Value: 640, Unit: "B", Bar: &Bar{Limit: 1000}},
}

func TestTerminal(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Terminal(&b, rows))
	require.Equal(t, `what                     measured      least – most   bar

Ingest
  gateway: bytes         101 ns/point  99.0 – 140
  gateway: ours / pdata  0.500         0.400 – 0.600  ≤ 0.22     fail

Memory
  resident               needs -full                  < 1.2 GiB  not measured
  a series               640 B                        ≤ 1000 B   pass

Bars: 3, 1 met, 1 missed, 1 not measured.
`, b.String())
}

func TestMarkdown(t *testing.T) {
	var b strings.Builder
	require.NoError(t, Markdown(&b, Page{
		Machine: []Fact{{"cores", "2"}},
		Command: "cd test/bench && go run .",
		Rows:    rows,
		Methods: []Fact{{"Ingest", "How it is done."}},
	}))
	page := b.String()
	for _, want := range []string{
		"```\ncd test/bench && go run .\n```\n",
		"| cores | 2 |\n",
		"## Ingest\n\nHow it is done.\n\n| what |",
		"| gateway: ours / pdata | 0.500 | 0.400 – 0.600 | ≤ 0.22 | **fail** | a\\|b |\n",
		"## Memory\n\n| what |",
		"| resident | needs -full |  | < 1.2 GiB | not measured |  |\n",
		"Bars: 3, 1 met, 1 missed, 1 not measured.\n",
	} {
		require.Contains(t, page, want)
	}
	require.Equal(t, 1, strings.Count(page, "## Ingest"))
}
