package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// The sections of the benchmark, in the order they run.
const (
	ingest   = "ingest"
	queries  = "queries"
	push     = "push"
	burst    = "burst"
	memory   = "memory"
	standing = "standing"
)

var sections = []string{ingest, queries, push, burst, memory, standing}

type options struct {
	root    string
	write   string
	only    []string // all if empty
	rounds  int
	streams int
	quick   bool
	full    bool
}

func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.StringVar(&o.root, "root", "../..", "the repository whose binary is built and measured")
	flags.StringVar(&o.write, "write", "", "write the result to this Markdown file, too")
	flags.StringVar(&only, "only", "", "sections to run, by comma: "+strings.Join(sections, ",")+" (default all)")
	flags.IntVar(&o.rounds, "rounds", 5, "interleaved rounds; 2 with -quick unless given")
	flags.IntVar(&o.streams, "streams", 1000, "open StreamIsActive streams in section push; 50 with -quick unless given")
	flags.BoolVar(&o.quick, "quick", false, "sizes that show that it runs, and no more: under a minute, no bars")
	flags.BoolVar(&o.full, "full", false, "the sizes that take long, too: 1M series, 10k standing queries")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if o.quick && !given["rounds"] {
		o.rounds = 2
	}
	if o.quick && !given["streams"] {
		o.streams = 50
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	return o, o.validate(flags.Args())
}

func (o options) validate(arguments []string) error {
	for _, section := range o.only {
		if !slices.Contains(sections, section) {
			return fmt.Errorf("-only: %q is no section: want some of %s", section, strings.Join(sections, ","))
		}
	}
	switch {
	case len(arguments) > 0:
		return fmt.Errorf("unexpected argument %q: the benchmark takes flags only, see -help", arguments[0])
	case o.quick && o.full:
		return fmt.Errorf("-quick and -full exclude each other")
	case o.rounds < 1 || o.rounds > 100:
		return fmt.Errorf("-rounds=%d: want 1 to 100", o.rounds)
	case o.streams < 2 || o.streams > 10000:
		return fmt.Errorf("-streams=%d: want 2 to 10000, one of which changes", o.streams)
	}
	return nil
}

// runs says whether a section is asked for.
func (o options) runs(section string) bool {
	return len(o.only) == 0 || slices.Contains(o.only, section)
}

// command is what reproduces the run, as far as it bears on the figures.
func (o options) command() string {
	c := fmt.Sprintf("cd test/bench && go run . -rounds %d -streams %d", o.rounds, o.streams)
	if len(o.only) > 0 {
		c += " -only " + strings.Join(o.only, ",")
	}
	if o.quick {
		c += " -quick"
	}
	if o.full {
		c += " -full"
	}
	return c
}

// sizes are what a run's length and weight follow from.
type sizes struct {
	ingestSeries   int
	gatewayPoints  int // a measured phase
	sidecarPoints  int
	querySeries    []int
	queryCalls     int // a round and server
	pushRate       int // background points a second
	flips          int // a round
	burstSeries    int // new ones, a round
	memorySeries   int
	memoryRuns     int // processes for one figure, at most
	standing       []int
	standingPasses int // over all series, at least
	standingPoint  int // a measured phase
}

func (o options) sizes() sizes {
	if o.quick {
		return sizes{
			ingestSeries: 20_000, gatewayPoints: 40_000, sidecarPoints: 20_000,
			querySeries: []int{1_000}, queryCalls: 200,
			pushRate: 10_000, flips: 20,
			burstSeries:  10_000,
			memorySeries: 10_000, memoryRuns: 1,
			standing: []int{100}, standingPoint: 40_000, standingPasses: 3,
		}
	}
	s := sizes{
		ingestSeries: 20_000, gatewayPoints: 2_000_000, sidecarPoints: 600_000,
		querySeries: []int{1_000, 100_000}, queryCalls: 2_000,
		pushRate: 50_000, flips: 200,
		burstSeries:  100_000,
		memorySeries: 100_000, memoryRuns: 3,
		standing: []int{1_000}, standingPoint: 1_000_000, standingPasses: 12,
	}
	if o.full {
		s.querySeries = append(s.querySeries, million)
		s.standing = append(s.standing, manyStanding)
	}
	return s
}

// The sizes that only -full has.
const (
	million      = 1_000_000
	manyStanding = 10_000
)
